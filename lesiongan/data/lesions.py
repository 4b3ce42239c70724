"""Lesions: which images show one lesion, by the metadata or else by near-duplicate images."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.data.metadata import OtherTableError, find_beside, read_metadata
from lesiongan.data.near_duplicates import exact_pairs, near_pairs
from lesiongan.data.photograph_labels import ALONE
from lesiongan.data.tables import Table
from lesiongan.files.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

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


def merge_groups(n: int, pairs: np.ndarray | list[tuple]) -> np.ndarray:
    """Return int64 (n,): the smallest index that `pairs` (m, 2) connect with each index."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.reshape(np.asarray(pairs, dtype=np.int64), (-1, 2))
    graph = coo_array((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    first = np.unique(component, return_index=True)[1]
    return first[component]


def lesions_from_metadata(meta: "pd.DataFrame") -> np.ndarray:
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


def group_lesions(
    table: Table, metadata: Path | str = "auto", external: bool = False, trust: bool = False
) -> Table:
    """Fill table.lesions, .grouping, .metadata and .notes in place, and return the table.

    metadata: a path; 'none'; or 'auto', which takes HAM10000's metadata beside the table where it
    is there and describes this table. external, trust: see read_metadata. Raises InputError if the
    file that `metadata` names is missing, or is refused by read_metadata.
    """
    path = find_beside(table.path) if metadata == "auto" else metadata
    if str(path) != "none" and table.images.shape[-1] != 3:
        table.notes.append(
            "grey images cannot confirm the order of the metadata's rows: its lesion ids are not "
            "used"
        )
        path = "none"
    if str(path) != "none":
        if not Path(path).exists():
            raise InputError(
                f"{path}: no such file (--metadata takes HAM10000_metadata.csv, or none)"
            )
        try:
            table.metadata = read_metadata(path, table, external, trust)
        except OtherTableError as e:
            # What lies beside another table by chance is no reason to stop. The same number of
            # rows in Kaggle's layout is meant for it, though, and something is wrong with it. So it
            # is where all diagnoses fit but for the order of the table's codes.
            meant = e.fits_other_order or (e.same_rows and table.order == CLASSES)
            if metadata != "auto" or meant:
                raise
            table.notes.append(f"{Path(path).name} is of another table and not used: {e}")
    if table.metadata is not None and "lesion_id" in table.metadata:
        table.lesions = lesions_from_metadata(table.metadata)
        table.grouping = "lesion ids of the metadata, known cross-lesion duplicates merged"
        merge_identical(table)
        merge_alone(table)
    else:
        group_by_images(table)
    return table


def merge_identical(table: Table) -> None:
    """Merge lesions that share an identical image, whatever their ids, and note how many there are.

    HAM10000 has none such. Of a table that was copied under other ids most test images would be in
    train.
    """
    pairs = exact_pairs(table.images)
    names, codes = np.unique(table.lesions, return_inverse=True)
    pairs = codes[pairs]
    # Those of images without an id are merge_alone's.
    with_ids = ~np.char.startswith(names.astype(str), ALONE)[pairs].any(axis=1)
    pairs = pairs[with_ids & (pairs[:, 0] != pairs[:, 1])]
    if not len(pairs):
        return
    merged = merge_groups(len(names), pairs)
    lost = len(names) - len(np.unique(merged))
    table.lesions = names[merged][codes]
    told = f"{lost} lesions merged with others, of which they have an identical image"
    table.grouping += f"; {told}"
    table.notes.append(told)


def merge_alone(table: Table) -> None:
    """Group images without a lesion id with those that show the same, and note how many there are.

    lesiongan.photographs gives them ids that begin with photograph_labels.ALONE. Two lesions with
    ids are merged if both are like one image without, and keep an id of theirs.
    """
    alone = np.char.startswith(table.lesions.astype(str), ALONE)
    if not alone.any():
        return
    pairs, how = exact_pairs(table.images), "identical images"
    # Of many identical images each is paired with the first alone, which may have an id.
    same = merge_groups(len(table), pairs)
    pairs = pairs[np.isin(same[pairs[:, 0]], same[alone])]
    if table.images.shape[1] % 7 == 0:
        near, how = near_pairs(table.images), "near-duplicate images"
        pairs = np.concatenate([pairs, near[alone[near].any(axis=1)]])
    names, codes = np.unique(table.lesions, return_inverse=True)
    # The first name of a group is kept, so names without an id come last.
    order = np.argsort(np.char.startswith(names.astype(str), ALONE), kind="stable")
    names, codes = names[order], np.argsort(order)[codes]
    table.lesions = names[merge_groups(len(names), codes[pairs])][codes]
    told = f"{alone.sum()} of {len(table)} images have no lesion id"
    table.grouping += f"; {told} and are grouped by {how}"
    table.order_note = "; ".join(filter(None, (table.order_note, told)))


def group_by_images(table: Table) -> None:
    """Fill table.lesions and .grouping by what the images show: copies, and near-duplicates."""
    copies = exact_pairs(table.images)
    first = np.setdiff1d(np.arange(len(table)), copies[:, 1])
    pairs, table.grouping = copies, "identical images"
    if table.images.shape[1] % 7 == 0:
        pairs = np.concatenate([copies, first[near_pairs(table.images[first])]])
        table.grouping = "near-duplicate images"
    groups = merge_groups(len(table), pairs)
    table.lesions = np.array([f"group{table.rows[g]:07d}" for g in groups])
    many = int((np.bincount(groups) > 1).sum())
    table.notes.append(
        f"no metadata: grouped {table.grouping} instead ({many} groups of two or more); most "
        "photographs of one lesion are not near-duplicates, so lesions can still fall in two parts"
    )


def lesion_classes(
    lesions: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (names of the lesions, class of each lesion, position in `names` of each image).

    The class of a lesion is the commonest label of its images (the lowest code on a tie).
    """
    names, codes = np.unique(lesions, return_inverse=True)
    votes = np.zeros((len(names), len(CLASSES)), dtype=np.int64)
    np.add.at(votes, (codes, labels), 1)
    return names, votes.argmax(axis=1), codes
