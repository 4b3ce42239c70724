"""Run the scripts where files may not grow, or on a disk that fills up.

    python -m tests.stress.filling [--tmpfs]  # minutes; adds its counts to results/reliability.json

They must stop in one line and leave no half file. Without --tmpfs the limit is the process's own on
the size of a file (RLIMIT_FSIZE); with it, a small tmpfs is mounted (needs root). Whatever is left
must be whole: every JSON, CSV, PNG, NPZ and model file is read to its end.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from lesiongan import ROOT
from lesiongan.run import flags

WORK = {
    "train_gan.py": [
        "--epochs",
        "2",
        "--samples",
        "70",
        "--width",
        "8",
        "--batch",
        "32",
        "--grid-every",
        "1",
    ],
    "train_cnn.py": ["--role", "control", "--epochs", "2", "--width", "8", "--batch", "32"],
    "eda.py": [],
}
LIMITED = """
import os, resource, sys
n = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))
# Without -B, Python would cut its own compiled files short.
os.execv(sys.executable, [sys.executable, "-B", *sys.argv[2:]])
"""


def run(script, flags, limit=None):
    """(exit code, lines of stderr that are no progress bar) of a script."""
    command = [str(ROOT / script), *map(str, flags)]
    command = (
        [sys.executable, "-c", LIMITED, str(limit), *command]
        if limit
        else [sys.executable, *command]
    )
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = [line.split("\r")[-1] for line in done.stderr.splitlines()]
    return done.returncode, [
        line[line.index(script) :] if script in line else line
        for line in lines
        if "error:" in line or "Traceback" in line
    ]


def find_partial(folder):
    """Files below `folder` that are not whole."""
    import numpy as np
    from PIL import Image

    partial = []
    for path in (p for p in Path(folder).rglob("*") if p.is_file() and p.name != ".lock"):
        try:
            if ".tmp" in path.name:
                raise ValueError("left behind")
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".csv":
                lines = path.read_text().splitlines()
                if len(
                    {line.count(",") for line in lines if '"' not in line}
                ) > 1 or not path.read_text().endswith("\n"):
                    raise ValueError("rows of unequal length")
            elif path.suffix == ".png":
                with Image.open(path) as image:
                    image.load()
            elif path.suffix == ".npz":
                with np.load(path) as archive:
                    [archive[n] for n in archive.files]
            elif path.suffix == ".keras":
                with zipfile.ZipFile(path) as archive:
                    if archive.testzip():
                        raise ValueError("damaged")
            elif path.suffix == ".pdf" and b"%%EOF" not in path.read_bytes()[-10:]:
                raise ValueError("cut off")
        except Exception as e:
            partial.append(f"{path.name}: {str(e)[:80]}")
    return partial


def fill(table, folder, limits, scripts=tuple(WORK), space=None):
    """Return {runs, stopped, faults} over each script at each limit.

    `space` makes a folder of a limited size instead.
    """
    found = {"runs": 0, "stopped": 0, "faults": []}
    for script in scripts:
        for limit in limits:
            here = folder / f"{Path(script).stem}_{limit}"
            here.mkdir()
            if space:
                space(here, limit)
            flags = [
                "--data",
                table,
                "--models-dir",
                here / "models",
                "--outputs-dir",
                here / "outputs",
                *WORK[script],
            ]
            code, said = run(script, flags, None if space else limit)
            found["runs"] += 1
            found["stopped"] += code == 2
            if code not in (0, 2) or len(said) != (code == 2):
                found["faults"].append(f"{script} at {limit}: exit code {code}, {said}")
            found["faults"] += [f"{script} at {limit}: {p}" for p in find_partial(here)]
            if space:
                subprocess.run(["umount", here], check=True)
    return found


def mount(folder, size):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)


def main():
    p = flags.Parser(__doc__)
    p.add_argument("--tmpfs", action="store_true")
    args = p.parse_args()
    from lesiongan.phantom import write_phantom
    from tests.stress.reliability import note

    limits = [20_000, 60_000, 120_000, 200_000, 350_000, 600_000, 1_200_000]
    with tempfile.TemporaryDirectory() as folder:
        table = write_phantom(Path(folder) / "data", 200)
        found = fill(table, Path(folder), limits, space=mount if args.tmpfs else None)
    print(json.dumps(found, indent=1))
    command = "python -m tests.stress.filling " + " ".join(sys.argv[1:])
    what = "disk_full" if args.tmpfs else "file_limit"
    counts = {
        "runs": found["runs"],
        "stopped": found["stopped"],
        "partial_files": len(found["faults"]),
    }
    note(command, **{f"{what}_{k}": v for k, v in counts.items()})


if __name__ == "__main__":
    main()
