"""Distances of image sets against SciPy and prdc; copies of training images are flagged and unseen
images are not. Which images enter each distance is checked on tables where brightness tells an
image's part and half.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
from prdc import compute_prdc

from lesiongan.data import near_duplicates, split
from lesiongan.data.tables import Table
from lesiongan.measures import bootstrap, distances, memorisation, synthetic_quality
from lesiongan.measures.judge import Judge


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
    # Closed form.
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
    # Without replacement where there are enough.
    assert len(set(at[labels[at] == 4])) == 40


def smooth_images(rng, n):
    """Random pictures with structure at the scale of lesions."""
    coarse = rng.integers(60, 200, (n, 7, 7, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def test_copies_of_lesions_are_flagged():
    """Lesions look alike, so the threshold is tight: turned, shifted and noisy copies must still
    fall below it.
    """
    from lesiongan.data.classes import class_counts
    from lesiongan.phantom import draw_table

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
        m = memorisation.memorisation(
            fake, y[at], train, y, lesions[~held], images[held], lesions[held]
        )
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
    noisy = np.clip(
        train[150:200].astype(int) + rng.integers(-15, 16, (50, 28, 28, 3)), 0, 255
    ).astype(np.uint8)
    fake = np.concatenate([plain, turned, shifted, noisy, fresh])
    fake_labels = np.concatenate([labels[:200], np.arange(200) % 7])
    m = memorisation.memorisation(
        fake, fake_labels, train, labels, lesions, held_out, 1000 + np.arange(300)
    )
    flagged = m["distance"] < m["threshold"]
    assert flagged[:200].mean() > 0.99
    assert flagged[200:].mean() < 0.05
    np.testing.assert_array_equal(m["position"][:200], np.arange(200))
    assert all(0.4 < v["flagged"].mean() < 0.6 for v in m["by_class"].values())


def test_photographs_of_the_same_lesion_do_not_set_the_class_threshold():
    rng = np.random.default_rng(0)
    base = smooth_images(rng, 60)
    # Every lesion photographed twice, identically.
    train = np.concatenate([base, base])
    lesions, labels = np.tile(np.arange(60), 2), np.zeros(120, int)
    others, names = smooth_images(rng, 50), 1000 + np.arange(50)
    m = memorisation.memorisation(base[:5], np.zeros(5, int), train, labels, lesions, others, names)
    assert m["by_class"]["akiec"]["threshold"] > 50
    assert m["by_class"]["akiec"]["flagged"].all()
    assert m["by_class"]["nv"] is None
    # nor the overall one, where a leaky split has photographs of one lesion on both sides
    held_out, held_lesions = np.concatenate([others, base]), np.concatenate([names, np.arange(60)])
    leaky = memorisation.memorisation(
        base[:5], np.zeros(5, int), train, labels, lesions, held_out, held_lesions
    )
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
    _, low, high = bootstrap.with_intervals(
        lambda w: {"a": (w * flags).sum(axis=1) / w.sum(axis=1)}, lesions
    )["a"]
    assert found["high"] - found["low"] == pytest.approx(high - low, rel=0.1)


def test_diversity_counts_each_real_lesion_once():
    """Repeated photographs of a lesion must not make the real images look alike."""
    x = np.random.default_rng(0).standard_normal((30, 4))
    labels, lesions = np.zeros(30, int), np.arange(30).astype(str)
    twice = [np.concatenate([a, a]) for a in (x, labels, lesions)]
    found = synthetic_quality.diversity(x, labels, *twice, "test", draws=20)["akiec"]
    assert found["value"] == pytest.approx(1)
    assert found["real_n"] == 30
    collapsed = synthetic_quality.diversity(x[:1] + 0.01 * x, labels, *twice, "test", draws=20)[
        "akiec"
    ]
    assert collapsed["high"] < 0.1
    assert synthetic_quality.diversity(x, labels, *twice, "test", draws=20)["mel"]["value"] is None


def test_neighbour_ratios_are_one_for_real_images_and_fall_for_a_collapsed_set():
    rng = np.random.default_rng(0)
    held_out, half_b, fake = rng.standard_normal((3, 200, 4))
    found = synthetic_quality.compare_neighbours(held_out, fake, half_b, rng)
    assert found["coverage_ratio"][0] == pytest.approx(1, abs=0.1)
    assert found["density_ratio"][0] == pytest.approx(1, abs=0.25)
    assert found["coverage_ratio"][0] == pytest.approx(
        found["coverage"][0] / found["coverage_half_b"][0]
    )
    collapsed = synthetic_quality.compare_neighbours(held_out, fake[:1] + 0.01 * fake, half_b, rng)
    assert collapsed["coverage_ratio"][0] < 0.2
    assert synthetic_quality.compare_neighbours(held_out[:4], fake, half_b, rng) == {}


@pytest.mark.parametrize("n", [10, 286])
def test_an_interval_of_a_share_holds_the_share(n):
    for flags in (np.ones(n, bool), np.zeros(n, bool)):
        found = synthetic_quality.share_of(flags, "p")
        assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    half = synthetic_quality.share_of(np.arange(100) < 50, "p")
    # Wilson 1927, by statsmodels.
    assert (half["low"], half["high"]) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_agreement_is_the_share_of_a_labels_images_that_get_it_and_not_of_a_decisions():
    """Four of ten images of class 0 are seen as 0, beside two of class 1: a share of .4, where
    precision would be 2/3.
    """
    seen = np.array([0] * 4 + [1] * 6 + [0] * 2 + [1] * 18)
    labels = np.array([0] * 10 + [1] * 20)
    real_seen, real_labels = np.array([0, 0, 0, 1, 1, 1, 0, 0]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    answers = {30: seen, 8: real_seen}
    judge = SimpleNamespace(decide=lambda images: answers[len(images)])
    synthetic = SimpleNamespace(images=np.zeros(30), labels=labels)
    found = synthetic_quality.label_agreement(
        judge, synthetic, np.zeros(8), real_labels, np.arange(8), "p"
    )
    assert (found["akiec"]["value"], found["akiec"]["n"]) == (0.4, 10)
    assert (found["bcc"]["value"], found["bcc"]["n"]) == (0.9, 20)
    assert (found["akiec"]["real_recall"]["value"], found["bcc"]["real_recall"]["value"]) == (
        0.75,
        0.5,
    )
    assert found["akiec"]["se_of_difference"] == pytest.approx(
        np.sqrt(0.24 / 10 + found["akiec"]["real_recall"]["se"] ** 2)
    )
    assert found["mel"]["value"] is None


# Brightness of half A, half B, val and test.
LEVELS = {"a": 40, "b": 100, "val": 220, "test": 104}


@pytest.fixture
def bright():
    """(inputs, judge): 2100 lesions whose brightness tells their half or part.

    The judge's features are three brightnesses.
    """
    rng = np.random.default_rng(0)
    n = 2100
    labels = np.repeat(np.arange(7), 300).astype(np.int32)
    names = np.array([f"L{i}" for i in range(n)])
    table = Table(
        "t.csv",
        "hmnist_28_28_RGB",
        np.zeros((n, 28, 28, 3), np.uint8),
        labels,
        "s",
        np.arange(n),
        names,
    )
    parts = split.split_table(table)
    a = split.half_a(table, parts)
    where = np.where(parts == "train", np.where(a, "a", "b"), parts)
    level = np.array([LEVELS[w] for w in where])[:, None] + rng.normal(0, 5, (n, 3))
    table.images += np.rint(np.clip(level, 0, 255)).astype(np.uint8)[:, None, None]

    class Inputs:
        split, data, data_note = {"protocol": "p"}, {}, ""

        def part(self, name):
            return table.images[parts == name], labels[parts == name]

        def lesions(self, name):
            return names[parts == name]

    def features(images):
        return images.reshape(len(images), -1, 3).mean(axis=1)

    inputs = Inputs()
    inputs.table, inputs.parts = table, parts
    judge = SimpleNamespace(held_out="test", floor=(parts == "train") & ~a, features=features)
    return inputs, judge


def test_distances_are_from_synthetic_and_from_half_b_to_the_held_out_part(bright):
    inputs, judge = bright
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(7), 120)
    images = np.rint(130 + rng.normal(0, 5, (840, 1, 1, 3))).astype(np.uint8) + np.zeros(
        (1, 28, 28, 1), np.uint8
    )
    synthetic = SimpleNamespace(images=images, labels=labels)
    test = judge.features(inputs.part("test")[0])
    fake = judge.features(images)
    n, found, by_class = synthetic_quality.measure_distances(
        inputs, synthetic, judge, None, fake, test, by_class=True
    )
    # The whole of half B.
    assert n == 735
    # Of means 26 and 4 apart in each of three directions, of equal spread:
    assert found["frechet"]["value"] == pytest.approx(3 * 26**2, rel=0.03)
    assert found["frechet_floor"]["value"] == pytest.approx(3 * 4**2, rel=0.15)
    assert found["frechet_ratio"]["value"] == pytest.approx(
        found["frechet"]["value"] / found["frechet_floor"]["value"], rel=0.01
    )
    assert found["kid"]["value"] > found["kid_floor"]["value"] > 0
    for name in ("precision", "recall", "density", "coverage"):
        assert found[name]["value"] < 0.1 < 0.5 < found[f"{name}_half_b"]["value"], name
    assert found["coverage_ratio"]["value"] < 0.1
    for c in ("akiec", "nv", "mel"):
        assert by_class[c]["coverage_ratio"]["value"] < 0.1
        # The held-out images of the class, and as many of the others.
        assert by_class[c]["coverage"]["n"] == 60
    good = SimpleNamespace(
        images=np.where(labels[:, None, None, None] == 4, images - 30, images), labels=labels
    )
    _, _, by_class = synthetic_quality.measure_distances(
        inputs, good, judge, None, judge.features(good.images), test
    )
    found_good = {c: d["coverage_ratio"]["value"] for c, d in by_class.items()}
    # Its images are where half B's are.
    assert found_good["nv"] == pytest.approx(1, abs=0.15)
    assert max(v for c, v in found_good.items() if c != "nv") < 0.1
    # The same from a generator, which paints what it is asked for.
    painter = SimpleNamespace(
        inputs=(np.zeros((1, 3)), None),
        predict_on_batch=lambda x: np.clip(
            130 + 5 * x[0][:, None, None, :] + np.zeros((1, 28, 28, 1)), 0, 255
        ),
    )
    _, again, _ = synthetic_quality.measure_distances(inputs, synthetic, judge, painter, fake, test)
    assert again["frechet"]["value"] == pytest.approx(3 * 26**2, rel=0.03)


def test_images_are_drawn_in_the_class_mix_of_the_train_part(bright, monkeypatch):
    inputs, judge = bright
    inputs.table.labels[inputs.parts == "train"] = np.where(
        np.arange((inputs.parts == "train").sum()) % 4 == 0, 6, 4
    )
    asked, real = [], distances.draw_in_mix
    monkeypatch.setattr(
        distances,
        "draw_in_mix",
        lambda labels, mix, *a: asked.append((labels, mix)) or real(labels, mix, *a),
    )
    painter = SimpleNamespace(inputs=(np.zeros((1, 3)), None), drawn=[])
    painter.predict_on_batch = lambda x: (
        painter.drawn.append(x[1]) or np.zeros((len(x[1]), 28, 28, 3))
    )
    test = judge.features(inputs.part("test")[0])
    synthetic_quality.measure_distances(inputs, None, judge, painter, None, test, by_class=False)
    mix = np.bincount(inputs.table.labels[inputs.parts == "train"], minlength=7)
    assert len(asked) == synthetic_quality.DRAWS
    for labels, wanted in asked:
        np.testing.assert_array_equal(labels, inputs.table.labels[judge.floor])
        np.testing.assert_array_equal(wanted, mix)
    drawn = np.bincount(np.concatenate(painter.drawn), minlength=7)
    # The generator is asked for the same mix.
    np.testing.assert_allclose(drawn / drawn.sum(), mix / mix.sum(), atol=0.01)


def test_the_judges_components_are_of_half_a_and_its_floor_is_half_b(bright):
    import keras
    from keras import layers

    inputs, _ = bright
    image = keras.Input((28, 28, 3))
    x = layers.GlobalAveragePooling2D(name="features")(image)
    model = keras.Model(image, layers.Dense(7)(x))
    judge = Judge(model, inputs)
    floor = inputs.table.images[judge.floor]
    assert floor.mean() == pytest.approx(LEVELS["b"], abs=1)
    np.testing.assert_allclose(judge.components.mean, np.full(3, LEVELS["a"]), atol=1)
    assert judge.floor.sum() == 735
    assert judge.held_out == "test"
    # All sets are measured from the same origin: half A's mean.
    np.testing.assert_allclose(
        np.linalg.norm(judge.features(floor).mean(axis=0)), np.sqrt(3) * 60, rtol=0.03
    )
    other = Judge(model, inputs, half=inputs.parts == "val", held_out="val")
    np.testing.assert_allclose(other.components.mean, np.full(3, LEVELS["val"]), atol=2)
    assert (other.floor == (inputs.parts == "train")).all()


def test_a_copy_of_an_image_of_another_class_is_memorised_but_not_within_its_class():
    rng = np.random.default_rng(0)
    train, held_out = smooth_images(rng, 80), smooth_images(rng, 50)
    labels = np.arange(80) % 2
    # Two of class 1 and one of class 0, all said to be of class 0.
    fake = train[[1, 3, 0]]
    m = memorisation.memorisation(
        fake, np.zeros(3, int), train, labels, np.arange(80), held_out, 100 + np.arange(50)
    )
    assert (m["distance"] < m["threshold"]).all()
    assert m["position"].tolist() == [1, 3, 0]
    assert m["by_class"]["akiec"]["flagged"].tolist() == [False, False, True]
    assert m["by_class"]["bcc"] is None


def test_the_nearest_image_is_found_under_every_flip_and_turn():
    rng = np.random.default_rng(0)
    images = smooth_images(rng, 30)
    for view in near_duplicates.dihedral_views(images):
        distance, at = memorisation.nearest(np.ascontiguousarray(view[::-1]), images)
        np.testing.assert_array_equal(at, np.arange(30)[::-1])
        assert distance.max() < 1e-3


def test_intervals_over_draws_are_students_and_no_draw_is_repeated(bright, monkeypatch):
    import scipy.stats

    values = [3.0, 4.5, 2.5, 4.0, 3.5]
    found = synthetic_quality.mean_of_draws(values, 9, "p")
    expected = scipy.stats.t.interval(0.95, 4, np.mean(values), scipy.stats.sem(values))
    assert (found["low"], found["high"]) == pytest.approx(expected, rel=1e-3)
    assert (found["value"], found["n"], found["std"]) == (
        3.5,
        9,
        pytest.approx(np.std(values, ddof=1)),
    )
    inputs, judge = bright
    drawn, latents, real = [], [], distances.draw_in_mix
    monkeypatch.setattr(distances, "draw_in_mix", lambda *a: drawn.append(real(*a)) or drawn[-1])
    painter = SimpleNamespace(inputs=(np.zeros((1, 3)), None))
    painter.predict_on_batch = lambda x: (
        latents.append(x[0].tobytes()) or np.zeros((len(x[1]), 28, 28, 3))
    )
    monkeypatch.setattr(synthetic_quality, "IMAGES", 200)
    test = judge.features(inputs.part("test")[0])
    synthetic_quality.measure_distances(inputs, None, judge, painter, None, test, by_class=False)
    assert len({d.tobytes() for d in drawn}) == synthetic_quality.DRAWS == len(drawn)
    assert len(set(latents)) == len(latents)


def test_the_interval_of_the_diversity_is_the_middle_95_percent_of_a_bootstrap_over_both_sets():
    from scipy.spatial.distance import pdist

    rng = np.random.default_rng(0)
    fake, real = rng.standard_normal((40, 4)), rng.standard_normal((50, 4))
    zeros = [np.zeros(n, int) for n in (40, 50)]
    found = synthetic_quality.diversity(
        fake, zeros[0], real, zeros[1], np.arange(50), "p", draws=2000
    )["akiec"]

    # Of the pairs of different images in a resample.
    def spread(x):
        d = pdist(x[rng.integers(len(x), size=len(x))])
        return d[d > 0].mean()

    ratios = [spread(fake) / spread(real) for _ in range(1000)]
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert found["high"] - found["low"] == pytest.approx(high - low, rel=0.15)
    assert found["low"] < found["value"] < found["high"]


def test_memorisation_passes_over_photographs_of_the_held_out_lesion_itself(
    bright, tmp_path, monkeypatch
):
    """A leaky split has lesions on both sides."""
    inputs, _ = bright
    asked = []

    def stop(*given):
        asked.extend(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(memorisation, "memorisation", stop)
    synthetic = SimpleNamespace(images=np.zeros((3, 28, 28, 3), np.uint8), labels=np.arange(3))
    for part in ("test", "val"):
        asked.clear()
        with pytest.raises(KeyboardInterrupt):
            synthetic_quality.report_memorisation(inputs, synthetic, part, tmp_path / "nearest.csv")
        wanted = (
            synthetic.images,
            synthetic.labels,
            *inputs.part("train"),
            inputs.lesions("train"),
            inputs.part(part)[0],
            inputs.lesions(part),
        )
        for a, b in zip(asked, wanted, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_error_of_a_recall_on_photographs_of_one_lesion_is_a_number():
    found = synthetic_quality.share_over_lesions(
        np.array([True, False, True]), np.array(["a", "a", "a"]), "p"
    )
    assert (found["value"], found["n"]) == (pytest.approx(2 / 3), 3)
    assert np.isfinite([found["se"], found["low"], found["high"]]).all()


def test_the_memorised_share_of_a_class_is_of_what_was_flagged_within_it(
    bright, tmp_path, monkeypatch
):
    inputs, _ = bright
    distance, nothing = (
        np.array([1.0, 9.0, 9.0, 1.0]),
        dict.fromkeys(("bcc", "bkl", "df", "nv", "vasc", "mel")),
    )
    by_class = {
        "akiec": {"flagged": np.array([False, True, True, False]), "threshold": 5.0},
        **nothing,
    }
    found = {"threshold": 4.0, "by_class": by_class, "distance": distance, "position": np.arange(4)}
    monkeypatch.setattr(memorisation, "memorisation", lambda *a: found)
    synthetic = Table(
        "t", "", np.zeros((4, 28, 28, 3), np.uint8), np.zeros(4, int), "", np.arange(4)
    )
    synthetic.labels = np.array([0, 0, 0, 0])
    report = synthetic_quality.report_memorisation(
        inputs, synthetic, "test", tmp_path / "nearest.csv"
    )
    assert (report["value"], report["n"], report["threshold"]) == (0.5, 4, 4.0)
    akiec = report["by_class"]["akiec"]
    assert (akiec["value"], akiec["n"], akiec["threshold"]) == (0.5, 4, 5.0)
    by_class["akiec"]["flagged"] = np.array([True, True, True, False])
    assert (
        synthetic_quality.report_memorisation(inputs, synthetic, "test", tmp_path / "nearest.csv")[
            "by_class"
        ]["akiec"]["value"]
        == 0.75
    )
    assert report["by_class"]["mel"]["value"] is None
