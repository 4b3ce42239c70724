"""Files a run leaves: atomic writes of text, JSON, CSV and tables, their hashes, and the state of a training.

Every writer writes beside its target and renames, so that a reader never meets half a file.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import sys
import time
from pathlib import Path

import numpy as np

import archives
from ham10000 import InputError, first_line

TABLE_NAME = "hmnist_28_28_RGB.csv"


def check_target(path):
    """InputError if no file can be written to `path`: known before hours of work, not after them."""
    if not path.name or path.is_dir():
        raise InputError(f"{path}: cannot be written (a folder, not a file)")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise InputError(f"{path}: cannot be written ({e.strerror})") from None


@contextlib.contextmanager
def atomic(path):
    """Yield a temporary path beside `path`; rename it over `path` on success, remove it on failure."""
    path = Path(path)
    check_target(path)
    try:
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


LEFTOVER = re.compile(r"\..+\.\d+\.tmp(\.\w+)?")  # what atomic() writes to
LOCKS = {}  # folder -> descriptor of its lock file, open as long as the process: the system lets go of it however that ends


def lock_folder(folder):
    """Create `folder` and make it this process's own until it ends; InputError if another process works there.

    What a killed process left half-written there is removed. (POSIX record locks; without them, as on Windows or some
    network file systems, the folder is not protected.)
    """
    folder = ensure_folder(folder)
    name = folder.resolve()
    if name in LOCKS:
        return folder
    try:
        import fcntl

        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except ImportError:
        return folder
    except OSError as e:
        raise InputError(f"{folder}: cannot be written ({e.strerror})") from None
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno not in (errno.EACCES, errno.EAGAIN):
            return folder
        holder = os.read(lock, 100).decode(errors="replace").strip() or "another process"
        os.close(lock)
        raise InputError(f"{folder}: {holder} is writing here; wait for it, or name another folder") from None
    with contextlib.suppress(OSError):  # a full disk is reported by the first write that matters
        os.truncate(lock, 0)
        os.write(lock, f"process {os.getpid()} ({Path(sys.argv[0]).name})".encode())
    LOCKS[name] = lock
    for inside, subfolders, _ in os.walk(folder):
        subfolders[:] = [s for s in subfolders if not (Path(inside) / s / ".lock").exists()]  # those are others' own
        remove_leftovers(Path(inside))
    return folder


def remove_leftovers(folder, older_than=0):
    """Remove what killed processes left half-written right in a folder, at least `older_than` seconds ago."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process was faster
            if LEFTOVER.fullmatch(path.name) and path.is_file() and time.time() - path.stat().st_mtime >= older_than:
                path.unlink()


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


NUMBER = (int, float)
MAX_JSON = 1 << 26  # bytes; the largest this project writes are a few hundred thousand


def read_json(path, made_by, shape=None):
    """Parse a JSON object this project wrote, or InputError naming the script that writes it.

    shape: what must be in it, see find_fault.
    """
    try:
        if Path(path).stat().st_size > MAX_JSON:
            raise ValueError(f"over {MAX_JSON} bytes")
        text = Path(path).read_text(encoding="utf-8")
        value = json.loads(text, parse_constant=refuse_number, parse_int=bounded_int)
        # A lone surrogate, or 1e309, which Python reads as infinity, could not be written again.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run {made_by} first") from None
    except (OSError, ValueError, RecursionError) as e:
        raise InputError(f"{path}: not readable as JSON ({first_line(e)}); run {made_by} again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object; run {made_by} again")
    fault = find_fault(value, shape or {}, "")
    if fault:
        raise InputError(f"{path}: {fault}; run {made_by} again")
    return value


def refuse_number(text):
    """For json.loads: NaN and Infinity, which are no JSON."""
    raise ValueError(f"{text[:20]} is no number of JSON that this project writes")


def bounded_int(text):
    """For json.loads: a whole number that NumPy can hold."""
    return int(text) if len(text) < 19 else refuse_number(text)


def printable(text):
    """Text of one line that UTF-8 can hold: of a file name in another encoding or with line breaks, a replacement."""
    return " ".join(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())


def find_fault(value, shape, where):
    """What is wrong with a JSON value, or None.

    shape: a type or tuple of types; [shape] for a list of such; {name: shape} for an object with at least these names, in
    which the name `...` stands for all others.
    """
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where or 'it'} is no object"
        missing = [name for name in shape if name is not ... and name not in value]
        if missing:
            return f"{where + '.' if where else ''}{missing[0]} is missing"
        inner = [(v, shape.get(name, shape.get(...)), f"{where}.{name}".strip(".")) for name, v in value.items()]
        inner = [item for item in inner if item[1] is not None]
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is no list"
        inner = [(v, shape[0], f"{where}[{i}]") for i, v in enumerate(value)]
    else:
        fits = isinstance(value, shape) and not (isinstance(value, bool) and shape is NUMBER)
        return None if fits else f"{where} is {json.dumps(value)[:40]}"
    return next(filter(None, (find_fault(*item) for item in inner)), None)


def file_sha256(path):
    """Hex SHA-256 of a file's bytes; InputError if there is no such file."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{path}: is no file")  # a device, say, which has no end
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
        return str(archives.read_arrays(path, ["fingerprint"], 1 << 12)["fingerprint"]) == fingerprint
    except Exception:  # NumPy and zipfile raise many kinds for a damaged file; all mean no
        return False


def load_state(path, variables, shapes, fingerprint):
    """Assign the state written by save_state and return its extra arrays by name; InputError if it does not fit.

    shapes: {name: shape} of the extra arrays, None for any length; like the variables, they must be finite numbers.
    """
    names = [f"v{i:04d}" for i in range(len(variables))]
    most = (1 << 20) + 4 * sum(math.prod(v.shape) * 8 for v in variables)
    try:
        found = archives.read_arrays(path, ["fingerprint", *names, *shapes], most)
    except Exception as e:
        raise InputError(f"{path}: not a usable checkpoint ({first_line(e)}); train without --resume") from None
    if str(found.pop("fingerprint")) != fingerprint:
        raise InputError(f"{path}: from a run with other data or options; repeat its flags or drop --resume")
    wanted = {n: (tuple(v.shape), str(v.dtype)) for n, v in zip(names, variables, strict=True)}
    for name, value in found.items():
        if name in wanted:
            fits = (value.shape, str(value.dtype)) == wanted[name]
        else:
            shape = shapes[name]
            fits = value.dtype.kind in "iuf" and value.ndim == len(shape) and all(
                n in (None, m) for n, m in zip(shape, value.shape, strict=True))  # fmt: skip
        if not fits:
            raise InputError(f"{path}: a checkpoint of another network; train without --resume")
        if not np.isfinite(value).all():
            raise InputError(f"{path}: has values that are not finite; train without --resume")
    for name, variable in zip(names, variables, strict=True):
        variable.assign(found.pop(name))
    return found
