"""A distance between image sets that no classifier has a part in: that of their patches.

Features of a classifier show what that classifier looks at. The sliced Wasserstein distance looks
at the pixels: it compares small patches of the fine and of the coarse level of an image pyramid.
"""

import numpy as np

# Of every level of every image this many patches of 7 x 7 pixels and three channels are taken, and
# they are projected on this many directions. (Karras et al. 2018, section 5, take 128 patches of an
# image of up to 1024 pixels, and 512 directions.)
PATCHES, PATCH, DIRECTIONS = 7, 7, 512


# ---------------------------------------------------------------- sliced Wasserstein distance


def smooth(images):
    """Return float32 (n, h, w, c): images blurred by the 5-tap binomial filter of pyramids.

    The filter is (1, 4, 6, 4, 1) / 16 along rows and columns (Burt and Adelson 1983); the image is
    mirrored at its edges.
    """
    taps = np.array([1, 4, 6, 4, 1], np.float32) / 16
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (2, 2)
        padded = np.pad(images, pad, mode="reflect")
        n = images.shape[axis]
        images = sum(
            t * np.take(padded, np.arange(i, i + n), axis=axis) for i, t in enumerate(taps)
        )
    return images


def pyramid(images):
    """Return the two levels of the Laplacian pyramid of images, as float32 arrays.

    images: (n, 28, 28, 3), of any range. The first level, (n, 28, 28, 3), is what halving the
    image loses; the second, (n, 14, 14, 3), is the halved image.
    """
    images = np.asarray(images, dtype=np.float32)
    half = smooth(images)[:, ::2, ::2]
    # To enlarge, zeros are put between the pixels and the filter spreads each over four places.
    spread = np.zeros_like(images)
    spread[:, ::2, ::2] = 4 * half
    return images - smooth(spread), half


def draw_patches(level, rng):
    """Return float32 (7 n, 7, 7, 3): patches at random places, seven of each image of a level."""
    n, h, w, _ = level.shape
    views = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH), axis=(1, 2))
    image = np.repeat(np.arange(n), PATCHES)
    row = rng.integers(h - PATCH + 1, size=len(image))
    column = rng.integers(w - PATCH + 1, size=len(image))
    return np.moveaxis(views[image, row, column], 1, -1)


def sliced_wasserstein(a, b, rng):
    """Return the sliced Wasserstein distance of two sets of equally many vectors.

    a, b: float (n, d). It is the mean over random directions of the 1-Wasserstein distance of the
    projections, which for sorted samples is the mean absolute difference (Rabin et al. 2011).
    """
    directions = rng.standard_normal((a.shape[1], DIRECTIONS), dtype=np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    along_a, along_b = (np.sort((x @ directions).T, axis=1) for x in (a, b))
    return float(np.abs(along_a - along_b).mean(dtype=np.float64))


def patch_distances(a, b, rng):
    """Return the sliced Wasserstein distance of the patches of two image sets, by pyramid level.

    a, b: (n, 28, 28, 3), equally many images. The two floats belong to the levels of 28 and of 14
    pixels. Each channel of a level is scaled to mean 0 and deviation 1 over both sets together
    (Karras et al. 2018, section 5, scale each set by itself, which hides a wrong contrast).
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} images against {len(b)}: patches need equally many")
    out = []
    for levels in zip(pyramid(a), pyramid(b), strict=True):
        p, q = (draw_patches(level, rng) for level in levels)
        both = np.concatenate([p, q])
        mean, std = both.mean(axis=(0, 1, 2)), both.std(axis=(0, 1, 2))
        p, q = (((x - mean) / np.maximum(std, 1e-6)).reshape(len(x), -1) for x in (p, q))
        out.append(sliced_wasserstein(p, q, rng))
    return tuple(out)
