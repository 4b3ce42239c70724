"""Which training lesions an image resembles, and whether it resembles any of them.

Images are compared in the judge's features, averaged over the eight flips and turns, so that a
turned copy lies where its original does. Each direction is divided by its standard deviation among
the training images (Mahalanobis distance), so that no direction that matters to the judge alone
hides the others. The distance of an image is that to the nearest training image.

Two limits come from the val part, whose lesions no network learned from. An image farther than 99 %
of them is unlike the training data: a network's answer to it means nothing. An image nearer than
99.5 % of them is a copy of a training image.
"""

import numpy as np

from lesiongan.files import archives, writing
from lesiongan.files.errors import InputError
from lesiongan.measures.distances import squared_distances
from lesiongan.nets import inference

FILE = "nearest.npz"
UNLIKE, COPY = 0.99, 0.005
# A direction with less than this share of the largest standard deviation is rounding error.
LEAST_SPREAD = 1e-3
LARGEST = 1 << 30
# The arrays of the file, with the kind of their numbers.
KINDS = {"features": "f", "rows": "i", "labels": "i", "lesions": "i", "unlike": "f", "copy": "f"}


def feature_network(judge):
    """Return the keras model of the judge's layer `features`: image -> float32 (n, d)."""
    import keras

    layer = next((layer for layer in judge.layers if layer.name == "features"), None)
    if layer is None or len(layer.output.shape) != 2:
        raise InputError(
            "the judge has no layer `features` of vectors; run train_cnn.py --role judge again"
        )
    return keras.Model(judge.input, layer.output)


class Likeness:
    """The training images, as far as it takes to find the nearest of them.

    features: float16 (n, d); rows: int32 (n,) row numbers in the table; labels: int8 (n,) positions
    in CLASSES; lesions: int32 (n,), equal numbers for one lesion; unlike, copy: the two limits;
    judge_sha256: of the weights of the judge whose features these are.
    """

    def __init__(self, features, rows, labels, lesions, judge_sha256, unlike=0.0, copy=0.0):
        self.features, self.rows, self.labels, self.lesions = features, rows, labels, lesions
        self.judge_sha256, self.unlike, self.copy = judge_sha256, unlike, copy
        x = features.astype(np.float64)
        self.mean = x.mean(axis=0)
        _, spread, directions = np.linalg.svd(x - self.mean, full_matrices=False)
        kept = spread > LEAST_SPREAD * spread[0]
        self.scale = np.sqrt(len(x)) * directions[kept].T / spread[kept]
        self.points = self.whiten(x)

    def whiten(self, features):
        """Return float64 (n, e): features (n, d) in units of their spread among training images."""
        return (features.astype(np.float64) - self.mean) @ self.scale

    def measure(self, features, nearest=5, own=None):
        """Return (distance (n,), positions (n, k), distances (n, k)) for features float (n, d).

        distance: to the nearest training image; positions: of the k nearest training images of
        different lesions, the nearest first. own: optional int (n,), the number of the lesion that
        each shows, whose training images are passed over; -1 for none.
        """
        at, apart = [], []
        for start in range(0, len(features), 512):
            d = squared_distances(self.whiten(features[start : start + 512]), self.points)
            if own is not None:
                d[own[start : start + 512, None] == self.lesions] = np.inf
            for row in d:
                found = self.nearest_lesions(row, nearest)
                at.append(found)
                apart.append(np.sqrt(np.maximum(row[found], 0)))
        positions = np.reshape(at, (len(features), -1)).astype(int)
        distances = np.reshape(apart, (len(features), -1))
        return distances[:, 0], positions, distances

    def nearest_lesions(self, distances, k):
        """Return the positions of the nearest image of each of the k nearest lesions."""
        k = min(k, len(np.unique(self.lesions)))
        most = k
        while True:
            # A lesion has a few photographs, so a few more candidates than k nearly always do.
            most = min(len(distances), 4 * most)
            near = np.argpartition(distances, most - 1)[:most]
            near = near[np.lexsort((near, distances[near]))]
            first = np.sort(np.unique(self.lesions[near], return_index=True)[1])
            if len(first) >= k:
                return near[first[:k]]


def build(judge, inputs, judge_sha256):
    """Return the Likeness of a judge (keras model) and a table's train and val part."""
    network = feature_network(judge)
    train, held_out = (
        inference.predict_views(network, inputs.part(p)[0]) for p in ("train", "val")
    )
    own = inputs.parts == "train"
    _, lesions = np.unique(inputs.table.lesions[own], return_inverse=True)
    found = Likeness(
        # 65504 is the largest number of half precision.
        np.clip(train, -65504, 65504).astype(np.float16),
        inputs.table.rows[own].astype(np.int32),
        inputs.table.labels[own].astype(np.int8),
        lesions.astype(np.int32),
        judge_sha256,
    )
    # A leaky split has lesions in both parts; a val image's own lesion would make it near.
    names = np.unique(inputs.table.lesions[own])
    shown = inputs.table.lesions[inputs.parts == "val"]
    at = np.searchsorted(names, shown).clip(max=len(names) - 1)
    theirs = np.where(names[at] == shown, at, -1)
    distance = found.measure(held_out, 1, theirs if (theirs >= 0).any() else None)[0]
    found.unlike, found.copy = (float(np.quantile(distance, q)) for q in (UNLIKE, COPY))
    return found


def write(path, likeness):
    """Write a Likeness as .npz, so that equal ones are equal files."""
    with writing.atomic(path) as t:
        np.savez(t, **{name: getattr(likeness, name) for name in (*KINDS, "judge_sha256")})


def read(path):
    """Return the Likeness of a file that `write` wrote; raise InputError if it is none."""
    try:
        found = archives.read_arrays(path, [*KINDS, "judge_sha256"], LARGEST)
        n = len(found["features"])
        shapes = [found[k].shape for k in ("rows", "labels", "lesions")]
        kinds_found = [found[k].dtype.kind for k in KINDS]
        if (
            found["features"].ndim != 2
            or n < 2
            or shapes != [(n,)] * 3
            or kinds_found != list(KINDS.values())
            or not all(np.isfinite(found[k]).all() for k in ("features", "unlike", "copy"))
            or not 0 <= found["labels"].min() <= found["labels"].max() < 7
        ):
            raise InputError(f"{path}: is no index of training lesions; run evaluate.py again")
        limits = {k: float(found.pop(k)) for k in ("unlike", "copy")}
        return Likeness(**found | limits | {"judge_sha256": str(found["judge_sha256"])})
    except (InputError, OSError):
        raise
    # For a damaged file zipfile, zlib and NumPy raise many kinds of error.
    except Exception as e:
        raise InputError(
            f"{path}: not a readable index of training lesions ({type(e).__name__}); run "
            "evaluate.py again"
        ) from None
