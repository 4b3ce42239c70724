"""evaluate.py: which networks may be compared, and how each is described."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import evaluate
from lesiongan.data.classes import CLASSES
from lesiongan.files import checksums, records
from lesiongan.measures import estimates, networks, recompute
from lesiongan.measures.predictions import read_lesions, read_predictions
from tests import oracles


def test_arms_that_differ_in_more_than_their_data_are_not_subtracted(pipeline):
    folder = pipeline.outputs / "evaluation"
    context = json.loads((folder / "context.json").read_text())
    predictions = {
        "classifier": read_predictions(folder / "predictions.csv"),
        "control": read_predictions(folder / "predictions_control.csv"),
    }
    lesions, leaky = read_lesions(pipeline.outputs / "split.csv", predictions["classifier"][0])
    assert not leaky
    assert "argmax" in estimates.compute(predictions, lesions, context)["classifier_minus_control"]
    # They are still subtracted, but every estimate says so.
    context["arms"]["control"]["trained_by"][0] = "other code"
    found = estimates.compute(predictions, lesions, context)["classifier_minus_control"]
    assert "DIFFERENT CODE" in found["auc"]["protocol"]
    assert "DIFFERENT CODE" in found["argmax"]["accuracy"]["protocol"]
    context["arms"]["control"]["same"]["steps"] += 1
    assert "reason" in estimates.compute(predictions, lesions, context)["classifier_minus_control"]
    # A bare predictions.csv works too.
    context = {"protocol": "p", "data": None, "views": None, "points": {}, "arms": {}}
    assert estimates.compute(predictions, lesions, context)["models"]["control"]["balanced"][
        "reason"
    ]


def test_networks_taught_with_other_weights_are_not_compared_by_task():
    record = {
        "real_images": 10,
        "synthetic_images": 5,
        "steps": 3,
        "inputs": {"synthetic": "a"},
        "environment": {},
    }
    arms = {
        name: networks.describe_arm(
            record | {"options": {"task": task, "synthetic_weight": weight}}
        )
        for name, task, weight in (("classifier", "dx", 0.25), ("malignancy", "malignancy", 1.0))
    }
    y = np.arange(20) % len(CLASSES)
    p = np.full((20, len(CLASSES)), 1 / len(CLASSES))
    predictions = {
        "classifier": (np.arange(20), y, p),
        "malignancy": (np.arange(20), y, p[:, :2] * 3.5),
    }
    context = {"protocol": "p", "data": None, "views": None, "points": {}, "arms": arms}
    assert "reason" in estimates.compute(predictions, np.arange(20), context)["sum_minus_binary"]
    arms["malignancy"]["synthetic_weight"] = 0.25
    assert (
        "auc_malignant"
        in estimates.compute(predictions, np.arange(20), context)["sum_minus_binary"]
    )


def test_how_a_network_was_taught_is_part_of_its_description():
    record = {
        "real_images": 9,
        "synthetic_images": 5,
        "steps": 5,
        "inputs": {"synthetic": "a"},
        "environment": {},
        "options": {"soft_of": "synthetic", "least_agreement": 0.0, "finish_real": 0.0},
    }

    def taught(inputs=None, **options):
        changed = {"options": record["options"] | options}
        return networks.describe_arm(record | changed | {"inputs": inputs or {}})["taught"]

    plain = taught()
    # Without teachers it does not matter what they would have been asked.
    assert plain == taught(soft_of="all") == taught(least_agreement=0.5)
    assert plain != taught(finish_real=0.2)
    others = [
        plain,
        taught({"teacher0": "t"}),
        taught({"teacher0": "u"}),
        taught({"teacher0": "t", "teacher1": "u"}),
        taught({"teacher0": "t"}, soft_of="all"),
        taught({"teacher0": "t"}, least_agreement=0.5),
    ]
    assert len({json.dumps(o, sort_keys=True) for o in others}) == len(others)
    for names in ({"teacher0": "t", "teacher1": "u"}, {"teacher0": "u", "teacher1": "t"}):
        assert taught(names)["teachers"] == ["t", "u"]


def test_each_set_of_predictions_is_decided_at_its_own_networks_points(monkeypatch, tmp_path):
    """Six networks of unlike points give seven sets of predictions."""
    names = [n for n in recompute.MODELS if n != recompute.UNKNOWN]
    models = {name: {"operating_points": {"tau": float(i)}} for i, name in enumerate(names)}
    for made in models.values():
        made |= {"real_images": 1, "synthetic_images": 0, "steps": 1, "options": {}, "inputs": {}}
        made |= {"environment": {}}

    def predict(run, name, table, views):
        k = recompute.COLUMNS.get(name, len(CLASSES))
        p = np.full((3, k), 1 / k)
        return {name: p, **({recompute.UNKNOWN: p} if name == "clinical" else {})}

    test = SimpleNamespace(rows=np.arange(3), labels=np.arange(3), lesions=np.arange(3))
    inputs = SimpleNamespace(split={"protocol": "p"}, data={}, data_note="")
    args = SimpleNamespace(outputs_dir=tmp_path, views=8)
    run = SimpleNamespace(args=args, inputs=inputs, files={})
    monkeypatch.setattr(networks, "predict", predict)
    monkeypatch.setattr(evaluate, "test_part", lambda run: test)
    (tmp_path / "evaluation").mkdir()
    predictions, context, _ = evaluate.predict_test(run, models)
    assert set(predictions) == set(recompute.MODELS) == set(context["points"])
    for label, points in context["points"].items():
        own = "clinical" if label == recompute.UNKNOWN else label
        assert points == models[own]["operating_points"], label


def test_scores_by_age_sex_and_site_are_the_classifiers_over_its_lesions(monkeypatch, tmp_path):
    predictions = {name: (f"{name} rows", f"{name} y", f"{name} p") for name in ("classifier", "z")}
    context = {"points": {name: f"{name} points" for name in predictions}, "protocol": "said"}
    test = SimpleNamespace(lesions="lesions", metadata="metadata")
    asked = []

    def compute(*given):
        asked.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "predict_test", lambda *a: (predictions, context, test))
    monkeypatch.setattr(estimates, "write", lambda *a: None)
    monkeypatch.setattr(evaluate.subgroups, "compute", compute)
    args = SimpleNamespace(outputs_dir=tmp_path, predictions_only=False)
    with pytest.raises(KeyboardInterrupt):
        evaluate.evaluate_test(SimpleNamespace(args=args), {}, None)
    own = ("classifier y", "classifier p", "classifier points")
    assert asked == [(*own, "lesions", "metadata", "said")]


def test_arms_that_differ_in_their_recipe_are_no_pair():
    options = {
        "real_images": 9,
        "synthetic_images": 0,
        "steps": 5,
        "inputs": {},
        "environment": {},
        "options": {"optimizer": "muon", "stem": 2, "role": "control", "synthetic_weight": 1.0},
    }
    arm = networks.describe_arm(options)["same"]

    def other(**changes):
        return networks.describe_arm(options | {"options": options["options"] | changes})["same"]

    assert arm == other(role="classifier", synthetic_weight=0.5)
    assert arm == other(repeat_real=1000)
    assert arm != other(optimizer="adamw")
    assert arm != other(stem=1)
    assert arm != networks.describe_arm(options | {"inputs": {"real": "of more images"}})["same"]
    by = [
        networks.describe_arm(options | {"environment": e})["trained_by"]
        for e in ({}, {"accelerators": ["a GPU"]})
    ]
    assert (
        by[0]
        == networks.describe_arm(options | {"environment": {"accelerators": []}})["trained_by"]
        != by[1]
    )


def test_arms_are_described_by_what_they_learned_from(pipeline):
    arms = records.read_json(pipeline.outputs / "evaluation/context.json", "")["arms"]
    n = len(oracles.Parts(pipeline).rows("train"))
    assert arms["classifier"]["trained_on"] == f"{n} real + 35 synthetic"
    assert arms["control"]["trained_on"] == f"{n} real"
    table = pipeline.outputs / "synthetic/hmnist_28_28_RGB.csv"
    assert arms["classifier"]["synthetic_sha256"] == checksums.file_sha256(table)
    assert arms["control"]["synthetic_sha256"] is None
    assert (arms["classifier"]["synthetic_weight"], arms["control"]["synthetic_weight"]) == (
        0.25,
        None,
    )
    options = {
        n: records.read_json(pipeline.models / n / "options.json", "") for n in ("cnn", "control")
    }
    for name, folder in (("classifier", "cnn"), ("control", "control")):
        same = arms[name]["same"]
        assert same["steps"] == options[folder]["steps"]
        for flag in (
            "augment",
            "sampler",
            "optimizer",
            "seed",
            "batch",
            "learning_rate",
            "width",
            "keep",
            "colour_gain",
        ):
            assert same[flag] == options[folder]["options"][flag], flag
    extra = [
        networks.describe_arm(options["cnn"] | {"inputs": {"real": h}})["same"] for h in ("a", "b")
    ]
    assert extra[0] != extra[1]


def test_networks_by_other_code_packages_or_accelerators_are_told_apart():
    record = {
        "real_images": 1,
        "synthetic_images": 0,
        "steps": 1,
        "options": {},
        "inputs": {},
        "environment": {},
    }
    by = [
        networks.describe_arm(record | change)["trained_by"]
        for change in (
            {},
            {"code_sha256": "a"},
            {"code_sha256": "b"},
            {"environment": {"packages": {"keras": "1"}}},
            {"environment": {"backend": "jax"}},
            {"environment": {"accelerators": ["a GPU"]}},
        )
    ]
    assert len({json.dumps(b) for b in by}) == len(by)


def test_arms_must_agree_in_every_option_but_those_of_their_data(pipeline):
    options = records.read_json(pipeline.models / "cnn/options.json", "")
    same = networks.describe_arm(options)["same"]
    of_data = {"role", "task", "clinical", "real", "repeat_real", "synthetic_weight", "epochs"} | {
        "least_steps"
    }
    assert set(same) == set(options["options"]) - of_data | {"steps", "extra_real_sha256"}
