"""Which files of a folder are a run's own: it replaces and removes these and no others.

A run lists the files that it is about to write before it writes the first of them, so that a run
that was killed finds its own again. Whatever else lies in the folder is somebody else's.
"""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from lesiongan.files import records, writing
from lesiongan.files.errors import InputError

LIST = ".files.json"


def read_claims(folder: Path | str) -> set[str]:
    """Return the set of names in the folder's list; it is empty without one.

    Raises InputError for a file of that name that is no list.
    """
    path = Path(folder) / LIST
    if not os.path.lexists(path):
        return set()
    if path.is_symlink():
        raise InputError(f"{path}: is a link; remove it, or name another folder")
    found = records.read_json(path, "the script in another folder", {"files": [str]})
    return {name for name in found["files"] if is_inside(name)}


def is_inside(name: str) -> bool:
    """Return True if a relative name cannot lead out of its folder."""
    path = PurePosixPath(name.replace(os.sep, "/"))
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def check(folder: Path | str, names: Iterable[str], own: Iterable[str] = ()) -> set[str]:
    """Return the names that are a run's own already; raise InputError as `claim` does."""
    folder = Path(folder)
    own = read_claims(folder) | set(own)
    foreign = sorted(name for name in names if name not in own and os.path.lexists(folder / name))
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise InputError(
            f"{folder / foreign[0]}: is there{more} and was not written by a run on record here, "
            "so it is not replaced; name another folder, or move it away"
        )
    return own


def claim(folder: Path | str, names: Iterable[str], own: Iterable[str] = ()) -> set[str]:
    """Make `names` (relative to `folder`) this run's own; return the set of all that are.

    own: names that a record of the folder gives as its own. Raises InputError if one of `names` is
    there and was written by nobody on record.
    """
    names = list(names)
    mine = check(folder, names, own) | set(names)
    write_claims(folder, mine)
    return mine


def write_claims(folder: Path | str, names: Iterable[str]) -> None:
    """Write the folder's list."""
    writing.write_json(Path(folder) / LIST, {"files": sorted(names)})


def leads_elsewhere(folder: Path | str, name: str) -> bool:
    """Return True if a folder on the way from `folder` to the file `name` is a symbolic link."""
    return (Path(folder) / name).parent.resolve() != (Path(folder).resolve() / name).parent


def remove(folder: Path | str, names: Iterable[str]) -> None:
    """Remove those of `names` that are there, and the folders that are empty without them.

    A name whose folder is a symbolic link is left alone: it leads elsewhere.
    """
    folder = Path(folder)
    for name in names:
        path = folder / name
        if not is_inside(name) or leads_elsewhere(folder, name):
            continue
        if path.is_symlink() or path.is_file():
            path.unlink()
            remove_empty(path.parent, folder)


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder, and those above it up to `top`, as far as they are empty."""
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
