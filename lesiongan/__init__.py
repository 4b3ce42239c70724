"""The package that the five scripts share.

A subpackage imports only from itself and from the subpackages below it in this list:

plots      figures and report.html
measures   numbers: scores of a classifier, distances of image sets, calibration, the judge
nets       networks on disk and in use, augmentation, sampling labelled images
run        one run of a script: flags, seeds, identity, records, checkpoints, the machine
data       the table, its metadata, lesions and the split
files      files on disk: atomic writes, locks, hashes, and reading what may be damaged or hostile

`python -m lesiongan.phantom` draws phantom lesions, `python -m lesiongan.fetch` downloads HAM10000,
`python -m lesiongan.photographs` makes a table of photographs, `python -m lesiongan.install`
installs what a notebook's environment lacks, and `python -m lesiongan.clean` removes what runs
wrote.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository's folder."""


def say_stopped(kind, value, trace):
    """Print one line for a Ctrl-C that comes while a script still imports; else as Python does."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"{Path(sys.argv[0]).name}: stopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, value, trace)


# Whoever imports the package from a program of their own keeps their own hook.
if Path(sys.argv[0] or "-").resolve().parent == ROOT and sys.excepthook is sys.__excepthook__:
    sys.excepthook = say_stopped
