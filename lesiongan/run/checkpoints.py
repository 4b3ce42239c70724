"""Checkpoints: the state of a training, written atomically and read as an untrusted file."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from lesiongan.files import archives
from lesiongan.files.errors import InputError, first_line
from lesiongan.files.writing import atomic


def save_state(path: Path | str, variables: list, **extra: Any) -> None:
    """Write the state of a training as one uncompressed .npz, atomically.

    variables: list of Keras variables; extra: plain arrays.
    """
    arrays: dict[str, Any] = {f"v{i:04d}": np.asarray(v) for i, v in enumerate(variables)}
    others: dict[str, Any] = {k: np.asarray(v) for k, v in extra.items()}
    with atomic(path) as t:
        np.savez(t, **arrays, **others)


def is_state_of(path: Path | str, fingerprint: str) -> bool:
    """Return True if the checkpoint was written by a run of this fingerprint."""
    try:
        return (
            str(archives.read_arrays(path, ["fingerprint"], 1 << 12)["fingerprint"]) == fingerprint
        )
    # For a damaged file NumPy and zipfile raise many kinds of error, which all mean no.
    except Exception:
        return False


def load_state(
    path: Path | str, variables: list, shapes: dict[str, tuple], fingerprint: str
) -> dict[str, np.ndarray]:
    """Assign the state that save_state wrote, and return its extra arrays by name.

    shapes: {name: shape} of the extra arrays, None for any length; like the variables, they must be
    finite numbers. Raises InputError if the state does not fit.
    """
    names = [f"v{i:04d}" for i in range(len(variables))]
    most = (1 << 20) + 4 * sum(math.prod(v.shape) * 8 for v in variables)
    try:
        found = archives.read_arrays(path, ["fingerprint", *names, *shapes], most)
        # A damaged text may hold characters that there are none of.
        of = str(found.pop("fingerprint"))
    except Exception as e:
        raise InputError(
            f"{path}: not a usable checkpoint ({first_line(e)}); train without --resume"
        ) from None
    if of != fingerprint:
        raise InputError(
            f"{path}: from a run with other data or options; repeat its flags or drop --resume"
        )
    wanted = {n: (tuple(v.shape), str(v.dtype)) for n, v in zip(names, variables, strict=True)}
    for name, value in found.items():
        if name in wanted:
            fits = (value.shape, str(value.dtype)) == wanted[name]
        else:
            shape = shapes[name]
            fits = (
                value.dtype.kind in "iuf"
                and value.ndim == len(shape)
                and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
            )
        if not fits:
            raise InputError(f"{path}: a checkpoint of another network; train without --resume")
        if not np.isfinite(value).all():
            raise InputError(f"{path}: has values that are not finite; train without --resume")
    for name, variable in zip(names, variables, strict=True):
        variable.assign(found.pop(name))
    return found
