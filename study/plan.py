"""What the study consists of, what is done and how long the rest takes.

python -m study.plan study/config.yaml
"""

import argparse
from pathlib import Path

from lesiongan.run import script
from study.grid import Grid


def main(argv=None):
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("grid", type=Path)
    p.add_argument("--stages", type=int, help="the first so many stages alone")
    p.add_argument("--brief", action="store_true", help="print the last line alone")
    args = p.parse_args(argv)
    grid = Grid(args.grid, args.stages)
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
