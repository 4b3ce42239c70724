"""A million rows and a hundred thousand samples: time and peak memory of each script.

    python -m tests.stress.load              # all three parts: half an hour
    python -m tests.stress.load eda samples  # some of them: eda, cnn or samples

The table is 10 000 phantom lesions a hundred times over, with metadata (8 GB of CSV in a temporary
folder). Sampling is train_gan.py --sample-only, 100 000 images of a generator trained here for one
epoch on few rows. Adds its values to results/reliability.json; exits with 1 if a script took over 8
GiB.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from lesiongan import ROOT
from lesiongan.run import flags


def measure(script, *flags, record):
    """(minutes, peak GiB) of one script, as its record says."""
    print("$", script, *flags, flush=True)
    if subprocess.run([sys.executable, str(ROOT / script), *map(str, flags)], cwd=ROOT).returncode:
        raise SystemExit(f"{script} failed")
    found = json.loads(record.read_text())
    print(f"  {found['wall_seconds']} seconds, peak {found['peak_gib']} GiB", flush=True)
    return round(found["wall_seconds"] / 60, 1), found["peak_gib"]


def write_table(small, large, rows):
    """The small table and its metadata again and again, as other lesions each time."""
    for source in (small, small.with_name("HAM10000_metadata.csv")):
        header, body = source.read_bytes().split(b"\n", 1)
        with open(large / source.name, "wb") as f:
            f.write(header + b"\n")
            for i in range(rows // 10_000):
                f.write(body.replace(b"PHL_0", b"PHL_%d_" % i))
    return large / small.name


def measure_samples(folder, small, count):
    """Measure the drawing of `count` images by a generator trained here on few rows."""
    where = ["--models-dir", folder / "models", "--outputs-dir", folder / "outputs"]
    few = ["--data", small, "--subset", 300, *where]
    short = ["--epochs", 1, "--samples", 7]
    measure("train_gan.py", *few, *short, record=folder / "models/gan/options.json")
    many = ["--sample-only", "--samples", count, "--no-png", "--out", folder / "set"]
    return measure("train_gan.py", *few, *many, record=folder / "set/provenance.json")


def measure_eda(folder, large):
    """Measure eda.py on the large table."""
    where = ["--models-dir", folder / "large", "--outputs-dir", folder / "large"]
    record = folder / "large/eda/options.json"
    return measure("eda.py", "--data", large, *where, record=record)


def measure_cnn(folder, large):
    """Measure train_cnn.py's control on the large table, for enough steps to reach its peak memory.

    An epoch there has 5000 steps, each like the one before.
    """
    where = ["--models-dir", folder / "large", "--outputs-dir", folder / "large"]
    flags, record = ["--role", "control", "--steps", 1000], folder / "large/control/options.json"
    return measure("train_cnn.py", "--data", large, *where, *flags, record=record)


def main():
    p = flags.Parser(__doc__)
    p.add_argument("parts", nargs="*", metavar="eda|cnn|samples", help="default all three")
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--samples", type=int, default=100_000)
    args = p.parse_args()
    parts = args.parts or ["eda", "cnn", "samples"]
    if unknown := set(parts) - {"eda", "cnn", "samples"}:
        p.error(f"{', '.join(unknown)}: the parts are eda, cnn and samples")
    from lesiongan.phantom import write_phantom
    from tests.stress import reliability

    command, peaks = f"python -m tests.stress.load {' '.join(sys.argv[1:])}", []

    def note(name, minutes, peak_gib, **values):
        """Note one part's values at once, for the next may fail."""
        peaks.append(peak_gib)
        # The values' names say these numbers, so a smaller trial is not noted.
        if (args.rows, args.samples) == (1_000_000, 100_000):
            reliability.note(
                command, **values, **{f"{name}_minutes": minutes, f"{name}_peak_gib": peak_gib}
            )

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        small = write_phantom(folder / "small", 10_000)
        if "samples" in parts:
            note("samples", *measure_samples(folder, small, args.samples), samples=args.samples)
        if parts != ["samples"]:
            large, rows = write_table(small, folder, args.rows), args.rows // 10_000 * 10_000
        if "eda" in parts:
            note("million_rows_eda", *measure_eda(folder, large), million_rows=rows)
        if "cnn" in parts:
            note("million_rows_cnn", *measure_cnn(folder, large), million_rows=rows)
    found = json.loads(reliability.PATH.read_text())
    both = [found.get(f"million_rows_{name}_peak_gib") for name in ("eda", "cnn")]
    if all(both):
        reliability.note("python -m tests.stress.load eda cnn", million_rows_peak_gib=max(both))
    return 0 if max(peaks) <= 8 else 1


if __name__ == "__main__":
    sys.exit(main())
