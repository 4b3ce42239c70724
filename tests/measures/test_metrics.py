"""Every measure of a classifier is checked against scikit-learn or a closed form.

The bootstrap is checked against the binomial error.
"""

import numpy as np
import pytest
import sklearn.metrics as sk

from lesiongan.measures import bootstrap, metrics
from lesiongan.nets import inference
from tests import oracles
from tests.oracles import calibration_error


@pytest.fixture(params=[0, 1, 2])
def case(request):
    """(y, p, w): 300 images, 7 classes, one class absent, tied scores, integer weights."""
    rng = np.random.default_rng(request.param)
    y = rng.choice(6, 300, p=[0.05, 0.05, 0.1, 0.1, 0.6, 0.1])
    logits = rng.normal(size=(300, 7)) + 1.5 * np.eye(7)[y]
    p = np.exp(logits)
    # Rounding makes ties.
    p = np.round(p / p.sum(axis=1, keepdims=True), 2)
    return y, p / p.sum(axis=1, keepdims=True), rng.integers(0, 4, 300).astype(float)


def test_decisions_agree_with_scikit_learn(case):
    y, p, w = case
    decided = p.argmax(axis=1)
    matrix = metrics.confusion(y, decided, 7, w)
    np.testing.assert_allclose(
        matrix, sk.confusion_matrix(y, decided, labels=range(7), sample_weight=w)
    )
    found, each = metrics.summarise(matrix), metrics.per_class(matrix)
    present = np.unique(y[w > 0])
    kw = dict(sample_weight=w, zero_division=0, labels=present)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, decided, sample_weight=w))
    assert found["balanced_accuracy"] == pytest.approx(
        sk.recall_score(y, decided, average="macro", **kw)
    )
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            y, decided, average=average, **kw
        )
        assert found[f"{average}_precision"] == pytest.approx(precision)
        assert found[f"{average}_recall"] == pytest.approx(recall)
        assert found[f"{average}_f1"] == pytest.approx(f1)
    recall = sk.recall_score(y, decided, average=None, **kw)
    np.testing.assert_allclose(each["recall"][present], recall)
    # Without an image of class 6 its recall is undefined, not zero.
    assert np.isnan(each["recall"][6])


def test_balanced_accuracy_is_scikit_learns(case):
    y, p, _ = case
    found = metrics.summarise(metrics.confusion(y, p.argmax(axis=1), 7))["balanced_accuracy"]
    with pytest.warns(UserWarning, match="not in y_true") if 6 in p.argmax(axis=1) else nothing():
        assert found == pytest.approx(sk.balanced_accuracy_score(y, p.argmax(axis=1)))


class nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_rankings_agree_with_scikit_learn(case):
    y, p, w = case
    for c in range(6):
        ranking = metrics.Ranking(y == c, p[:, c])
        assert ranking.auc(w) == pytest.approx(sk.roc_auc_score(y == c, p[:, c], sample_weight=w))
        assert ranking.average_precision(w) == pytest.approx(
            sk.average_precision_score(y == c, p[:, c], sample_weight=w), rel=1e-9
        )
    assert np.isnan(metrics.Ranking(y == 6, p[:, 6]).auc(w))


@pytest.mark.parametrize("at", [0.9, 0.95])
def test_sensitivity_at_specificity_is_the_best_of_the_roc_curve(case, at):
    y, p, w = case
    ranking = metrics.Ranking(y == 4, p[:, 4])
    fpr, tpr, _ = sk.roc_curve(y == 4, p[:, 4], sample_weight=w, drop_intermediate=False)
    t = ranking.threshold(at, w)
    assert ranking.specificity(t, w) >= at - 1e-9
    assert ranking.sensitivity(t, w) == pytest.approx(tpr[fpr <= 1 - at + 1e-9].max())


def test_the_calibration_error_is_that_of_two_bins_by_hand():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    y = np.array([0, 1, 0, 0])
    # The bin (.867, .933] has confidence .9 and accuracy .5; (.6 - 1/15, .6] has confidence .6 and
    # accuracy .5.
    assert metrics.ece(y, p) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)


def test_ece_of_perfect_probabilities_is_its_floor():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.5] * 7, 4000)
    y = (rng.random((4000, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=6)
    assert metrics.ece(y, p) == pytest.approx(metrics.ece_if_perfect(p), abs=0.01)
    assert metrics.ece(y, np.eye(7)[p.argmax(axis=1)]) > 3 * metrics.ece_if_perfect(p)


def test_bootstrap_over_lesions_covers_the_binomial_error():
    rng = np.random.default_rng(0)
    correct = (rng.random(400) < 0.7).astype(float)
    alone = bootstrap.with_intervals(
        lambda w: {"a": (w * correct).sum(axis=1) / w.sum(axis=1)}, np.arange(400)
    )["a"]
    half = (alone[2] - alone[1]) / 2
    assert half == pytest.approx(1.96 * np.sqrt(0.7 * 0.3 / 400), rel=0.15)
    # Four identical photographs of each lesion carry no more information, so the interval must not
    # shrink.
    fourfold = bootstrap.with_intervals(
        lambda w: {"a": (w * correct.repeat(4)).sum(axis=1) / w.sum(axis=1)},
        np.arange(400).repeat(4),
    )["a"]
    assert (fourfold[2] - fourfold[1]) / 2 == pytest.approx(half, rel=0.1)


def test_ece_lies_in_its_interval_though_resampling_raises_it():
    rng = np.random.default_rng(0)
    for _ in range(5):
        p = rng.dirichlet([0.5] * 7, 600)
        y = (rng.random((600, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=6)

        def measure(w, y=y, p=p):
            return {"ece": metrics.ece(y, p, w)}

        value, low, high = bootstrap.with_intervals(
            measure, np.arange(600), draws=200, raised=("ece",)
        )["ece"]
        assert 0 <= low <= value < high
        _, raised, _ = bootstrap.with_intervals(measure, np.arange(600), draws=200)["ece"]
        assert raised > low


def test_balanced_decision_moves_towards_rare_classes():
    p = np.array([[0.6, 0.4]])
    assert metrics.balanced_decision(p, np.zeros(2))[0] == 0
    assert metrics.balanced_decision(p, -np.log([0.9, 0.1]))[0] == 1


def test_draws_are_computed_as_if_one_by_one(case):
    y, p, _ = case
    w = next(bootstrap.lesion_weights(np.arange(len(y)) // 2, 5))
    assert w.shape == (5, len(y))
    # Both photographs of a lesion are drawn together.
    assert (w[:, ::2] == w[:, 1::2]).all()
    decided, ranking = p.argmax(axis=1), metrics.Ranking(y == 4, p[:, 4])
    together = metrics.summarise(metrics.confusion(y, decided, 7, w))
    for i in range(5):
        assert together["macro_f1"][i] == pytest.approx(
            metrics.summarise(metrics.confusion(y, decided, 7, w[i]))["macro_f1"]
        )
        assert ranking.auc(w)[i] == pytest.approx(ranking.auc(w[i]))
        t = ranking.threshold(0.9, w)
        assert ranking.sensitivity(t, w)[i] == pytest.approx(ranking.sensitivity(t[i], w[i]))
        assert metrics.ece(y, p, w)[i] == pytest.approx(metrics.ece(y, p, w[i]))


def test_one_view_is_the_picture_as_it_stands_and_eight_are_all_its_flips_and_turns():
    class Corner:
        """A network that looks at the upper left pixel alone."""

        def predict_on_batch(self, images):
            return images[:, 0, 0]

    images = np.random.default_rng(0).integers(0, 256, (1200, 28, 28, 3), dtype=np.uint8)
    np.testing.assert_allclose(inference.predict_views(Corner(), images, 1), images[:, 0, 0])
    corners = np.mean([v[:, 0, 0].astype(float) for v in oracles.eight_views(images)], axis=0)
    np.testing.assert_allclose(inference.predict_views(Corner(), images, 8), corners)
    np.testing.assert_allclose(inference.predict_views(Corner(), images), corners)


def test_lesions_are_drawn_as_often_as_there_are_lesions_and_intervals_are_of_95_percent():
    lesions = np.repeat(np.arange(100), 3)
    w = np.concatenate(list(bootstrap.lesion_weights(lesions, 250)))
    assert (w.sum(axis=1) == 300).all()
    assert w.shape == (250, 300)
    x = np.random.default_rng(1).normal(size=400)
    # The draws are whatever the default seed's are.
    draws = np.concatenate(list(bootstrap.lesion_weights(np.arange(400), 1000))) @ x
    value, low, high = bootstrap.with_intervals(lambda w: {"a": w @ x}, np.arange(400))["a"]
    assert (value, low, high) == pytest.approx((x.sum(), *np.quantile(draws, [0.025, 0.975])))
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(400) * x.std(), rel=0.1)


def test_the_calibration_error_has_fifteen_bins():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(7) * 0.4, 3000)
    y = (rng.random((3000, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=6)
    assert metrics.ece(y, p) == pytest.approx(calibration_error(y, p))
    for other in (10, 14, 16, 20):
        assert abs(calibration_error(y, p, other) - calibration_error(y, p)) > 1e-4
