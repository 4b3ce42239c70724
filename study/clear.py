"""Remove what a grid's jobs wrote, and a list's runs: networks, sets, records, collected files.

    python -m study.clear study/smoke.yaml --records study/smoke_records.yaml

It is for trials. The grid and the list of the committed results are refused.
"""

from pathlib import Path

from lesiongan import clean
from lesiongan.files.errors import InputError
from lesiongan.run import flags, script
from study.grid import Grid
from study.runs import Runs

# What a run's folder of predictions holds, and what is collected from records.
KEPT = ("predictions*.csv.gz", "made.json", "context.json")
COLLECTED = ("gan.json", "gan_curve.*", "classifier.json", "arms.json")


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("grid", type=Path)
    p.add_argument("--records", type=Path, help="a list of runs, to be cleared too")
    args = p.parse_args(argv)
    grid, runs = Grid(args.grid), Runs(args.records) if args.records else None
    for path, is_committed in (
        (grid.path, grid.is_committed()),
        (args.records, runs is not None and runs.is_committed()),
    ):
        if is_committed:
            raise InputError(f"{path}: its records are the committed results; remove them by hand")
    clear_grid(grid)
    if runs:
        clear_runs(runs)


def clear_runs(runs):
    """Remove what the runs of a list wrote, and nothing else in their folders."""
    if runs.work.is_dir():
        clean.main([str(runs.work)])
    for run in runs.all.values():
        runs.mark(run).unlink(missing_ok=True)
    for run in runs.kept():
        record = runs.record(run)
        record.with_suffix(".json").unlink(missing_ok=True)
        for path in (p for name in KEPT for p in record.with_suffix("").glob(name)):
            path.unlink()
    for path in (p for name in COLLECTED for p in runs.results.glob(name)):
        path.unlink()
    for of_images in (True, False):
        runs.split_file(of_images).unlink(missing_ok=True)
    (runs.work / "collected.json").unlink(missing_ok=True)


def clear_grid(grid):
    """Remove what the jobs of a grid wrote, and nothing else in its folders."""
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
