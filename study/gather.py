"""What keeping and gathering records of runs share."""

import gzip
from pathlib import Path

import numpy as np

from lesiongan.files import records, writing
from lesiongan.files.errors import InputError

PROTOCOL = {"protocol": str, "points": dict, "arms": dict}


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
    context = records.read_json(outputs / "evaluation" / "context.json", "evaluate.py", PROTOCOL)
    keep_split(runs, context["protocol"], outputs / "split.csv")
    for path in [folder / "context.json", *folder.glob("predictions*.csv.gz")]:
        path.unlink(missing_ok=True)
    for path in sorted((outputs / "evaluation").glob("predictions*.csv")):
        pack(path, folder / f"{path.name}.gz")
    made = records.read_json(runs.models(run) / "cnn" / "options.json", "train_cnn.py")
    minutes = made["wall_seconds"] / 60
    writing.write_json(
        folder / "made.json", {"minutes": minutes, "environment": made["environment"]}
    )
    writing.write_json(folder / "context.json", context)


def keep_split(runs, protocol, path):
    """Keep the split that predictions are under; InputError if it is not that of runs before."""
    kinds = [of for of in (True, False) if protocol.startswith(("lesion", "image")[of] + " split")]
    if not kinds:
        raise InputError(f"{path}: results are of the lesion split or the image split alone")
    (of_images,) = kinds
    target = runs.split_file(of_images)
    if not target.is_file():
        pack(path, target)
    elif gzip.decompress(target.read_bytes()) != path.read_bytes():
        raise InputError(
            f"{target}: is another split than {path}; name other results in {runs.path}"
        )


def find_rows(folder: Path, stem: str) -> list[Path]:
    """Return the records <stem>_<seed>.json in a folder, in the order of their names."""
    return [p for p in sorted(folder.glob(f"{stem}_*.json")) if p.stem[len(stem) + 1 :].isdigit()]


def read_record(path: Path, shape: dict) -> dict:
    """Return the content of a record; InputError if it is damaged or lacks the shape.

    A record that is there counts as done, so the error says to remove it.
    """
    try:
        return records.read_json(path, "make records", shape)
    except InputError as e:
        fault = str(e).partition("; run ")[0]
        raise InputError(f"{fault}; remove it, and `make records` makes it again") from None


def read_rows(folder: Path, stem: str, shape: dict) -> list[dict]:
    """Return the content of the records that find_rows finds; InputError if one lacks the shape."""
    return [read_record(path, shape) for path in find_rows(folder, stem)]


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
