"""Where the benchmarks work, how they call the scripts, and how they gather seeds."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

from lesiongan import ROOT
from lesiongan.data import classes
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError


class Workplace:
    """Where the work and its results go, and the flags that every script gets."""

    def __init__(self, what, folder=None, extra=()):
        # Only the whole protocol on the whole table makes committed results.
        self.real = folder is None and not extra
        self.bars = folder or ROOT / "bars"
        self.results = ROOT / "results" / what if self.real else self.bars / "results"
        self.extra = list(extra)

    def models(self, name):
        return self.bars / name / "models"

    def outputs(self, name):
        return self.bars / name / "outputs"

    def split_file(self, name):
        """Return the path of the split that `lesion_split`, `image_split` or `leak_split` is of.

        There is one file for each split.
        """
        folder = ROOT / "results" if self.real else self.results
        return folder / "splits" / f"{'lesion' if name == 'lesion_split' else 'image'}_split.csv.gz"

    def synthetic(self, seed):
        """Return the path of the synthetic table of a seed's arms; InputError if there is none."""
        path = self.outputs(f"lesion_{seed}") / "synthetic" / classes.TABLE_NAME
        if not path.is_file():
            raise InputError(
                f"{path}: no synthetic images; run `classifier_bars.py lesion {seed}` first"
            )
        return path

    def flags(self, name):
        folders = ["--models-dir", str(self.models(name)), "--outputs-dir", str(self.outputs(name))]
        return [*folders, "--if-stale", "--deterministic"]

    def call(self, script, name, *flags):
        """Run a script, named by its path from the root, in the folders of `name`.

        Stops if the script fails.
        """
        words = [*map(str, flags), *self.flags(name), *self.extra]
        print("$", " ".join([script, *words]), flush=True)
        # It runs as a module, because benchmarks import from the root.
        module = script.removesuffix(".py").replace("/", ".")
        if subprocess.run([sys.executable, "-m", module, *words], cwd=ROOT).returncode:
            raise SystemExit(f"{script} failed")

    def evaluate(self, name, why, *flags):
        """Run evaluate.py, and note in results/TEST_LOG.md when it read the test part."""
        self.call("evaluate.py", name, *flags)
        record = records.read_json(
            self.outputs(name) / "evaluation" / "options.json", "evaluate.py"
        )
        self.note_reading(name, record, why)

    def note_reading(self, name, record, why):
        """Note in results/TEST_LOG.md that the test part was read, by evaluate.py's record.

        A reading that has its line already gets no second one. InputError if the results would be
        of another table.
        """
        if self.real and (record["data"]["phantom"] or record["data"]["rows"] != 10015):
            raise InputError(
                f"{record['data']['name']}: is not HAM10000; results/ is of that alone, so give a "
                "--folder"
            )
        log = ROOT / "results" / "TEST_LOG.md"
        reading = (
            f"| {record['date'][:10]} | {record['environment']['commit']} | "
            f"`{Path(sys.argv[0]).name}`, {name}: "
        )
        if self.real and reading not in log.read_text():
            # The line is one write, so that two benchmarks side by side lose none.
            with log.open("a") as f:
                f.write(f"{reading}{why} |\n")


def pack(source, target):
    """Write a file's content to `target` by gzip, the same bytes from the same content."""
    writing.write_gzip(target, source.read_bytes())


def parse_args(doc, what, choices, argv=None):
    """Return (choice, seed, Workplace) of a benchmark's command line.

    What argparse does not know goes to the scripts.
    """
    p = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("what", choices=choices)
    p.add_argument("number", type=int, nargs="?", default=0, help="of the seed")
    p.add_argument(
        "--folder", type=Path, help=f"work and results here, instead of bars/ and results/{what}/"
    )
    args, extra = p.parse_known_args(argv)
    if extra and not args.folder:
        p.error(f"{' '.join(extra)}: flags for the scripts need a --folder of their own")
    return args.what, args.number, Workplace(what, args.folder and args.folder.resolve(), extra)


def mean_and_std(rows, name):
    """Return {name: mean, name_std: standard deviation} over seeds.

    They are of a number or of each class's, and None where undefined.
    """

    def both(values):
        values = [v for v in values if v is not None]
        return (
            float(np.mean(values)) if values else None,
            float(np.std(values, ddof=1)) if len(values) > 1 else None,
        )

    values = [r[name] for r in rows]
    if isinstance(values[0], dict):
        found = {c: both([v.get(c) for v in values]) for c in values[0]}
        return {
            f"{name}{end}": {c: f[i] for c, f in found.items()}
            for i, end in enumerate(("", "_std"))
        }
    return dict(zip((name, f"{name}_std"), both(values), strict=True))
