"""One line loads the synthetic set, as docs/use.md says: in pandas, Keras and Croissant.

PyTorch, MedMNIST and Hugging Face's datasets are tried by `make test-interop`.
"""

import numpy as np
import pytest

from tests import one_liners, oracles


@pytest.fixture
def images_and_labels(drawn, monkeypatch):
    """The pictures and labels of the shared run's set, whose folder is the current one."""
    monkeypatch.chdir(drawn.outputs / "synthetic")
    return oracles.read_images("hmnist_28_28_RGB.csv")


def test_the_page_has_a_line_for_each_library():
    named = [comment.split()[0].strip(",:;") for comment, _ in one_liners.read_blocks()]
    assert named == ["pandas", "Keras", "Croissant", "Hugging", "Hugging", "PyTorch", "MedMNIST"]


def test_pandas(images_and_labels):
    import pandas as pd

    images, labels = images_and_labels
    table = one_liners.run_line("pandas", pd=pd)
    assert list(table.columns) == [*(f"pixel{i:04d}" for i in range(2352)), "label"]
    assert table["label"].tolist() == labels.tolist()
    pixels = table.drop(columns="label").to_numpy().reshape(-1, 28, 28, 3)
    np.testing.assert_array_equal(pixels, images)


def test_keras_in_the_order_of_the_table(images_and_labels):
    import keras

    images, labels = images_and_labels
    data = one_liners.run_line("Keras", keras=keras)
    found = {}
    for batch, codes in data:
        for image, code in zip(np.rint(batch), np.asarray(codes), strict=True):
            found[image.astype(np.uint8).tobytes()] = int(code)
    assert data.class_names == list(oracles.CLASSES)
    assert found == {i.tobytes(): int(c) for i, c in zip(images, labels, strict=True)}
    assert len(found) == len(images) == 35


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")
def test_croissant(images_and_labels):
    import mlcroissant

    images, labels = images_and_labels
    records = list(one_liners.run_line("Croissant", mlcroissant=mlcroissant))
    assert len(records) == 35
    for record in records:
        row = record["images/row"]
        np.testing.assert_array_equal(np.asarray(record["images/image"]), images[row])
        assert record["images/class"].decode() == oracles.CLASSES[labels[row]]
