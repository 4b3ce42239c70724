"""Remove what runs wrote, and nothing else.

    python -m lesiongan.clean models outputs smoke

The command removes from each folder the files that the runs' own lists and records name. Whatever
else lies there stays, and is named.
"""

import os
from pathlib import Path

from lesiongan.files import checksums, claims, locks, records
from lesiongan.files.errors import InputError
from lesiongan.run import flags, published, script
from lesiongan.run.folders import is_own_split

RECORDS = ("options.json", "provenance.json")
# A stranger's JSON of such a name lacks these.
SHAPE = {"outputs": {...: str}, "script": str, "environment": dict}
KEPT = ("README.md",)


def parse_args(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("folders", nargs="+", type=flags.path, metavar="DIR", help="folders to clean")
    return p.parse_args(argv)


def list_own(folder, top):
    """Return the paths of the files in `folder` that a run wrote, and beside it within `top`.

    A file that a record names counts if it is still the one that the record describes.
    """
    names = claims.read_claims(folder)
    for record in RECORDS:
        try:
            made = records.read_json(folder / record, "a script", SHAPE)
        except InputError:
            continue
        names.add(record)
        names |= {n for n, digest in made["outputs"].items() if is_unchanged(folder / n, digest)}
    if names:
        names |= {claims.LIST, locks.LOCK, locks.WRITER}
    if is_own_split(folder / "split.csv"):
        names |= {"split.csv", "split.json"}
    paths = [
        Path(os.path.normpath(folder / name))
        for name in names
        if claims.is_inside(name) and not claims.leads_elsewhere(folder, name)
    ]
    return [path for path in paths if path.is_relative_to(top)]


def is_unchanged(path, digest):
    """Return True if a file is there and has this SHA-256."""
    try:
        return checksums.file_sha256(path) == digest
    except InputError:
        return False


def clean(top):
    """Remove what runs wrote below a folder, and the folders that are empty then.

    Returns the files that are left. Raises InputError, before anything is removed, if a run is
    writing there.
    """
    top = Path(os.path.normpath(top))
    folders = [Path(inside) for inside, _, _ in os.walk(top)]
    for folder in folders:
        if (folder / locks.LOCK).exists():
            locks.lock_folder(folder)
    for path in [path for folder in folders for path in list_own(folder, top)]:
        if path.is_symlink() or path.is_file():
            path.unlink()
            claims.remove_empty(path.parent, top)
    return [p for p in sorted(top.rglob("*")) if not p.is_dir() and p.name not in KEPT]


def check(top):
    """Raise InputError for what may not be cleaned: a file, and the published networks."""
    if top.exists() and not top.is_dir():
        raise InputError(f"{top}: is no folder; name the folders of runs, such as models outputs")
    if published.FOLDER.resolve().is_relative_to(top.resolve()):
        raise InputError(
            f"{top}/: holds the published networks in {published.FOLDER.name}/; name the folders "
            "of runs, such as models outputs"
        )


def main(argv=None):
    args = parse_args(argv)
    for top in args.folders:
        check(top)
    for top in args.folders:
        if not top.is_dir():
            print(f"{top}/: is not there, so nothing is cleaned")
            continue
        left = clean(top)
        if left:
            shown = ", ".join(str(p) for p in left[:5])
            print(f"{top}/: cleaned; left {len(left)} files that no run wrote: {shown}")
        else:
            print(f"{top}/: cleaned")
    return 0


if __name__ == "__main__":
    script.script_main(main)
