"""What keeping and gathering records of runs share."""

import json
from pathlib import Path

import numpy as np

from lesiongan.files import records, writing


def pack(source, target):
    """Write a file's content to `target` by gzip, the same bytes from the same content."""
    writing.write_gzip(target, source.read_bytes())


def keep_predictions(runs, run, folder=None):
    """Keep a run's test predictions in a folder of the results, and the split that it was under.

    No predictions stay in it whose network is no longer there. made.json says where the classifier
    was trained, and how long that took; context.json, which is written last, what evaluate.py found
    in the networks' records.
    """
    folder, outputs = folder or runs.record(run), runs.outputs(run)
    for path in folder.glob("predictions*.csv.gz"):
        path.unlink()
    for path in sorted((outputs / "evaluation").glob("predictions*.csv")):
        pack(path, folder / f"{path.name}.gz")
    context = records.read_json(outputs / "evaluation" / "context.json", "evaluate.py")
    pack(outputs / "split.csv", runs.split_file(context["protocol"].startswith("image split")))
    made = records.read_json(runs.models(run) / "cnn" / "options.json", "train_cnn.py")
    minutes = made["wall_seconds"] / 60
    writing.write_json(
        folder / "made.json", {"minutes": minutes, "environment": made["environment"]}
    )
    writing.write_json(folder / "context.json", context)


def read_rows(folder: Path, pattern: str) -> list[dict]:
    """Return the content of the JSON files in a folder whose names fit, in order."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(pattern))]


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
