"""HAM10000's classes and their codes, the layouts of its tables, and the mark of phantom lesions.

Tschandl et al., Scientific Data 2018, doi:10.1038/sdata.2018.161. The codes are those of Kaggle's
`hmnist_28_28_RGB.csv`.
"""

import numpy as np

# The code of a class in the CSV is its position here.
CLASSES = ("akiec", "bcc", "bkl", "df", "nv", "vasc", "mel")
CLASS_NAMES = {
    "akiec": "actinic keratosis / intraepithelial carcinoma",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis-like lesion",
    "df": "dermatofibroma",
    "nv": "melanocytic nevus",
    "vasc": "vascular lesion",
    "mel": "melanoma",
}
# These classes are malignant or pre-malignant.
MALIGNANT = np.array([c in ("akiec", "bcc", "mel") for c in CLASSES])
MEL = CLASSES.index("mel")
IMAGE_SHAPE = (28, 28, 3)
PARTS = ("train", "val", "test")

HAM10000_COUNTS = (327, 514, 1099, 115, 6705, 142, 1113)
"""Images per class in the complete table.

They are used to recognise a verified download, never to alter a result.
"""

# The number of pixel columns gives (layout, image shape). Only hmnist_28_28_RGB feeds the networks;
# eda.py draws them all.
LAYOUTS = {
    2352: ("hmnist_28_28_RGB", (28, 28, 3)),
    784: ("hmnist_28_28_L", (28, 28, 1)),
    192: ("hmnist_8_8_RGB", (8, 8, 3)),
    64: ("hmnist_8_8_L", (8, 8, 1)),
}
TABLE_NAME = "hmnist_28_28_RGB.csv"


def class_counts(labels: np.ndarray | list[int]) -> np.ndarray:
    """Return int64 (7,): the number of images of each class."""
    return np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(CLASSES))


def apportion(weights: np.ndarray, n: int | np.integer) -> np.ndarray:
    """Return int (k,) that sums to n, in proportion to `weights` by largest remainders."""
    share = np.asarray(weights) / np.sum(weights) * n
    counts = np.floor(share).astype(int)
    counts[np.argsort(counts - share, kind="stable")[: n - counts.sum()]] += 1
    return counts


# The mark stands in the lowest bits of the last 56 values of an image.
PHANTOM_BITS = np.unpackbits(np.frombuffer(b"PHANTOM", dtype=np.uint8))


def mark_as_phantom(images: np.ndarray) -> np.ndarray:
    """Return a copy of uint8 (n, 28, 28, 3) in which every image carries the mark.

    The lowest bits of its last 56 values are PHANTOM_BITS.
    """
    flat = images.reshape(len(images), -1).copy()
    flat[:, -len(PHANTOM_BITS) :] = (flat[:, -len(PHANTOM_BITS) :] & 0xFE) | PHANTOM_BITS
    return flat.reshape(images.shape)


def has_phantom_mark(images: np.ndarray) -> bool:
    """Return True if every image carries the mark."""
    return bool(
        (images.reshape(len(images), -1)[:, -len(PHANTOM_BITS) :] & 1 == PHANTOM_BITS).all()
    )
