"""Remove what a grid's runs wrote: networks, sets, records and the collected files.

    python -m study.clear study/smoke.yaml

It is for trials. The grid of the committed results is refused.
"""

import argparse
from pathlib import Path

from lesiongan import clean
from lesiongan.files.errors import InputError
from lesiongan.run import script
from study.grid import Grid


def main(argv=None):
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("grid", type=Path)
    grid = Grid(p.parse_args(argv).grid)
    if grid.is_committed():
        raise InputError(f"{grid.path}: its records are the committed results; remove them by hand")
    if grid.work.is_dir():
        clean.main([str(grid.work)])
    for group in grid.groups:
        grid.mark(group).unlink(missing_ok=True)
        for seed in grid.values["cnn_seeds"]:
            (grid.work / "cells" / group.cell(seed) / "log.jsonl").unlink(missing_ok=True)
            for end in (".json", ".csv.gz"):
                (grid.records / f"{group.cell(seed)}{end}").unlink(missing_ok=True)
    (grid.results / "test.csv.gz").unlink(missing_ok=True)
    (grid.work / "collected.json").unlink(missing_ok=True)
    for end in (".json", ".csv", "_map.png", "_map.pdf", "_choice.json"):
        grid.beside(end).unlink(missing_ok=True)


if __name__ == "__main__":
    script.script_main(main)
