"""Make a table of photographs: folders of pictures and a file of labels in, Kaggle's layout out.

    python -m lesiongan.photographs photos/ --labels HAM10000_metadata.csv --out mine/table.csv
    python -m lesiongan.photographs ISIC_2019_Training_Input/ \\
        --labels ISIC_2019_Training_GroundTruth.csv --metadata ISIC_2019_Training_Metadata.csv \\
        --out isic2019/table.csv --external
    python eda.py --data mine/table.csv

The label file may be HAM10000's, of the ISIC challenges of 2018 or 2019, or of the ISIC archive:
see docs/data.md. A photograph belongs to the image whose id its file name is. The rows of the table
are in the order of the label file. HAM10000_metadata.csv, written beside the table, has the lesions
in the same order: all scripts find it there. An interrupted run goes on where it stopped, if it is
started again. The command reads hundreds of photographs of 600 x 450 a second on two CPU cores.
"""

import argparse
import csv
import io
from pathlib import Path

import numpy as np

from lesiongan.data import photograph_labels, photographs, tables
from lesiongan.data.classes import CLASSES, class_counts
from lesiongan.data.near_duplicates import NEAR_DUPLICATE_DISTANCE
from lesiongan.data.photograph_labels import is_ham10000
from lesiongan.data.photograph_reading import find_unreadable, picture_blocks, read_all
from lesiongan.files import claims, locks, writing
from lesiongan.files.errors import InputError, printable
from lesiongan.files.progress import progress
from lesiongan.run import flags, inputs, machine, script

METADATA = "HAM10000_metadata.csv"
# So many names of files are printed; the rest are counted.
SHOWN = 3


def parse_args(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("folders", nargs="+", metavar="DIR", help="folders of photographs, or files")
    p.add_argument(
        "--labels",
        required=True,
        type=flags.path,
        metavar="FILE",
        help="the diagnoses, a line an image",
    )
    p.add_argument(
        "--metadata",
        type=flags.path,
        metavar="FILE",
        help="lesions, ages and sites by image id, where they are in a file of their own "
        "(ISIC 2019's metadata, ISIC 2018's lesion groupings)",
    )
    p.add_argument(
        "--out",
        required=True,
        type=flags.path,
        metavar="TABLE.csv",
        help="the table to write, in a folder of its own",
    )
    p.add_argument(
        "--map",
        type=parse_map,
        action="append",
        default=[],
        metavar="NAME=CLASS",
        help="take this diagnosis for that class, such as SCC=akiec; may be repeated",
    )
    p.add_argument(
        "--crop",
        choices=photographs.CROPS,
        default="full",
        help="full: the largest 4:3 or square part, squeezed into a square as in Kaggle's table; "
        "centre: the largest square",
    )
    p.add_argument(
        "--size",
        type=int,
        choices=(28, 8),
        default=28,
        help="pixels a side; the networks need 28, and eda.py draws 8 too",
    )
    p.add_argument(
        "--external",
        action="store_true",
        help="leave out HAM10000's own photographs, by id and by what they show, so that networks "
        "trained on HAM10000 can be scored on the table",
    )
    p.add_argument(
        "--data",
        metavar="PATH",
        help="HAM10000's table, for --external (default: in data/)",
    )
    args = p.parse_args(argv)
    if args.data and not args.external:
        p.error("--data names the table that --external compares with; add --external")
    if args.external and args.size != 28:
        p.error("--external compares pictures of 28 x 28; drop --size")
    return args


def parse_map(text):
    """Parse NAME=CLASS into (plain name, class code), an argparse type."""
    name, _, label = text.rpartition("=")
    name, label = photograph_labels.plain(name), label.strip().lower()
    if not name or label not in CLASSES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=CLASS, with CLASS one of {', '.join(CLASSES)}"
        )
    return name, CLASSES.index(label)


# ---------------------------------------------------------------- which photographs


def say(notes):
    """Print notes, each on a line of its own, and empty the list."""
    for note in notes:
        print(f"  note: {printable(note)}")
    notes.clear()


def shorten(names, shown=SHOWN):
    """Return the first few of `names` and how many more there are, in words."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def find_files(folders, notes):
    """Return {image id: path} of all photographs; ids with more than one file are noted."""
    files: dict[str, Path] = {}
    again: dict[str, Path] = {}
    for path in photographs.find_photographs(folders):
        image = photograph_labels.name_image(path.name)
        if files.setdefault(image, path) != path:
            again.setdefault(image, path)
    if again:
        pairs = [f"{image} ({files[image]} is read, not {path})" for image, path in again.items()]
        notes.append(f"{len(pairs)} image ids have more than one file: {shorten(pairs)}")
    return files


def choose(args, labels, files, notes):
    """Return the rows of the labels that go into the table, int64 (n,), before any is read.

    What is left out is noted. Raises InputError if nothing is left.
    """
    other = [labels.diagnoses[row] or "no diagnosis" for row in np.flatnonzero(labels.codes < 0)]
    if other:
        counts = [f"{other.count(name)} {name}" for name in sorted(set(other))]
        notes.append(
            f"{len(other)} images of other diagnoses are left out: {shorten(counts, 12)} "
            "(--map NAME=CLASS takes one in)"
        )
    unlisted = sorted(set(files) - set(labels.ids))
    if unlisted:
        notes.append(f"{len(unlisted)} photographs are not in {args.labels}: {shorten(unlisted)}")
    rows = np.flatnonzero(labels.codes >= 0)
    if not len(rows):
        raise InputError(f"{args.labels}: no image is of the seven classes; see --map")
    own = np.array([is_ham10000(labels.ids[row]) for row in rows])
    there = np.array([labels.ids[row] in files for row in rows])
    known = f"{(own & there).sum()} of {there.sum()} photographs are HAM10000's by their ids"
    if args.external:
        rows, there = rows[~own], there[~own]
        notes.append(f"{known}: left out")
        if not len(rows):
            raise InputError(f"{args.labels}: all its images are HAM10000's; drop --external")
    elif (own & there).any():
        notes.append(f"{known} (--external leaves them out)")
    missing = [labels.ids[row] for row in rows[~there]]
    if not there.any():
        raise InputError(
            f"{args.labels}: none of its {len(rows)} images is among the {len(files)} photographs "
            f"in {shorten(args.folders)}; a file must bear the name of its image"
        )
    if missing:
        notes.append(f"{len(missing)} of {len(rows)} images have no file: {shorten(missing)}")
    return rows[there]


def read_known(args, notes):
    """Return the Table that --external compares with, or None where there is none."""
    if not args.external:
        return None
    try:
        path = inputs.find_table(args.data)
    except InputError:
        notes.append("no table of HAM10000 in data/ and no --data: only ids are compared")
        return None
    table = tables.read_table(path)
    if table.layout != "hmnist_28_28_RGB":
        raise InputError(f"{path}: is {table.layout}; --external needs hmnist_28_28_RGB")
    return table


def drop_unreadable(journal, paths, notes):
    """Return bool (n,): False for photographs that could not be read; they are noted."""
    keep, reasons = find_unreadable(journal, paths)
    if not keep.any():
        raise InputError(f"none of {len(paths)} photographs can be read; the first: {reasons[0]}")
    if reasons:
        left = f"{len(reasons)} of {len(paths)} photographs cannot be read and are left out"
        notes.extend([*reasons[:SHOWN], left])
    return keep


def drop_known(journal, keep, table, notes):
    """Return the mask `keep` without photographs that show what an image of the table shows."""
    from lesiongan.measures.memorisation import nearest

    new = np.zeros_like(keep)
    with progress(int(keep.sum()), 0, "comparing", "photo") as bar:
        for at, images in picture_blocks(journal, keep, 28):
            distance, _ = nearest(images, table.images)
            new[at] = distance >= NEAR_DUPLICATE_DISTANCE
            bar.update(len(at))
    notes.append(
        f"{keep.sum() - new.sum()} of {keep.sum()} other photographs show what an image of "
        f"{table.path} shows (nearer than {NEAR_DUPLICATE_DISTANCE:g}): left out"
    )
    if not new.any():
        raise InputError(f"no photograph is left: {table.path} shows what all of them show")
    return new


# ---------------------------------------------------------------- writing


def check_output(args):
    """Raise InputError if the table cannot be written there, before anything is read."""
    out = args.out
    if out.suffix != ".csv" or out.name == METADATA:
        raise InputError(f"--out {out}: name a file that ends in .csv, other than {METADATA}")
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; name a file in it")
    written = {out.resolve(), out.with_name(METADATA).resolve()}
    for path in filter(None, (args.labels, args.metadata, args.data)):
        if Path(path).resolve() in written:
            raise InputError(f"{path}: would be replaced by the output; name another --out")
    # A table's metadata bears a fixed name, so a folder holds one table.
    own = claims.read_claims(out.parent) - {out.name, METADATA}
    others = {name for name in own if name.endswith(".csv") and (out.parent / name).exists()}
    others |= {path.name for path in out.parent.glob("hmnist_*") if path.name != out.name}
    if others:
        raise InputError(
            f"{out.parent}: holds {sorted(others)[0]}, and {METADATA} is of one table alone; name "
            "another folder"
        )


def write(args, journal, keep, codes, meta):
    """Write the table and its metadata, and remove what was kept between runs.

    codes: int (n,), class codes of all photographs of the journal; meta: {column: list of str}.
    """
    # Between the two writes no table may stand beside another's metadata. The metadata is written
    # first, because a table alone would pass for complete.
    args.out.unlink(missing_ok=True)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(meta)
    lines.writerows(zip(*meta.values(), strict=True))
    writing.write_text(args.out.with_name(METADATA), text.getvalue())
    blocks = picture_blocks(journal, keep, args.size)
    chunks = ((images, codes[at]) for at, images in blocks)
    tables.write_table(args.out, chunks, 3 * args.size**2)
    journal.path.unlink(missing_ok=True)
    mine = claims.read_claims(args.out.parent) - {journal.path.name}
    claims.write_claims(args.out.parent, mine)


def main(argv=None):
    args = parse_args(argv)
    check_output(args)
    notes: list[str] = []
    labels = photograph_labels.read_labels(args.labels, dict(args.map), notes)
    if args.metadata:
        photograph_labels.add_metadata(labels, args.metadata, notes)
    files = find_files(args.folders, notes)
    rows = choose(args, labels, files, notes)
    known = read_known(args, notes)
    say(notes)
    place = args.out.with_name(f".{args.out.name}.unfinished")
    locks.lock_folder(args.out.parent)
    claims.claim(args.out.parent, [args.out.name, METADATA, place.name])
    paths = [files[labels.ids[row]] for row in rows]
    workers = machine.count_processors()
    journal = read_all(paths, place, args.crop, args.size, workers, notes)
    keep = drop_unreadable(journal, paths, notes)
    if known is not None:
        keep = drop_known(journal, keep, known, notes)
    meta = photograph_labels.describe(labels, rows[keep], notes)
    say(notes)
    write(args, journal, keep, labels.codes[rows], meta)
    counts = zip(CLASSES, class_counts(labels.codes[rows[keep]]), strict=True)
    print(
        f"{keep.sum()} photographs of {len(set(meta['lesion_id']))} lesions "
        f"({', '.join(f'{name} {n}' for name, n in counts)}) -> {args.out}"
    )
    return 0


if __name__ == "__main__":
    script.script_main(main)
