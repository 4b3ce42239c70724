"""Which images the patch distances and spectra of a synthetic set are taken from."""

from types import SimpleNamespace

import numpy as np
import pytest

from lesiongan.data import spectrum
from lesiongan.measures import shares, texture
from tests.measures.conftest import LEVELS


@pytest.fixture
def grainy(bright):
    """The inputs of `bright`, whose every image has white noise of deviation 10 over it."""
    inputs, _ = bright
    images = inputs.table.images
    noise = np.random.default_rng(1).normal(0, 10, images.shape)
    images[:] = np.rint(np.clip(images + noise, 0, 255)).astype(np.uint8)
    return inputs


def paint(level, deviation):
    """A generator that paints white noise about one brightness, whatever its label."""
    rng = np.random.default_rng(2)

    def draw(batch):
        return level + rng.normal(0, deviation, (len(batch[1]), 28, 28, 3))

    return SimpleNamespace(inputs=(np.zeros((1, 3)), None), predict_on_batch=draw)


def test_patches_are_compared_with_the_held_out_part_beside_half_b(grainy):
    near = paint(LEVELS["test"], 10)
    found = texture.measure_patches(grainy, None, near, "test", 300)
    # Half B lies 4 grey levels from the test part, half A 64; the noise is the same everywhere.
    assert found["swd_14_ratio"]["value"] < 0.9
    assert found["swd_14_control"]["value"] > 1.5
    assert found["swd_28_ratio"]["value"] == pytest.approx(1, abs=0.3)
    assert found["swd_28_control"]["value"] == pytest.approx(1, abs=0.3)
    assert found["swd_ratio"]["value"] == found["swd_28_ratio"]["value"]
    assert found["swd_ratio"]["level"] == 28
    assert found["swd_28"]["n"] == 300
    assert f"mean of {shares.DRAWS} draws" in found["swd_28"]["protocol"]
    # Against val, whose brightness is far from all others', every set is far.
    val = texture.measure_patches(grainy, None, near, "val", 300)
    assert val["swd_14"]["value"] > 1.5 * found["swd_14"]["value"]


def test_the_larger_ratio_is_the_one_that_counts(grainy):
    smooth = paint(LEVELS["test"], 2)
    found = texture.measure_patches(grainy, None, smooth, "test", 300)
    assert found["swd_ratio"]["value"] == found["swd_28_ratio"]["value"] > 3
    dark = paint(60, 10)
    found = texture.measure_patches(grainy, None, dark, "test", 300)
    assert found["swd_ratio"]["level"] == 14


def test_a_table_is_compared_in_the_train_parts_mix_of_the_classes_it_has(grainy):
    images, labels = grainy.part("train")
    nevi = SimpleNamespace(images=images[labels == 4], labels=labels[labels == 4])
    found = texture.measure_patches(grainy, nevi, None, "test", 300)
    # 105 nevi are in each half of the train part.
    assert found["swd_28"]["n"] == 105
    few = SimpleNamespace(images=images[:3], labels=labels[:3])
    none = texture.measure_patches(grainy, few, None, "test", 300)
    assert none["swd_ratio"]["value"] is None
    assert "only 3 images" in none["swd_ratio"]["reason"]


def test_a_spectrum_is_over_that_of_the_same_class_of_the_train_part(grainy):
    images, labels = grainy.table.images, grainy.table.labels
    melanomas = (labels == 6) & (grainy.parts == "train")
    wave = np.rint(20 * np.cos(2 * np.pi * 9 * np.arange(28) / 28)).astype(int)
    images[melanomas] = np.clip(images[melanomas] + wave[:, None, None], 0, 255)
    plain = paint(100, 10)
    nevus = texture.measure_spectrum(grainy, None, plain, "test", 4)
    assert nevus["to_train"] == pytest.approx(np.ones(14), abs=0.15)
    melanoma = texture.measure_spectrum(grainy, None, plain, "test", 6)
    assert melanoma["deviation"]["radius"] == 9
    deviation = melanoma["deviation"]
    assert (
        deviation["low"] < deviation["value"] == melanoma["to_train"][8] < deviation["high"] < 0.2
    )
    assert np.delete(melanoma["to_train"], 8) == pytest.approx(np.ones(13), abs=0.15)
    # The test part's melanomas have no wave, so real images differ from real ones there.
    assert melanoma["to_held_out"] == pytest.approx(np.ones(14), abs=0.2)
    real = melanoma["real_to_held_out"]
    assert real["low"][8] > 5
    assert np.mean((real["low"] <= 1) & (real["high"] >= 1)) >= 0.8
    assert (real["low"] <= real["ratio"]).all()
    assert (real["ratio"] <= real["high"]).all()
    assert melanoma["n"] == texture.PER_CLASS
    assert melanoma["n_train"] == melanomas.sum()


def test_the_interval_of_real_images_is_over_lesions_not_photographs(grainy, monkeypatch):
    alone = texture.measure_spectrum(grainy, None, paint(100, 10), "test", 4)
    real_lesions = grainy.lesions

    # With ten photographs of a lesion there are fewer lesions, and the interval is wider.
    def lesions(part):
        return np.repeat(real_lesions(part), 10)[: len(real_lesions(part))]

    images, labels = grainy.part("test")
    scale = np.repeat(np.random.default_rng(3).uniform(0.5, 2, len(images)), 10)[: len(images)]
    many = np.clip(128 + (images - 100.0) * scale[:, None, None, None], 0, 255)

    def part(name):
        return (many, labels) if name == "test" else (images, labels)

    monkeypatch.setattr(grainy, "part", part)
    monkeypatch.setattr(grainy, "lesions", lambda name: real_lesions("test"))
    each = texture.measure_spectrum(grainy, None, paint(100, 10), "test", 4)
    monkeypatch.setattr(grainy, "lesions", lambda name: lesions("test"))
    grouped = texture.measure_spectrum(grainy, None, paint(100, 10), "test", 4)

    def width(found):
        return np.mean(found["real_to_held_out"]["high"] - found["real_to_held_out"]["low"])

    assert width(grouped) > 1.5 * width(each)
    assert width(alone) < width(grouped)


def test_a_table_without_a_class_says_so_there(grainy):
    images, labels = grainy.part("train")
    made = SimpleNamespace(images=images[labels != 3], labels=labels[labels != 3])
    found = texture.report(grainy, made, None, "test", 100)
    assert set(found) == {"patches", "spectrum"}
    assert found["spectrum"]["df"]["deviation"]["value"] is None
    assert "0 synthetic" in found["spectrum"]["df"]["deviation"]["reason"]
    # These are the train part's own images.
    assert found["spectrum"]["nv"]["to_train"] == pytest.approx(np.ones(14))
    np.testing.assert_array_equal(found["spectrum"]["nv"]["radius"], spectrum.RADII)
