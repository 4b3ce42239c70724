"""A million rows and a hundred thousand samples: time and peak memory of each script.

    python tests/load.py [--rows 1000000]      # an hour or two; adds its figures to results/reliability.json

The table is 10 000 phantom lesions a hundred times over, with metadata (8 GB of CSV in a temporary folder). It exits with 1
if a script took over 8 GiB. train_cnn.py takes its first
epoch on it; train_gan.py --sample-only draws 100 000 images, from a generator trained here for one epoch on few rows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def measure(script, *flags, record):
    """(minutes, peak GiB) of one script, as its record says."""
    print("$", script, *flags, flush=True)
    if subprocess.run([sys.executable, str(ROOT / script), *map(str, flags)], cwd=ROOT).returncode:
        raise SystemExit(f"{script} failed")
    found = json.loads(record.read_text())
    print(f"  {found['wall_seconds']} seconds, peak {found['peak_gib']} GiB", flush=True)
    return round(found["wall_seconds"] / 60, 1), found["peak_gib"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--samples", type=int, default=100_000)
    args = p.parse_args()
    sys.path.insert(0, str(ROOT))
    from reliability import note

    from phantom import write_phantom

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        small = write_phantom(folder / "small", 10_000)
        for source in (small, small.with_name("HAM10000_metadata.csv")):
            header, body = source.read_bytes().split(b"\n", 1)
            with open(folder / source.name, "wb") as f:
                f.write(header + b"\n")
                for i in range(args.rows // 10_000):
                    f.write(body.replace(b"PHL_0", b"PHL_%d_" % i))  # other lesions each time
        large = folder / small.name

        models, outputs = folder / "models", folder / "outputs"
        where = ["--models-dir", models, "--outputs-dir", outputs]
        eda = measure("eda.py", "--data", large, *where, record=outputs / "eda/options.json")
        control = ["--role", "control", "--epochs", 1]
        cnn = measure("train_cnn.py", "--data", large, *where, *control, record=models / "control/options.json")
        large.unlink()
        few = ["--data", small, "--subset", 300, "--models-dir", folder / "few", "--outputs-dir", folder / "few"]
        measure("train_gan.py", *few, "--epochs", 1, "--samples", 7, record=folder / "few/gan/options.json")
        many = ["--sample-only", "--samples", args.samples, "--no-png", "--out", folder / "set"]
        sampling = measure("train_gan.py", *few, *many, record=folder / "set/provenance.json")
    note("python tests/load.py " + " ".join(sys.argv[1:]), million_rows=args.rows // 10_000 * 10_000,
         million_rows_peak_gib=max(eda[1], cnn[1]), million_rows_eda_minutes=eda[0], million_rows_eda_peak_gib=eda[1],
         million_rows_cnn_minutes=cnn[0], million_rows_cnn_peak_gib=cnn[1], samples=args.samples,
         samples_minutes=sampling[0], samples_peak_gib=sampling[1])  # fmt: skip
    return 0 if max(eda[1], cnn[1], sampling[1]) <= 8 else 1


if __name__ == "__main__":
    sys.exit(main())
