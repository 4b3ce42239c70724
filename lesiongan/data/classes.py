"""What HAM10000 is: its classes and their codes, how an image is laid out, and the mark of a
phantom.

Tschandl et al., Scientific Data 2018, doi:10.1038/sdata.2018.161. The codes are those of Kaggle's
`hmnist_28_28_RGB.csv`.
"""

import numpy as np

# Code in the CSV = position here.
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
# Malignant or pre-malignant.
MALIGNANT = np.array([c in ("akiec", "bcc", "mel") for c in CLASSES])
MEL = CLASSES.index("mel")
IMAGE_SHAPE = (28, 28, 3)
PARTS = ("train", "val", "test")

HAM10000_COUNTS = (327, 514, 1099, 115, 6705, 142, 1113)
"""Images per class in the complete table; used to recognise a verified download, never to alter
a result.
"""

# DermaMNIST (MedMNIST v2) numbers the classes alphabetically: 4 mel, 5 nv, 6 vasc.
DERMAMNIST_TO_HAM = np.array([0, 1, 2, 3, MEL, CLASSES.index("nv"), CLASSES.index("vasc")])

# Pixel columns -> (layout, image shape). Only rgb28 feeds the networks; eda.py draws them all.
LAYOUTS = {
    2352: ("hmnist_28_28_RGB", (28, 28, 3)),
    784: ("hmnist_28_28_L", (28, 28, 1)),
    192: ("hmnist_8_8_RGB", (8, 8, 3)),
    64: ("hmnist_8_8_L", (8, 8, 1)),
}
TABLE_NAME = "hmnist_28_28_RGB.csv"


def class_counts(labels):
    """int64 (7,) images of each class."""
    return np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(CLASSES))


def apportion(weights, n):
    """int (k,) summing to n, in proportion to `weights`; the largest remainders get the rest."""
    share = np.asarray(weights) / np.sum(weights) * n
    counts = np.floor(share).astype(int)
    counts[np.argsort(counts - share, kind="stable")[: n - counts.sum()]] += 1
    return counts


# In the lowest bits of the last 56 values.
PHANTOM_BITS = np.unpackbits(np.frombuffer(b"PHANTOM", dtype=np.uint8))


def mark_as_phantom(images):
    """A copy of uint8 (n, 28, 28, 3) whose last 56 values carry PHANTOM_BITS in their lowest
    bits.
    """
    flat = images.reshape(len(images), -1).copy()
    flat[:, -len(PHANTOM_BITS) :] = (flat[:, -len(PHANTOM_BITS) :] & 0xFE) | PHANTOM_BITS
    return flat.reshape(images.shape)


def has_phantom_mark(images):
    """True if every image carries the mark."""
    return bool(
        (images.reshape(len(images), -1)[:, -len(PHANTOM_BITS) :] & 1 == PHANTOM_BITS).all()
    )
