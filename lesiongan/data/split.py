"""The split, which never separates the photographs of one lesion.

NumPy alone, and deterministic: which part a lesion falls in depends on the table's lesion ids and
`--split-seed` alone, never on row order, platform or library version. In another table, a subset
for one, it may fall in another. Without lesion ids, and under the image split, row numbers take
their place.
"""

import hashlib

import numpy as np

from lesiongan.data.classes import CLASSES, PARTS
from lesiongan.data.lesions import lesion_classes

SHARES = (0.70, 0.10, 0.20)


def hash_order(names, salt):
    """Positions of `names` in an order that depends on each name and the salt alone (SHA-256,
    not a random stream).
    """
    keys = [hashlib.sha256(f"{salt}:{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def subset(table, n, seed=0, least_lesions=10):
    """Whole lesions, stratified, about `n` images in all; at least `least_lesions` a class where
    they exist.
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


def split_table(table, kind="lesion", seed=0):
    """str (n,): the part of each image, 70/10/20, stratified by class.

    kind 'lesion' keeps all photographs of a lesion in one part; 'image' is the leaky protocol of
    older work.
    """
    units = table.lesions if kind == "lesion" else table.rows.astype(str)
    names, classes, codes = lesion_classes(units, table.labels)
    sizes = np.bincount(codes)
    part = np.empty(len(names), dtype="<U5")
    for code in range(len(CLASSES)):
        own = np.flatnonzero(classes == code)
        if not len(own):
            continue
        own = own[hash_order(names[own], f"{kind}{seed}")]
        # A unit belongs where its middle image falls, the first always to train; the last two units
        # fill an empty test or val part, test first, so that no part of a class that has three
        # lesions is empty.
        middle = (np.cumsum(sizes[own]) - sizes[own] / 2) / sizes[own].sum()
        part[own] = np.array(PARTS)[np.searchsorted(np.cumsum(SHARES)[:2], middle, side="right")]
        if len(own) >= 3:
            if "test" not in part[own]:
                part[own[-1]] = "test"
            if "val" not in part[own]:
                part[own[-2]] = "val"
    return part[codes]


def half_a(table, parts):
    """bool (n,): images of half A, every other train lesion of each class; the judge learns from
    these alone, and the other half (B) gives the floor its distances are read against.
    """
    names, classes, codes = lesion_classes(table.lesions, table.labels)
    chosen = np.zeros(len(names), dtype=bool)
    in_train = np.zeros(len(names), dtype=bool)
    in_train[codes[parts == "train"]] = True
    for code in range(len(CLASSES)):
        own = np.flatnonzero((classes == code) & in_train)
        chosen[own[hash_order(names[own], "half")[::2]]] = True
    return chosen[codes] & (parts == "train")


def leakage_share(labels, lesions, parts):
    """(share of test images with another photograph of their lesion in train, the same by class
    (7,), NaN if none).
    """
    test = parts == "test"
    leaked = np.isin(lesions[test], lesions[parts == "train"])
    return leaked.mean(), np.array(
        [
            leaked[labels[test] == c].mean() if (labels[test] == c).any() else np.nan
            for c in range(len(CLASSES))
        ]
    )
