"""Independent recomputations from a run's files, for tests to compare with.

They use Keras, NumPy, pandas and hashlib, and none of the project's code.
"""

import hashlib
import itertools
import json

import numpy as np
import pandas as pd

CLASSES = ["akiec", "bcc", "bkl", "df", "nv", "vasc", "mel"]
MALIGNANT = np.array([1, 1, 0, 0, 0, 0, 1], bool)
# The columns of a file of predictions that hold the probabilities of the classes.
P = [f"p_{c}" for c in CLASSES]


def read(path):
    return json.loads(path.read_text())


def make_unlike(value, first=1):
    """Return the same JSON with another number in place of each float.

    So no two are alike by chance.
    """
    numbers = itertools.count(first)

    def change(value):
        if isinstance(value, dict):
            return {k: change(v) for k, v in value.items()}
        return next(numbers) / 1000 if isinstance(value, float) else value

    return change(value)


def read_images(path):
    """(uint8 (n, 28, 28, 3), labels (n,)) of a table in Kaggle's layout."""
    values = pd.read_csv(path).to_numpy()
    return values[:, :-1].astype(np.uint8).reshape(-1, 28, 28, 3), values[:, -1]


class Parts:
    """The images, labels and lesions of a run's table by part, as split.csv says."""

    def __init__(self, pipeline):
        self.images, self.labels = read_images(pipeline.table)
        self.split = pd.read_csv(pipeline.outputs / "split.csv", dtype={"lesion": str})
        assert self.split.row.tolist() == list(range(len(self.labels)))

    def rows(self, part):
        return np.flatnonzero(self.split.part == part)

    def of(self, part):
        rows = self.rows(part)
        return self.images[rows], self.labels[rows]

    def lesions(self, part):
        return self.split.lesion.to_numpy()[self.rows(part)]

    def halves(self):
        """Return (rows of half A, rows of half B).

        In the order of a hash, every other train lesion of each class is A's.
        """
        train = self.split[self.split.part == "train"]
        a = []
        for code in range(7):
            names = [
                n
                for n in set(train.lesion)
                if np.bincount(self.labels[self.split.lesion == n]).argmax() == code
            ]
            a += sorted(names, key=lambda name: hashlib.sha256(f"half:{name}".encode()).digest())[
                ::2
            ]
        return train.row[train.lesion.isin(a)].to_numpy(), train.row[
            ~train.lesion.isin(a)
        ].to_numpy()


def eight_views(images):
    """The eight symmetries of the square, by NumPy's rotations."""
    return [
        np.rot90(side, k, axes=(1, 2)) for side in (images, images[:, :, ::-1]) for k in range(4)
    ]


def load(path):
    import keras

    return keras.saving.load_model(path, compile=False)


def average_of_views(model, images):
    """(n, k): a network's mean output over the eight views, by stock Keras."""
    return np.mean(
        [model.predict(v.astype(np.float32), verbose=0).astype(float) for v in eight_views(images)],
        axis=0,
    )


def log_loss(labels, p):
    return -np.log(p[np.arange(len(labels)), labels]).mean()


def calibration_error(y, p, bins=15):
    """Guo et al. 2017, eq. 5, image by image: bins (0, 1/15], (1/15, 2/15], ..."""
    sums = {}
    for label, row in zip(y, p, strict=True):
        at = next(i for i in range(bins) if row.max() <= (i + 1) / bins + 1e-12)
        sums.setdefault(at, []).append((row.max(), row.argmax() == label))
    return sum(
        abs(np.mean([c for c, _ in b]) - np.mean([r for _, r in b])) * len(b) for b in sums.values()
    ) / len(y)
