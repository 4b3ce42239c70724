"""Numbers: scores of a classifier with intervals, calibration, distances of image sets,
memorisation, the judge.
"""
