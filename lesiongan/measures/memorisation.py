"""Memorisation: which synthetic images lie nearer to a training image than unseen lesions do."""

from typing import Any

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.data.near_duplicates import area_means, dihedral_views
from lesiongan.measures.distances import squared_distances


def nearest(images, others, exclude=None, block=512, describe=area_means):
    """Return (distance (n,), position (n,)) of the nearest of `others` to each image.

    The distance is L2 between 7 x 7 area means (grey levels), the least over the 8 flips and turns,
    so that no flipped or turned copy is missed.

    exclude: optional (names of images (n,), names of others (m,)); pairs of the same name are
    passed over. describe: function from images to what is compared in place of the area means,
    float (n, s, s, c).
    """
    queries = describe(images)
    targets = describe(others).reshape(len(others), -1)
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
    """Return which synthetic images are nearer to a training image than unseen lesions are.

    The dict has distance, position (n,): to and of the nearest training image; threshold: the 1st
    percentile of held-out images' distances to train images of other lesions (a leaky split has
    lesions on both sides), below which a synthetic image counts as memorised; by_class: {class:
    {flagged (k,), threshold}}, or None for a class: the same within the class, against the 1st
    percentile of each training image's distance to its nearest image of another lesion. Unseen real
    images would give a share of about .01.
    """
    distance, position = nearest(fake, train)
    held, _ = nearest(held_out, train, exclude=(held_lesions, train_lesions))
    threshold = float(np.quantile(held, 0.01))
    by_class: dict[str, dict[str, Any] | None] = {}
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
    return {
        "threshold": threshold,
        "by_class": by_class,
        "distance": distance,
        "position": position,
    }
