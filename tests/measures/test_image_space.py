"""Patch distances against SciPy and closed forms."""

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from lesiongan.measures import image_space

SIZE = 28


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(n, seed=0, scale=20.0):
    return rng(seed).normal(128, scale, (n, SIZE, SIZE, 3))


def test_smoothing_is_scipys_correlation_with_the_binomial_filter():
    images = noise(3)
    taps = np.array([1, 4, 6, 4, 1]) / 16
    expected = scipy.ndimage.correlate1d(images, taps, axis=1, mode="mirror")
    expected = scipy.ndimage.correlate1d(expected, taps, axis=2, mode="mirror")
    assert np.allclose(image_space.smooth(images), expected, atol=1e-3)


def test_the_pyramid_splits_an_image_into_half_of_it_and_what_that_loses():
    images = noise(4)
    fine, half = image_space.pyramid(images)
    assert fine.shape == images.shape
    assert half.shape == (4, SIZE // 2, SIZE // 2, 3)
    spread = np.zeros_like(images)
    spread[:, ::2, ::2] = half
    enlarged = images - fine
    # Away from the mirrored edges the enlargement is the filter of the zero-filled image, which
    # keeps the mean when it is multiplied by 4.
    assert np.allclose(enlarged, 4 * image_space.smooth(spread), atol=1e-3)
    flat_fine, flat_half = image_space.pyramid(np.full((1, SIZE, SIZE, 3), 77.0))
    assert np.allclose(flat_half, 77, atol=1e-3)
    assert np.allclose(flat_fine[:, :-2, :-2], 0, atol=1e-3)


def test_patches_are_pieces_of_their_own_image():
    level = noise(5)
    patches = image_space.draw_patches(level, rng())
    assert patches.shape == (5 * image_space.PATCHES, 7, 7, 3)
    views = np.lib.stride_tricks.sliding_window_view(level, (7, 7), axis=(1, 2))
    for i, patch in enumerate(patches):
        own = np.moveaxis(views[i // image_space.PATCHES], 2, -1)
        assert (own == patch).all(axis=(-3, -2, -1)).any()


def test_in_one_dimension_the_distance_is_scipys():
    a, b = rng(1).normal(size=(300, 1)), rng(2).gamma(2, size=(300, 1))
    found = image_space.sliced_wasserstein(a, b, rng())
    assert found == pytest.approx(scipy.stats.wasserstein_distance(a[:, 0], b[:, 0]), rel=1e-5)


@pytest.mark.parametrize("d", [2, 147])
def test_a_shift_has_the_distance_of_its_mean_projection(d):
    a = rng(1).normal(size=(50, d))
    shift = np.zeros(d)
    shift[0] = 3.0
    # E|u . e1| over the unit sphere of dimension d.
    mean = math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))
    found = image_space.sliced_wasserstein(a, a + shift, rng())
    assert found == pytest.approx(3 * mean, rel=0.1)
    assert image_space.sliced_wasserstein(a, a[::-1], rng()) == pytest.approx(0, abs=1e-6)


def test_each_level_notices_its_own_kind_of_change():
    real, again = noise(400, 1), noise(400, 2)
    same = image_space.patch_distances(real, again, rng())
    checkered = again + 15 * (np.indices((SIZE, SIZE)).sum(axis=0) % 2 - 0.5)[..., None]
    redder = again + np.array([10.0, 0, 0])
    # A checkerboard is gone when the image is halved; a tint is all in the halved image.
    fine = image_space.patch_distances(real, checkered, rng())
    coarse = image_space.patch_distances(real, redder, rng())
    assert fine[0] > 2 * same[0]
    assert fine[1] == pytest.approx(same[1], rel=0.2)
    assert coarse[1] > 2 * same[1]
    assert coarse[0] == pytest.approx(same[0], rel=0.4)


def test_contrast_counts():
    """Channels are scaled over both sets together, so a set of half the contrast is far away."""
    real, pale = noise(400, 1), 128 + (noise(400, 2) - 128) / 2
    same = image_space.patch_distances(real, noise(400, 2), rng())
    assert min(np.divide(image_space.patch_distances(real, pale, rng()), same)) > 5


def test_unequal_sets_are_refused():
    with pytest.raises(ValueError, match="3 images against 4"):
        image_space.patch_distances(noise(3), noise(4), rng())
