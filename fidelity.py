"""Measures of a set of synthetic images against real ones: distances of distributions, and memorisation. NumPy alone.

Features are float (n, d) rows of the judge's penultimate layer, reduced by `Components`. Distances at different n or against
different parts are never comparable; the files say n and the floor beside each.
"""

import numpy as np

from ham10000 import CLASSES
from lesions import area_means, dihedral_views

COMPONENTS = 64
NEIGHBOURS = 5


class Components:
    """The first 64 principal components of a set of features, with that set's mean."""

    def __init__(self, features, k=COMPONENTS):
        self.mean = features.mean(axis=0)
        _, _, vt = np.linalg.svd(features - self.mean, full_matrices=False)
        self.axes = vt[:k].T

    def __call__(self, features):
        return (features - self.mean) @ self.axes


def squared_distances(a, b):
    """float64 (n, m): squared Euclidean distances between rows."""
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T, 0)


def frechet_distance(a, b):
    """Frechet distance of two Gaussians fitted to the rows (Heusel et al. 2017, eq. 6): squared distance of the means +
    tr(Sa + Sb - 2 (Sa Sb)^1/2), the root by symmetric eigendecompositions, so it is real and never negative."""

    def root(s):
        values, vectors = np.linalg.eigh(s)
        return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    sa, sb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    ra = root(sa)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(ra @ sb @ ra), 0)).sum()
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(sa) + np.trace(sb) - 2 * cross)


def kernel_distance(a, b):
    """KID (Binkowski et al. 2018): unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3."""
    d = a.shape[1]

    def kernel(x, y):
        return (x @ y.T / d + 1) ** 3

    n, m = len(a), len(b)
    aa, bb = kernel(a, a), kernel(b, b)
    within = (aa.sum() - np.trace(aa)) / (n * (n - 1)) + (bb.sum() - np.trace(bb)) / (m * (m - 1))
    return float(within - 2 * kernel(a, b).mean())


def prdc(real, fake, k=NEIGHBOURS):
    """dict of precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020), k nearest neighbours.

    A set's k-th neighbour radius leaves the point itself out. The caller gives equally many rows of both.
    """

    def radius(x):
        d = squared_distances(x, x)
        np.fill_diagonal(d, np.inf)
        return np.partition(d, k - 1, axis=1)[:, k - 1]

    between = squared_distances(real, fake)
    r_real, r_fake = radius(real), radius(fake)
    inside = between < r_real[:, None]
    return {
        "precision": float(inside.any(axis=0).mean()),
        "recall": float((between < r_fake[None]).any(axis=1).mean()),
        "density": float(inside.sum(axis=0).mean() / k),
        "coverage": float((between.min(axis=1) < r_real).mean()),
    }


def apportion(weights, n):
    """int (k,) summing to n, in proportion to `weights`; the largest remainders get the rest."""
    share = np.asarray(weights) / np.sum(weights) * n
    counts = np.floor(share).astype(int)
    counts[np.argsort(counts - share, kind="stable")[: n - counts.sum()]] += 1
    return counts


def draw_in_mix(labels, mix, n, rng):
    """Positions of n rows whose classes are in the proportions `mix`; with replacement only in a class that runs short.

    Classes that have no rows are left out of the mix.
    """
    mix = np.asarray(mix, dtype=float) * (np.bincount(labels, minlength=len(mix)) > 0)
    out = []
    for code, count in enumerate(apportion(mix, n)):
        members = np.flatnonzero(labels == code)
        if count:
            out.append(rng.choice(members, count, replace=count > len(members)))
    return np.concatenate(out)


def most_in_mix(labels, mix):
    """The most rows that can be drawn in the proportions `mix` without drawing one twice."""
    mix = np.asarray(mix, dtype=float)
    counts = np.bincount(labels, minlength=len(mix))
    return int((counts[mix > 0] * mix.sum() / mix[mix > 0]).min())


# ---------------------------------------------------------------- memorisation


def nearest(images, others, exclude=None, block=512):
    """(distance (n,), position (n,)) of the nearest of `others` to each image, in the space where copies cannot hide: L2
    between 7 x 7 area means (grey levels), the least over the 8 flips and turns.

    exclude: optional (names of images (n,), names of others (m,)); pairs of the same name are passed over.
    """
    queries = area_means(images)
    targets = area_means(others).reshape(len(others), -1)
    best, at = np.full(len(images), np.inf), np.zeros(len(images), dtype=np.int64)
    views = [v.reshape(len(v), -1) for v in dihedral_views(queries)]
    for start in range(0, len(images), block):
        rows = slice(start, start + block)
        d = np.min([squared_distances(v[rows].astype(np.float64), targets) for v in views], axis=0)
        if exclude is not None:
            d[exclude[0][rows, None] == exclude[1][None]] = np.inf
        at[rows] = d.argmin(axis=1)
        best[rows] = np.sqrt(d.min(axis=1))
    return best, at


def memorisation(fake, fake_labels, train, train_labels, train_lesions, held_out, held_lesions):
    """dict: which synthetic images are nearer to a training image than unseen lesions come.

    distance, position (n,): to the nearest training image; threshold: 1st percentile of held-out images' distances to train
    images of other lesions (a leaky split has lesions on both sides), below which a synthetic image counts as memorised;
    by_class: {class: {flagged (k,), threshold}} or None, the same within the class against the 1st percentile of each
    training image's distance to its nearest image of another lesion. About .01 is what unseen real images would give.
    """
    distance, position = nearest(fake, train)
    held, _ = nearest(held_out, train, exclude=(held_lesions, train_lesions))
    threshold = float(np.quantile(held, 0.01))
    by_class = {}
    for code, name in enumerate(CLASSES):
        own_fake, own_train = fake_labels == code, train_labels == code
        if not own_fake.any() or len(set(train_lesions[own_train])) < 2:
            by_class[name] = None
            continue
        lesions = train_lesions[own_train]
        between, _ = nearest(train[own_train], train[own_train], exclude=(lesions, lesions))
        to_class, _ = nearest(fake[own_fake], train[own_train])
        limit = float(np.quantile(between, 0.01))
        by_class[name] = {"flagged": to_class < limit, "threshold": limit}
    return {"threshold": threshold, "by_class": by_class, "distance": distance, "position": position}
