"""The data set: its classes, reading and checking a table, metadata, lesions, near-duplicates
and the split.
"""
