"""evaluate.py: which network scores which images, and what is measured, refused or left out.

Its other ways to be called have files of their own: test_from_predictions.py and
test_external_tables.py. test_compared_networks.py says which networks may be compared, and
test_recomputed.py computes the numbers again.
"""

import json
import shutil

import numpy as np
import pytest

import evaluate
from lesiongan import ROOT
from lesiongan.data.classes import CLASSES
from lesiongan.data.tables import read_table
from lesiongan.files import records
from lesiongan.files.errors import InputError
from lesiongan.plots import report
from tests.conftest import Pipeline


def test_predictions_are_the_test_part_and_nothing_else(pipeline):
    import pandas as pd

    split = pd.read_csv(pipeline.outputs / "split.csv")
    predictions = pd.read_csv(pipeline.outputs / "evaluation/predictions.csv")
    assert list(predictions) == ["row", "label", *(f"p_{c}" for c in CLASSES)]
    assert set(predictions.row) == set(split.row[split.part == "test"])
    table = read_table(pipeline.table)
    np.testing.assert_array_equal(table.labels[predictions.row], predictions.label)
    assert split.groupby("lesion").part.nunique().max() == 1


def test_each_figure_has_n_interval_and_protocol(pipeline):
    def walk(block):
        if isinstance(block, dict) and "value" in block:
            yield block
        if isinstance(block, dict):
            for inner in block.values():
                yield from walk(inner)

    for name, least in (("metrics.json", 100), ("synthetic_quality.json", 30)):
        text = (pipeline.outputs / "evaluation" / name).read_text()
        assert "NaN" not in text
        found = list(walk(json.loads(text)))
        assert len(found) > least
        for f in found:
            if f["value"] is None:
                assert f["reason"]
                continue
            assert f["n"] > 0
            assert f["protocol"]
            # The floor of the calibration error is exact but for noise.
            if not f["protocol"].startswith("labels drawn"):
                assert f["low"] <= f["high"]


def test_metrics_json_agrees_with_scikit_learn(pipeline):
    import pandas as pd
    from sklearn import metrics as sk

    found = records.read_json(pipeline.outputs / "evaluation/metrics.json", "")["models"][
        "classifier"
    ]
    frame = pd.read_csv(pipeline.outputs / "evaluation/predictions.csv")
    p = frame[[f"p_{c}" for c in CLASSES]].to_numpy()
    y, decided = frame.label, p.argmax(axis=1)
    assert found["argmax"]["accuracy"]["value"] == pytest.approx(sk.accuracy_score(y, decided))
    f1 = sk.f1_score(y, decided, average="macro", labels=np.unique(y), zero_division=0)
    assert found["argmax"]["macro_f1"]["value"] == pytest.approx(f1)
    auc = sk.roc_auc_score(y, p / p.sum(axis=1, keepdims=True), multi_class="ovr", average="macro")
    assert found["auc"]["value"] == pytest.approx(auc)
    malignant = y.isin([0, 1, 6])
    assert found["auc_malignant"]["value"] == pytest.approx(
        sk.roc_auc_score(malignant, p[:, [0, 1, 6]].sum(axis=1))
    )


def test_models_of_other_data_stop_the_evaluation_and_unfinished_ones_are_left_out(
    pipeline, table_path, tmp_path, capsys
):
    copy = Pipeline(table_path, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    options = copy.models / "control/options.json"
    options.write_text(
        options.read_text().replace(records.read_json(options, "")["data"]["sha256"], "0" * 64)
    )
    with pytest.raises(
        InputError, match=r"control/options.json: made from other data.* or remove .*control$"
    ):
        copy.run("evaluate")
    assert not (copy.outputs / "evaluation").exists()
    options.unlink()
    shutil.rmtree(copy.models / "judge")
    shutil.copytree(pipeline.outputs / "synthetic", copy.outputs / "synthetic")
    copy.run("evaluate")
    assert "control: its training is unfinished" in capsys.readouterr().out
    quality = records.read_json(copy.outputs / "evaluation/synthetic_quality.json", "")
    assert "no judge" in quality["reason"]
    # Memorisation needs no judge.
    assert 0 <= quality["memorisation"]["value"] <= 1
    assert "Memorisation" in report.quality_section(quality)
    found = records.read_json(copy.outputs / "evaluation/metrics.json", "")
    assert list(found["models"]) == ["classifier"]
    assert not (copy.outputs / "evaluation/predictions_control.csv").exists()


def test_a_common_class_of_one_synthetic_image_leaves_distances_out(pipeline, tmp_path):
    copy = Pipeline(pipeline.table, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    copy.run("train_gan", "--sample-only", "--samples", "61", "--class-mix", "10,10,10,10,1,10,10")
    shutil.rmtree(copy.models / "gan")
    copy.run("evaluate")
    quality = records.read_json(copy.outputs / "evaluation/synthetic_quality.json", "")
    assert "too few" in quality["reason"]
    assert 0 <= quality["memorisation"]["value"] <= 1


def test_a_synthetic_set_without_its_generator_is_measured_on_its_own_images(
    pipeline, table_path, tmp_path
):
    copy = Pipeline(table_path, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    shutil.copytree(pipeline.outputs, copy.outputs)
    shutil.rmtree(copy.models / "gan")
    copy.run("evaluate")
    quality = records.read_json(copy.outputs / "evaluation/synthetic_quality.json", "")
    assert quality["source"] == "synthetic table"
    n = quality["distances"]["frechet"]["n"]
    # No image is drawn twice.
    assert n == quality["distances"]["frechet_floor"]["n"] <= 35
    assert f"{n} images" in quality["protocol"]


def test_a_synthetic_table_that_is_not_the_one_described_is_not_measured(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    table = copy.outputs / "synthetic/hmnist_28_28_RGB.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], lines[1]]) + "\n")
    with pytest.raises(InputError, match="is not the table its provenance"):
        copy.run("evaluate")
    table.write_text("\n".join(lines) + "\n")
    (copy.models / "gan/generator.keras").write_bytes(b"another")
    with pytest.raises(InputError, match="drawn from another generator"):
        copy.run("evaluate")


def test_flags_left_out_mean_the_protocol_of_the_published_run():
    published = json.loads((ROOT / "results/run/evaluation_options.json").read_text())["options"]
    args = vars(evaluate.parse_args([]))
    for flag, value in published.items():
        assert args[flag] == value, flag
