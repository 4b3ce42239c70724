"""evaluate.py on external tables and for the ISIC challenge, against plain Keras."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

import train_cnn
from lesiongan.data import tables
from lesiongan.data.classes import CLASSES
from lesiongan.data.tables import read_table
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import training_pool
from lesiongan.measures.predictions import read_predictions
from lesiongan.run import runs
from tests import oracles
from tests.conftest import CNN, Pipeline


def test_an_external_table_is_whole_for_isic_and_without_known_images_for_figures(
    pipeline, tmp_path
):
    from lesiongan.phantom import draw_table

    images, labels, _ = draw_table(90, seed=7)
    # One of its images is not new.
    known = read_table(pipeline.table)
    images[5], labels[5] = known.images[0], known.labels[0]
    tables.write_table(tmp_path / "other.csv", [(images, labels)])
    (tmp_path / "ids.csv").write_text("image_id\n" + "".join(f"ISIC_{i}\n" for i in range(90)))
    isic = tmp_path / "isic.csv"
    control = pipeline.models / "control" / "options.json"
    kept = control.read_text()
    # The control has no part in this, so a damaged record of it must not matter.
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
    # The submission is whole, though the estimates leave the known image out.
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
    training_pool.gather(run)
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
    # The predictions are of one view.
    np.testing.assert_allclose(p, network.predict(images.astype(np.float32), verbose=0), atol=2e-6)
    header = [name.lower() for name in lines[0].split(",")[1:]]
    order = [header.index(c) for c in CLASSES]
    np.testing.assert_allclose(
        [np.array(line.split(",")[1:], float)[order] for line in lines[1:]], p, atol=1e-7
    )
    values = np.array([list(map(float, line.split(",")[1:])) for line in lines[1:]])
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)
    assert records.read_json(copy.outputs / "evaluation/metrics.json", "")["views"] == 1
    (tmp_path / "notes.csv").write_text("image,MEL of mine")
    for kept in (tmp_path / "notes.csv", Path(pipeline.table)):
        content = kept.read_bytes()
        with pytest.raises(InputError, match="--isic-submission"):
            copy.run("evaluate", "--isic-submission", str(kept), "--views", "1")
        assert kept.read_bytes() == content
    (tmp_path / "isic.csv").write_text(lines[0] + "\nof another table")
    before = (copy.outputs / "evaluation/options.json").read_bytes()
    copy.run(
        "evaluate", "--if-stale", "--isic-submission", str(tmp_path / "isic.csv"), "--views", "1"
    )
    assert (tmp_path / "isic.csv").read_text().splitlines() == lines
    # The next run does not score test anew for the submission.
    copy.run("evaluate", "--if-stale", "--views", "1")
    assert (copy.outputs / "evaluation/options.json").read_bytes() == before
    # A place that cannot be written is known before test is read, not after.
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


def test_an_external_table_keeps_each_image_with_its_label_and_drops_what_was_seen(
    pipeline, tmp_path
):
    """Copies of train and of val images go, whatever their turn.

    A copy of a test image, which no network saw, stays.
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
        # The image is saved again, a little brighter.
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
