"""Files in MedMNIST's layout for tests, made of a table in Kaggle's by NumPy and pandas alone."""

import numpy as np
import pandas as pd

from tests.oracles import CLASSES, read_images

PARTS = ("train", "val", "test")


def spread(labels):
    """Part of each image, str (n,): 7, 1 and 2 of any ten images of a class, whatever lesion."""
    turn = pd.Series(labels).groupby(labels).cumcount().to_numpy() % 10
    return np.array([*["train"] * 7, "val", *["test"] * 2])[turn]


def write_npz(folder, table_path, parts=None, name="dermamnist.npz"):
    """Write a table as an npz with its metadata beside it, both by `parts`; return the npz's path.

    parts: str (n,), by default those of `spread`. A part that no image is in has no arrays.
    """
    images, labels = read_images(table_path)
    parts = spread(labels) if parts is None else parts
    codes = np.array([sorted(CLASSES).index(CLASSES[y]) for y in labels], np.uint8)[:, None]
    rows = {part: np.flatnonzero(parts == part) for part in PARTS}
    arrays = {f"{part}_images": images[r] for part, r in rows.items() if len(r)}
    arrays |= {f"{part}_labels": codes[r] for part, r in rows.items() if len(r)}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / name, **arrays)
    meta = pd.read_csv(table_path.with_name("HAM10000_metadata.csv"), dtype=str)
    meta.iloc[np.concatenate(list(rows.values()))].to_csv(
        folder / "HAM10000_metadata.csv", index=False
    )
    return folder / name
