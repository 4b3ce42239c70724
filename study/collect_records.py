"""Gather the records of all runs into gan.json, classifier.json and arms.json, and write the pages.

    python -m study.collect_records study/records.yaml

What no record is there for is left out.
"""

from pathlib import Path

from lesiongan.files import writing
from lesiongan.run import flags, script
from study import collect_arms, collect_classifier, collect_gan, publish_run
from study.runs import Runs

# Each with the records that it cannot do without.
COLLECTORS = (
    ("gan.json", ["gan/seed_*.json"], collect_gan.collect),
    (
        "classifier.json",
        [f"classifier/{split}_split_*.json" for split in ("image", "lesion")],
        collect_classifier.collect,
    ),
    ("arms.json", ["classifier/lesion_split_*/context.json"], collect_arms.collect),
)


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("list", type=Path)
    p.add_argument("--marker", type=Path, help="also write this file when all is done")
    args = p.parse_args(argv)
    runs = Runs(args.list)
    for name, needed, collect in COLLECTORS:
        if all(any(runs.results.glob(pattern)) for pattern in needed):
            collect(runs)
        elif (runs.results / name).is_file():
            print(f"{runs.results / name}: stays as it was, for its records are not there")
    print(f"{runs.progress()} -> {runs.results}/")
    left = [run.id for run in runs.left()]
    if runs.is_committed():
        publish_run.main(["--tables-only"])
    if args.marker:
        writing.write_json(args.marker, {"left": left})


if __name__ == "__main__":
    script.script_main(main)
