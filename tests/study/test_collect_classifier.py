"""What study/collect_classifier.py gathers is what the scripts' files say."""

import json

import numpy as np
import pandas as pd
import pytest

from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.run import machine
from study.gather import pack
from tests import oracles
from tests.conftest import load_fresh


def test_rows_of_a_classifier_and_of_an_average_are_those_of_their_files(
    pipeline, place, tmp_path, capsys
):
    classifier = load_fresh("study.collect_classifier")
    row = classifier.read_scores(pipeline.models, pipeline.outputs)
    found = json.loads((pipeline.outputs / "evaluation/metrics.json").read_text())
    assert row["classifier"]["acc"] == found["models"]["classifier"]["argmax"]["accuracy"]["value"]
    assert (
        row["control"]["balanced_accuracy"]
        == found["models"]["control"]["balanced"]["balanced_accuracy"]["value"]
    )
    assert row["classifier_minus_control"]["acc"] == pytest.approx(
        row["classifier"]["acc"] - row["control"]["acc"]
    )
    results = writing.ensure_folder(place.results / "classifier")

    def write(split, seed, epochs=2, keep="last", **more):
        recipe = {
            "epochs": epochs,
            "learning_rate": 0.006,
            "keep": keep,
            "synthetic_images": 70,
            "synthetic_weight": 0.25,
        }
        whole = {
            "seed": seed,
            "recipe": recipe,
            "environment": machine.environment(),
            **row,
            **more,
        }
        (results / f"{split}_{seed}.json").write_text(json.dumps(whole))
        (results / f"{split}_{seed}").mkdir(exist_ok=True)
        evaluation = pipeline.outputs / "evaluation"
        for path in [*evaluation.glob("predictions*.csv"), evaluation / "context.json"]:
            (results / f"{split}_{seed}" / path.name).write_bytes(path.read_bytes())
        # Other predictions than those of the leak, or the one could stand for the other.
        if split == "image_split":
            control = (evaluation / "predictions_control.csv").read_bytes()
            (results / f"{split}_{seed}/predictions.csv").write_bytes(control)
        pack(pipeline.outputs / "split.csv", place.split_file(split != "lesion_split"))

    for seed in (0, 1):
        write("image_split", seed, epochs=5)
        write("leak_split", seed)
        write(
            "lesion_split",
            seed,
            malignancy=row["classifier"],
            sum_minus_binary={"value": 0.1, "low": -0.1, "high": 0.2},
        )
    classifier.collect(place)
    out = json.loads((tmp_path / "classifier.json").read_text())
    assert out["lesion_split"]["acc"] == row["classifier"]["acc"]
    assert out["lesion_split"]["acc_std"] == 0
    # an ensemble of equals decides as each of them
    assert out["leak_split"]["ensemble"]["acc"] == row["classifier"]["acc"]
    assert out["leak_split"]["ensemble"]["auc"] == pytest.approx(row["classifier"]["auc"])
    assert out["image_split"]["ensemble"]["auc"] == pytest.approx(row["control"]["auc"])
    assert row["classifier"]["auc"] != pytest.approx(row["control"]["auc"])
    # The control's average is of the controls.
    for name in ("acc", "auc", "balanced_accuracy"):
        assert out["lesion_split"]["control"]["ensemble"][name] == pytest.approx(
            row["control"][name]
        )
    gain = out["lesion_split"]["classifier_minus_control"]
    assert ("acc" in gain["better_in_every_seed"]) == (row["classifier_minus_control"]["acc"] > 0)
    assert ("acc" in gain["worse_in_every_seed"]) == (row["classifier_minus_control"]["acc"] < 0)
    price = out["lesion_split"]["price_of_leakage"]
    ends = [found["models"][name]["argmax"]["accuracy"] for name in ("classifier", "control")]
    assert price["acc_half_width"] == pytest.approx(
        np.hypot(*((e["high"] - e["low"]) / 2 for e in ends))
    )
    ends = [found["models"][name]["auc"] for name in ("classifier", "control")]
    assert price["auc_half_width"] == pytest.approx(
        np.hypot(*((e["high"] - e["low"]) / 2 for e in ends))
    )
    for name in ("acc", "auc"):
        assert price[name] == pytest.approx(row["classifier"][name] - row["control"][name])
    assert price["seeds"] == [0, 1]
    assert out["minutes"] == row["classifier"]["minutes"]
    assert 0.2 < out["peak_gib"] < 8
    pages = load_fresh("study.pages.build")
    pages.RUN = tmp_path / "run"
    section = pages.build_classifier_section()
    # The two AUCs differ, as the accuracies of networks this small need not.
    auc = [
        "{:.3f} ± 0.000".format(row[arm]["auc"]) for arm in ("classifier", "control", "classifier")
    ]
    assert len(set(auc)) == 2
    assert "| macro AUC, one against the rest | " + " | ".join(auc) + " |" in section
    assert "with KERAS_BACKEND=tensorflow at " in section
    assert pages.beside_leak(out).startswith(
        "5 epochs, learning rate 0.006: see Limits; by the lesion split's recipe"
    )
    gpu = {
        "accelerators": ["NVIDIA H200", "NVIDIA H200"],
        "backend": "jax",
        "commit": "4fa3fd6e0b64-dirty",
    }
    assert pages.cores(gpu) == "2 NVIDIA H200 (jax)"
    assert pages.name_commit(gpu) == "`4fa3fd6-dirty`"
    assert "The price of leakage" in section
    assert "70 synthetic images of weight 0.25, drawn anew" in section
    assert "less binary +0.100 (-0.100 to +0.200): no difference shown" in section
    better = section.split("Better in each of the 2 seeds: ")[1].split(". Worse in each")[0]
    # Names that hold a comma themselves go first, so that the rest can be told apart by theirs.
    for name in ("balanced accuracy, balanced point", "accuracy, balanced point"):
        better = better.replace(name, "")
    assert ("accuracy" in better.split(", ")) == ("acc" in gain["better_in_every_seed"])
    # An average of three beside one of two would be no fair price.
    write("lesion_split", 2)
    classifier.collect(place)
    assert json.loads((tmp_path / "classifier.json").read_text())["lesion_split"][
        "price_of_leakage"
    ]["seeds"] == [0, 1]
    assert "probabilities (2, 3, 3 of them)" in pages.build_classifier_section()
    other = machine.environment() | {"accelerators": ["another GPU"]}
    for seed in (0, 1):
        write("leak_split", seed, environment=other)
    capsys.readouterr()
    # On another accelerator: the difference would not be of leakage alone.
    classifier.collect(place)
    assert "no price of leakage" in capsys.readouterr().err
    for seed in (0, 1):
        write("leak_split", seed)
    write("leak_split", 0, keep="best")
    with pytest.raises(InputError, match="one recipe"):
        classifier.collect(place)
    write("leak_split", 1, keep="best")
    capsys.readouterr()
    # No split mixes recipes now, but the two splits are not comparable.
    classifier.collect(place)
    assert "no price of leakage" in capsys.readouterr().err
    assert (
        "price_of_leakage"
        not in json.loads((tmp_path / "classifier.json").read_text())["lesion_split"]
    )
    assert "The price of leakage" not in pages.build_classifier_section()
    for seed in (0, 1):
        (results / f"leak_split_{seed}.json").unlink()
    classifier.collect(place)
    out = json.loads((tmp_path / "classifier.json").read_text())
    assert "leak_split" not in out
    assert "price_of_leakage" not in out["lesion_split"]


def test_a_measure_is_better_in_every_seed_only_if_it_is_so_in_all(place, monkeypatch):
    bars = load_fresh("study.collect_classifier")
    monkeypatch.setattr(bars, "score_ensemble", lambda *a: {})
    results = writing.ensure_folder(place.results / "classifier")
    for seed, (acc, auc, recall) in enumerate(((0.1, 0.1, -0.1), (-0.1, 0.2, -0.2))):
        model = {"acc": 0.5, "auc": 0.5, "minutes": 1.0, "peak_gib": 1.0}
        row = {
            "seed": seed,
            "recipe": {},
            "environment": {},
            "protocol": "p",
            "classifier": model,
            "control": model,
            "classifier_minus_control": {"acc": acc, "auc": auc, "balanced_accuracy": recall},
        }
        (results / f"lesion_split_{seed}.json").write_text(json.dumps(row))
    found = bars.collect_split(place, "lesion_split")["classifier_minus_control"]
    assert found["better_in_every_seed"] == ["auc"]
    assert found["worse_in_every_seed"] == ["balanced_accuracy"]


def test_an_average_of_networks_is_decided_at_the_average_of_their_own_points(pipeline, place):
    bars = load_fresh("study.collect_classifier")
    evaluation = pipeline.outputs / "evaluation"
    context = json.loads((evaluation / "context.json").read_text())
    shifts = {0: {"classifier": 3.0, "control": -1.0}, 1: {"classifier": 3.0, "control": -2.0}}
    tables = {}
    for seed, source in ((0, "predictions.csv"), (1, "predictions_control.csv")):
        folder = writing.ensure_folder(place.results / f"classifier/lesion_split_{seed}")
        for name in ("predictions.csv", "predictions_control.csv"):
            (folder / name).write_bytes((evaluation / source).read_bytes())
        tables[seed] = pd.read_csv(evaluation / source)
        points = {
            m: context["points"][m] | {"balanced_shift": np.linspace(-s, s, 7).tolist()}
            for m, s in shifts[seed].items()
        }
        (folder / "context.json").write_text(json.dumps(context | {"points": points}))
    pack(pipeline.outputs / "split.csv", place.split_file(of_images=False))
    p = np.mean([t.filter(like="p_").to_numpy() for t in tables.values()], axis=0)
    y = tables[0].label
    for name, shift in (("classifier", 3.0), ("control", -1.5)):
        rows = [{"seed": seed, "protocol": "p"} for seed in (0, 1)]
        found = bars.score_ensemble(place, "lesion_split", rows, name)
        decided = (np.log(p) + np.linspace(-shift, shift, 7)).argmax(axis=1)
        assert found["acc"] == pytest.approx((p.argmax(axis=1) == y).mean())
        assert found["balanced_accuracy"] == pytest.approx(
            np.mean([(decided[y == c] == c).mean() for c in np.unique(y)])
        ), name


def test_each_measure_of_a_row_is_the_one_of_its_name(pipeline, tmp_path):
    classifier = load_fresh("study.collect_classifier")
    unlike = oracles.make_unlike(oracles.read(pipeline.outputs / "evaluation/metrics.json"))
    writing.write_json(tmp_path / "evaluation/metrics.json", unlike)
    row = classifier.read_scores(pipeline.models, tmp_path)["classifier"]
    found = unlike["models"]["classifier"]
    for name, value in row.items():
        if name in ("minutes", "peak_gib"):
            continue
        point, short = "argmax", name
        if name in ("balanced_accuracy", "acc_balanced"):
            point, short = "balanced", name.removesuffix("_balanced")
        short = {"acc": "accuracy"}.get(
            short.removesuffix("_argmax"), short.removesuffix("_argmax")
        )
        block = found[point] if short in found[point] else found
        assert value == block[short]["value"], name


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.03, "the sum is better"),
        (-0.03, -0.01, "the binary network is better"),
        (-0.01, 0.02, "no difference shown"),
    ],
)
def test_the_better_of_two_ways_to_malignancy_is_the_one_that_is_named(low, high, words):
    pages = load_fresh("study.pages.classifier")
    apart = {"value": (low + high) / 2, "low": low, "high": high}
    found = {"malignancy": {"auc_malignant": 0.9, "sum_minus_binary": apart, "seeds": [0]}}
    assert pages.beside_binary(found).endswith(f": {words}")


@pytest.mark.parametrize(
    ("acc", "auc", "unclear"),
    [(0.01, 0.01, True), (0.05, 0.01, False), (0.01, 0.05, False), (-0.05, 0.05, False)],
)
def test_a_price_of_leakage_is_unclear_only_if_neither_measure_shows_it(acc, auc, unclear):
    pages = load_fresh("study.pages.classifier")
    price = {"acc": acc, "auc": auc, "acc_half_width": 0.02, "auc_half_width": 0.02, "seeds": [0]}
    leak = {"recipe": {"epochs": 9}, "acc": 0.8, "acc_std": 0.0, "auc": 0.9, "auc_std": 0.0}
    found = pages.describe_price({"lesion_split": {"price_of_leakage": price}, "leak_split": leak})
    assert found["unclear"] is unclear
