"""Measures of a classifier and of synthetic images.

They are scores with intervals, calibration, distances of image sets, memorisation and the judge.
training_pool.py has what a classifier learns from, since that is measured for copies first.
"""
