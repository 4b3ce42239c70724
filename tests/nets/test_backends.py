"""The same files under JAX: the scripts run, and every number is the one that TensorFlow gives."""

import json

import numpy as np
import pandas as pd
import pytest

from lesiongan.data.tables import read_table
from lesiongan.measures.predictions import read_predictions
from lesiongan.nets import inference, saved_models
from tests import backends, oracles

# Compiling takes longer than computing here, so it is done fast and once.
FAST = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


@pytest.fixture(scope="module")
def jax(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jax")
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
    return backends.Beside("jax", folder, networks, FAST | cache)


def test_networks_of_tensorflow_augmentation_and_training_steps_are_the_same_under_jax(jax):
    assert jax.here["probabilities"].std(axis=0).max() > 0.01
    assert len(np.unique(jax.here["gan_losses"])) > 6
    assert not jax.differences(jax.here)


def test_networks_of_jax_are_the_same_under_tensorflow(jax):
    assert jax.own["images"].std() > 1
    assert not jax.differences(jax.own, "own_")


def test_the_scripts_train_resume_draw_and_evaluate_under_jax(jax):
    for name in ("gan", "cnn"):
        assert list(pd.read_csv(jax.models / name / "history.csv")["epoch"]) == [1, 2]
        environment = json.loads((jax.models / name / "options.json").read_text())["environment"]
        assert (environment["backend"], environment["accelerators"]) == ("jax", [])
    assert jax.done.stdout.count("  resuming after epoch 1\n") == 2
    assert len(read_table(jax.outputs / "synthetic/hmnist_28_28_RGB.csv")) == 7
    rows, _, p = read_predictions(jax.outputs / "evaluation/predictions.csv")
    images, _ = oracles.read_images(jax.table)
    model = saved_models.load_classifier(jax.models / "cnn/classifier.keras")
    assert np.abs(inference.predict_views(model, images[rows]) - p).max() < 1e-4


def test_each_script_names_the_backend_in_one_line_and_tensorflow_is_silent(jax):
    import jax as package

    line = f"  backend: jax {package.__version__} on the CPU\n"
    # Two trainings began and went on, and an evaluation followed.
    assert jax.done.stdout.count(line) == jax.done.stdout.count("  backend:") == 5
    for word in ("WARNING", "I0000", "oneDNN", "cuda"):
        assert word not in jax.done.stderr
