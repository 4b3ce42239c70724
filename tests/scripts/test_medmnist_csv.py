"""A network trained and evaluated under an npz's own split, and its predictions for MedMNIST."""

import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import evaluate
from lesiongan.files.errors import InputError
from tests import oracles
from tests.conftest import CNN, Pipeline
from tests.npz import write_npz

OFFICIAL = ("--split", "official")


@pytest.fixture(scope="module")
def official(table_path, tmp_path_factory):
    """A run under the official split, evaluated with one view, and the folder for MedMNIST."""
    folder = tmp_path_factory.mktemp("official")
    run = Pipeline(write_npz(folder / "data", table_path), folder)
    run.run("train_cnn", *CNN, *OFFICIAL, "--synthetic", "none", "--seed", "4")
    run.run("evaluate", *OFFICIAL, "--views", "1", "--medmnist-csv", str(folder / "medmnist"))
    return run, folder / "medmnist"


def test_every_output_says_that_the_official_split_is_leaky(official):
    run, _ = official
    split = oracles.read(run.outputs / "split.json")["split"]
    words = "official split of dermamnist.npz, leaky: "
    assert split["protocol"].startswith(words)
    evaluation = run.outputs / "evaluation"
    assert words in oracles.read(evaluation / "context.json")["protocol"]
    found = oracles.read(evaluation / "metrics.json")["models"]["classifier"]
    assert all(words in f["protocol"] for f in found["argmax"].values())
    lines = (evaluation / "per_class.csv").read_text().splitlines()
    assert len(lines) == 8
    assert all(words in line for line in lines[1:])
    sizes = [len(np.load(run.table)[f"{p}_labels"]) for p in ("train", "val", "test")]
    parts = pd.read_csv(run.outputs / "split.csv").part
    assert parts.tolist() == list(np.repeat(["train", "val", "test"], sizes))


def test_the_file_for_medmnist_has_the_images_and_classes_of_the_npz(official):
    run, folder = official
    (path,) = folder.iterdir()
    frame = pd.read_csv(path, header=None, index_col=0)
    arrays = np.load(run.table)
    images, codes = arrays["test_images"], arrays["test_labels"].ravel()
    assert frame.index.tolist() == list(range(len(codes)))
    network = oracles.load(run.models / "cnn/classifier.keras")
    p = network.predict(images.astype(np.float32), verbose=0)
    names = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    p = p[:, [oracles.CLASSES.index(name) for name in names]]
    assert np.ptp(p, axis=0).min() > 1e-3
    np.testing.assert_allclose(frame.to_numpy(), p, atol=2e-6)
    auc = np.mean([roc_auc_score(codes == k, frame[k + 1]) for k in range(7)])
    accuracy = (frame.to_numpy().argmax(axis=1) == codes).mean()
    # The network's seed names the run, whatever that of the evaluation is.
    assert path.name == f"dermamnist_test_[AUC]{auc:.3f}_[ACC]{accuracy:.3f}@seed4.csv"


def test_the_file_is_written_from_predictions_that_are_there(official, tmp_path, capsys):
    run, folder = official
    before = (run.outputs / "evaluation/options.json").read_bytes()
    flags = (*OFFICIAL, "--views", "1", "--if-stale")
    run.run("evaluate", *flags, "--medmnist-csv", str(tmp_path / "again"))
    assert "up to date" in capsys.readouterr().out
    (path,) = folder.iterdir()
    (again,) = (tmp_path / "again").iterdir()
    assert (again.name, again.read_bytes()) == (path.name, path.read_bytes())
    assert (run.outputs / "evaluation/options.json").read_bytes() == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file: cannot be created"):
        run.run("evaluate", *flags, "--medmnist-csv", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def test_estimates_from_files_alone_stay_leaky(official, tmp_path):
    run, _ = official
    shutil.copytree(run.outputs, tmp_path / "o")
    for left in ("options.json", "context.json"):
        flags = (
            "--from-predictions",
            str(tmp_path / "o/evaluation/predictions.csv"),
            "--split",
            str(tmp_path / "o/split.csv"),
            "--outputs-dir",
            str(tmp_path / left),
        )
        assert evaluate.main(flags) == 0
        found = oracles.read(tmp_path / left / "evaluation/from_predictions/metrics.json")
        assert found["protocol"].count(", leaky") == (1 if left == "options.json" else 2)
        (tmp_path / "o/evaluation/options.json").unlink(missing_ok=True)


def test_a_network_of_the_official_split_is_none_of_another_split(official):
    run, _ = official
    for flags in (("--views", "1"), ("--views", "1", "--split", "image")):
        with pytest.raises(InputError, match="made from other split"):
            run.run("evaluate", *flags)


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--split", "image"),
        (*OFFICIAL, "--subset", "90"),
        (*OFFICIAL, "--external", "other.csv"),
        ("--split", "split.csv", "--from-predictions", "p.csv"),
    ],
)
def test_only_the_whole_official_test_part_is_written_for_medmnist(flags, capsys):
    with pytest.raises(SystemExit) as e:
        evaluate.parse_args(["--medmnist-csv", "results", *flags])
    assert e.value.code == 2
    assert "--medmnist-csv is of an npz's own test part" in capsys.readouterr().err
