"""Each committed summary follows from the records it is of, by scikit-learn and NumPy."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

from lesiongan import ROOT
from lesiongan.files import checksums
from study import answer, publish_weights
from tests import oracles

RESULTS = ROOT / "results"


def score(path, shift):
    """{measure: value} of a packed file of predictions, decided at the balanced point too."""
    table = pd.read_csv(path)
    y, p = table.label.to_numpy(), table[oracles.P].to_numpy()
    best, balanced = p.argmax(axis=1), (np.log(np.maximum(p, 1e-12)) + shift).argmax(axis=1)
    return {
        "auc": sk.roc_auc_score(y, p, multi_class="ovr", labels=range(7)),
        "acc": sk.accuracy_score(y, best),
        "balanced_accuracy": sk.balanced_accuracy_score(y, balanced),
        "acc_balanced": sk.accuracy_score(y, balanced),
    }


def check_mean(found, each, names):
    for name in names:
        values = [scores[name] for scores in each]
        assert found[name] == pytest.approx(np.mean(values), abs=1e-5), name
        if len(values) > 1:
            assert found[f"{name}_std"] == pytest.approx(np.std(values, ddof=1), abs=1e-5), name


def test_the_studys_arms_and_gains_are_those_of_its_cells():
    found = oracles.read(RESULTS / "study.json")
    cells: dict = {}
    for path in sorted((RESULTS / "study/cells").glob("*.json")):
        record = oracles.read(path)
        shift = record["points"]["balanced_shift"]
        scores = score(path.with_suffix("").with_suffix(".csv.gz"), shift)
        key = record["fraction"], record["arm"], record["environment"]["backend"]
        cells.setdefault(key, {})[record["gan_seed"], record["cnn_seed"]] = scores
    assert sum(map(len, cells.values())) == found["cells"]
    assert {(a["fraction"], a["arm"], a["backend"]) for a in found["arms"]} == set(cells)
    for arm in found["arms"]:
        each = list(cells[arm["fraction"], arm["arm"], arm["backend"]].values())
        check_mean(arm, each, ("auc", "balanced_accuracy"))
        assert arm["accuracy"] == pytest.approx(np.mean([s["acc"] for s in each]), abs=1e-5)
    for row in found["contrasts"]:
        name = {"accuracy": "acc"}.get(row["measure"], row["measure"])
        if name not in ("auc", "acc", "balanced_accuracy"):
            continue
        mine, base = (cells[row["fraction"], arm, row["backend"]] for arm in (row["arm"], "real"))
        gains = [
            mine[g, c][name] - base[None, c][name]
            for g in row["gan_seeds"] or [None]
            for c in row["cnn_seeds"]
        ]
        assert row["value"] == pytest.approx(np.mean(gains), abs=1e-5)
    assert found["answers"] == answer.write_sentences(found)


def read_arms(folder, model, file):
    shift = oracles.read(folder / "context.json")["points"][model]["balanced_shift"]
    return score(folder / file, shift)


def test_the_arms_are_those_of_their_predictions():
    found = oracles.read(RESULTS / "arms.json")["arms"]
    places = {"classic_synthetic": "classifier", "classic": "control"}
    files = {"classifier": "predictions.csv.gz", "control": "predictions_control.csv.gz"}
    each = {}
    for name, arm in found.items():
        model = places.get(name, "classifier")
        folder = "classifier/lesion_split" if name in places else f"arms/{name}"
        each[name] = {
            seed: read_arms(RESULTS / f"{folder}_{seed}", model, files[model])
            for seed in arm["seeds"]
        }
        check_mean(arm, each[name].values(), ("auc", "acc", "balanced_accuracy", "acc_balanced"))
    for name, arm in found.items():
        for measure, gain in arm.get("less_classic", {}).items():
            seeds = arm["compared_seeds"]
            gains = [each[name][s][measure] - each["classic"][s][measure] for s in seeds]
            assert gain["value"] == pytest.approx(np.mean(gains), abs=1e-5)
    tested = [g for a in found.values() for g in a.get("less_classic", {}).values()]
    left, largest = len(tested), 0.0
    for gain in sorted(tested, key=lambda g: g["p"]):
        largest = max(largest, min(1.0, left * gain["p"]))
        assert gain["p_holm"] == pytest.approx(largest)
        left -= 1


@pytest.mark.parametrize("name", ["lesion_split", "image_split", "leak_split"])
def test_the_classifiers_means_are_those_of_its_seeds(name):
    found = oracles.read(RESULTS / "classifier.json")[name]
    rows = [oracles.read(RESULTS / f"classifier/{name}_{s}.json") for s in found["seeds"]]
    assert len(rows) == 5
    # The peak is the largest of the seeds', not their mean.
    measures = [k for k in rows[0]["classifier"] if f"{k}_std" in found and k != "peak_gib"]
    assert len(measures) > 15
    check_mean(found, [row["classifier"] for row in rows], measures)
    if "control" in found:
        scores = [m for m in measures if m != "minutes"]
        check_mean(found["control"], [row["control"] for row in rows], scores)


def test_the_gans_means_are_those_of_its_seeds():
    found = oracles.read(RESULTS / "gan.json")
    rows = [oracles.read(RESULTS / f"gan/seed_{s}.json") for s in found["seeds"]]
    measures = [k for k, v in rows[0].items() if isinstance(v, float) and f"{k}_std" in found]
    assert {"frechet_ratio", "density_ratio", "coverage_ratio", "cas"} <= set(measures)
    check_mean(found, rows, measures)
    for block in ("label_agreement", "real_recall", "diversity_ratio"):
        for c in oracles.CLASSES:
            mean = np.mean([row[block][c] for row in rows])
            assert found[block][c] == pytest.approx(mean), (block, c)


def test_the_gans_speed_and_the_classifiers_cost_are_of_one_piece():
    speed = oracles.read(RESULTS / "gan/speed.json")
    for end in ("", "_dcgan"):
        images = speed[f"minutes_200_epochs{end}"] * 60 * speed[f"train_images_per_second{end}"]
        assert images == pytest.approx(200 * 7008), end
    cost = oracles.read(RESULTS / "classifier/cost.json")
    minutes = {n: cost["steps"][n] * cost["seconds_a_step"][n] / 60 for n in cost["steps"]}
    assert cost["minutes"] == pytest.approx(minutes)
    assert cost["ratio"] == pytest.approx(minutes["resnet18"] / minutes["ours"])


def test_shares_of_images_that_are_warned_of_are_of_their_own_part():
    found = oracles.read(RESULTS / "likeness.json")
    parts = pd.read_csv(RESULTS / "splits/lesion_split.csv.gz").part.value_counts()
    for part in ("val", "test"):
        assert found["images"][part] == parts[part]
        # A share of n images is a whole number of n-ths.
        whole = found["shares_warned"][part] * parts[part]
        assert whole == pytest.approx(round(whole), abs=1e-6)


def test_the_model_card_is_made_of_the_files_and_names_the_lowest_groups():
    folder = ROOT / "weights"
    card = json.loads((folder / "card.json").read_text())
    text = (folder / "MODEL_CARD.md").read_text()
    assert publish_weights.render_card(folder, card, publish_weights.read_records(folder)) == text
    groups = oracles.read(RESULTS / "run/subgroups.json")
    words = " ".join(text.split())
    for what, key in (
        ("sensitivity", "malignant_sensitivity_at_val_threshold_90"),
        ("specificity", "malignant_specificity_at_val_threshold_90"),
    ):
        scored = {
            f"{kind}: {name}": group[key]["value"]
            for kind, members in groups.items()
            for name, group in members.items()
            if group.get(key, {}).get("value") is not None
        }
        lowest = min(scored, key=lambda name: scored[name])
        assert f"The lowest {what} is that of {lowest}, {scored[lowest]:.3f} (" in words


def test_every_committed_record_of_a_cell_is_of_its_predictions():
    for path in (RESULTS / "study/cells").glob("*.json"):
        record = oracles.read(path)
        packed = Path(str(path).removesuffix(".json") + ".csv.gz")
        assert record["predictions_sha256"] == checksums.file_sha256(packed)
        assert record["id"] == path.stem
