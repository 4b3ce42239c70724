"""Estimates of made-up predictions: at which points, of which probabilities, in which pairs."""

import numpy as np
import pytest
import sklearn.metrics as sk

from lesiongan.data.classes import CLASSES, MEL
from lesiongan.measures import bootstrap, estimates, metrics
from tests.oracles import MALIGNANT


def test_sensitivity_at_a_specificity_is_undefined_without_negatives():
    p = np.random.default_rng(0).dirichlet(np.ones(len(CLASSES)), size=12)
    found, _ = estimates.report_model(np.full(12, MEL), p, None, np.arange(12), "p")
    for name in ("melanoma", "malignant"):
        assert found[f"{name}_sensitivity_at_90_specificity"]["value"] is None
    # A third of the draws have no negative, and they are left out of the interval.
    y = np.array([MEL] * 11 + [CLASSES.index("nv")])
    found, _ = estimates.report_model(y, np.tile(p[:1], (12, 1)), None, np.arange(12), "p")
    # All positives are tied with the negative.
    assert found["melanoma_sensitivity_at_90_specificity"]["high"] == 0


def test_summed_probabilities_beside_a_binary_network():
    """The paired interval of their difference holds what scikit-learn says of both."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    y, p = rng.integers(7, size=400), rng.dirichlet(np.ones(7), 400)
    malignant = estimates.MALIGNANT[y]
    b = np.clip(0.3 + 0.2 * malignant + rng.normal(0, 0.2, 400), 0, 1)
    predictions = {
        "classifier": (np.arange(400), y, p),
        "malignancy": (np.arange(400), y, np.column_stack([1 - b, b])),
    }
    context = {"protocol": "", "data": None, "views": 8, "points": {}, "arms": {}}
    found = estimates.compute(predictions, np.arange(400).astype(str), context)["sum_minus_binary"][
        "auc_malignant"
    ]
    expected = roc_auc_score(malignant, p[:, estimates.MALIGNANT].sum(axis=1)) - roc_auc_score(
        malignant, b
    )
    assert found["value"] == pytest.approx(expected)
    assert found["low"] < found["value"] < found["high"] < 0
    context["arms"] = {
        name: {"trained_on": "", "same": {"steps": n}}
        for name, n in (("classifier", 5), ("malignancy", 6))
    }
    found = estimates.compute(predictions, np.arange(400).astype(str), context)["sum_minus_binary"]
    assert "more than their task" in found["reason"]


def test_differences_are_paired_and_the_classifiers_less_the_controls():
    """The difference of two networks that differ in a single decision is almost certain.

    It is so however uncertain each of them is.
    """
    rng = np.random.default_rng(0)
    y = rng.integers(7, size=300)
    right = rng.random(300) < 0.7
    p = np.full((300, 7), 0.05) + 0.65 * np.eye(7)[np.where(right, y, (y + 1) % 7)]
    worse = p.copy()
    at = np.flatnonzero(right)[:30]
    worse[at] = 0.05 + 0.65 * np.eye(7)[(y[at] + 2) % 7]
    rows, lesions = np.arange(300), np.arange(300).astype(str)
    context = {"protocol": "p", "data": None, "views": 8, "points": {}, "arms": {}}
    files = {"classifier": (rows, y, p), "control": (rows, y, worse)}
    found = estimates.compute(files, lesions, context)["classifier_minus_control"]["argmax"][
        "accuracy"
    ]
    assert found["value"] == pytest.approx(0.1)
    # Thirty images in three hundred differ; an unpaired interval would be twice as wide.
    half = 1.96 * np.sqrt(0.1 * 0.9 / 300)
    assert (found["high"] - found["low"]) / 2 == pytest.approx(half, rel=0.15)
    same = estimates.compute(
        {"classifier": files["classifier"], "control": files["classifier"]}, lesions, context
    )
    for f in same["classifier_minus_control"]["argmax"].values():
        assert f["value"] == f["low"] == f["high"] == 0


def test_each_model_is_scored_at_its_own_points_and_with_its_own_probabilities():
    """Points so far apart that one network's would show in the other's estimates."""
    rng = np.random.default_rng(0)
    y = rng.integers(7, size=200)
    files, context = {}, {"protocol": "p", "data": None, "views": 8, "points": {}, "arms": {}}
    for name, shift, k in (
        ("classifier", 3.0, 7),
        ("control", -3.0, 7),
        ("malignancy", 1.0, 2),
        ("malignancy_control", -1.0, 2),
    ):
        files[name] = np.arange(200), y, rng.dirichlet(np.ones(k), 200)
        context["points"][name] = {
            "balanced_shift": np.linspace(-shift, shift, k).tolist(),
            "train_prior": [1 / k] * k,
            "tau": 1.0,
            "malignant_threshold_at_90_specificity": 0.5 + shift / 10,
        }
    found = estimates.compute(files, np.arange(200).astype(str), context)["models"]
    for name, (_, _, p) in files.items():
        points = context["points"][name]
        targets = y if p.shape[1] == 7 else MALIGNANT[y]
        decided = (np.log(p) + points["balanced_shift"]).argmax(axis=1)
        assert found[name]["balanced"]["accuracy"]["value"] == pytest.approx(
            (decided == targets).mean()
        ), name
        assert found[name]["argmax"]["accuracy"]["value"] == pytest.approx(
            (p.argmax(axis=1) == targets).mean()
        ), name
        score = p[:, MALIGNANT].sum(axis=1) if p.shape[1] == 7 else p[:, 1]
        t = points["malignant_threshold_at_90_specificity"]
        sensitivity = found[name]["malignant_sensitivity_at_val_threshold_90"]["value"]
        assert sensitivity == pytest.approx((score[MALIGNANT[y]] >= t).mean()), name
        assert found[name]["auc_malignant"]["value"] == pytest.approx(
            sk.roc_auc_score(MALIGNANT[y], score)
        ), name


def test_the_interval_of_the_calibration_error_is_corrected_for_its_bias():
    """Resampling raises the error of calibrated probabilities.

    The interval that is reported has that taken out.
    """
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.5] * 7, 600)
    y = (rng.random((600, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=6)
    found = estimates.report_model(y, p, None, np.arange(600).astype(str), "p")[0]["ece"]
    low, high = bootstrap.with_intervals(
        lambda w: {"e": metrics.ece(y, p, w)}, np.arange(600).astype(str)
    )["e"][1:]
    assert found["low"] <= found["value"] <= found["high"]
    assert (found["low"], found["high"]) != (low, high)
    assert found["low"] < low


@pytest.mark.parametrize(
    ("name", "block", "what"),
    [
        ("malignancy", "sum_minus_binary", "their task"),
        ("clinical", "clinical_minus_classifier", "their data"),
    ],
)
def test_networks_of_two_tasks_or_inputs_are_compared_only_if_they_learned_alike(name, block, what):
    rng = np.random.default_rng(0)
    y = rng.integers(7, size=60)
    files = {
        "classifier": (np.arange(60), y, rng.dirichlet(np.ones(7), 60)),
        name: (np.arange(60), y, rng.dirichlet(np.ones(2 if name == "malignancy" else 7), 60)),
    }
    auc = "auc_malignant" if name == "malignancy" else "auc"
    arm = {
        "trained_on": "9 real",
        "same": {"steps": 5},
        "synthetic_sha256": "a",
        "synthetic_weight": 0.25,
        "taught": {"teachers": [], "finish_real": 0},
        "trained_by": ["this"],
    }

    def compare(**other):
        context = {
            "protocol": "p",
            "data": None,
            "views": 8,
            "points": {},
            "arms": {"classifier": arm, name: arm | other},
        }
        return estimates.compute(files, np.arange(60).astype(str), context)[block]

    assert "DIFFERENT CODE" not in compare()[auc]["protocol"]
    assert "DIFFERENT CODE" in compare(trained_by=["other"])[auc]["protocol"]
    for key, value in (
        ("trained_on", "8 real"),
        ("same", {"steps": 6}),
        ("synthetic_sha256", "b"),
        ("synthetic_weight", 1),
        ("taught", {"teachers": ["c"], "finish_real": 0}),
    ):
        reason = compare(**{key: value}).get("reason", "compared all the same")
        assert f"more than {what}" in reason, key
