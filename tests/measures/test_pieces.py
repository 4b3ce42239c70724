"""What is computed in pieces is what is computed at once, whatever the size of a piece."""

from types import SimpleNamespace

import numpy as np
import pytest

from lesiongan.measures import calibration, memorisation, mixtures
from lesiongan.nets import inference
from lesiongan.phantom import draw_table


@pytest.mark.parametrize("block", [7, 16, 512])
def test_a_lesions_own_photographs_are_passed_over_in_every_block(block):
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (30, 7, 7, 3)).repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
    # Each lesion is photographed twice, and the two photographs are thirty rows apart.
    images, lesions = np.concatenate([base, base]), np.tile(np.arange(30), 2)
    distance, at = memorisation.nearest(images, images, (lesions, lesions), block)
    coarse = base[:, ::4, ::4].astype(float)
    for i in range(60):
        own = i % 30
        views = [
            np.rot90(side, k) for side in (coarse[own], coarse[own][:, ::-1]) for k in range(4)
        ]
        between = np.min([np.sqrt(((coarse - v) ** 2).sum(axis=(1, 2, 3))) for v in views], axis=0)
        between[own] = np.inf
        assert distance[i] == pytest.approx(between.min(), rel=1e-4)
        assert at[i] % 30 == between.argmin()


def test_each_image_is_measured_against_its_own_lines_in_every_block(monkeypatch):
    images, _, meta = draw_table(60)
    measure = mixtures.ruler(images, np.array(meta["lesion_id"]))
    others, _, theirs = draw_table(40, seed=3)
    whole = measure(others, np.array(theirs["lesion_id"]))
    assert len(np.unique(whole)) == len(others)
    monkeypatch.setattr(mixtures, "BLOCK", 7)
    np.testing.assert_allclose(measure(others, np.array(theirs["lesion_id"])), whole, rtol=1e-5)


class Told:
    """A network whose logits are what it was told, and the brightness of the image."""

    def predict_on_batch(self, x):
        return np.stack([x["age"], x["sex"], x["site"], x["image"][:, 0, 0, 0]], axis=1)


def test_an_image_keeps_its_own_age_sex_and_site_in_every_batch():
    n = 1200
    known = {name: np.arange(n) + 10_000 * i for i, name in enumerate(("age", "sex", "site"))}
    images = np.zeros((n, 28, 28, 3), np.uint8) + (np.arange(n) % 251)[:, None, None, None].astype(
        np.uint8
    )
    for found in (
        inference.predict(Told(), images, known),
        inference.predict_views(Told(), images, 8, known),
    ):
        wanted = [*known.values(), np.arange(n) % 251]
        np.testing.assert_array_equal(found, np.stack(wanted, axis=1))


def test_the_temperature_of_a_clinical_network_is_fitted_with_what_is_known():
    """Its logits are three times too sure where the sex is known, and mean nothing elsewhere."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=(3000, 7)) * 1.5
    p = calibration.softmax(true)
    y = (rng.random((3000, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=6)

    def answer(x):
        return np.where(x["sex"][:, None] > 0, 3 * true[x["age"].astype(int)], 0)

    known = {"age": np.arange(3000), "sex": np.ones(3000), "site": np.zeros(3000)}
    network = SimpleNamespace(predict_on_batch=answer)
    images = np.zeros((3000, 28, 28, 3), np.uint8)
    t = calibration.fit_temperature(network, images, y, np.zeros(7), known)
    assert t == pytest.approx(3, rel=0.1)
