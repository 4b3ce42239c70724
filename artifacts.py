"""Files a run leaves: atomic writes of text, JSON, CSV and tables, their hashes, and the state of a training.

Every writer writes beside its target and renames, so that a reader never meets half a file.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from ham10000 import InputError

TABLE_NAME = "hmnist_28_28_RGB.csv"


@contextlib.contextmanager
def atomic(path):
    """Yield a temporary path beside `path`; rename it over `path` on success, remove it on failure."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays last: writers such as Keras and Matplotlib choose the format by it.
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as e:
        raise InputError(f"{path}: cannot be written ({e.strerror or e})") from None


def ensure_folder(path):
    """Create a folder and its parents; returns it."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise InputError(f"{path}: cannot be created ({e.strerror})") from None
    return Path(path)


def write_text(path, text):
    """Write a whole text file atomically."""
    with atomic(path) as t:
        t.write_text(text, encoding="utf-8", newline="\n")


def write_json(path, value):
    """Write JSON atomically; a NaN or infinity is a programming error, not a value."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, default=json_default) + "\n")


def json_default(value):
    """NumPy scalars and arrays, and paths, as JSON."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value)} has no JSON form")


def write_csv(path, columns):
    """Write a dict of equally long columns as CSV, floats with nine significant digits (exact for float32)."""
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns)]
    lines += [",".join(f"{v:.9g}" if isinstance(v, float | np.floating) else str(v) for v in row) for row in rows]
    write_text(path, "\n".join(lines) + "\n")


def write_table(path, chunks):
    """Write (images uint8 (k, 28, 28, 3), labels (k,)) chunks as a CSV in Kaggle's exact layout."""
    with atomic(path) as t, open(t, "w", encoding="ascii", newline="\n") as f:
        f.write(",".join(f"pixel{i:04d}" for i in range(2352)) + ",label\n")
        for images, labels in chunks:
            values = np.concatenate([images.reshape(len(labels), -1), np.asarray(labels)[:, None]], axis=1)
            f.writelines(",".join(map(str, row)) + "\n" for row in values.tolist())


def read_json(path, made_by):
    """Parse a JSON object this project wrote, or InputError naming the script that writes it."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run {made_by} first") from None
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: not readable as JSON ({str(e)[:80]}); run {made_by} again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object; run {made_by} again")
    return value


def file_sha256(path):
    """Hex SHA-256 of a file's bytes."""
    try:
        with open(path, "rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror})") from None


def save_state(path, variables, **extra):
    """Write training state (a list of Keras variables, and plain arrays) as one uncompressed .npz, atomically."""
    arrays = {f"v{i:04d}": np.asarray(v) for i, v in enumerate(variables)}
    with atomic(path) as t:
        np.savez(t, **arrays, **{k: np.asarray(v) for k, v in extra.items()})


def is_state_of(path, fingerprint):
    """True if the checkpoint was written by a run of this fingerprint."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return str(archive["fingerprint"]) == fingerprint
    except Exception:  # NumPy and zipfile raise many kinds for a damaged file; all mean no
        return False


def load_state(path, variables, names, fingerprint):
    """Assign the state written by save_state and return its extra arrays by name; InputError if it does not fit."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive["fingerprint"]) != fingerprint:
                raise InputError(f"{path}: from a run with other data or options; repeat its flags or drop --resume")
            values = [archive[f"v{i:04d}"] for i in range(len(variables))]
            extra = {n: archive[n] for n in names}
    except InputError:
        raise
    except Exception as e:
        raise InputError(f"{path}: not a usable checkpoint ({str(e)[:100]}); train without --resume") from None
    if any(tuple(v.shape) != a.shape for v, a in zip(variables, values, strict=True)):
        raise InputError(f"{path}: a checkpoint of another network; train without --resume")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return extra
