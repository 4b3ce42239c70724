"""Lesions: which images show one lesion, by the metadata or else by near-duplicate images."""

from pathlib import Path

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.data.metadata import read_metadata
from lesiongan.data.near_duplicates import near_pairs
from lesiongan.files.errors import InputError

# These pairs of photographs show one lesion but carry two lesion ids (Abhishek, Jain and Hamarneh,
# "Investigating the quality of DermaMNIST and Fitzpatrick17k", 2024). The numbers are ISIC image
# numbers. The groups of the two photographs are merged.
CROSS_LESION_DUPLICATES = (
    (33481, 33421),
    (33556, 32634),
    (29152, 33173),
    (29036, 27027),
    (27820, 28209),
    (27689, 32647),
    (30906, 24879),
    (33391, 34186),
    (25226, 30074),
    (26087, 25664),
    (24736, 29748),
    (24770, 27811),
    (27162, 29061),
    (24602, 32283),
    (29625, 24629),
    (30000, 31392),
    (24437, 31299),
    (33374, 33417),
)

# A table with more rows is not searched for near-duplicates, because the search is quadratic.
GROUPING_ROW_LIMIT = 50_000


def merge_groups(n, pairs):
    """Return int64 (n,): the smallest index that `pairs` (m, 2) connect with each index."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.reshape(np.asarray(pairs, dtype=np.int64), (-1, 2))
    graph = coo_array((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    first = np.unique(component, return_index=True)[1]
    return first[component]


def lesions_from_metadata(meta):
    """Return str (n,): the lesion id of each image.

    The groups of CROSS_LESION_DUPLICATES are merged into the smaller id.
    """
    names, codes = np.unique(meta["lesion_id"].to_numpy().astype(str), return_inverse=True)
    at = {image: codes[i] for i, image in enumerate(meta["image_id"])}
    pairs = [
        (at[a], at[b])
        for a, b in ((f"ISIC_{a:07d}", f"ISIC_{b:07d}") for a, b in CROSS_LESION_DUPLICATES)
        if a in at and b in at
    ]
    return names[merge_groups(len(names), pairs)][codes]


def group_lesions(table, metadata="auto", external=False):
    """Fill table.lesions, .grouping, .metadata and .notes in place, and return the table.

    metadata: a path; 'none'; or 'auto', which takes HAM10000_metadata.csv beside the table when it
    is there. external: see read_metadata. Raises InputError if the file that `metadata` names is
    missing, or is refused by read_metadata.
    """
    beside = Path(table.path).with_name("HAM10000_metadata.csv")
    if metadata == "auto":
        metadata = beside if beside.is_file() else "none"
    if str(metadata) != "none" and table.images.shape[-1] != 3:
        table.notes.append(
            "grey images cannot confirm the order of the metadata's rows: its lesion ids are not "
            "used"
        )
        metadata = "none"
    if str(metadata) != "none":
        if not Path(metadata).is_file():
            raise InputError(
                f"{metadata}: no such file (--metadata takes HAM10000_metadata.csv, or none)"
            )
        table.metadata = read_metadata(metadata, table, external)
    if table.metadata is not None and "lesion_id" in table.metadata:
        table.lesions = lesions_from_metadata(table.metadata)
        table.grouping = "lesion ids of the metadata, known cross-lesion duplicates merged"
    elif len(table) > GROUPING_ROW_LIMIT or table.images.shape[1] % 7:
        table.notes.append(
            "no metadata and no near-duplicate search: photographs of one lesion may fall in two "
            "parts"
        )
    else:
        pairs = near_pairs(table.images)
        groups = merge_groups(len(table), pairs)
        table.lesions = np.array([f"group{table.rows[g]:07d}" for g in groups])
        table.grouping = "near-duplicate images"
        many = int((np.bincount(groups) > 1).sum())
        table.notes.append(
            f"no metadata: grouped near-duplicate images instead ({many} groups of two or more); "
            "most photographs of one lesion are not near-duplicates, so lesions can still fall in "
            "two parts"
        )
    return table


def lesion_classes(lesions, labels):
    """Return (names of the lesions, class of each lesion, position in `names` of each image).

    The class of a lesion is the commonest label of its images (the lowest code on a tie).
    """
    names, codes = np.unique(lesions, return_inverse=True)
    votes = np.zeros((len(names), len(CLASSES)), dtype=np.int64)
    np.add.at(votes, (codes, labels), 1)
    return names, votes.argmax(axis=1), codes
