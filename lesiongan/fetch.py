"""Get the table: Kaggle's public download, a recipe by hand, or phantom lesions.

    python -m lesiongan.fetch           # Kaggle's table and metadata into data/
    python -m lesiongan.fetch --choose  # print the table that `make` uses

The download needs no Kaggle account. What arrives is checked by content (header, 10015 rows, the
seven class counts, metadata in the same order) before it is moved into data/. The command takes a
minute or two. Without a network it says so within 20 seconds.
"""

import os
import shutil
import sys
import threading
import time

from lesiongan import ROOT
from lesiongan.data import classes
from lesiongan.data.classes import HAM10000_COUNTS, class_counts
from lesiongan.data.lesions import group_lesions
from lesiongan.data.tables import read_table
from lesiongan.files import checksums, locks, records, writing
from lesiongan.files.errors import InputError, first_line
from lesiongan.run import flags, inputs, script

HANDLE = "kmader/skin-cancer-mnist-ham10000/versions/2"
FILES = (classes.TABLE_NAME, "HAM10000_metadata.csv")
HOST = ("www.kaggle.com", 443)
# The table behind results/ has this hash. A table with another hash is used too, but a note names
# both, because it may hold the same photographs, resampled anew.
HAM10000_SHA256 = "01ac7b4b073574dfc30c6551c1789b95314a3f076ecfd71df16890c3d4602f65"
RECIPE = """by hand:
  1. open https://www.kaggle.com/datasets/kmader/skin-cancer-mnist-ham10000
  2. download hmnist_28_28_RGB.csv and HAM10000_metadata.csv
  3. put both into data/
  4. run make again"""


def parse_args(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument(
        "--out",
        type=flags.path,
        default=ROOT / "data",
        metavar="DIR",
        help="folder of the data (default: data/ of the project)",
    )
    p.add_argument(
        "--choose",
        action="store_true",
        help="print a table's path, drawing phantoms if nothing else is there",
    )
    return p.parse_args(argv)


def answers(seconds=10):
    """Return True if Kaggle can be reached within `seconds`.

    The name look-up is included: it has no time limit of its own, so it runs in a thread.
    """
    import requests

    reached = []

    def ask():
        try:
            requests.head(f"https://{HOST[0]}", timeout=seconds, allow_redirects=False)
            reached.append(True)
        except requests.RequestException:
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds + 2)
    return bool(reached)


def check_download(folder):
    """Return the table, if both files are HAM10000 at 28 x 28 with the metadata in the same order.

    Raises InputError if they are not.
    """
    table = group_lesions(read_table(folder / FILES[0]), folder / FILES[1])
    counts = tuple(int(n) for n in class_counts(table.labels))
    if table.layout != "hmnist_28_28_RGB" or counts != HAM10000_COUNTS:
        raise InputError(
            f"{folder / FILES[0]}: {table.layout} with class counts {counts}; expected "
            f"{HAM10000_COUNTS}"
        )
    return table


def refuse_others(out):
    """Raise InputError if a file of the download's name is there that no download put there."""
    record = out / "provenance.json"
    known = {}
    if record.exists():
        shape = {"file_sha256": {...: str}}
        known = records.read_json(record, "lesiongan.fetch", shape)["file_sha256"]
    for path in (out / name for name in FILES):
        if path.exists() and checksums.file_sha256(path) != known.get(path.name):
            raise InputError(
                f"{path}: is there and would be replaced; move it away, or name another --out"
            )


def download(out):
    """Download both files from Kaggle, check them and move them into `out`.

    Raises InputError with the recipe by hand if that fails. Returns the path of the table.
    """
    began = time.time()
    locks.lock_folder(out)
    refuse_others(out)
    if not answers():
        raise InputError(f"Kaggle cannot be reached ({time.time() - began:.0f} s); {RECIPE}")
    os.environ.setdefault("KAGGLEHUB_CACHE", str(out / ".kagglehub"))
    cache = out / ".kagglehub"
    try:
        import kagglehub

        for name in FILES:
            shutil.copyfile(
                kagglehub.dataset_download(HANDLE, path=name), writing.ensure_folder(cache) / name
            )
        table = check_download(cache)
    except InputError:
        raise
    except Exception as e:
        raise InputError(f"the download from Kaggle failed ({first_line(e)}); {RECIPE}") from None
    # The metadata is moved first, because a table alone would pass for complete.
    for name in reversed(FILES):
        os.replace(cache / name, out / name)
    hashes = {n: checksums.file_sha256(out / n) for n in FILES}
    if table.sha256 != HAM10000_SHA256:
        other = f"sha256 {table.sha256[:12]}, there {HAM10000_SHA256[:12]}"
        print(f"  note: its pixels are not those behind results/ ({other})", file=sys.stderr)
    record = {"source": HANDLE, "file_sha256": hashes, "data_sha256": table.sha256}
    writing.write_json(out / "provenance.json", record)
    shutil.rmtree(cache, ignore_errors=True)
    return out / FILES[0]


def choose(out):
    """Return the path of the table to use; if it is of phantom lesions, say on stderr why."""
    try:
        return inputs.find_table()
    except InputError:
        pass
    try:
        return download(out)
    except InputError as e:
        print(
            f"{e}\nGoing on with PHANTOM LESIONS: drawn by code, no medical meaning.",
            file=sys.stderr,
        )
    from lesiongan.phantom import write_phantom

    path = out / "phantom" / classes.TABLE_NAME
    return path if path.is_file() else write_phantom(path.parent, 600)


def main(argv=None):
    args = parse_args(argv)
    if args.choose:
        print(choose(args.out))
    else:
        print(f"HAM10000 -> {download(args.out)}")
    return 0


if __name__ == "__main__":
    script.script_main(main)
