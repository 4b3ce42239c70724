"""Distances against SciPy and prdc; memorised copies must be flagged, unseen images must not."""

import numpy as np
import pytest
import scipy.linalg
from prdc import compute_prdc

import fidelity
import metrics
import synthetic_quality


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
    assert fidelity.frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)
    assert fidelity.frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    shifted = a + np.arange(8)
    assert fidelity.frechet_distance(a, shifted) == pytest.approx((np.arange(8) ** 2).sum())  # closed form


def test_kernel_distance_is_the_unbiased_estimate(clouds):
    a, b = clouds[0][:20], clouds[1][:15]

    def k(x, y):
        return (x @ y / 8 + 1) ** 3

    aa = np.mean([k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    bb = np.mean([k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    ab = np.mean([k(x, y) for x in a for y in b])
    assert fidelity.kernel_distance(a, b) == pytest.approx(aa + bb - 2 * ab)


def test_precision_recall_density_coverage_are_prdcs(clouds):
    expected = compute_prdc(*clouds, nearest_k=5)
    found = fidelity.prdc(*clouds)
    assert found == pytest.approx({k: float(v) for k, v in expected.items()})


def test_components_keep_distances_of_low_rank_features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 100))
    c = fidelity.Components(x, 5)(x)
    np.testing.assert_allclose(fidelity.squared_distances(c, c), fidelity.squared_distances(x, x), atol=1e-6)


def test_draw_in_mix_has_the_mix():
    labels = np.repeat(np.arange(7), [5, 50, 50, 50, 50, 50, 50])
    at = fidelity.draw_in_mix(labels, [1, 1, 1, 1, 10, 1, 1], 64, np.random.default_rng(0))
    counts = np.bincount(labels[at], minlength=7)
    assert counts.sum() == 64
    assert counts.tolist() == [4, 4, 4, 4, 40, 4, 4]
    assert len(set(at[labels[at] == 4])) == 40  # without replacement where there are enough


def smooth_images(rng, n):
    """Random pictures with structure at the scale of lesions."""
    coarse = rng.integers(60, 200, (n, 7, 7, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def test_copies_of_lesions_are_flagged():
    """Lesions look alike, so the threshold is tight: turned, shifted and noisy copies must still fall below it."""
    from ham10000 import class_counts
    from phantom import draw_table

    images, labels, meta = draw_table(500)
    lesions = np.array(meta["lesion_id"])
    held = np.isin(lesions, np.unique(lesions)[::4])
    train, y = images[~held], labels[~held]
    rng = np.random.default_rng(0)
    at = rng.permutation(len(train))[:80]
    copies = {
        "turned": np.rot90(train[at], axes=(1, 2)),
        "shifted": np.roll(train[at], 1, axis=2),
        "noisy": np.clip(train[at] + rng.normal(0, 8, train[at].shape), 0, 255).astype(np.uint8),
        "other": draw_table(300, seed=9)[0][:80],
    }
    share = {}
    for name, fake in copies.items():
        fake = np.ascontiguousarray(fake)
        m = fidelity.memorisation(fake, y[at], train, y, lesions[~held], images[held], lesions[held])
        share[name] = (m["distance"] < m["threshold"]).mean()
    assert class_counts(y).min() > 2
    assert share["turned"] == 1
    assert share["noisy"] > 0.95
    assert share["shifted"] > 0.5
    assert share["other"] < 0.1


def test_copies_are_flagged_and_unseen_images_are_not():
    rng = np.random.default_rng(0)
    train, held_out, fresh = (smooth_images(rng, n) for n in (400, 300, 200))
    labels, lesions = np.arange(400) % 7, np.arange(400)
    plain = train[:50]
    turned = np.rot90(train[50:100], axes=(1, 2))[:, :, ::-1]
    shifted = np.roll(train[100:150], 1, axis=2)
    noisy = np.clip(train[150:200].astype(int) + rng.integers(-15, 16, (50, 28, 28, 3)), 0, 255).astype(np.uint8)
    fake = np.concatenate([plain, turned, shifted, noisy, fresh])
    fake_labels = np.concatenate([labels[:200], np.arange(200) % 7])
    m = fidelity.memorisation(fake, fake_labels, train, labels, lesions, held_out, 1000 + np.arange(300))
    flagged = m["distance"] < m["threshold"]
    assert flagged[:200].mean() > 0.99
    assert flagged[200:].mean() < 0.05
    np.testing.assert_array_equal(m["position"][:200], np.arange(200))
    assert all(0.4 < v["flagged"].mean() < 0.6 for v in m["by_class"].values())


def test_photographs_of_the_same_lesion_do_not_set_the_class_threshold():
    rng = np.random.default_rng(0)
    base = smooth_images(rng, 60)
    train = np.concatenate([base, base])  # every lesion photographed twice, identically
    lesions, labels = np.tile(np.arange(60), 2), np.zeros(120, int)
    others, names = smooth_images(rng, 50), 1000 + np.arange(50)
    m = fidelity.memorisation(base[:5], np.zeros(5, int), train, labels, lesions, others, names)
    assert m["by_class"]["akiec"]["threshold"] > 50
    assert m["by_class"]["akiec"]["flagged"].all()
    assert m["by_class"]["nv"] is None
    # nor the overall one, where a leaky split has photographs of one lesion on both sides
    held_out, held_lesions = np.concatenate([others, base]), np.concatenate([names, np.arange(60)])
    leaky = fidelity.memorisation(base[:5], np.zeros(5, int), train, labels, lesions, held_out, held_lesions)
    assert leaky["threshold"] > 50


def test_recall_varies_between_lesions_not_photographs():
    flags = np.random.default_rng(0).random(400) < 0.7
    alone = synthetic_quality.share_over_lesions(flags, np.arange(400), "")
    assert alone["se"] == pytest.approx(np.sqrt(flags.mean() * (1 - flags.mean()) / 400), rel=0.01)
    fourfold = synthetic_quality.share_over_lesions(flags.repeat(4), np.arange(400).repeat(4), "")
    assert fourfold["se"] == pytest.approx(alone["se"], rel=0.01)
    # lesions of unequal size: as the bootstrap over lesions has it
    lesions = np.sort(np.random.default_rng(1).integers(0, 120, 400))
    found = synthetic_quality.share_over_lesions(flags, lesions, "")
    _, low, high = metrics.with_intervals(lambda w: {"a": (w * flags).sum(axis=1) / w.sum(axis=1)}, lesions)["a"]
    assert found["high"] - found["low"] == pytest.approx(high - low, rel=0.1)


def test_diversity_counts_each_real_lesion_once():
    """Repeated photographs of a lesion must not make the real images look alike."""
    x = np.random.default_rng(0).standard_normal((30, 4))
    labels, lesions = np.zeros(30, int), np.arange(30).astype(str)
    twice = [np.concatenate([a, a]) for a in (x, labels, lesions)]
    found = synthetic_quality.diversity(x, labels, *twice, "test", draws=20)["akiec"]
    assert found["value"] == pytest.approx(1)
    assert found["real_n"] == 30
    collapsed = synthetic_quality.diversity(x[:1] + 0.01 * x, labels, *twice, "test", draws=20)["akiec"]
    assert collapsed["high"] < 0.1
    assert synthetic_quality.diversity(x, labels, *twice, "test", draws=20)["mel"]["value"] is None


def test_neighbour_ratios_are_one_for_real_images_and_fall_for_a_collapsed_set():
    rng = np.random.default_rng(0)
    held_out, half_b, fake = rng.standard_normal((3, 200, 4))
    found = synthetic_quality.compare_neighbours(held_out, fake, half_b, rng)
    assert found["coverage_ratio"][0] == pytest.approx(1, abs=0.1)
    assert found["density_ratio"][0] == pytest.approx(1, abs=0.25)
    assert found["coverage_ratio"][0] == pytest.approx(found["coverage"][0] / found["coverage_half_b"][0])
    collapsed = synthetic_quality.compare_neighbours(held_out, fake[:1] + 0.01 * fake, half_b, rng)
    assert collapsed["coverage_ratio"][0] < 0.2
    assert synthetic_quality.compare_neighbours(held_out[:4], fake, half_b, rng) == {}


@pytest.mark.parametrize("n", [10, 286])
def test_an_interval_of_a_share_holds_the_share(n):
    for flags in (np.ones(n, bool), np.zeros(n, bool)):
        found = synthetic_quality.share_of(flags, "p")
        assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    half = synthetic_quality.share_of(np.arange(100) < 50, "p")
    assert (half["low"], half["high"]) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # Wilson 1927, by statsmodels
