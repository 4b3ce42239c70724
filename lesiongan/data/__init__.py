"""The data set: its classes, checked tables, metadata, lesions, near-duplicates and the split."""
