"""Several generators joined as one network: who draws which image, and that a file keeps it."""

import numpy as np
import pytest

import train_gan
from lesiongan.data.classes import CLASSES
from lesiongan.nets import (
    joined_generator,
    onnx_export,
    saved_models,
    selection,
    synthetic_set,
)
from lesiongan.run import keras_setup

LATENT = train_gan.LATENT


@pytest.fixture(scope="module")
def members():
    keras_setup.seed_everything(5)
    return [train_gan.build_generator(8) for _ in range(3)]


@pytest.fixture(scope="module")
def joined(members):
    return joined_generator.join(members)


def draw_inputs(n, count=3):
    """Latents float32 (n, 64 + count) and labels int32 (n,)."""
    rng = np.random.default_rng(1)
    latents = rng.standard_normal((n, LATENT + count)).astype(np.float32)
    return latents, (np.arange(n) % len(CLASSES)).astype(np.int32)


def test_the_largest_of_the_last_numbers_says_which_generator_draws(members, joined):
    latents, labels = draw_inputs(84)
    images = joined.predict_on_batch([latents, labels])
    # The members' latents are a twentieth wider than in training.
    own = np.float32(1.05) * latents[:, :LATENT]
    theirs = np.stack([m.predict_on_batch([own, labels]) for m in members])
    chosen = latents[:, LATENT:].argmax(axis=1)
    assert set(chosen) == {0, 1, 2}
    np.testing.assert_allclose(images, theirs[chosen, np.arange(84)], rtol=0, atol=1e-3)
    # Members differ by far more than that, so that the comparison tells them apart.
    assert np.abs(theirs[0] - theirs[1]).max(axis=(1, 2, 3)).min() > 0.1


def test_members_are_counted(members, joined):
    assert joined_generator.count_members(joined) == 3
    assert joined_generator.count_members(members[0]) == 1
    assert [joined_generator.own_width(g) for g in (joined, members[0])] == [1.05, 1.0]


def test_candidates_of_a_joined_generator_begin_as_wide_as_in_training(joined):
    learned = selection.ClassMeans(np.zeros((7, 190)), np.zeros(7, int))
    asked = synthetic_set.Drawing(candidates=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "read_published", lambda: learned)
        drawn_by = asked.apply(joined, None, "published")
    np.testing.assert_allclose(1.05 * drawn_by.scales, np.linspace(1, 1.2, 4), rtol=1e-6)


def test_equal_numbers_choose_one_generator_too(members, joined):
    latents, labels = draw_inputs(7)
    latents[:, LATENT:] = 0.5
    images = joined.predict_on_batch([latents, labels])
    first = members[0].predict_on_batch([np.float32(1.05) * latents[:, :LATENT], labels])
    np.testing.assert_allclose(images, first, rtol=0, atol=1e-3)


def test_a_saved_file_and_its_onnx_form_draw_the_same(joined, tmp_path):
    saved_models.save(tmp_path / "generator.keras", joined)
    loaded = saved_models.load_generator(tmp_path / "generator.keras")
    assert loaded.inputs[0].shape == (None, LATENT + 3)
    latents, labels = draw_inputs(40)
    expected = joined.predict_on_batch([latents, labels])
    np.testing.assert_array_equal(loaded.predict_on_batch([latents, labels]), expected)
    onnxruntime = pytest.importorskip("onnxruntime")
    onnx_export.export(tmp_path / "generator.onnx", loaded, CLASSES)
    session = onnxruntime.InferenceSession(tmp_path / "generator.onnx")
    assert [o.name for o in session.get_outputs()] == ["image"]
    (found,) = session.run(None, {"latent": latents, "label": labels})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-2)
