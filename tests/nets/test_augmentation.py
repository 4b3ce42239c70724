"""The classic augmentation of the classifier, against geometry and SciPy."""

import numpy as np
import pytest

from lesiongan.nets import augmentation


def test_augmentation_keeps_range_and_is_off_at_inference():
    import keras

    x = np.random.default_rng(0).uniform(0, 255, (64, 28, 28, 3)).astype(np.float32)
    augment = keras.Sequential(
        [keras.Input((28, 28, 3)), *augmentation.build_augmentation("classic", 0)]
    )
    changed = np.asarray(augment(x, training=True))
    assert -0.01 <= changed.min() <= changed.max() <= 255.01
    assert np.abs(changed - x).mean() > 5
    np.testing.assert_allclose(np.asarray(augment(x, training=False)), x)


def augment(kind, seed, images):
    """The images as training sees them."""
    for layer in augmentation.build_augmentation(kind, seed):
        images = layer(images, training=True)
    return np.asarray(images)


@pytest.mark.parametrize("kind", ["classic", "flips"])
def test_each_seed_has_changes_of_its_own(kind):
    x = np.random.default_rng(0).uniform(0, 255, (32, 28, 28, 3)).astype(np.float32)
    first, second, again = (augment(kind, seed, x) for seed in (0, 1, 1))
    assert np.abs(first - second).mean() > 1
    np.testing.assert_array_equal(second, again)


def test_flips_are_in_both_directions():
    image = np.arange(28 * 28 * 3, dtype=np.float32).reshape(28, 28, 3)
    seen = augment("flips", 0, np.repeat(image[None], 64, axis=0))
    wanted = {a.tobytes() for a in (image, image[::-1], image[:, ::-1], image[::-1, ::-1])}
    assert {np.ascontiguousarray(a).tobytes() for a in seen} == wanted


def test_colour_gain_multiplies_each_channel():
    import keras

    grey = np.full((4000, 28, 28, 3), 100, np.float32)
    means = {}
    for gain in (0.0, 0.3):
        augment = keras.Sequential(
            [keras.Input((28, 28, 3)), *augmentation.build_augmentation("classic", 0, gain)]
        )
        means[gain] = np.asarray(augment(grey, training=True)).mean(axis=(1, 2))
    # On a grey image contrast and colour cast leave brightness alone.
    assert np.ptp(means[0.0], axis=1).max() < 1e-3
    u = np.log(means[0.3])
    # The difference of two uniforms is triangular within twice the gain.
    u = u[:, 0] - u[:, 1]
    assert 0.5 < np.abs(u).max() <= 0.6
    np.testing.assert_allclose(u.std(), 0.3 * np.sqrt(2 / 3), rtol=0.05)


def test_sharpness_is_unsharp_masking_and_can_undo_the_blur():
    """Sharpness is checked against SciPy's mean filter.

    And a fifth gives noise back some of the variance that the resampling took.
    """
    import keras
    from scipy.ndimage import uniform_filter

    def augment(images, sharpness):
        layers = augmentation.build_augmentation("classic", 0, 0.0, sharpness)
        return np.asarray(
            keras.Sequential([keras.Input((28, 28, 3)), *layers])(images, training=True)
        )

    # A grey image has nothing to sharpen; only the draws that follow are others.
    grey = np.full((50, 28, 28, 3), 100, np.float32)
    assert np.ptp(augment(grey, 0.5), axis=(1, 2)).max() < 1e-3
    noise = np.random.default_rng(0).normal(128, 20, (500, 28, 28, 3)).astype(np.float32)

    # This measures what is finer than 3 pixels, away from the edges.
    def fine(images):
        return (images - uniform_filter(images, (0, 3, 3, 0)))[:, 4:-4, 4:-4].std(axis=(1, 2, 3))

    plain, sharp = fine(augment(noise, 0.0)), fine(augment(noise, 0.5))
    assert plain.mean() < 0.75 * fine(noise).mean()
    ratio = np.sort(sharp) / np.sort(plain)
    assert 1.1 < np.median(ratio) < 1.5
    assert sharp.std() > 1.2 * plain.std()


def test_classic_augmentation_is_the_geometry_it_says():
    """A red and a green dot, off the middle at right angles, show the geometry.

    There are turns by any angle, half of them mirrored, with zoom and shift in range.
    """
    import keras

    y, x = np.mgrid[:28, :28] - 13.5
    dots = [np.exp(-((x - u) ** 2 + (y - v) ** 2) / 8) for u, v in ((5, 0), (0, 5), (0, 0))]
    image = (255 * np.stack(dots, axis=-1)).astype(np.float32)
    augment = keras.Sequential(
        [keras.Input((28, 28, 3)), *augmentation.build_augmentation("classic", 0)]
    )
    seen = np.asarray(augment(np.repeat(image[None], 2000, axis=0), training=True)).astype(
        np.float64
    )
    # The background, brightened or not, must have no mass.
    seen = np.maximum(seen - 90, 0) ** 2
    # The centres of mass have the shape (n, dot, 2).
    at = np.stack(
        [(seen * m[..., None]).sum(axis=(1, 2)) / seen.sum(axis=(1, 2)) for m in (x, y)], axis=-1
    )
    red, green = at[:, 0] - at[:, 2], at[:, 1] - at[:, 2]
    angle = np.arctan2(red[:, 1], red[:, 0])
    np.testing.assert_allclose(np.histogram(angle, 4, (-np.pi, np.pi))[0], 500, atol=80)
    mirrored = red[:, 0] * green[:, 1] - red[:, 1] * green[:, 0] < 0
    assert abs(mirrored.mean() - 0.5) < 0.04
    zoom = np.log(np.sqrt(np.linalg.norm(red, axis=1) * np.linalg.norm(green, axis=1)) / 5)
    np.testing.assert_allclose(
        np.quantile(zoom, [0.05, 0.5, 0.95]), [-0.085, 0.05, 0.185], atol=0.04
    )
    # Zoom and aspect apply to the shift too, but barely on average: it is uniform within 8 % of 28
    # pixels before the turn.
    np.testing.assert_allclose(at[:, 2].mean(axis=0), 0, atol=0.15)
    np.testing.assert_allclose(at[:, 2].std(axis=0), 0.08 * 28 / np.sqrt(3), rtol=0.1)


def test_light_contrast_and_colour_cast_of_the_augmentation_vary_both_ways():
    """An image of two halves shows brightness, contrast and colour cast.

    Brightness varies within 25 grey levels, contrast within a fifth, channels within 5 %.
    """
    import keras

    image = np.full((28, 28, 3), 90, np.float32)
    image[:, 14:] = 150
    augment = keras.Sequential(
        [keras.Input((28, 28, 3)), *augmentation.build_augmentation("classic", 0)]
    )
    seen = np.asarray(augment(np.repeat(image[None], 3000, axis=0), training=True)).astype(float)
    low, high = (np.quantile(seen, q, axis=(1, 2)) for q in (0.1, 0.9))
    middle, gap = (low + high).mean(axis=1) / 2 - 120, (high - low) / 60
    # Only pictures with both halves in sight tell the contrast.
    whole = (gap.mean(axis=1) > 0.7) & (np.abs(middle) < 26)
    assert whole.mean() > 0.8
    np.testing.assert_allclose(
        np.quantile(seen.mean(axis=(1, 2, 3)) - 120, [0.1, 0.5, 0.9]), [-20, 0, 20], atol=3
    )
    contrast = gap[whole].mean(axis=1)
    np.testing.assert_allclose(np.quantile(contrast, [0.1, 0.5, 0.9]), [0.84, 1, 1.16], atol=0.03)
    cast = gap[whole] / contrast[:, None]
    assert 0.03 < np.abs(cast - 1).max() < 0.07
    light = (
        np.asarray(augment(np.full((4000, 28, 28, 3), 120, np.float32), training=True)).mean(
            axis=(1, 2, 3)
        )
        - 120
    )
    # On a plain image light is all that moves.
    assert (light.min(), light.max()) == pytest.approx((-25, 25), abs=0.2)
