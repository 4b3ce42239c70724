"""What age, sex and site bring over seeds, from predictions alone, by scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as sk

from lesiongan.files import writing
from lesiongan.measures.predictions import write_predictions
from study import collect_clinical
from study.gather import pack

N, K = 420, 7
POINTS = {"balanced_shift": [0.0] * K, "train_prior": [1 / K] * K}


@pytest.fixture
def clinic(place):
    """Two seeds, of which the told network is best."""
    rng = np.random.default_rng(0)
    labels = np.arange(N) % K
    place.truth = {}
    for seed in (1, 2):
        folder = place.results / "classifier" / f"clinical_{seed}"
        skill = {"classifier": 1.0, "clinical": 1.6, "clinical_unknown": 0.9}
        for model, name in collect_clinical.FILES.items():
            logits = rng.normal(size=(N, K)) + skill[model] * np.eye(K)[labels]
            p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            write_predictions(folder / name, np.arange(N), labels, p)
            place.truth[model, seed] = p
        arm = {"trained_on": "7008 real", "same": {"steps": 9, "seed": seed}, "trained_by": ["x"]}
        context = {
            "protocol": "lesion split",
            "data": None,
            "views": 8,
            "points": dict.fromkeys(skill, POINTS),
            "arms": dict.fromkeys(skill, arm),
        }
        writing.write_json(folder / "context.json", context)
        made = {"minutes": 5.0, "environment": {"processors": 2, "machine": "x"}}
        writing.write_json(folder / "made.json", made)
    split = "row,lesion,part\n" + "".join(f"{i},L{i // 2},test\n" for i in range(N))
    writing.write_text(place.results / "split.csv", split)
    pack(place.results / "split.csv", place.split_file(of_images=False))
    place.labels = labels
    return place


def test_means_and_differences_are_over_the_seeds(clinic):
    found = collect_clinical.compare_clinical(clinic)
    assert found["seeds"] == [1, 2]

    def auc(model, seed):
        return sk.roc_auc_score(clinic.labels, clinic.truth[model, seed], multi_class="ovr")

    told, alone, blind = (
        np.mean([auc(model, seed) for seed in (1, 2)])
        for model in ("clinical", "classifier", "clinical_unknown")
    )
    assert found["auc"] == pytest.approx(told, abs=1e-6)
    assert found["image_alone"]["auc"] == pytest.approx(alone, abs=1e-6)
    assert found["unknown"]["auc"] == pytest.approx(blind, abs=1e-6)
    assert found["auc_difference"] == pytest.approx(told - alone, abs=1e-6)
    assert 0 < found["low"] < found["auc_difference"] < found["high"]
    assert found["unknown"]["difference"]["auc"]["value"] == pytest.approx(blind - alone, abs=1e-6)
    decided = [clinic.truth["clinical", s].argmax(axis=1) for s in (1, 2)]
    assert found["acc"] == pytest.approx(np.mean([(d == clinic.labels).mean() for d in decided]))
    recall = np.mean([sk.balanced_accuracy_score(clinic.labels, d) for d in decided])
    assert found["balanced_accuracy"] == pytest.approx(recall)
    # One bin of fifteen wide each, as in Guo et al. 2017.
    for name, block in (("clinical", found), ("classifier", found["image_alone"])):
        each = [expected_calibration_error(clinic.labels, clinic.truth[name, s]) for s in (1, 2)]
        assert block["ece"] == pytest.approx(np.mean(each), abs=1e-6)
        assert block["ece_std"] == pytest.approx(np.std(each, ddof=1), abs=1e-6)


def expected_calibration_error(labels, p):
    top = p.max(axis=1)
    right = p.argmax(axis=1) == labels
    room = np.minimum((top * 15).astype(int), 14)
    gaps = [abs((right - top)[room == b].sum()) for b in range(15)]
    return sum(gaps) / len(labels)


def test_the_page_has_both_networks_in_one_table(clinic):
    from study.pages import classifier as pages_classifier

    found = collect_clinical.compare_clinical(clinic)
    told = pages_classifier.describe_clinical({"lesion_split_clinical": found})
    label, alone, with_all, gap, unknown = told["rows"][0]
    assert label == "macro AUC"
    assert alone.startswith(f"{found['image_alone']['auc']:.3f} ± ")
    assert with_all.startswith(f"{found['auc']:.3f} ± ")
    assert gap == f"{found['auc_difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
    assert unknown.startswith(f"{found['unknown']['auc']:.3f} ± ")
    # Two calibration errors are biased unequally, so their difference has no interval.
    assert told["rows"][-1][::3] == ("expected calibration error", "not compared")
    assert told["seeds"] == "1, 2"
    assert pages_classifier.describe_clinical({}) is None


def test_without_a_clinical_network_there_is_nothing_to_say(place):
    assert collect_clinical.compare_clinical(place) is None


def test_differences_are_within_a_seed(clinic, monkeypatch):
    """Networks that are alike in every seed differ by nothing, however the seeds differ."""

    def draw(measures, names, lesions, draws):
        drawn = {
            key: dict.fromkeys(names, np.random.default_rng(key[1]).normal(key[1], 1, draws))
            for key in measures
        }
        return {key: dict.fromkeys(names, float(key[1])) for key in measures}, drawn

    monkeypatch.setattr(collect_clinical, "draw_measures", draw)
    found = collect_clinical.compare_clinical(clinic)
    for gain in found["difference"].values():
        assert gain["value"] == gain["low"] == gain["high"] == 0
