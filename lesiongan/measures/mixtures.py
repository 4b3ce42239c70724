"""Mixtures: synthetic images that lie on a line between two training images.

Mixup (Zhang et al. 2018) and interpolating oversamplers such as SMOTE make such images. They are
far from every training image, so memorisation does not show them. Here their distance to the
nearest line from one training image to another is measured, in a space where unrelated lesions have
nothing in common: 14 x 14 area means without each channel's mean, in principal components of the
training images, each divided by its own spread. In plain grey levels most lesions are a dark spot
on light skin, and the spot of one is easily mixed from two others.
"""

import numpy as np

from lesiongan.data.near_duplicates import dihedral_views

SIDE = 14
COMPONENTS = 300
# Components of less spread than this (grey levels) are noise, and are not raised to equal weight.
NOISE = 5.0
# Lines between so many views of training images are tried, those most like the image.
CANDIDATES = 16
BLOCK = 256

DEFINITION = (
    "distance to the nearest line between two training images in any flips and turns, over the "
    f"image's own length, in {COMPONENTS} whitened components of {SIDE} x {SIDE} area means, below "
    "the 1st percentile of held-out images; copies lie at the end of a line and count too"
)


def fine_means(images):
    """Return float32 (n, 14, 14, c): area means of images (n, h, w, c) less each channel's mean."""
    n, h, w, c = images.shape
    means = images.reshape(n, SIDE, h // SIDE, SIDE, w // SIDE, c).mean(
        axis=(2, 4), dtype=np.float32
    )
    return means - means.mean(axis=(1, 2), keepdims=True)


def flat(means):
    """Return (n, d) of fine means in any view, contiguous."""
    return np.ascontiguousarray(means).reshape(len(means), -1)


def fit_whitening(means):
    """Return float32 (588, k): from flat fine means to whitened components.

    The components are those of all 8 views of the images, so that a flip or turn of two images
    leaves their distance as it is.
    """
    moment = flat(means).T @ flat(means) / len(means)
    # A view of an image is its values in another order, and so is the moment of all views.
    positions = np.arange(len(moment)).reshape(1, *means.shape[1:])
    orders = [flat(view)[0] for view in dihedral_views(positions)]
    moment = np.mean([moment[np.ix_(order, order)] for order in orders], axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh(moment)
    values, axes = values[::-1][:COMPONENTS], axes[:, ::-1][:, :COMPONENTS]
    return (axes / np.sqrt(np.maximum(values, 0) + NOISE**2)).astype(np.float32)


def to_lines(points, ends):
    """Return float (n,): the distance of each point to the nearest line between two of its ends.

    points: (n, d). ends: (n, k, d). A line ends at its ends.
    """
    away = ends - points[:, None]
    products = np.einsum("nkd,njd->nkj", away, away)
    own = np.diagonal(products, axis1=1, axis2=2)
    between = own[:, :, None] + own[:, None] - 2 * products
    # The foot of the perpendicular has this weight on the first end and the rest on the second.
    first = np.clip((own[:, None] - products) / np.maximum(between, 1e-9), 0, 1)
    second = 1 - first
    squared = first**2 * own[:, :, None] + second**2 * own[:, None] + 2 * first * second * products
    return np.sqrt(np.maximum(squared.min(axis=(1, 2)), 0))


def ruler(train, train_lesions):
    """Return a function of (images, lesions=None) to float (n,): distances to the nearest line.

    A distance is divided by the image's own length: 0 is a mixture, and near 1 is what two training
    images say nothing about. lesions: names (n,) of the lesions that images show, whose own
    training images are passed over.
    """
    means = fine_means(train)
    whitening = fit_whitening(means)
    ends = np.concatenate([flat(view) @ whitening for view in dihedral_views(means)])
    directions = (ends / lengths_of(ends)[:, None]).T
    shown = np.tile(train_lesions, 8)
    k = min(CANDIDATES, len(ends))

    def measure(images, lesions=None):
        points = flat(fine_means(images)) @ whitening
        found = np.empty(len(points))
        for start in range(0, len(points), BLOCK):
            rows = slice(start, start + BLOCK)
            likeness = points[rows] @ directions
            if lesions is not None:
                likeness[lesions[rows, None] == shown[None]] = -np.inf
            at = np.argpartition(likeness, -k, axis=1)[:, -k:]
            found[rows] = to_lines(points[rows], ends[at])
        return found / lengths_of(points)

    return measure


def lengths_of(rows):
    """Return (n,): the lengths of rows, at least a millionth."""
    return np.maximum(np.linalg.norm(rows, axis=1), 1e-6)
