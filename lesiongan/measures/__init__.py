"""Measures of a classifier and of synthetic images.

They are scores with intervals, calibration, distances of image sets, memorisation and the judge.
"""
