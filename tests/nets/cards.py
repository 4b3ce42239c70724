"""Small described sets, written without drawing: of phantoms, HAM10000 or a table of one's own."""

import numpy as np

from lesiongan.data import tables
from lesiongan.data.classes import HAM10000_COUNTS
from lesiongan.nets import data_card
from lesiongan.run.identity import Identity

OWN_COUNTS = (61, 52, 83, 14, 305, 26, 37)
TABLE = "hmnist_28_28_RGB.csv"
GENERATOR = "ef" * 32


def identify(kind="own", protocol="lesion split", **sampling):
    """The Identity of a set whose generator learned from data of a kind, all of it in train."""
    counts = HAM10000_COUNTS if kind == "ham10000" else OWN_COUNTS
    data = {"name": "mine.csv", "sha256": "ab" * 32, "rows": sum(counts)}
    none = [0] * 7
    split = {"protocol": protocol, "sha256": "cd" * 32, "split_seed": 0, "grouping": "lesion ids"}
    drawn = {"samples": 3, "class_mix": "balanced", "no_png": True, "seed": 5}
    return Identity(
        "train_gan",
        {"seed": 4, "sampling": drawn | sampling},
        data | {"phantom": kind == "phantom"},
        split | {"images": {"train": np.array(counts), "val": none, "test": none}},
        {"generator": GENERATOR},
    )


def write_described(folder, identity, labels=(3, 6, 6)):
    """Write a table of random pictures with these labels, and what describes it."""
    folder.mkdir(exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 28, 28, 3), np.uint8)
    tables.write_table(folder / TABLE, [(images, np.array(labels))])
    data_card.write(folder, identity, np.array(labels), [folder / TABLE], pictures=False)
    return folder
