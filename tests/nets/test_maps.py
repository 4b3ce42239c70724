"""Maps of a decision: covering what the answer depends on, and TensorFlow's gradients."""

import numpy as np
import pytest

from lesiongan.data.near_duplicates import dihedral_views
from lesiongan.nets import maps
from tests import oracles

# The dark rectangle lies off the middle and is wider than high, so no turn brings it back.
ROWS, COLUMNS = slice(8, 12), slice(15, 22)
DARK, SKIN = 20, 200


@pytest.fixture
def blot():
    """uint8 (28, 28, 3): skin with a dark rectangle."""
    image = np.full((28, 28, 3), SKIN, np.uint8)
    image[ROWS, COLUMNS] = DARK
    return image


class CountsDark:
    """A classifier whose probability of class 2 is 0.2 and a hundredth for each dark pixel."""

    def predict_on_batch(self, images):
        assert images.dtype == np.float32
        dark = (images.mean(axis=3) < 100).sum(axis=(1, 2))
        p = np.full((len(images), 7), 0.1, np.float32)
        p[:, 2] = 0.2 + dark / 100
        return p


def overlap(y, x, rows, columns):
    """The number of pixels of a 6 x 6 patch at (y, x) that lie in a rectangle."""
    high = max(0, min(y + 6, rows.stop) - max(y, rows.start))
    return high * max(0, min(x + 6, columns.stop) - max(x, columns.start))


def test_occlusion_is_the_mean_fall_under_the_patches_that_cover_a_pixel(blot):
    got = maps.occlusion(CountsDark(), blot, 2)
    assert (got.dtype, got.shape) == (np.float64, (28, 28))
    for y in range(28):
        for x in range(28):
            falls = [
                overlap(a, b, ROWS, COLUMNS) / 100
                for a in range(0, 23, 2)
                for b in range(0, 23, 2)
                if a <= y < a + 6 and b <= x < b + 6
            ]
            assert got[y, x] == pytest.approx(np.mean(falls), abs=1e-6)
    # Nothing that is covered matters to the other classes.
    np.testing.assert_allclose(maps.occlusion(CountsDark(), blot, 3), 0, atol=1e-7)


@pytest.mark.parametrize("view", range(8))
def test_the_map_is_zero_where_no_patch_covers_the_region_and_peaks_inside(blot, view):
    image = dihedral_views(blot[None])[view][0]
    got = maps.draw("occlusion", CountsDark(), image, 2)
    dark = image[..., 0] == DARK
    assert dark[np.unravel_index(got.argmax(), got.shape)]
    assert got[dark].min() > 0
    y, x = np.nonzero(dark)
    reach = np.ones((28, 28), bool)
    # A patch of six pixels that touches the region ends at most five pixels outside it.
    reach[max(0, y.min() - 5) : y.max() + 6, max(0, x.min() - 5) : x.max() + 6] = False
    assert reach.sum() > 200
    np.testing.assert_allclose(got[reach], 0, atol=1e-7)


def test_a_region_that_speaks_against_the_class_is_negative(blot):
    class Against(CountsDark):
        def predict_on_batch(self, images):
            return 1 - super().predict_on_batch(images)

    got = maps.draw("occlusion", Against(), blot, 2)
    assert got[ROWS, COLUMNS].max() < 0
    assert got.max() < 1e-7


def test_a_patch_has_the_mean_colour_of_the_border(blot):
    """The skin is of two colours here; the mean is of the outermost two pixels of each side."""
    blot[:14][blot[:14] == SKIN] = 100
    seen = []

    class Sees(CountsDark):
        def predict_on_batch(self, images):
            seen.append(images)
            return super().predict_on_batch(images)

    maps.occlusion(Sees(), blot, 2)
    images = np.concatenate(seen)
    frame = np.concatenate(
        [blot[:2].ravel(), blot[-2:].ravel(), blot[2:-2, :2].ravel(), blot[2:-2, -2:].ravel()]
    )
    covered = [image for image in images if not np.array_equal(image, blot)]
    assert len(covered) == 144
    for image in covered:
        changed = image != blot
        assert np.abs(image[changed] - frame.mean()).max() <= 0.5
    # Every place is covered once, from corner to corner.
    assert np.any([image != blot for image in covered], axis=0).all()


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3), (5, 5)])
def test_every_view_is_turned_back_to_what_it_was(shape):
    array = np.arange(np.prod(shape)).reshape(shape)
    views = [view[0] for view in dihedral_views(array[None])]
    assert len({view.tobytes() for view in map(np.ascontiguousarray, views)}) == 8
    for number, view in enumerate(views):
        np.testing.assert_array_equal(maps.turn_back(view, number), array)


def differentiate(network, image, code):
    """float (h, w): Grad-CAM of one image by TensorFlow's tape, before it is enlarged.

    Selvaraju et al. 2017, equations 1 and 2: the weight of a feature is the mean over all places
    of the logit's gradient, and the map is what is positive of the weighted sum.
    """
    import keras
    import tensorflow as tf

    inner = keras.Model(
        network.input, [network.get_layer("features").input, network.get_layer("logits").output]
    )
    with tf.GradientTape() as tape:
        features, logits = inner(tf.constant(image[None], tf.float32), training=False)
        score = logits[0, code]
    weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2))[0]
    return tf.nn.relu(tf.reduce_sum(features[0] * weights, axis=-1)).numpy()


@pytest.mark.parametrize(("folder", "crop"), [("judge", 28), ("cnn", 26)])
def test_gradcam_is_that_of_tensorflows_tape(pipeline, folder, crop):
    import keras
    import tensorflow as tf

    network = oracles.load(pipeline.models / folder / "classifier.keras")
    crops = [x.height for x in network.layers if isinstance(x, keras.layers.CenterCrop)]
    assert (crops or [28]) == [crop]
    border, seen = (28 - crop) // 2, 0
    for image, label in zip(*(x[::8] for x in oracles.Parts(pipeline).of("test")), strict=True):
        for code in {int(label), 4}:
            small = differentiate(network, image, code)
            assert min(small.shape) >= 3
            got = maps.gradcam(network, image[None], code)[0]
            assert (got.dtype, got.shape) == (np.float64, (28, 28))
            if not small.any():
                assert not got.any()
                continue
            seen += 1
            # TensorFlow enlarges it, to the part of the image that the network looks at.
            large = tf.image.resize(small[..., None], (crop, crop)).numpy()[..., 0]
            expected = np.pad(large, border)
            assert got.max() > 0
            np.testing.assert_allclose(got / got.max(), expected / expected.max(), atol=1e-4)
    assert seen >= 5


@pytest.mark.parametrize("kind", ["occlusion", "gradcam"])
def test_a_map_turns_with_its_image(pipeline, kind):
    network = oracles.load(pipeline.models / "cnn/classifier.keras")
    image = oracles.Parts(pipeline).of("test")[0][5]
    whole = maps.draw(kind, network, image, 4)
    assert np.ptp(whole) > 0
    turned = maps.draw(kind, network, np.rot90(image)[:, ::-1], 4)
    expected = np.rot90(whole)[:, ::-1]
    np.testing.assert_allclose(turned, expected, atol=1e-5 * max(1, np.ptp(whole)))
    assert not np.allclose(turned, whole, atol=1e-3 * np.ptp(whole))


def test_the_eight_views_are_averaged_and_not_added_up(blot):
    """CountsDark sees the same in all views, so their mean is the map of one."""
    one = maps.occlusion(CountsDark(), blot, 2)
    np.testing.assert_allclose(maps.draw("occlusion", CountsDark(), blot, 2), one, atol=1e-7)
