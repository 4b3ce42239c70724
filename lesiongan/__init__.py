"""The package that the five scripts share.

A subpackage imports only from itself and from the subpackages below it in this list:

plots      figures and report.html
measures   numbers: scores of a classifier, distances of image sets, calibration, the judge
nets       networks on disk and in use, augmentation, sampling labelled images
run        one run of a script: flags, seeds, identity, records, checkpoints, the machine
data       the table, its metadata, lesions and the split
files      files on disk: atomic writes, locks, hashes, and reading what may be damaged or hostile

`python -m lesiongan.phantom` draws phantom lesions; `python -m lesiongan.fetch` downloads HAM10000.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository's folder."""
