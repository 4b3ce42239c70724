"""What the report says first: verdict, six numbers, costs of a decision, and its making.

Each is compared with the JSON that it is of, or with scikit-learn.
"""

import html
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

import visualize_results
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.plots import alt_texts, findings, provenance, report, tables
from lesiongan.plots.provenance import BESIDE
from lesiongan.run import runs
from tests import oracles
from tests.oracles import CLASSES, MALIGNANT

BELOW, AROUND, ABOVE = (-0.03, -0.01), (-0.01, 0.02), (0.01, 0.03)


@pytest.fixture
def found(pipeline):
    return oracles.read(pipeline.outputs / "evaluation/metrics.json")


@pytest.fixture
def quality(pipeline):
    return oracles.read(pipeline.outputs / "evaluation/synthetic_quality.json")


def with_differences(found, accuracy, auc):
    """The same metrics.json with these intervals of the two differences."""
    accuracy, auc = (
        {"value": (low + high) / 2, "low": low, "high": high, "protocol": "paired"}
        for low, high in (accuracy, auc)
    )
    return found | {"classifier_minus_control": {"argmax": {"accuracy": accuracy}, "auc": auc}}


@pytest.mark.parametrize(
    ("accuracy", "auc", "verdict"),
    [
        (AROUND, AROUND, "No difference shown"),
        (ABOVE, ABOVE, "Synthetic images help"),
        (BELOW, BELOW, "Synthetic images hurt"),
        (ABOVE, AROUND, "Synthetic images help in accuracy; no difference shown in AUC"),
        (AROUND, ABOVE, "Synthetic images help in AUC; no difference shown in accuracy"),
        (BELOW, AROUND, "Synthetic images hurt in accuracy; no difference shown in AUC"),
        (AROUND, BELOW, "Synthetic images hurt in AUC; no difference shown in accuracy"),
        (ABOVE, BELOW, "Mixed: synthetic images help in accuracy and hurt in AUC"),
        (BELOW, ABOVE, "Mixed: synthetic images help in AUC and hurt in accuracy"),
        # An interval that ends at 0 holds it.
        ((0.0, 0.02), (-0.02, 0.0), "No difference shown"),
    ],
)
def test_the_verdict_follows_the_signs_of_both_intervals(found, accuracy, auc, verdict):
    said = findings.answer(with_differences(found, accuracy, auc))
    assert said["verdict"] == verdict
    middle = [sum(interval) / 2 for interval in (accuracy, auc)]
    assert said["told"] == [
        (name, f"{m:+.3f} [{low:+.3f}, {high:+.3f}]")
        for name, m, (low, high) in zip(("accuracy", "AUC"), middle, (accuracy, auc), strict=True)
    ]


def without_control(found):
    models = {"classifier": found["models"]["classifier"]}
    return {k: v for k, v in found.items() if k != "classifier_minus_control"} | {"models": models}


def test_without_a_comparison_the_verdict_says_why_and_what_mends_it(found):
    said = findings.answer(without_control(found))
    assert said["verdict"] == "Not answered"
    assert "no control" in said["reason"]
    assert said["command"] == "python train_cnn.py --role control && python evaluate.py"
    why = {"value": None, "reason": "classifier and control differ in more than their data"}
    said = findings.answer(found | {"classifier_minus_control": why})
    assert said["verdict"] == "Not answered"
    assert said["reason"] == why["reason"]
    assert said["told"] == []
    alone = found["trained_on"] | {"classifier": "140 real"}
    said = findings.answer(with_differences(found, ABOVE, ABOVE) | {"trained_on": alone})
    assert said["verdict"] == "Not answered"
    assert "without synthetic images" in said["reason"]


def test_networks_of_unlike_code_are_compared_with_a_caution(found):
    block = with_differences(found, ABOVE, ABOVE)
    before = findings.answer(block)["cautions"]
    block["classifier_minus_control"]["auc"]["protocol"] += "; TRAINED BY DIFFERENT CODE"
    caution, *others = findings.answer(block)["cautions"]
    assert "trained by different code" in caution
    assert others == before


def show(f, form="{:.3f}"):
    return form.format(f["value"]) + f" [{form.format(f['low'])}, {form.format(f['high'])}]"


def test_the_six_numbers_are_those_of_the_files(found, quality):
    found, quality = oracles.make_unlike(found), oracles.make_unlike(quality, first=5001)
    model, ratio = found["models"]["classifier"], quality["distances"]["frechet_ratio"]
    numbers = {n["label"]: n for n in findings.six_numbers(found, quality)}
    assert {label: n["value"] for label, n in numbers.items()} == {
        "Accuracy": show(model["argmax"]["accuracy"]),
        "Balanced accuracy, balanced point": show(model["balanced"]["balanced_accuracy"]),
        "AUC": show(model["auc"]),
        "Melanoma sensitivity at 90 % specificity": show(
            model["melanoma_sensitivity_at_90_specificity"]
        ),
        "Fréchet ratio": show(ratio, "{:.1f}"),
        "Memorised share": show(quality["memorisation"], "{:.1%}"),
    }
    baseline, judge = found["majority_baseline"], quality["judge_balanced_accuracy"]
    said = f"naming {baseline['class']} would reach {show(baseline['accuracy'])}."
    assert said in numbers["Accuracy"]["meaning"]
    assert show(judge) in numbers["Fréchet ratio"]["meaning"]
    assert f"Of {quality['memorisation']['n']} synthetic" in numbers["Memorised share"]["meaning"]


def test_the_balanced_accuracy_of_one_answer_is_that_of_scikit_learn(found, predicted):
    _, y, _ = predicted
    always = np.full(len(y), 4)
    (number,) = (
        n for n in findings.six_numbers(found, {}) if n["label"].startswith("Balanced accuracy")
    )
    assert f"would reach {balanced_accuracy_score(y, always):.3f}." in number["meaning"]


def test_what_was_not_measured_is_said_with_its_reason(found):
    why = {"value": None, "reason": "not measurable: the judge knows nothing"}
    ratio, share = findings.six_numbers(found, why)[-2:]
    assert ratio["value"] == "not measurable"
    # It stands beside the words "not measurable".
    assert ratio["meaning"] == "Why: the judge knows nothing."
    assert share["value"] == "-"


def test_the_costs_of_a_decision_are_those_of_scikit_learn(pipeline, predicted):
    _, y, p = predicted
    matrix = confusion_matrix(y, p.argmax(axis=1), labels=range(7))
    read = findings.read_confusion(pipeline.outputs / "evaluation/confusion.csv")
    assert np.array_equal(read, matrix)
    melanomas, said = matrix[6], " ".join(findings.list_costs(read))
    wrong = melanomas[:6]
    assert f"{100 * wrong.max() / melanomas.sum():.0f} % of melanomas" in said or not wrong.any()
    ill, called = MALIGNANT[y], MALIGNANT[p.argmax(axis=1)]
    for own, text in (
        (ill, "of malignant or pre-malignant lesions ({} of {} images) are called benign"),
        (~ill, "of benign lesions ({} of {} images) are called malignant or pre-malignant"),
    ):
        crossed = (called != ill)[own].sum()
        words = f"{100 * crossed / own.sum():.0f} % " + text.format(crossed, own.sum())
        assert words in said


def test_melanomas_are_said_to_be_called_what_most_of_them_are_called():
    matrix = np.eye(7, dtype=int).tolist()
    matrix[6] = [6, 1, 28, 4, 97, 2, 85]
    said = " ".join(findings.list_costs(matrix))
    start = "At the likeliest class, 43 % of melanomas (97 of 223 images) are called nevi; "
    assert said.startswith(start + "38 % (85) are recognised. 58 % of malignant")
    matrix[6] = [0, 0, 0, 0, 0, 0, 9]
    assert "all 9 melanoma images are recognised" in " ".join(findings.list_costs(matrix))
    matrix[6] = [0] * 7
    assert "elanoma" not in " ".join(findings.list_costs(matrix))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("decided_nv", "decided_mel"),
        lambda t: t.replace("\nmel,", "\nnv,"),
        lambda t: t[: t.rindex(",")],
        lambda t: re.sub(r"\d+\n$", "-1\n", t),
        lambda t: "",
    ],
)
def test_a_damaged_confusion_table_is_one_clear_line(pipeline, tmp_path, change):
    text = (pipeline.outputs / "evaluation/confusion.csv").read_text()
    path = tmp_path / "confusion.csv"
    path.write_text(change(text))
    with pytest.raises(InputError, match=r"is not the table that evaluate\.py writes; run it"):
        findings.read_confusion(path)


def test_tables_of_groups_points_and_counts_are_the_files(pipeline, found, parts):
    text = (pipeline.outputs / "report.html").read_text()
    cells = [html.unescape(re.sub(r"<[^>]+>", "|", row)) for row in text.split("<tr>")]
    rows = {tuple(c for c in row.split("|") if c.strip()) for row in cells}
    for i, code in enumerate(CLASSES):
        counts = [int((parts.of(part)[1] == i).sum()) for part in ("train", "val", "test")]
        (row,) = (r for r in rows if r and r[0].startswith(f"{code}{'*' * int(MALIGNANT[i])}: "))
        assert row[1:5] == tuple(map(str, [*counts, sum(counts)]))
    model = found["models"]["classifier"]
    points = {r[0]: r[1:] for r in tables.operating_table(model).words()}
    assert points["Melanoma: val's threshold for 90 % specificity"] == (
        report.cell(model["melanoma_sensitivity_at_val_threshold_90"]),
        report.cell(model["melanoma_specificity_at_val_threshold_90"]),
    )
    assert points["Balanced point: malignant"] == (
        report.cell(model["balanced"]["malignancy_sensitivity"]),
        report.cell(model["balanced"]["malignancy_specificity"]),
    )
    groups = oracles.read(pipeline.outputs / "evaluation/subgroups.json")
    shown = {r[0]: r[1:] for r in tables.group_table(groups).words()}
    assert len(shown) == sum(map(len, groups.values())) > 2
    for name, group in groups["sex"].items():
        assert shown[f"sex: {name}"][:2] == (group["images"], group["lesions"])
        wanted = report.cell(group["accuracy"]) if "accuracy" in group else group["reason"]
        assert shown[f"sex: {name}"][2] == wanted


def test_each_step_is_told_from_its_own_record(pipeline):
    run = runs.Run(visualize_results.parse_args(pipeline.flags), "visualize_results")
    told = provenance.describe(run, {})
    assert told["faults"] == []
    names = [row[0] for row in told["rows"]]
    assert names == [name for name, *_, folder in provenance.STEPS if folder not in BESIDE]
    record = oracles.read(pipeline.models / "gan/options.json")
    ran = record["environment"]
    row = dict(zip(names, told["rows"], strict=True))["train_gan.py"]
    assert row[1:4] == (ran["commit"] or "not known", record["options"]["seed"], ran["backend"])
    assert row[5] == provenance.show_time(record["wall_seconds"])
    assert f"numpy {np.__version__}, pandas {pd.__version__}" in told["packages"][0][0]
    # The judge has a seed of its own, which --seed does not set.
    (judge,) = (c for c in told["commands"] if c.startswith("python train_cnn.py --role judge"))
    assert "--seed" not in judge
    assert "--width 8" in judge
    assert told["commands"][-1] == "python visualize_results.py"


@pytest.mark.parametrize(
    ("classifier", "control", "words"),
    [
        (0.70, 0.70, None),
        (0.66, 0.70, "The classifier is not shown to be more accurate than always naming nv."),
        (0.60, 0.61, "The classifier and the control are not shown to be"),
    ],
)
def test_a_network_no_better_than_the_commonest_class_is_named(classifier, control, words):
    def model(low):
        return {"argmax": {"accuracy": {"value": low + 0.02, "low": low, "high": low + 0.04}}}

    found = {
        "majority_baseline": {"class": "nv", "accuracy": {"value": 0.66, "low": 0.6, "high": 0.7}},
        "models": {"classifier": model(classifier), "control": model(control)},
        "trained_on": {"classifier": "9 real + 9 synthetic", "control": "9 real"},
        "classifier_minus_control": {"auc": {"value": 0.1, "low": 0.0, "high": 0.2}},
    }
    cautions = findings.answer(found)["cautions"]
    assert len(cautions) == (words is not None)
    assert all(c.startswith(words) for c in cautions)


def test_times_and_commands_are_written_out():
    times = map(provenance.show_time, (1558.8, 59.6, 3))
    assert list(times) == ["25 min 59 s", "1 min 0 s", "3 s"]
    options = {"seed": 3, "split": "image", "split_seed": 0, "subset": 90, "epochs": 4}
    assert provenance.command_of("train_gan.py", options, {}) == (
        "python train_gan.py --seed 3 --split image --subset 90 --epochs 4"
    )
    # A judge's defaults are its own.
    judge = {"epochs": 40, "keep": "best", "width": 8, "learning_rate": 0.002}
    assert provenance.command_of("train_cnn.py --role judge", judge, {}) == (
        "python train_cnn.py --role judge --width 8"
    )
    assert provenance.command_of("train_cnn.py", judge, {}) == (
        "python train_cnn.py --epochs 40 --keep best --learning-rate 0.002 --width 8"
    )
    assert provenance.command_of("evaluate.py", judge | {"seed": 1}, {}) == (
        "python evaluate.py --seed 1"
    )
    # Whose lesions a step had is on record with the split alone.
    share = {"train_fraction": 0.3, "train_share": "others"}
    assert provenance.command_of("train_gan.py", {"seed": 0}, share) == (
        "python train_gan.py --train-fraction 0.3 --train-share others"
    )


def test_the_leak_is_told_by_the_split_that_it_is_of(pipeline):
    split = oracles.read(pipeline.outputs / "eda/summary.json")["split"]
    assert "were the split by image" in alt_texts.describe("leakage", split)
    split["protocol"] = "official split of a.npz, leaky"
    assert "by the file's own split" in alt_texts.describe("leakage", split)


def test_a_record_that_is_damaged_or_of_another_split_is_named_and_not_shown(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    run = runs.Run(visualize_results.parse_args(copy.flags), "visualize_results")
    path = copy.models / "control/options.json"
    record = oracles.read(path)
    writing.write_json(path, record | {"split": record["split"] | {"sha256": "0"}})
    (copy.models / "judge/options.json").write_text("{")
    told = provenance.describe(run, {})
    assert len(told["rows"]) == len(provenance.STEPS) - 2 - len(BESIDE)
    judge, control = told["faults"]
    assert "not readable as JSON" in judge
    assert "made from other split" in control


def test_what_a_figure_shows_is_told_with_its_number(pipeline, found, quality):
    split = oracles.read(pipeline.outputs / "eda/summary.json")["split"]
    matrix = np.diag([1, 2, 3, 4, 5, 6, 7]).tolist()
    matrix[0][4] = 2

    def words(name):
        return alt_texts.describe(name, split, found, quality, matrix)

    assert "28 of 30 images are on its diagonal" in words("confusion")
    model = found["models"]["classifier"]
    assert show(model["auc"]) in words("roc_and_pr")
    assert show(model["ece"]) in words("calibration")
    assert show(quality["memorisation"], "{:.1%}") in words("nearest_pairs")
    assert "not measured" in alt_texts.describe("calibration", split)
    reason = {"memorisation": {"value": None, "reason": "no judge"}}
    words = alt_texts.describe("nearest_pairs", split, quality=reason)
    assert words.endswith("memorised: not measured.")
    assert len(alt_texts.describe("new_one", split)) > 20
