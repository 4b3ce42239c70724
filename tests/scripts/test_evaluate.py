"""evaluate.py: which network scores which images, external tables against plain Keras, and which
networks may be compared. Evaluating again from the saved predictions gives the same bytes.
(test_recomputed.py computes the numbers again.)
"""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import evaluate
import train_cnn
from lesiongan import ROOT
from lesiongan.data import tables
from lesiongan.data.classes import CLASSES, MEL
from lesiongan.data.tables import read_table
from lesiongan.files import checksums, records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates
from lesiongan.measures.predictions import read_lesions, read_predictions
from lesiongan.plots import report
from lesiongan.run import runs
from tests import oracles
from tests.conftest import CNN, Pipeline


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
        figures = list(walk(json.loads(text)))
        assert len(figures) > least
        for f in figures:
            if f["value"] is None:
                assert f["reason"]
                continue
            assert f["n"] > 0
            assert f["protocol"]
            # The floor of the calibration error is exact but for noise.
            if not f["protocol"].startswith("labels drawn"):
                assert f["low"] <= f["high"]


def test_from_predictions_recomputes_the_same_bytes(pipeline, tmp_path):
    import evaluate

    folder = pipeline.outputs / "evaluation"
    flags = [
        "--from-predictions",
        str(folder / "predictions.csv"),
        "--split",
        str(pipeline.outputs / "split.csv"),
    ]
    evaluate.main([*flags, "--outputs-dir", str(tmp_path)])
    for name in ("metrics.json", "per_class.csv", "confusion.csv"):
        assert (tmp_path / "evaluation/from_predictions" / name).read_bytes() == (
            folder / name
        ).read_bytes(), name


def test_packed_predictions_and_split_give_the_same_bytes(pipeline, tmp_path):
    folder = pipeline.outputs / "evaluation"
    for name in ("predictions.csv", "predictions_control.csv"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    shutil.copy(folder / "context.json", tmp_path)
    (tmp_path / "split.csv.gz").write_bytes(
        gzip.compress((pipeline.outputs / "split.csv").read_bytes())
    )
    files = [
        "--from-predictions",
        str(tmp_path / "predictions.csv.gz"),
        "--split",
        str(tmp_path / "split.csv.gz"),
    ]
    evaluate.main([*files, "--outputs-dir", str(tmp_path)])
    made = tmp_path / "evaluation/from_predictions"
    for name in ("metrics.json", "per_class.csv", "confusion.csv"):
        assert (made / name).read_bytes() == (folder / name).read_bytes(), name
    names = {"predictions.csv.gz", "predictions_control.csv.gz", "split.csv.gz", "context.json"}
    assert set(records.read_json(made / "options.json", "")["inputs"]) == names
    with pytest.raises(InputError, match="is of another model"):
        evaluate.main(
            [
                files[0],
                str(tmp_path / "predictions_control.csv.gz"),
                *files[2:],
                "--outputs-dir",
                str(tmp_path),
            ]
        )


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


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.replace("p_mel", "p_melanoma"), "p_mel"),
        (lambda t: t + t.splitlines()[-1] + "\n", "twice"),
        (lambda t: "\n".join(t.splitlines()[:-1]) + "\n", "test part"),
        (lambda t: t.replace(t.splitlines()[1].split(",")[2], "7.5", 1), "line 2"),
        (lambda t: t.splitlines()[0] + "\n", "no predictions"),
        (lambda t: "", "predictions.csv"),
    ],
)
def test_bad_predictions_are_refused_in_one_line(pipeline, tmp_path, spoil, words):
    import evaluate

    path = tmp_path / "predictions.csv"
    path.write_text(spoil((pipeline.outputs / "evaluation/predictions.csv").read_text()))
    with pytest.raises(InputError, match=words):
        evaluate.main(
            [
                "--from-predictions",
                str(path),
                "--split",
                str(pipeline.outputs / "split.csv"),
                "--outputs-dir",
                str(tmp_path),
            ]
        )
    assert not (tmp_path / "evaluation").exists()


def test_an_external_table_is_whole_for_isic_and_without_known_images_for_figures(
    pipeline, tmp_path
):
    from lesiongan.phantom import draw_table

    images, labels, _ = draw_table(90, seed=7)
    # Of whose images one is not new.
    known = read_table(pipeline.table)
    images[5], labels[5] = known.images[0], known.labels[0]
    tables.write_table(tmp_path / "other.csv", [(images, labels)])
    (tmp_path / "ids.csv").write_text("image_id\n" + "".join(f"ISIC_{i}\n" for i in range(90)))
    isic = tmp_path / "isic.csv"
    control = pipeline.models / "control" / "options.json"
    kept = control.read_text()
    # Which has no part in this.
    control.write_text("of another split")
    try:
        pipeline.run(
            "evaluate",
            "--external",
            str(tmp_path / "other.csv"),
            "--external-metadata",
            str(tmp_path / "ids.csv"),
            "--isic-submission",
            str(isic),
            "--views",
            "1",
        )
    finally:
        control.write_text(kept)
    folder = next((pipeline.outputs / "evaluation").glob("external_other_*"))
    found = records.read_json(folder / "metrics.json", "")
    assert "external table other.csv" in found["protocol"]
    lines = isic.read_text().splitlines()
    assert lines[0] == "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
    import pandas as pd

    ours = pd.read_csv(folder / "predictions.csv").set_index("row")
    theirs = pd.read_csv(isic)
    # Whole, though figures leave the known one out.
    assert theirs["image"].tolist() == [f"ISIC_{i}" for i in range(90)]
    assert 5 not in ours.index
    np.testing.assert_allclose(theirs["NV"][ours.index], ours["p_nv"])
    one_view = oracles.load(pipeline.models / "cnn/classifier.keras").predict(
        images.astype(np.float32), verbose=0
    )
    np.testing.assert_allclose(theirs[[c.upper() for c in CLASSES]], one_view, atol=2e-6)
    assert records.read_json(folder / "options.json", "")["inputs"]["external_metadata"]
    shutil.rmtree(folder)


def test_training_data_is_no_external_table(pipeline):
    with pytest.raises(InputError, match="are training images"):
        pipeline.run("evaluate", "--external", str(pipeline.table))


def test_extra_training_data_is_no_external_table_however_it_is_packed(pipeline, tmp_path):
    from lesiongan.phantom import draw_table

    copy = Pipeline(pipeline.table, tmp_path)
    shutil.copytree(pipeline.models / "cnn", copy.models / "cnn")
    tables.write_table(tmp_path / "other.csv", [draw_table(90, seed=7)[:2]])
    flags = [*copy.flags, *CNN, "--synthetic", "none", "--real", str(tmp_path / "other.csv")]
    run = runs.Run(train_cnn.parse_args(flags), "train_cnn")
    train_cnn.gather_pool(run)
    options = copy.models / "cnn" / "options.json"
    writing.write_json(options, records.read_json(options, "") | {"inputs": run.files})
    with gzip.open(tmp_path / "packed.csv.gz", "wb") as f:
        f.write((tmp_path / "other.csv").read_bytes())
    with pytest.raises(InputError, match="was trained on it"):
        copy.run("evaluate", "--external", str(tmp_path / "packed.csv.gz"))


def test_isic_submission_of_the_test_part(pipeline, tmp_path):
    copy = Pipeline(pipeline.table, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    copy.run("evaluate", "--isic-submission", str(tmp_path / "isic.csv"), "--views", "1")
    lines = (tmp_path / "isic.csv").read_text().splitlines()
    assert lines[1].startswith("PHANTOM_")
    _, _, p = read_predictions(copy.outputs / "evaluation/predictions.csv")
    network, (images, _) = (
        oracles.load(copy.models / "cnn/classifier.keras"),
        oracles.Parts(copy).of("test"),
    )
    # Of one view.
    np.testing.assert_allclose(p, network.predict(images.astype(np.float32), verbose=0), atol=2e-6)
    header = [name.lower() for name in lines[0].split(",")[1:]]
    order = [header.index(c) for c in CLASSES]
    np.testing.assert_allclose(
        [np.array(line.split(",")[1:], float)[order] for line in lines[1:]], p, atol=1e-7
    )
    values = np.array([list(map(float, line.split(",")[1:])) for line in lines[1:]])
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)
    assert records.read_json(copy.outputs / "evaluation/metrics.json", "")["views"] == 1
    (tmp_path / "isic.csv").write_text("of another table")
    before = (copy.outputs / "evaluation/options.json").read_bytes()
    copy.run(
        "evaluate", "--if-stale", "--isic-submission", str(tmp_path / "isic.csv"), "--views", "1"
    )
    assert (tmp_path / "isic.csv").read_text().splitlines() == lines
    # Nor does the next run score test anew for it.
    copy.run("evaluate", "--if-stale", "--views", "1")
    assert (copy.outputs / "evaluation/options.json").read_bytes() == before
    # Known before test is read, not after.
    for nowhere in (tmp_path, tmp_path / "isic.csv" / "x.csv", "."):
        with pytest.raises(InputError, match="cannot be written"):
            copy.run("evaluate", "--isic-submission", str(nowhere))
    assert (copy.outputs / "evaluation/options.json").read_bytes() == before


def test_external_table_in_a_file_whose_name_is_not_utf8(pipeline, tmp_path):
    from lesiongan.phantom import draw_table

    path = str(tmp_path / "caf") + "\udce9.csv"
    tables.write_table(Path(path), [draw_table(30, seed=8)[:2]])
    copy = Pipeline(pipeline.table, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    copy.run("evaluate", "--external", path)
    (options,) = (copy.outputs / "evaluation").glob("external_*/options.json")
    assert records.read_json(options, "")["options"]["external"].endswith("caf\ufffd.csv")


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
    # Needs no judge.
    assert 0 <= quality["memorisation"]["value"] <= 1
    assert "Memorisation" in report.quality_section(quality)
    found = records.read_json(copy.outputs / "evaluation/metrics.json", "")
    assert list(found["models"]) == ["classifier"]
    assert not (copy.outputs / "evaluation/predictions_control.csv").exists()


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
    # Still subtracted, but every figure says so.
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


def test_dry_run_from_predictions_asks_for_both_files(pipeline, tmp_path):
    files = [pipeline.outputs / "evaluation/predictions.csv", pipeline.outputs / "split.csv"]
    for found in (files, [tmp_path / "none.csv", files[1]], [files[0], tmp_path / "none.csv"]):
        call = ["--from-predictions", str(found[0]), "--split", str(found[1]), "--dry-run"]
        if found is files:
            assert evaluate.main(call) == 0
        else:
            with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
                evaluate.main(call)


def test_lesion_ids_that_look_like_missing_values_stay_themselves(tmp_path):
    (tmp_path / "split.csv").write_text(
        "row,lesion,part\n0,NA,test\n1,null,test\n2,None,test\n3,nan,train\n"
    )
    lesions, leaky = read_lesions(tmp_path / "split.csv", np.arange(3))
    assert lesions.tolist() == ["NA", "null", "None"]
    assert not leaky


def test_networks_taught_with_other_weights_are_not_compared_by_task():
    record = {
        "real_images": 10,
        "synthetic_images": 5,
        "steps": 3,
        "inputs": {"synthetic": "a"},
        "environment": {},
    }
    arms = {
        name: evaluate.describe_arm(
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


def test_sensitivity_at_a_specificity_is_undefined_without_negatives():
    p = np.random.default_rng(0).dirichlet(np.ones(len(CLASSES)), size=12)
    found, _ = estimates.report_model(np.full(12, MEL), p, None, np.arange(12), "p")
    for name in ("melanoma", "malignant"):
        assert found[f"{name}_sensitivity_at_90_specificity"]["value"] is None
    # A third of the draws have no negative: they are left out of the interval.
    y = np.array([MEL] * 11 + [CLASSES.index("nv")])
    found, _ = estimates.report_model(y, np.tile(p[:1], (12, 1)), None, np.arange(12), "p")
    # Tied with the negative.
    assert found["melanoma_sensitivity_at_90_specificity"]["high"] == 0


def test_a_common_class_of_one_synthetic_image_leaves_distances_out(pipeline, tmp_path):
    copy = Pipeline(pipeline.table, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    copy.run("train_gan", "--sample-only", "--samples", "61", "--class-mix", "10,10,10,10,1,10,10")
    shutil.rmtree(copy.models / "gan")
    copy.run("evaluate")
    quality = records.read_json(copy.outputs / "evaluation/synthetic_quality.json", "")
    assert "too few" in quality["reason"]
    assert 0 <= quality["memorisation"]["value"] <= 1


def test_arms_that_differ_in_their_recipe_are_no_pair():
    options = {
        "real_images": 9,
        "synthetic_images": 0,
        "steps": 5,
        "inputs": {},
        "environment": {},
        "options": {"optimizer": "muon", "stem": 2, "role": "control", "synthetic_weight": 1.0},
    }
    arm = evaluate.describe_arm(options)["same"]

    def other(**changes):
        return evaluate.describe_arm(options | {"options": options["options"] | changes})["same"]

    assert arm == other(role="classifier", synthetic_weight=0.5)
    assert arm == other(repeat_real=1000)
    assert arm != other(optimizer="adamw")
    assert arm != other(stem=1)
    assert arm != evaluate.describe_arm(options | {"inputs": {"real": "of more images"}})["same"]
    by = [
        evaluate.describe_arm(options | {"environment": e})["trained_by"]
        for e in ({}, {"accelerators": ["a GPU"]})
    ]
    assert (
        by[0]
        == evaluate.describe_arm(options | {"environment": {"accelerators": []}})["trained_by"]
        != by[1]
    )


def test_predictions_of_another_model_or_evaluation_are_refused(pipeline, tmp_path):
    folder = tmp_path / "evaluation"
    shutil.copytree(pipeline.outputs / "evaluation", folder)
    flags = [
        "--split",
        str(pipeline.outputs / "split.csv"),
        "--outputs-dir",
        str(tmp_path),
        "--from-predictions",
    ]
    with pytest.raises(InputError, match="is of another model"):
        evaluate.main([*flags, str(folder / "predictions_control.csv")])
    evaluate.main([*flags, str(folder / "predictions.csv")])
    with pytest.raises(InputError, match="no such file"):
        evaluate.main([*flags, str(tmp_path)])
    # Without options.json, which would tell first.
    loose = tmp_path / "loose"
    loose.mkdir()
    for name in ("predictions.csv", "predictions_control.csv"):
        (loose / name).write_bytes((folder / name).read_bytes())
    evaluate.main([*flags, str(loose / "predictions.csv")])
    import pandas as pd

    table = pd.read_csv(loose / "predictions_control.csv")
    table[["row", "label"]].assign(p_malignant=0.3).to_csv(
        loose / "predictions_control.csv", index=False
    )
    before = (folder / "from_predictions/metrics.json").read_bytes()
    with pytest.raises(
        InputError, match=r"predictions_control\.csv: has the probabilities of another task"
    ):
        evaluate.main([*flags, str(loose / "predictions.csv")])
    assert (folder / "from_predictions/metrics.json").read_bytes() == before
    context = folder / "context.json"
    context.write_text(context.read_text().replace("lesion split", "another split"))
    with pytest.raises(InputError, match=r"context.json: is not the file"):
        evaluate.main([*flags, str(folder / "predictions.csv")])


def test_a_split_that_shares_lesions_is_called_leaky_from_files_alone(pipeline, tmp_path):
    text = (pipeline.outputs / "split.csv").read_text()
    rows = [line.split(",") for line in text.splitlines()[1:]]
    test, train = (next(r for r in rows if r[2] == part) for part in ("test", "train"))
    leaking = text.replace(",".join(test), f"{test[0]},{train[1]},test")
    (tmp_path / "split.csv").write_text(leaking)
    shutil.copy(pipeline.outputs / "evaluation/predictions.csv", tmp_path)
    evaluate.main(
        [
            "--from-predictions",
            str(tmp_path / "predictions.csv"),
            "--split",
            str(tmp_path / "split.csv"),
            "--outputs-dir",
            str(tmp_path),
        ]
    )
    found = records.read_json(tmp_path / "evaluation/from_predictions/metrics.json", "")
    assert found["protocol"] == "split file split.csv, leaky"
    # Which knows the split by another name.
    shutil.copy(pipeline.outputs / "evaluation/context.json", tmp_path)
    evaluate.main(
        [
            "--from-predictions",
            str(tmp_path / "predictions.csv"),
            "--split",
            str(tmp_path / "split.csv"),
            "--outputs-dir",
            str(tmp_path),
        ]
    )
    assert records.read_json(tmp_path / "evaluation/from_predictions/metrics.json", "")[
        "protocol"
    ].endswith(", leaky")


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


def test_an_external_table_keeps_each_image_with_its_label_and_drops_what_was_seen(
    pipeline, tmp_path
):
    """Copies of train and of val images go, whatever their turn; a copy of a test image, which
    no network saw, stays.
    """
    from lesiongan.phantom import draw_table

    parts = oracles.Parts(pipeline)
    images, labels, _ = draw_table(90, seed=7)
    for at, part, turn, light in (
        (2, "train", 0, 2),
        (11, "val", 1, 0),
        (40, "val", 2, 2),
        (60, "test", 0, 0),
    ):
        source = parts.rows(part)[at % 20]
        # Saved again, a little brighter.
        seen = np.clip(parts.images[source].astype(int) + light, 0, 255)
        images[at], labels[at] = np.rot90(seen, turn), parts.labels[source]
    tables.write_table(tmp_path / "other.csv", [(images, labels)])
    copy = Pipeline(pipeline.table, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    copy.run("evaluate", "--external", str(tmp_path / "other.csv"))
    (folder,) = (copy.outputs / "evaluation").glob("external_*")
    rows, y, p = read_predictions(folder / "predictions.csv")
    assert not set(rows) & {2, 11, 40}
    assert {60, 0, 89} <= set(rows)
    np.testing.assert_array_equal(y, labels[rows])
    network = oracles.load(copy.models / "cnn/classifier.keras")
    np.testing.assert_allclose(p, oracles.average_of_views(network, images[rows]), atol=2e-6)
    context = records.read_json(folder / "context.json", "")
    options = records.read_json(copy.models / "cnn/options.json", "")
    assert context["points"] == {"classifier": options["operating_points"]}
    assert context["model_sha256"] == options["model_sha256"]
    assert f"{90 - len(rows)} of 90 images dropped" in context["protocol"]


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
        evaluate.describe_arm(options["cnn"] | {"inputs": {"real": h}})["same"] for h in ("a", "b")
    ]
    assert extra[0] != extra[1]


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


def test_an_external_table_is_resampled_by_the_lesions_of_its_own_metadata(pipeline, tmp_path):
    import pandas as pd

    from lesiongan.phantom import write_phantom

    other = write_phantom(tmp_path / "other", 90, seed=7)
    copy = Pipeline(pipeline.table, tmp_path)
    shutil.copytree(pipeline.models / "cnn", copy.models / "cnn")
    ids = other.with_name("HAM10000_metadata.csv")
    copy.run("evaluate", "--external", str(other), "--external-metadata", str(ids))
    (folder,) = (copy.outputs / "evaluation").glob("external_*")
    found = records.read_json(folder / "metrics.json", "")
    meta, rows = pd.read_csv(ids), read_predictions(folder / "predictions.csv")[0]
    assert (found["images"], found["lesions"]) == (len(rows), meta.lesion_id[rows].nunique())
    assert found["lesions"] < found["images"]


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
        evaluate.describe_arm(record | change)["trained_by"]
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
    same = evaluate.describe_arm(options)["same"]
    of_data = {"role", "task", "real", "repeat_real", "synthetic_weight", "epochs"}
    assert set(same) == set(options["options"]) - of_data | {"steps", "extra_real_sha256"}
