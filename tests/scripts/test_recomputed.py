"""The files that evaluate.py writes about the classifier are computed again.

Predictions come from plain Keras and the networks and tables on disk, every measure from
scikit-learn.
"""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

import evaluate
import train_cnn
from lesiongan.files import checksums
from lesiongan.measures.predictions import list_ids, write_isic
from tests import oracles
from tests.oracles import CLASSES, MALIGNANT, P, calibration_error
from tests.teacher import Teacher


@pytest.fixture(scope="module")
def parts(evaluated):
    return oracles.Parts(evaluated)


@pytest.fixture(scope="module")
def folder(evaluated):
    return evaluated.outputs / "evaluation"


@pytest.fixture(scope="module")
def found(folder):
    return oracles.read(folder / "metrics.json")


FILES = {
    "classifier": ("cnn", "predictions.csv"),
    "control": ("control", "predictions_control.csv"),
}


@pytest.mark.parametrize("name", FILES)
def test_predictions_are_the_networks_mean_over_eight_views_of_each_test_image(
    evaluated, parts, folder, name
):
    model, file = FILES[name]
    table = pd.read_csv(folder / file)
    assert table.row.tolist() == parts.rows("test").tolist()
    assert table.label.tolist() == parts.of("test")[1].tolist()
    network = oracles.load(evaluated.models / model / "classifier.keras")
    np.testing.assert_allclose(
        table[P], oracles.average_of_views(network, parts.of("test")[0]), atol=2e-6
    )
    # A network that decides all alike would hide much.
    assert len(set(table[P].to_numpy().argmax(axis=1))) > 2


@pytest.mark.parametrize("name", FILES)
def test_each_network_is_decided_at_the_point_of_its_own_training(evaluated, folder, found, name):
    model, file = FILES[name]
    points = oracles.read(evaluated.models / model / "options.json")["operating_points"]
    table = pd.read_csv(folder / file)
    p, y, own = table[P].to_numpy(), table.label.to_numpy(), found["models"][name]
    assert oracles.read(folder / "context.json")["points"][name] == points
    for point, decided in (
        ("argmax", p.argmax(axis=1)),
        ("balanced", (np.log(p) + points["balanced_shift"]).argmax(axis=1)),
    ):
        recall = sk.recall_score(y, decided, average="macro", labels=np.unique(y))
        assert own[point]["accuracy"]["value"] == pytest.approx(sk.accuracy_score(y, decided))
        assert own[point]["balanced_accuracy"]["value"] == pytest.approx(recall)
        binary = MALIGNANT[y], MALIGNANT[decided]
        wanted = {
            "accuracy": sk.accuracy_score(*binary),
            "sensitivity": sk.recall_score(*binary),
            "specificity": sk.recall_score(*binary, pos_label=False),
            "precision": sk.precision_score(*binary),
            "f1": sk.f1_score(*binary),
        }
        for measure, value in wanted.items():
            assert own[point][f"malignancy_{measure}"]["value"] == pytest.approx(value), (
                point,
                measure,
            )
    for group, positive, score in (
        ("melanoma", y == 6, p[:, 6]),
        ("malignant", MALIGNANT[y], p[:, MALIGNANT].sum(axis=1)),
    ):
        for at in (90, 95):
            fpr, tpr, _ = sk.roc_curve(positive, score, drop_intermediate=False)
            best = tpr[fpr <= 1 - at / 100 + 1e-9].max()
            assert own[f"{group}_sensitivity_at_{at}_specificity"]["value"] == pytest.approx(best)
            t = points[f"{group}_threshold_at_{at}_specificity"]
            said = (
                own[f"{group}_sensitivity_at_val_threshold_{at}"],
                own[f"{group}_specificity_at_val_threshold_{at}"],
            )
            assert said[0]["value"] == pytest.approx((score[positive] >= t).mean()), (group, at)
            assert said[1]["value"] == pytest.approx((score[~positive] < t).mean()), (group, at)
    assert own["auc_malignant"]["value"] == pytest.approx(
        sk.roc_auc_score(MALIGNANT[y], p[:, MALIGNANT].sum(axis=1))
    )
    for code, c in enumerate(CLASSES):
        assert own[f"auc_{c}"]["value"] == pytest.approx(sk.roc_auc_score(y == code, p[:, code]))
    assert own["average_precision_mel"]["value"] == pytest.approx(
        sk.average_precision_score(y == 6, p[:, 6])
    )
    assert own["ece"]["value"] == pytest.approx(calibration_error(y, p))


def test_the_baseline_is_the_commonest_class_of_the_test_part(parts, found):
    y = parts.of("test")[1]
    assert found["majority_baseline"]["class"] == "nv"
    assert found["majority_baseline"]["accuracy"]["value"] == pytest.approx((y == 4).mean())
    assert found["majority_baseline"]["balanced_accuracy"]["value"] == pytest.approx(1 / 7)
    assert (found["images"], found["lesions"]) == (len(y), len(set(parts.lesions("test"))))
    # Otherwise the bootstrap over lesions would be one over images.
    assert found["images"] > found["lesions"]


def test_rows_of_the_class_table_are_the_classes_in_order_with_their_own_figures(folder):
    table, predicted = (
        pd.read_csv(folder / "per_class.csv"),
        pd.read_csv(folder / "predictions.csv"),
    )
    y, decided = predicted.label, predicted[P].to_numpy().argmax(axis=1)
    assert table["class"].tolist() == CLASSES
    assert table.malignant.tolist() == MALIGNANT.astype(int).tolist()
    assert table.n.tolist() == np.bincount(y, minlength=7).tolist()
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        y, decided, labels=range(7), zero_division=np.nan
    )
    specificity = [sk.recall_score(y != c, decided != c) for c in range(7)]
    for name, values in (
        ("precision", precision),
        ("recall", recall),
        ("f1", f1),
        ("specificity", specificity),
    ):
        np.testing.assert_allclose(table[name], values, atol=1e-6, err_msg=name)
        shown = table[table[name].notna()]
        assert (shown[f"{name}_low"] <= shown[name] + 1e-6).all()
        assert (shown[name] <= shown[f"{name}_high"] + 1e-6).all()


def test_rows_of_the_confusion_table_are_true_classes_and_columns_decided_ones(folder):
    predicted = pd.read_csv(folder / "predictions.csv")
    matrix = sk.confusion_matrix(
        predicted.label, predicted[P].to_numpy().argmax(axis=1), labels=range(7)
    )
    assert not np.array_equal(matrix, matrix.T)
    table = pd.read_csv(folder / "confusion.csv")
    assert table["true"].tolist() == CLASSES
    np.testing.assert_array_equal(table[[f"decided_{c}" for c in CLASSES]], matrix)


def test_an_interval_is_the_middle_95_percent_of_resampled_lesions(folder, parts, found):
    """Against a plain bootstrap, lesion by lesion, of the accuracy and of the paired difference."""
    predicted = {n: pd.read_csv(folder / file) for n, (_, file) in FILES.items()}
    right = {
        n: (t[P].to_numpy().argmax(axis=1) == t.label).to_numpy(float) for n, t in predicted.items()
    }
    lesions = parts.lesions("test")
    names = sorted(set(lesions))
    counts = np.array([(lesions == n).sum() for n in names])
    rng = np.random.default_rng(1)
    draws = rng.integers(len(names), size=(4000, len(names)))

    def interval(values):
        sums = np.array([values[lesions == n].sum() for n in names])
        return np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), [0.025, 0.975])

    for name, values in right.items():
        f = found["models"][name]["argmax"]["accuracy"]
        assert (f["low"], f["high"]) == pytest.approx(tuple(interval(values)), abs=0.02)
    f = found["classifier_minus_control"]["argmax"]["accuracy"]
    difference = right["classifier"] - right["control"]
    assert f["value"] == pytest.approx(difference.mean())
    assert (f["low"], f["high"]) == pytest.approx(tuple(interval(difference)), abs=0.02)


def test_networks_of_benign_and_malignant_are_found_scored_and_compared(
    networks, tmp_path, monkeypatch
):
    """`--task malignancy` and its control stand beside the others.

    teacher.py's classifiers take the place of trained ones.
    """

    def teach(place, pool, val, shift, resuming=False, known=None, real=0):
        return Teacher(*pool[:2], len(shift)).build_network(), [
            dict.fromkeys(train_cnn.HISTORY, 1.0)
        ]

    monkeypatch.setattr(train_cnn, "train", teach)
    copy = networks.copy(tmp_path)
    copy.run("train_cnn", "--task", "malignancy", "--steps", "1")
    copy.run("train_cnn", "--task", "malignancy", "--steps", "1", "--role", "control")
    copy.run("evaluate")
    folder = copy.outputs / "evaluation"
    found = oracles.read(folder / "metrics.json")
    assert list(found["models"]) == ["classifier", "control", "malignancy", "malignancy_control"]
    parts = oracles.Parts(copy)
    images, y = parts.of("test")
    for name in ("malignancy", "malignancy_control"):
        table = pd.read_csv(folder / f"predictions_{name}.csv")
        assert list(table) == ["row", "label", "p_malignant"]
        p = oracles.average_of_views(oracles.load(copy.models / name / "classifier.keras"), images)
        np.testing.assert_allclose(table.p_malignant, p[:, 1], atol=2e-6)
        auc = found["models"][name]["auc_malignant"]["value"]
        assert auc == pytest.approx(sk.roc_auc_score(MALIGNANT[y], table.p_malignant))
    # The classifier was trained for another number of steps.
    assert "more than their task" in found["sum_minus_binary"]["reason"]


def test_every_column_of_the_isic_submission_is_the_class_it_is_named_by(
    evaluated, parts, folder, tmp_path
):
    """The challenge's task 3 wants image, MEL, NV, BCC, AKIEC, BKL, DF, VASC."""
    table = evaluate.read_table(evaluated.table)
    test = table.take(parts.rows("test"))
    test.metadata = pd.DataFrame({"image_id": [f"ISIC_{r}" for r in test.rows]})
    p = pd.read_csv(folder / "predictions.csv")
    write_isic(tmp_path / "isic.csv", list_ids(test), p[P].to_numpy())
    with open(tmp_path / "isic.csv") as f:
        rows = list(csv.DictReader(f))
    assert list(rows[0]) == ["image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    for row, (_, ours) in zip(rows, p.iterrows(), strict=True):
        assert row["image"] == f"ISIC_{int(ours.row)}"
        for c in CLASSES:
            assert float(row[c.upper()]) == pytest.approx(ours[f"p_{c}"], rel=1e-7), c
    test.metadata = None
    write_isic(tmp_path / "isic.csv", list_ids(test), p[P].to_numpy())
    assert (
        (tmp_path / "isic.csv").read_text().splitlines()[1].startswith(f"row{int(p.row[0]):07d},")
    )


def test_a_run_of_the_evaluation_names_the_hash_of_everything_it_read(evaluated):
    record = oracles.read(evaluated.outputs / "evaluation/options.json")
    networks = {"classifier": "cnn", "control": "control", "judge": "judge"}
    files = {
        name: evaluated.models / folder / "classifier.keras" for name, folder in networks.items()
    }
    files["generator"] = evaluated.models / "gan/generator.keras"
    files["synthetic"] = evaluated.outputs / "synthetic/hmnist_28_28_RGB.csv"
    inputs = record["inputs"]
    # The metadata's hash is of what was read, and not of the file.
    assert len(inputs.pop("metadata")) == 64
    assert inputs == {name: checksums.file_sha256(path) for name, path in files.items()}
    assert set(record["outputs"]) == {
        p.name for p in (evaluated.outputs / "evaluation").glob("[!.]*.*")
    } - {
        "options.json",
        ".lock",
        ".writer",
    }
    assert json.dumps(record)


def test_an_options_subset_is_named_in_every_protocol(evaluated):
    run = evaluate.runs.Run(evaluate.parse_args([*evaluated.flags, "--subset", "150"]), "evaluate")
    # The shared table is small: its 46 pairs cannot confirm the order of the metadata's rows.
    order = "row order of the metadata not testable: 46 same-lesion pairs"
    subset = f"subset of {len(run.inputs.table)} images"
    assert run.inputs.split["protocol"] == f"lesion split, {order}, {subset}"
    whole = evaluate.runs.Run(evaluate.parse_args(evaluated.flags), "evaluate")
    assert whole.inputs.split["protocol"] == f"lesion split, {order}"
