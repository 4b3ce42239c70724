"""The packages that a run needs: missing or too old ones are told at its start, not after hours."""

import importlib.metadata
import os
import re
from collections.abc import Iterable

from lesiongan.files.errors import InputError

# The least versions that the code is known to run with; requirements.txt pins those it is tested
# with. Keras has the optimizer Muon, in the form that is used here, from 3.13 on.
NEEDED = {
    "numpy": "1.26",
    "pandas": "2.0",
    "scipy": "1.11",
    "scikit-learn": "1.3",
    "matplotlib": "3.8",
    "seaborn": "0.13",
    "pillow": "10.1",
    "jinja2": "3.0",
    "filelock": "3.12",
    "tqdm": "4.60",
}
NEEDED_BY_NETWORKS = {"keras": "3.13", "h5py": "3.8"}
BACKENDS = {"tensorflow": "2.18", "jax": "0.4", "torch": "2.1"}
# The formats of --export that need a package, which has their name; --tensorboard is one, too.
FORMATS = {"onnx": "1.15", "tensorboard": "2.15"}


def parse_version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, '2.21.0rc1' as (2, 21, 0); () if it has none."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(n) for n in found.group().split(".")) if found else ()


def check_packages(needs_networks: bool) -> None:
    """Raise InputError with the command that mends it if a package is missing or too old."""
    needed = dict(NEEDED)
    if needs_networks:
        needed |= NEEDED_BY_NETWORKS
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        if backend not in BACKENDS:
            raise InputError(
                f"KERAS_BACKEND={backend[:40]}: expected {', '.join(BACKENDS)}; unset it, or set "
                "KERAS_BACKEND=tensorflow"
            )
        needed[backend] = BACKENDS[backend]
    for name, least in needed.items():
        why = "and KERAS_BACKEND asks for it" if name in BACKENDS else "and is needed"
        mend = f"pip install '{name}>={least}', or all of requirements.txt"
        check_package(name, least, why, mend)


def check_formats(formats: Iterable[str]) -> None:
    """Raise InputError if a format of --export needs a package that is missing or too old."""
    for name in [f for f in formats if f in FORMATS]:
        mend = f"pip install '{name}>={FORMATS[name]}'"
        flag = "--tensorboard" if name == "tensorboard" else f"--export {name}"
        check_package(name, FORMATS[name], f"and {flag} needs it", mend)


def check_package(name: str, least: str, why: str, mend: str) -> None:
    """Raise InputError if a package is missing or older than `least`; `mend` is what helps."""
    try:
        found: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found = find_other_build(name)
    if found is None:
        # A build that is installed under another name shows when it is imported.
        raise InputError(f"{name} is not installed {why}; {mend}")
    if parse_version(found) < parse_version(least):
        raise InputError(f"{name} {found} is too old: {least} or newer is needed; {mend}")


def find_other_build(name: str) -> str | None:
    """Return the version of tensorflow-cpu and the like, or None."""
    for other in (f"{name}-cpu", f"{name}-gpu", f"{name}-macos", f"{name}-intel"):
        try:
            return importlib.metadata.version(other)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
