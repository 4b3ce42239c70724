"""Which part of the split reaches what.

The pixels of one part's images are shifted by five rows and everything is trained again: what must
not see that part stays the same to the last byte, and what uses it changes.

The rows that leave an image below come in above, so its colours stay, and table and metadata still
belong together. Turning the images would not do: predictions are averages over the eight flips and
turns.
"""

import shutil

import numpy as np
import pandas as pd
import pytest

from lesiongan.data import tables
from lesiongan.data.classes import mark_as_phantom
from lesiongan.files import writing
from tests import oracles
from tests.conftest import Pipeline

LEARNED_FROM_VAL = ("temperature", "operating_points", "val", "kept_epoch")


def move(pipeline, part, folder):
    """The run's table with the pictures of `part` moved by five rows, in a pipeline of its own."""
    parts = oracles.Parts(pipeline)
    images, rows = parts.images.copy(), parts.rows(part)
    images[rows] = np.roll(images[rows], 5, axis=1)
    path = writing.ensure_folder(folder / "data") / pipeline.table.name
    tables.write_table(path, [(mark_as_phantom(images), parts.labels)])
    shutil.copy(pipeline.table.with_name("HAM10000_metadata.csv"), path.parent)
    return Pipeline(path, folder)


@pytest.fixture(scope="module")
def moved_test(networks, tmp_path_factory):
    other = move(networks, "test", tmp_path_factory.mktemp("moved_test"))
    for stage in ("gan", "judge", "cnn"):
        other.run_stage(stage)
    return other


@pytest.fixture(scope="module")
def moved_val(networks, tmp_path_factory):
    other = move(networks, "val", tmp_path_factory.mktemp("moved_val"))
    for stage in ("gan", "control"):
        other.run_stage(stage)
    return other


def test_no_network_and_no_choice_depends_on_the_pixels_of_the_test_part(networks, moved_test):
    assert (moved_test.outputs / "split.csv").read_bytes() == (
        networks.outputs / "split.csv"
    ).read_bytes()
    ours, theirs = (
        oracles.read(p.models / "gan/options.json")["data"]["sha256"]
        for p in (networks, moved_test)
    )
    # The table did change.
    assert ours != theirs
    for name in ("gan/generator", "judge/classifier", "cnn/classifier"):
        path = f"{name}.keras"
        assert (moved_test.models / path).read_bytes() == (networks.models / path).read_bytes(), (
            f"{name} saw test images"
        )
    for name in ("judge", "cnn"):
        ours, theirs = (
            oracles.read(p.models / name / "options.json") for p in (networks, moved_test)
        )
        for key in LEARNED_FROM_VAL:
            assert ours[key] == theirs[key], f"{key} of {name} was fitted on test images"
    path = "synthetic/hmnist_28_28_RGB.csv"
    assert (moved_test.outputs / path).read_bytes() == (networks.outputs / path).read_bytes()


def test_the_gan_does_not_depend_on_the_pixels_of_val(networks, moved_val):
    for root, path in (
        ("models", "gan/generator.keras"),
        ("outputs", "synthetic/hmnist_28_28_RGB.csv"),
    ):
        ours, theirs = (getattr(p, root) / path for p in (networks, moved_val))
        assert ours.read_bytes() == theirs.read_bytes(), f"{path} depends on val images"


def test_val_moves_the_calibration_and_the_choice_and_no_weight_below_them(networks, moved_val):
    ours, theirs = (
        oracles.load(p.models / "control/classifier.keras") for p in (networks, moved_val)
    )
    # Logits and softmax are the last two layers, which may differ.
    for layer, other in zip(ours.layers[:-2], theirs.layers[:-2], strict=True):
        for a, b in zip(layer.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b, f"{layer.name} was trained on val images")
    ours, theirs = (oracles.read(p.models / "control/options.json") for p in (networks, moved_val))
    for key in ("val", "operating_points"):
        assert ours[key] != theirs[key], f"{key} is not of the val part"
    ours, theirs = (pd.read_csv(p.models / "control/history.csv") for p in (networks, moved_val))
    assert ours["loss"].equals(theirs["loss"]), "the training loss depends on val images"
    assert not ours["val_log_loss"].equals(theirs["val_log_loss"])
