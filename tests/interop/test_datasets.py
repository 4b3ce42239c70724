"""Hugging Face's `datasets` reads the synthetic set and the predictions from the disk."""

import numpy as np
import pandas as pd
import pytest

from lesiongan.data.classes import CLASSES
from tests import one_liners, oracles


@pytest.fixture
def load(tmp_path, monkeypatch):
    """`load_dataset` without a network, with its copies in a folder that is removed."""
    # Both are read when the library is imported.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    return lambda *args, **kwargs: datasets.load_dataset(
        *args, cache_dir=str(tmp_path), split="train", **kwargs
    )


def test_the_folder_of_pictures_is_an_imagefolder(load, drawn):
    found = load("imagefolder", data_dir=str(drawn.outputs / "synthetic/images"))
    # Its classes are in the order of the alphabet, not in ours.
    names = found.features["label"].names
    assert names == sorted(CLASSES)
    images, labels = oracles.read_images(drawn.outputs / "synthetic/hmnist_28_28_RGB.csv")
    pairs = sorted((names[r["label"]], np.array(r["image"]).tobytes()) for r in found)
    assert pairs == sorted(
        (CLASSES[code], image.tobytes()) for image, code in zip(images, labels, strict=True)
    )


def test_the_table_and_the_predictions_are_csv(load, evaluated):
    table = evaluated.outputs / "synthetic/hmnist_28_28_RGB.csv"
    found = load("csv", data_files=str(table))
    images, labels = oracles.read_images(table)
    assert found["label"][:] == labels.tolist()
    pixels = np.array([[row[f"pixel{i:04d}"] for i in range(2352)] for row in found])
    assert (pixels.reshape(images.shape) == images).all()
    path = evaluated.outputs / "evaluation/predictions.csv"
    found = load("csv", data_files=str(path)).to_pandas()
    pd.testing.assert_frame_equal(found, pd.read_csv(path))


def test_the_lines_of_the_documentation_load_the_set(load, drawn, monkeypatch):
    import datasets

    monkeypatch.chdir(drawn.outputs / "synthetic")
    labels = oracles.read_images("hmnist_28_28_RGB.csv")[1]
    table = one_liners.run_line("Hugging Face datasets, from the table", datasets=datasets)
    assert table["label"][:] == labels.tolist()
    pictures = one_liners.run_line("Hugging Face datasets, from the pictures", datasets=datasets)
    names = pictures.features["label"].names
    assert sorted(names[code] for code in pictures["label"][:]) == sorted(
        CLASSES[code] for code in labels
    )
