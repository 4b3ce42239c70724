"""Scores by age, sex and site, against scikit-learn on the images of each group."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from lesiongan.measures import subgroups
from tests import oracles

AGES = ("0 to 29", "30 to 44", "45 to 59", "60 to 74", "75 and over", "unknown")


@pytest.mark.parametrize(
    ("age", "name"),
    [
        ("0", "0 to 29"),
        ("29", "0 to 29"),
        ("29.9", "0 to 29"),
        ("30", "30 to 44"),
        ("30.0", "30 to 44"),
        ("44", "30 to 44"),
        ("45", "45 to 59"),
        ("59", "45 to 59"),
        ("60", "60 to 74"),
        ("74", "60 to 74"),
        ("75", "75 and over"),
        ("130", "75 and over"),
        ("", "unknown"),
        ("unknown", "unknown"),
        ("nan", "unknown"),
        ("-5", "unknown"),
        (85.0, "75 and over"),
        (float("nan"), "unknown"),
        (None, "unknown"),
    ],
)
def test_an_age_is_of_the_group_that_its_name_says(age, name):
    assert subgroups.name_ages([age, "50"]).tolist() == [name, "45 to 59"]


@pytest.fixture(scope="module")
def scored():
    """(y, p, points, lesions, metadata) of 400 images whose probabilities are half right."""
    rng = np.random.default_rng(0)
    n = 400
    y = rng.integers(0, 7, n)
    p = rng.dirichlet(np.ones(7), n) + 0.4 * np.eye(7)[y] * rng.random((n, 1))
    p /= p.sum(axis=1, keepdims=True)
    points = {"balanced_shift": [0.0] * 7, "malignant_threshold_at_90_specificity": 0.6}
    lesions = np.array([f"L{i // 2}" for i in range(n)])
    ages = rng.choice(["5", "30", "44", "50", "60", "80", ""], n, p=[0.03, *[0.165] * 5, 0.145])
    sexes = np.where(np.arange(n) < 370, rng.choice(["male", "Female "], n), "")
    # One site has a single lesion, another has 29 images.
    sites = np.array(["back"] * 329 + ["scalp"] * 29 + ["face"] * 42)
    lesions[358:] = "of one"
    metadata = pd.DataFrame({"age": ages, "sex": sexes, "localization": sites})
    return y, p, points, lesions, metadata


@pytest.fixture(scope="module")
def found(scored):
    return subgroups.compute(*scored, "a protocol")


def members(metadata):
    """{what: {group: bool (n,)}}, by pandas' cut and comparisons."""
    years = pd.to_numeric(metadata["age"], errors="coerce")
    cut = pd.cut(years, [0, 30, 45, 60, 75, 200], right=False, labels=AGES[:-1])
    sexes = metadata["sex"].str.strip().str.lower().replace("", "unknown")
    columns = {
        "age": cut.astype(object).fillna("unknown"),
        "sex": sexes,
        "site": metadata["localization"],
    }
    return {
        what: {name: (column == name).to_numpy() for name in set(column)}
        for what, column in columns.items()
    }


def test_every_image_is_in_one_group_of_each_kind(scored, found):
    groups = members(scored[-1])
    assert {what: set(block) for what, block in found.items()} == {
        what: set(block) for what, block in groups.items()
    }
    assert set(found["age"]) == set(AGES)
    assert set(found["sex"]) == {"male", "female", "unknown"}
    for what, block in found.items():
        assert sum(group["images"] for group in block.values()) == 400, what
        for name, group in block.items():
            own = groups[what][name]
            assert group["images"] == own.sum()
            assert group["lesions"] == len(set(scored[3][own]))


def test_scores_of_a_group_are_scikit_learns_on_its_images(scored, found):
    y, p, points, _, metadata = scored
    score, malignant = p[:, oracles.MALIGNANT].sum(axis=1), oracles.MALIGNANT[y]
    decided = score >= points["malignant_threshold_at_90_specificity"]
    seen = 0
    for what, groups in members(metadata).items():
        for name, own in groups.items():
            if own.sum() < 30:
                continue
            seen += 1
            group = found[what][name]
            expected = {
                "accuracy": sk.accuracy_score(y[own], p[own].argmax(axis=1)),
                "auc_malignant": sk.roc_auc_score(malignant[own], score[own]),
                "malignant_sensitivity_at_val_threshold_90": sk.recall_score(
                    malignant[own], decided[own]
                ),
                "malignant_specificity_at_val_threshold_90": sk.recall_score(
                    ~malignant[own], ~decided[own]
                ),
            }
            assert set(group) == {"images", "lesions", *expected}
            for measure, value in expected.items():
                assert group[measure]["value"] == pytest.approx(value, abs=1e-12), (name, measure)
                assert group[measure]["n"] == own.sum()
                assert group[measure]["protocol"] == "a protocol"
                assert group[measure]["low"] <= group[measure]["value"] <= group[measure]["high"]
    assert seen == 10


def test_a_small_group_has_its_counts_and_a_reason_alone(found):
    small = {
        (what, name): group
        for what, block in found.items()
        for name, group in block.items()
        if group["images"] < 30
    }
    assert set(small) == {("age", "0 to 29"), ("site", "scalp")}
    assert small["site", "scalp"]["images"] == 29
    for group in small.values():
        assert set(group) == {"images", "lesions", "reason"}
        assert group["reason"] == "fewer than 30 images"


def test_the_intervals_are_over_lesions(found):
    """All photographs on the face show one lesion, so that no resampling can change a score."""
    face = found["site"]["face"]
    assert face["lesions"] == 1
    for measure in ("accuracy", "auc_malignant"):
        block = face[measure]
        assert block["low"] == block["value"] == block["high"]
    back = found["site"]["back"]["accuracy"]
    assert back["high"] - back["low"] > 0.05


def test_what_the_metadata_lacks_is_left_out(scored):
    y, p, points, lesions, metadata = scored
    alone = subgroups.compute(y, p, points, lesions, metadata[["sex"]], "")
    assert set(alone) == {"sex"}
    assert subgroups.compute(y, p, points, lesions, metadata[[]], "") == {}


def test_a_score_that_a_group_cannot_have_is_null_with_a_reason(scored):
    y, p, points, lesions, metadata = scored
    benign = np.flatnonzero(~oracles.MALIGNANT[y])
    found = subgroups.compute(
        y[benign],
        p[benign],
        points,
        lesions[benign],
        metadata.iloc[benign].reset_index(drop=True),
        "",
    )
    block = found["sex"]["male"]["auc_malignant"]
    assert block["value"] is None
    assert block["reason"]
    assert found["sex"]["male"]["accuracy"]["value"] is not None


def test_of_a_run_the_groups_are_those_of_the_test_rows_metadata(pipeline):
    found = oracles.read(pipeline.outputs / "evaluation/subgroups.json")
    predicted = pd.read_csv(pipeline.outputs / "evaluation/predictions.csv")
    metadata = pd.read_csv(pipeline.table.with_name("HAM10000_metadata.csv"))
    own = metadata.iloc[predicted.row].reset_index(drop=True).astype(str)
    expected = {
        what: {name: int(rows.sum()) for name, rows in groups.items()}
        for what, groups in members(own).items()
    }
    counts = {w: {n: group["images"] for n, group in b.items()} for w, b in found.items()}
    assert counts == expected
    protocol = oracles.read(pipeline.outputs / "evaluation/metrics.json")["protocol"]
    split = pd.read_csv(pipeline.outputs / "split.csv", dtype={"lesion": str})
    lesions = split.lesion.to_numpy()[predicted.row]
    for what, groups in members(own).items():
        for name, rows in groups.items():
            assert found[what][name]["lesions"] == len(set(lesions[rows]))
    for block in found.values():
        for group in block.values():
            assert ("reason" in group) == (group["images"] < 30)
            assert group.get("accuracy", {"protocol": protocol})["protocol"] == protocol
