"""The split, which never separates the photographs of one lesion.

It needs NumPy alone and is deterministic: the part of a lesion depends on the table's lesion ids
and on `--split-seed` alone, never on row order, platform or library version. In another table, such
as a subset, a lesion may fall in another part. Without lesion ids, and under the image split, row
numbers take their place. The official split of an npz is its own and is only read here.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from lesiongan.data.classes import CLASSES, PARTS
from lesiongan.data.lesions import lesion_classes
from lesiongan.data.tables import Table

SHARES = (0.70, 0.10, 0.20)

# A fraction of the train lesions has so many of every class at least.
LEAST_OWN = 3


def hash_order(names: Iterable[object], salt: str) -> np.ndarray:
    """Return positions of `names` in an order that depends on each name and the salt alone.

    The order is that of SHA-256 digests, not of a random stream.
    """
    keys = [hashlib.sha256(f"{salt}:{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def subset(table: Table, n: int, seed: int = 0, least_lesions: int = 10) -> Table:
    """Return a table of about `n` images: whole lesions, stratified by class.

    Every class keeps at least `least_lesions` lesions where they exist.
    """
    if n >= len(table):
        return table
    names, classes, codes = lesion_classes(table.lesions, table.labels)
    sizes = np.bincount(codes)
    keep = np.zeros(len(names), dtype=bool)
    for code in range(len(CLASSES)):
        own = np.flatnonzero(classes == code)
        own = own[hash_order(names[own], f"subset{seed}")]
        before = np.cumsum(sizes[own]) - sizes[own]
        target = n * sizes[own].sum() / len(table)
        keep[own[(before < target) | (np.arange(len(own)) < least_lesions)]] = True
    return table.take(np.flatnonzero(keep[codes]))


def split_table(table: Table, kind: str = "lesion", seed: int = 0) -> np.ndarray:
    """Return str (n,): the part of each image, 70/10/20, stratified by class.

    kind 'lesion' keeps all photographs of a lesion in one part; 'image' is the leaky protocol of
    older work; 'official' is the file's own split, whatever its shares (see protocols.py, which
    refuses a file without one).
    """
    if kind == "official":
        # protocols.name_split refuses a table without it.
        assert table.own_parts is not None
        return table.own_parts
    units = table.lesions if kind == "lesion" else table.rows.astype(str)
    names, classes, codes = lesion_classes(units, table.labels)
    sizes = np.bincount(codes)
    part = np.empty(len(names), dtype="<U5")
    for code in range(len(CLASSES)):
        own = np.flatnonzero(classes == code)
        if not len(own):
            continue
        own = own[hash_order(names[own], f"{kind}{seed}")]
        # A unit belongs to the part in which its middle image falls; so the first is always in
        # train. The last two units fill an empty test or val part, test first, so that no part of a
        # class that has three lesions is empty.
        middle = (np.cumsum(sizes[own]) - sizes[own] / 2) / sizes[own].sum()
        part[own] = np.array(PARTS)[np.searchsorted(np.cumsum(SHARES)[:2], middle, side="right")]
        if len(own) >= 3:
            if "test" not in part[own]:
                part[own[-1]] = "test"
            if "val" not in part[own]:
                part[own[-2]] = "val"
    return part[codes]


def own_part(table: Table, parts: np.ndarray, fraction: float, seed: int = 0) -> np.ndarray:
    """Return str (n,): the parts with `own` and `others` in the place of `train`.

    own has a fraction of the train lesions of each class, three at least where they exist, and all
    their photographs; others has the rest. The lesions of a smaller fraction are among those of a
    larger one, and depend on the lesions' names and the seed alone.
    """
    names, classes, codes = lesion_classes(table.lesions, table.labels)
    in_train = np.zeros(len(names), dtype=bool)
    in_train[codes[parts == "train"]] = True
    chosen = np.zeros(len(names), dtype=bool)
    for code in range(len(CLASSES)):
        members = np.flatnonzero((classes == code) & in_train)
        members = members[hash_order(names[members], f"fraction{seed}")]
        chosen[members[: max(LEAST_OWN, round(fraction * len(members)))]] = True
    share = np.where(chosen[codes], "own", "others")
    return np.where(parts == "train", share, parts)


def half_a(table: Table, parts: np.ndarray) -> np.ndarray:
    """Return bool (n,): the images of half A, which are every other train lesion of each class.

    The judge learns from these alone. The other half (B) gives the floor, the distance of real
    images to real images, against which the judge's distances are read.
    """
    names, classes, codes = lesion_classes(table.lesions, table.labels)
    chosen = np.zeros(len(names), dtype=bool)
    in_train = np.zeros(len(names), dtype=bool)
    in_train[codes[parts == "train"]] = True
    for code in range(len(CLASSES)):
        own = np.flatnonzero((classes == code) & in_train)
        chosen[own[hash_order(names[own], "half")[::2]]] = True
    return chosen[codes] & (parts == "train")


def leakage_share(
    labels: np.ndarray, lesions: np.ndarray, parts: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the share of test images that have a photograph of their lesion in train.

    Returns (share of all test images, shares by class (7,)). The share of a class without test
    images is NaN.
    """
    test = parts == "test"
    leaked = np.isin(lesions[test], lesions[parts == "train"])
    return leaked.mean(), np.array(
        [
            leaked[labels[test] == c].mean() if (labels[test] == c).any() else np.nan
            for c in range(len(CLASSES))
        ]
    )
