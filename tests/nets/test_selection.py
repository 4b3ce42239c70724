"""Keeping one of several candidates: what is kept has the mean features of real images."""

import numpy as np
import pytest
from scipy import special

from lesiongan.data import spectrum
from lesiongan.nets import drawing, selection


def test_weights_give_what_is_kept_the_mean_of_the_target():
    """The probabilities come from SciPy's softmax, so the fit is checked from outside."""
    rng = np.random.default_rng(0)
    groups, target = rng.normal(size=(3000, 8, 3)), np.array([0.5, -0.3, 0.0])
    weights = selection.match_means(groups, target, 1e-9)
    odds = special.softmax(groups @ weights, axis=1)
    kept = (odds[..., None] * groups).sum(axis=1).mean(axis=0)
    np.testing.assert_allclose(kept, target, atol=1e-4)


def test_the_fit_finds_the_weights_that_drew_the_images():
    """Images chosen by known weights have means from which the same weights follow."""
    rng = np.random.default_rng(1)
    true, groups = np.array([1.0, -0.5]), rng.normal(size=(40000, 5, 2))
    odds = special.softmax(groups @ true, axis=1)
    at = (odds.cumsum(axis=1) > rng.random((len(odds), 1))).argmax(axis=1)
    drawn = groups[np.arange(len(groups)), at]
    fresh = rng.normal(size=(40000, 5, 2))
    found = selection.match_means(fresh, drawn.mean(axis=0), 1e-9)
    np.testing.assert_allclose(found, true, atol=0.05)


def test_a_ridge_takes_weights_towards_none():
    groups, target = np.random.default_rng(2).normal(size=(500, 4, 2)), np.array([0.5, 0.5])
    sizes = [np.abs(selection.match_means(groups, target, r)).sum() for r in (1e-9, 0.1, 10, 1e6)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1e-5


class Dimmer:
    """A generator whose images are noise as strong as the first latent number says.

    Class 0 is the darker one. It counts what it was asked for.
    """

    inputs = (np.zeros((1, 64)), np.zeros(1))

    def __init__(self):
        self.asked = 0

    def predict_on_batch(self, inputs):
        z, y = inputs
        assert z.dtype == np.float32
        assert y.dtype == np.int32
        self.asked += len(y)
        rng = np.random.default_rng(7)
        noise = rng.normal(size=(len(y), 28, 28, 3))
        strength = 20 + 5 * np.tanh(z[:, 0])[:, None, None, None]
        return (100 + 40 * y[:, None, None, None] + strength * noise).astype(np.float32)


def real_images(strength, n=60):
    """Return images of two classes, noise of a strength, and their labels; one of a third class."""
    rng, labels = np.random.default_rng(3), np.repeat([0, 1, 2], [n, n, 1]).astype(np.int32)
    noise = rng.normal(size=(len(labels), 28, 28, 3))
    images = 100 + 40 * labels[:, None, None, None] + strength * noise
    return np.clip(np.rint(images), 0, 255).astype(np.uint8), labels


def learned(strength):
    return selection.ClassMeans.measure(*real_images(strength))


@pytest.fixture
def few(monkeypatch):
    """Weights are fitted to fewer candidates than in use."""
    monkeypatch.setattr(selection, "FITTED_TO", 800)


def test_images_are_kept_that_are_like_real_ones(few):
    """Real noise of 23 grey levels is stronger than the generator's 20 on average."""
    latents = np.random.default_rng(4).standard_normal((300, 64), dtype=np.float32)
    labels = np.tile(np.array([0, 1], np.int32), 150)
    plain = drawing.generate(Dimmer(), latents, labels)
    selected = selection.Selected(Dimmer(), 8, learned(23))
    kept = drawing.generate(selected, latents, labels)
    for code in (0, 1):
        spread = [images[labels == code].std(axis=(1, 2, 3)).mean() for images in (plain, kept)]
        assert spread[0] == pytest.approx(20, abs=0.6)
        assert spread[1] == pytest.approx(23, abs=0.6)
        assert kept[labels == code].mean() == pytest.approx(100 + 40 * code, abs=2)
    # The same latents give the same images.
    np.testing.assert_array_equal(drawing.generate(selected, latents, labels), kept)


def test_a_candidate_is_kept_in_proportion_to_its_odds():
    """Of two images, each bright in half of all cases, a bright one has three times the odds.

    Both are bright in a quarter of all cases, one of them in half: 1/4 + 1/2 x 3/4 are kept.
    """

    class Coin(Dimmer):
        def predict_on_batch(self, inputs):
            z, _ = inputs
            return np.where(z[:, :1, None, None] > 0, 200, 50) * np.ones((1, 28, 28, 3), np.float32)

    selected = selection.Selected(Coin(), 2, learned(23))
    selected.features = lambda images: (images[:, 0, 0, :1] > 100).astype(float)
    selected.fitted[0] = 0.0, 1.0, np.log([3.0])
    latents = np.random.default_rng(8).standard_normal((4000, 64), dtype=np.float32)
    kept = drawing.generate(selected, latents, np.zeros(4000, np.int32))
    assert (kept[:, 0, 0, 0] > 100).mean() == pytest.approx(0.625, abs=0.03)


def test_a_class_of_few_images_is_drawn_as_it_comes(few):
    generator = Dimmer()
    selected = selection.Selected(generator, 4, learned(23))
    latents = np.random.default_rng(5).standard_normal((30, 64), dtype=np.float32)
    images = drawing.generate(selected, latents, np.full(30, 2, np.int32))
    assert generator.asked == 4 * 30
    assert selected.fitted == {2: None}
    assert images.mean() == pytest.approx(180, abs=2)


def test_candidates_are_independent_of_each_other_and_of_their_neighbours():
    selected = selection.Selected(Dimmer(), 6, learned(23))
    z = np.random.default_rng(6).standard_normal((400, 64), dtype=np.float32)
    latents = np.stack([selected.draw(np.random.default_rng(x.view(np.uint32))) for x in z])
    assert latents.shape == (400, 6, 64)
    np.testing.assert_allclose(
        latents.std(axis=(0, 2)), np.linspace(1, selection.WIDEST, 6), rtol=0.02
    )
    between = np.corrcoef(np.concatenate([latents[:, :, 0], z[:, :1]], axis=1).T)
    assert np.abs(between - np.eye(7)).max() < 0.2


def test_what_is_learned_is_the_mean_of_each_class_and_survives_a_file(tmp_path):
    images, labels = real_images(23)
    found = learned(23)
    features = selection.Features(selection.build_random_features())(images)
    for code in (0, 1, 2):
        mean = features[labels == code].mean(axis=0)
        np.testing.assert_allclose(found.means[code], mean, rtol=1e-9)
    assert found.images.tolist() == [60, 60, 1, 0, 0, 0, 0]
    assert not found.means[3:].any()
    found.write(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        np.testing.assert_array_equal(file["means"], found.means)
        np.testing.assert_array_equal(file["images"], found.images)


def test_candidates_of_a_generator_that_widens_by_itself_are_no_wider():
    one, wide = (selection.Selected(Dimmer(), 5, learned(23), w) for w in (1.0, 1.1))
    np.testing.assert_allclose(1.1 * wide.scales, one.scales, rtol=1e-6)
    rngs = (np.random.default_rng(9) for _ in range(2))
    drawn = [s.draw(rng) for s, rng in zip((one, wide), rngs, strict=True)]
    np.testing.assert_allclose(1.1 * drawn[1], drawn[0], rtol=1e-6)


def test_random_features_are_the_same_in_every_run_and_on_every_backend():
    """A plain convolution in NumPy gives the first layer's means."""
    images, _ = real_images(23, 3)
    network = selection.build_random_features()
    found = network.predict_on_batch(images.astype(np.float32))
    assert found.shape == (7, 176)
    kernel, bias = network.layers[2].get_weights()
    padded = np.pad(images / 64 - 2, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    x = np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias
    np.testing.assert_allclose(
        found[:, :48], np.where(x > 0, x, 0.1 * x).mean(axis=(1, 2)), rtol=1e-4, atol=1e-4
    )
    again = selection.build_random_features().predict_on_batch(images.astype(np.float32))
    np.testing.assert_array_equal(again, found)


def test_features_hold_the_power_spectrum_before_the_random_ones():
    images, _ = real_images(23, 3)
    found = selection.Features(selection.build_random_features())(images)
    assert found.shape == (7, 190)
    np.testing.assert_allclose(found[:, :14], spectrum.ring_powers(images), rtol=1e-9)
