"""Copies of photographs, found whatever their turn, brightness, contrast and moderate noise.

What is compared are 7 x 7 area means without the mean of each channel, which takes brightness and
colour cast away, in units that grow with the contrast of the image. results/copies.csv has the
share of copies that are found and of unseen lesions that are taken for copies.
"""

import hashlib

import numpy as np

from lesiongan.data.near_duplicates import NEAR_DUPLICATE_DISTANCE, area_means
from lesiongan.files.errors import InputError
from lesiongan.measures import memorisation

# Grey levels of contrast at which the unit has doubled. A ratio without it would magnify the noise
# of images that have hardly any contrast. Of 5 to 80, 40 separates copies best from unseen lesions.
SOFTENING = 40.0
# Among the 8011 images of HAM10000's train and val parts none comes nearer than 27 to an image of
# another lesion. One image below this distance is a copy.
COPY_DISTANCE = 22.0
# Unseen lesions come as near as this to one of 3007 held-out images with this probability at most.
NEAR_DISTANCE, NEAR_BY_CHANCE = 32.0, 0.002
# A set of unseen lesions is refused with this probability.
FALSE_REFUSAL = 1e-3

cleared: set[tuple] = set()
"""Hashes of held-out images and of images that hold no copy of them, with `real`.

A process that trains several networks on one set asks once.
"""

DEFINITION = (
    "nearest training image, L2 of 7 x 7 area means without each channel's mean, divided by "
    f"1 + contrast / {SOFTENING:g}, least over 8 flips and turns, below the 1st percentile of "
    "held-out images"
)


def relative_means(images):
    """Return float32 (n, 7, 7, c): area means less each channel's mean, in units of contrast.

    The contrast is the standard deviation of all values of an image after that, and the unit
    1 + contrast / SOFTENING grey levels.
    """
    means = area_means(images)
    means -= means.mean(axis=(1, 2), keepdims=True)
    return means / (1 + means.std(axis=(1, 2, 3), keepdims=True) / SOFTENING)


def nearest(images, others, exclude=None):
    """Return (distance (n,), position (n,)) of the nearest of `others`, see memorisation.nearest.

    The distance does not see brightness, and contrast hardly.
    """
    return memorisation.nearest(images, others, exclude, describe=relative_means)


def ruler(train, train_lesions):
    """Return a function of (images, lesions=None) to float (n,): distances to the nearest of train.

    lesions: names (n,) of the lesions that images show, whose own training images are passed over.
    """

    def measure(images, lesions=None):
        return nearest(images, train, None if lesions is None else (lesions, train_lesions))[0]

    return measure


def most_by_chance(n):
    """Return how many of n unseen images may come within NEAR_DISTANCE of a held-out one."""
    import scipy.stats

    return int(scipy.stats.binom.isf(FALSE_REFUSAL, n, NEAR_BY_CHANCE))


def refuse_held_out(inputs, flag, path, images, real=False):
    """Raise InputError if images are photographs of the val or test part of this split.

    One copy is one too many. Of synthetic images a few may come near a photograph by chance; with
    `real` none may be a near-duplicate.
    """
    held_out = inputs.table.images[np.isin(inputs.parts, ("val", "test"))]
    key = (*(hashlib.sha256(some.tobytes()).digest() for some in (held_out, images)), real)
    if key in cleared:
        return
    relative, _ = nearest(images, held_out)
    plain, _ = memorisation.nearest(images, held_out)
    copied = relative < COPY_DISTANCE
    near = copied | (plain < NEAR_DUPLICATE_DISTANCE) | ((relative < NEAR_DISTANCE) & (not real))
    most = 0 if real else most_by_chance(len(images))
    if copied.any() or near.sum() > most:
        raise InputError(
            f"{flag} {path}: {near.sum()} of its {len(images)} images are val or test images of "
            "this split, perhaps turned, brighter, darker or noisy; leave them out"
        )
    cleared.add(key)
