"""What age, sex and site bring over seeds, from predictions alone, by scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as sk

from benchmarks import clinical_bars
from benchmarks.workplace import Workplace, pack
from lesiongan.files import writing
from lesiongan.measures.predictions import write_predictions

N, K = 420, 7
POINTS = {"balanced_shift": [0.0] * K, "train_prior": [1 / K] * K}


@pytest.fixture
def place(tmp_path):
    """Three seeds, of which the first has no clinical network; the told one is best."""
    place = Workplace("classifier", tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(N) % K
    place.truth = {}
    for seed in range(3):
        folder = place.results / f"lesion_split_{seed}"
        skill = {"classifier": 1.0, "clinical": 1.6, "clinical_unknown": 0.9}
        for model, name in clinical_bars.FILES.items():
            if seed == 0 and model != "classifier":
                continue
            logits = rng.normal(size=(N, K)) + skill[model] * np.eye(K)[labels]
            p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            write_predictions(folder / name, np.arange(N), labels, p)
            place.truth[model, seed] = p
        arm = {"trained_on": "7008 real", "same": {"steps": 9, "seed": seed}, "trained_by": ["x"]}
        models = [m for m in skill if (m, seed) in place.truth]
        context = {
            "protocol": "lesion split",
            "data": None,
            "views": 8,
            "points": dict.fromkeys(models, POINTS),
            "arms": dict.fromkeys(models, arm),
        }
        writing.write_json(folder / "context.json", context)
    split = "row,lesion,part\n" + "".join(f"{i},L{i // 2},test\n" for i in range(N))
    writing.write_text(tmp_path / "split.csv", split)
    pack(tmp_path / "split.csv", place.split_file("lesion_split"))
    place.labels = labels
    return place


def row(seed, told=True):
    own = {"ece": 0.01 * (seed + 1)}
    models = {"classifier": own, "clinical": {"ece": 0.02}, "clinical_unknown": {"ece": 0.03}}
    return {"seed": seed, **(models if told else {"classifier": own})}


def test_means_and_differences_are_over_the_seeds_that_have_both(place):
    found = clinical_bars.compare_clinical(place, [row(0, told=False), row(1), row(2)])
    assert found["seeds"] == [1, 2]

    def auc(model, seed):
        return sk.roc_auc_score(place.labels, place.truth[model, seed], multi_class="ovr")

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
    decided = [place.truth["clinical", s].argmax(axis=1) for s in (1, 2)]
    assert found["acc"] == pytest.approx(np.mean([(d == place.labels).mean() for d in decided]))
    recall = np.mean([sk.balanced_accuracy_score(place.labels, d) for d in decided])
    assert found["balanced_accuracy"] == pytest.approx(recall)
    assert found["ece"] == pytest.approx(0.02)
    assert found["image_alone"]["ece"] == pytest.approx(0.025)


def test_without_a_clinical_network_there_is_nothing_to_say(place):
    assert clinical_bars.compare_clinical(place, [row(s, told=False) for s in range(3)]) is None
