"""Distances of sets of features, against SciPy, prdc and the formulas."""

import numpy as np
import pytest
import scipy.linalg
from prdc import compute_prdc

from lesiongan.measures import distances


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(8, 8))
    return rng.normal(size=(300, 8)) @ mix, rng.normal(size=(300, 8)) @ mix * 1.2 + 0.3


def test_frechet_distance_is_scipys(clouds):
    a, b = clouds
    sa, sb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(sa @ sb).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(sa + sb - 2 * root)
    assert distances.frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)
    assert distances.frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    shifted = a + np.arange(8)
    # For a mere shift the distance has a closed form.
    assert distances.frechet_distance(a, shifted) == pytest.approx((np.arange(8) ** 2).sum())


def test_kernel_distance_is_the_unbiased_estimate(clouds):
    a, b = clouds[0][:20], clouds[1][:15]

    def k(x, y):
        return (x @ y / 8 + 1) ** 3

    aa = np.mean([k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    bb = np.mean([k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    ab = np.mean([k(x, y) for x in a for y in b])
    assert distances.kernel_distance(a, b) == pytest.approx(aa + bb - 2 * ab)


def test_precision_recall_density_coverage_are_prdcs(clouds):
    expected = compute_prdc(*clouds, nearest_k=5)
    found = distances.prdc(*clouds)
    assert found == pytest.approx({k: float(v) for k, v in expected.items()})


def test_components_keep_distances_of_low_rank_features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 100))
    c = distances.Components(x, 5)(x)
    np.testing.assert_allclose(
        distances.squared_distances(c, c), distances.squared_distances(x, x), atol=1e-6
    )


def test_draw_in_mix_has_the_mix():
    labels = np.repeat(np.arange(7), [5, 50, 50, 50, 50, 50, 50])
    at = distances.draw_in_mix(labels, [1, 1, 1, 1, 10, 1, 1], 64, np.random.default_rng(0))
    counts = np.bincount(labels[at], minlength=7)
    assert counts.sum() == 64
    assert counts.tolist() == [4, 4, 4, 4, 40, 4, 4]
    # Images are drawn without replacement where there are enough.
    assert len(set(at[labels[at] == 4])) == 40
