"""Near-duplicate images, found as near neighbours in the space of 7 x 7 area means."""

import numpy as np

NEAR_DUPLICATE_DISTANCE = 50.0
"""L2 distance of 7 x 7 x 3 area means (grey levels) below which images count as one photograph.

It was measured on the complete table: see results/run/eda_summary.json and docs/data.md for
precision and recall.
"""

MOST_PARTNERS = 50


def dihedral_views(images):
    """Return the 8 flips and quarter turns of a batch (n, s, s, ...) as a list of views."""
    return [
        turned[:, ::a, ::b]
        for turned in (images, images.swapaxes(1, 2))
        for a in (1, -1)
        for b in (1, -1)
    ]


def area_means(images):
    """Return float32 (n, 7, 7, c): the means over 7 x 7 equal areas, in which copies lie near."""
    n, h, w, c = images.shape
    return images.reshape(n, 7, h // 7, 7, w // 7, c).mean(axis=(2, 4), dtype=np.float32)


def near_pairs(images, threshold=NEAR_DUPLICATE_DISTANCE, block=1024):
    """Return int64 (m, 2), i < j: the image pairs whose area means are nearer than `threshold`.

    The distance of a pair is the least under all flips and turns. Of each image only the pairs with
    the first MOST_PARTNERS are kept: a thousand blank images would be half a million pairs.
    """
    means = area_means(images)
    flat = means.reshape(len(means), -1)
    views = [np.ascontiguousarray(v.reshape(len(v), -1)) for v in dihedral_views(means)]
    squares = (flat**2).sum(axis=1)
    found, partners = [], np.zeros(len(flat), dtype=np.int64)
    for start in range(0, len(flat), block):
        rows = slice(start, start + block)
        limit = (threshold**2 - squares[rows, None] - squares[None, start:]) / -2
        hit = np.zeros(limit.shape, dtype=bool)
        for view in views:
            hit |= flat[rows] @ view[start:].T > limit
        hit = np.triu(hit, k=1)
        if (partners[start:] + hit.sum(axis=0)).max() > MOST_PARTNERS:
            hit &= partners[start:] + hit.cumsum(axis=0) <= MOST_PARTNERS
        partners[start:] += hit.sum(axis=0)
        i, j = np.nonzero(hit)
        found.append(np.stack([i + start, j + start], axis=1))
    return np.concatenate(found)
