"""Distances between a set of synthetic images and a set of real ones, in a judge's features.

Features are float (n, d) rows of the judge's penultimate layer, reduced by `Components`. Distances
at different n or against different parts are never comparable; the files give n and the distance of
real images beside each.
"""

import numpy as np

from lesiongan.data.classes import apportion

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
    """Return float64 (n, m): the squared Euclidean distances between rows of `a` and of `b`."""
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T, 0)


def frechet_distance(a, b):
    """Return the Frechet distance of two Gaussians fitted to the rows (Heusel et al. 2017, eq. 6).

    It is the squared distance of the means + tr(Sa + Sb - 2 (Sa Sb)^1/2). The root is taken by
    symmetric eigendecompositions, so it is real and never negative.
    """

    def root(s):
        values, vectors = np.linalg.eigh(s)
        return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    sa, sb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    ra = root(sa)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(ra @ sb @ ra), 0)).sum()
    return float(
        ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(sa) + np.trace(sb) - 2 * cross
    )


def kernel_distance(a, b):
    """Return the KID (Binkowski et al. 2018) of the rows of `a` and `b`.

    It is the unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3.
    """
    d = a.shape[1]

    def kernel(x, y):
        return (x @ y.T / d + 1) ** 3

    n, m = len(a), len(b)
    aa, bb = kernel(a, a), kernel(b, b)
    within = (aa.sum() - np.trace(aa)) / (n * (n - 1)) + (bb.sum() - np.trace(bb)) / (m * (m - 1))
    return float(within - 2 * kernel(a, b).mean())


def prdc(real, fake, k=NEIGHBOURS):
    """Return a dict of precision, recall, density and coverage by k nearest neighbours.

    Precision and recall are those of Kynkaanniemi et al. 2019, density and coverage those of Naeem
    et al. 2020. The radius to a point's k-th neighbour leaves the point itself out. The caller
    gives equally many rows of both.
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


def draw_in_mix(labels, mix, n, rng):
    """Return positions of n random rows whose classes are in the proportions `mix`.

    Rows are drawn with replacement only in a class that runs short. Classes that have no rows are
    left out of the mix.
    """
    mix = np.asarray(mix, dtype=float) * (np.bincount(labels, minlength=len(mix)) > 0)
    out = []
    for code, count in enumerate(apportion(mix, n)):
        members = np.flatnonzero(labels == code)
        if count:
            out.append(rng.choice(members, count, replace=count > len(members)))
    return np.concatenate(out)


def most_in_mix(labels, mix):
    """Return how many rows can be drawn in the proportions `mix` without drawing one twice."""
    mix = np.asarray(mix, dtype=float)
    if not mix.any():
        return 0
    counts = np.bincount(labels, minlength=len(mix))
    return int((counts[mix > 0] * mix.sum() / mix[mix > 0]).min())
