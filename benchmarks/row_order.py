"""How often the test of the row order is wrong, on subsets of the real table.

    python -m benchmarks.row_order data/hmnist_28_28_RGB.csv  # minutes -> results/row_order.csv

Draws subsets whose metadata is right, and the same with the metadata's rows shuffled within each
class, which leaves all labels right. Counts how many of each the test refuses, by number of pairs
of photographs of one lesion.
"""

import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from lesiongan import ROOT
from lesiongan.data import row_order
from lesiongan.data.classes import CLASSES
from lesiongan.data.metadata import read_metadata
from lesiongan.data.tables import read_table
from lesiongan.files import writing
from lesiongan.files.progress import progress
from lesiongan.run import flags

BANDS = (20, 50, 100, 150, 250, 500, 1000, 10**6)


def draw_rows(kind, labels, lesions, rng):
    """Row numbers of one subset, in the order of the table."""
    if kind == "150 images of each class":
        each = [np.flatnonzero(labels == c) for c in range(len(CLASSES))]
        rows = np.concatenate([rng.permutation(own)[:150] for own in each])
    elif kind == "images at random":
        rows = rng.permutation(len(labels))[: rng.integers(500, 6000)]
    elif kind == "whole lesions at random":
        names = np.unique(lesions)
        chosen = rng.permutation(names)[: rng.integers(200, 4000)]
        rows = np.flatnonzero(np.isin(lesions, chosen))
    else:
        # One class: the commonest three have pairs enough in part of their lesions.
        own = np.flatnonzero(labels == rng.choice([CLASSES.index(c) for c in ("bkl", "mel", "nv")]))
        names = np.unique(lesions[own])
        chosen = rng.permutation(names)[: rng.integers(len(names) // 3, len(names))]
        rows = own[np.isin(lesions[own], chosen)]
    return np.sort(rows)


KINDS = (
    "150 images of each class",
    "images at random",
    "whole lesions at random",
    "whole lesions of one class",
)


def shuffle_within_classes(labels, lesions, rng):
    """The lesion ids in another order, each still under its own class."""
    shuffled = lesions.copy()
    for code in range(len(CLASSES)):
        own = np.flatnonzero(labels == code)
        shuffled[own] = lesions[rng.permutation(own)]
    return shuffled


def count(labels, lesions, signature, kind, draws):
    """Counter {(band, what): draws} of one kind of subset."""
    rng = np.random.default_rng([0, zlib.crc32(kind.encode())])
    found: Counter[tuple] = Counter()
    bar = progress(draws, 0, kind, "subset")
    for _ in range(draws):
        rows = draw_rows(kind, labels, lesions, rng)
        y, ids, own = labels[rows], lesions[rows], signature[rows]
        orders = {"right": ids, "shuffled": shuffle_within_classes(y, ids, rng)}
        for what, names in orders.items():
            measured = row_order.measure(y, names, own.__getitem__)
            order = measured["all"]
            band = max((b for b in BANDS if b <= order.pairs), default=0)
            found[band, what] += 1
            # Below LEAST_PAIRS, what the test would decide if it were asked.
            refused = order.is_wrong or row_order.find_wrong(measured) is not None
            found[band, f"{what} refused"] += refused
        bar.update()
    bar.close()
    return found


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("table", type=Path)
    p.add_argument("--draws", type=int, default=30_000, help="subsets, over all kinds")
    p.add_argument("--out", type=Path, default=ROOT / "results" / "row_order.csv")
    args = p.parse_args(argv)
    table = read_table(args.table)
    meta = read_metadata(args.table.with_name("HAM10000_metadata.csv"), table)
    lesions = np.unique(meta["lesion_id"].to_numpy().astype(str), return_inverse=True)[1]
    signature = row_order.signatures_of(table.images, np.arange(len(table)))
    rows = []
    for kind in KINDS:
        found = count(table.labels, lesions, signature, kind, args.draws // len(KINDS))
        rows += [
            [kind, low, high - 1, *(found[low, w] for w in OUTCOMES)]
            for low, high in zip((0, *BANDS), BANDS, strict=False)
            if found[low, "right"] or found[low, "shuffled"]
        ]
    names = ["subset", "least_pairs", "most_pairs", *(w.replace(" ", "_") for w in OUTCOMES)]
    writing.write_csv(args.out, dict(zip(names, zip(*rows, strict=True), strict=True)))
    for row in rows:
        print(*row, sep=", ")


OUTCOMES = ("right", "right refused", "shuffled", "shuffled refused")

if __name__ == "__main__":
    main()
