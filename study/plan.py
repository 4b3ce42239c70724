"""What the study consists of, what is done and how long the rest takes.

python -m study.plan study/config.yaml
"""

from pathlib import Path

from lesiongan.files.errors import InputError
from lesiongan.run import flags, script
from lesiongan.run.inputs import find_table
from study.grid import Grid
from study.runs import Runs


def check_is_there(path):
    """Raise InputError unless the table is a file."""
    if not path.is_file():
        raise InputError(f"{path}: no such table; put it there, or name another as the grid's data")


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("grid", type=Path)
    p.add_argument("--records", type=Path, help="say of this list of runs which records are there")
    p.add_argument("--stages", type=int, help="the first so many stages alone")
    p.add_argument(
        "--brief", action="store_true", help="print the last line alone, and refuse a missing table"
    )
    args = p.parse_args(argv)
    if args.records:
        runs = Runs(args.records)
        check_is_there(find_table(runs.values["data"]))
        print(runs.progress())
        return
    grid = Grid(args.grid, args.stages)
    if args.brief:
        # Said before any job starts, and not by each of them.
        check_is_there(find_table(grid.values["data"]))
    seeds, gans = grid.values["cnn_seeds"], set(grid.gans_left())
    if not args.brief:
        print(f"{'group':<26}{'classifiers done':>17}  GAN")
    for group in [] if args.brief else grid.groups:
        source = grid.arms[group.arm].get("source")
        key = (group.fraction, source, group.gan_seed)
        state = "" if source is None else "to train" if key in gans else "there or not needed"
        count = f"{len(seeds) - len(grid.seeds_left(group))} of {len(seeds)}"
        print(f"{group.name:<26}{count:>17}  {state}".rstrip())
    print(grid.progress())


if __name__ == "__main__":
    script.script_main(main)
