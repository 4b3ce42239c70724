"""Which images enter each distance, and the intervals of distances, shares and diversity.

The images are told apart on a table where brightness tells an image's part and half.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

from lesiongan.measures import bootstrap, distances, shares, synthetic_quality
from lesiongan.measures.judge import Judge
from tests.measures.conftest import LEVELS


def test_recall_varies_between_lesions_not_photographs():
    flags = np.random.default_rng(0).random(400) < 0.7
    alone = shares.share_over_lesions(flags, np.arange(400), "")
    assert alone["se"] == pytest.approx(np.sqrt(flags.mean() * (1 - flags.mean()) / 400), rel=0.01)
    fourfold = shares.share_over_lesions(flags.repeat(4), np.arange(400).repeat(4), "")
    assert fourfold["se"] == pytest.approx(alone["se"], rel=0.01)
    # For lesions of unequal size the interval is as the bootstrap over lesions has it.
    lesions = np.sort(np.random.default_rng(1).integers(0, 120, 400))
    found = shares.share_over_lesions(flags, lesions, "")
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
        found = shares.share_of(flags, "p")
        assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    half = shares.share_of(np.arange(100) < 50, "p")
    # These are the ends of Wilson 1927, by statsmodels.
    assert (half["low"], half["high"]) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_agreement_is_the_share_of_a_labels_images_that_get_it_and_not_of_a_decisions():
    """Four of ten images of class 0 are seen as 0, beside two of class 1.

    That is a share of .4, where precision would be 2/3.
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
    # As many images are drawn as half B has in all.
    assert n == 735
    # The means are 26 and 4 apart in each of three directions, and the spreads are equal.
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
        # The n is that of the held-out images of the class, and as many of the others are drawn.
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
    # The distance is the same from a generator, which paints what it is asked for.
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
    assert len(asked) == shares.DRAWS
    for labels, wanted in asked:
        np.testing.assert_array_equal(labels, inputs.table.labels[judge.floor])
        np.testing.assert_array_equal(wanted, mix)
    drawn = np.bincount(np.concatenate(painter.drawn), minlength=7)
    # The generator is asked for the same mix.
    np.testing.assert_allclose(drawn / drawn.sum(), mix / mix.sum(), atol=0.01)


def test_no_real_image_of_half_b_is_drawn_twice_however_few_there_are(bright, monkeypatch):
    """Repeats would be each other's neighbours, and raise the floor."""
    inputs, judge = bright
    # Half B gets another mix than the train part: few of class 4, and none of class 5.
    labels = inputs.table.labels
    rare = np.flatnonzero(judge.floor & np.isin(labels, (4, 5)))
    labels[rare[9:]] = 6
    labels[rare[:9]] = 4
    chosen, real = [], distances.draw_in_mix
    monkeypatch.setattr(distances, "draw_in_mix", lambda *a: chosen.append(real(*a)) or chosen[-1])
    painter = SimpleNamespace(inputs=(np.zeros((1, 3)), None))
    painter.predict_on_batch = lambda x: np.zeros((len(x[1]), 28, 28, 3))
    test = judge.features(inputs.part("test")[0])
    n, *_ = synthetic_quality.measure_distances(
        inputs, None, judge, painter, None, test, by_class=False
    )
    assert n > 20
    for rows in chosen:
        assert len(set(rows)) == len(rows) == n
    assert not (labels[judge.floor][chosen[0]] == 5).any()


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


def test_intervals_over_draws_are_students_and_no_draw_is_repeated(bright, monkeypatch):
    import scipy.stats

    values = [3.0, 4.5, 2.5, 4.0, 3.5]
    found = shares.mean_of_draws(values, 9, "p")
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
    assert len({d.tobytes() for d in drawn}) == shares.DRAWS == len(drawn)
    assert len(set(latents)) == len(latents)


def test_the_interval_of_the_diversity_is_the_middle_95_percent_of_a_bootstrap_over_both_sets():
    from scipy.spatial.distance import pdist

    rng = np.random.default_rng(0)
    fake, real = rng.standard_normal((40, 4)), rng.standard_normal((50, 4))
    zeros = [np.zeros(n, int) for n in (40, 50)]
    found = synthetic_quality.diversity(
        fake, zeros[0], real, zeros[1], np.arange(50), "p", draws=2000
    )["akiec"]

    # The spread is over the pairs of different images in a resample.
    def spread(x):
        d = pdist(x[rng.integers(len(x), size=len(x))])
        return d[d > 0].mean()

    ratios = [spread(fake) / spread(real) for _ in range(1000)]
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert found["high"] - found["low"] == pytest.approx(high - low, rel=0.15)
    assert found["low"] < found["value"] < found["high"]


def test_the_error_of_a_recall_on_photographs_of_one_lesion_is_a_number():
    found = shares.share_over_lesions(np.array([True, False, True]), np.array(["a", "a", "a"]), "p")
    assert (found["value"], found["n"]) == (pytest.approx(2 / 3), 3)
    assert np.isfinite([found["se"], found["low"], found["high"]]).all()
    # One lesion says little.
    assert found["low"] < 0.2
    assert found["high"] > 0.9


@pytest.mark.parametrize("right", [True, False])
def test_a_share_of_all_or_none_has_an_interval_all_the_same(right):
    flags, lesions = np.full(20, right), np.arange(20) // 2
    found = shares.share_over_lesions(flags, lesions, "p")
    low, high = scipy.stats.binomtest(10 * right, 10).proportion_ci(0.95, "wilson")
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-9)
    assert found["se"] == pytest.approx((high - low) / (2 * 1.959964), rel=1e-5)
