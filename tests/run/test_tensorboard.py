"""--tensorboard: what TensorBoard itself reads from the logs is what the training had."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import train_cnn
import train_gan
from lesiongan.files.errors import InputError
from lesiongan.run import packages
from lesiongan.run.tensorboard import draw_confusion
from tests import oracles
from tests.oracles import CLASSES


@pytest.fixture(scope="module")
def run(table_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    flags = ["--data", str(table_path), "--models-dir", str(folder / "m"), "--subset", "150"]
    flags += ["--outputs-dir", str(folder / "o"), "--tensorboard"]
    train_gan.main([*flags, "--epochs", "3", "--samples", "14", "--grid-every", "2"])
    train_cnn.main([*flags, "--epochs", "2", "--synthetic", "none"])
    train_cnn.main([*flags, "--steps", "2", "--synthetic", "none", "--task", "malignancy"])
    return folder


def read_log(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder / "tensorboard"))
    log.Reload()
    return log


@pytest.mark.parametrize("name", ["gan", "cnn"])
def test_scalars_are_those_of_the_history(run, name):
    log, history = read_log(run / "m" / name), pd.read_csv(run / "m" / name / "history.csv")
    title = {"gan": "GAN"}.get(name, name)
    assert log.Tags()["scalars"] == [f"{title}/{c}" for c in history.columns[1:]]
    for column in history.columns[1:]:
        found = log.Scalars(f"{title}/{column}")
        assert [e.step for e in found] == history.epoch.tolist()
        np.testing.assert_allclose([e.value for e in found], history[column], rtol=1e-6)


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_grids_are_those_of_samples(run):
    found = read_log(run / "m/gan").Images("GAN/samples")
    assert [e.step for e in found] == [1, 2, 3]
    for e in found:
        shown = pixels(e.encoded_image_string)
        drawn = pixels((run / f"m/gan/samples/epoch_{e.step:04d}.png").read_bytes())
        # The file has a border with names, and each pixel twice or more.
        scale = (drawn.shape[1] - 40) // shown.shape[1]
        np.testing.assert_array_equal(
            drawn[: shown.shape[0] * scale : scale, 40::scale][:, : shown.shape[1]], shown
        )


def test_the_confusion_is_drawn_after_each_epoch(run):
    found = read_log(run / "m/cnn").Images("cnn/confusion of val")
    assert [e.step for e in found] == [1, 2]
    matrix = np.zeros((7, 7))
    matrix[2, 5] = 10
    empty, drawn = draw_confusion(np.zeros((7, 7))), draw_confusion(matrix)
    assert pixels(found[0].encoded_image_string).shape == drawn.shape
    y, x = np.nonzero((empty != drawn).any(axis=2))
    # The cell in the row of the third class and the column of the sixth is the only other one.
    assert (y.min() - 30) // 44 == (y.max() - 30) // 44 == 2
    assert (x.min() - 70) // 44 == (x.max() - 70) // 44 == 5


def ask(models, **query):
    """A function that returns what TensorBoard's projector serves under a route."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
    from werkzeug.test import Client

    folder = str(models)
    runs = plugin_event_multiplexer.EventMultiplexer()
    runs.AddRunsFromDirectory(folder)
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, folder)
    plugin = ProjectorPlugin(base_plugin.TBContext(logdir=folder, data_provider=provider))
    plugin._update_configs()
    apps = plugin.get_plugin_apps()

    def get(route):
        answer = Client(apps[route]).get(route, query_string=query)
        assert answer.status_code == 200, answer.data
        return answer.data

    return get


@pytest.mark.parametrize(
    ("name", "classes"), [("cnn", CLASSES), ("malignancy", ("benign", "malignant"))]
)
def test_the_projector_shows_features_labels_and_pictures_of_the_val_images(
    run, table_path, name, classes
):
    import keras

    get = ask(run / "m", run=f"{name}/tensorboard", name="features")
    (shown,) = json.loads(get("/info"))["embeddings"]
    split = pd.read_csv(run / "o/split.csv")
    rows = split.row[split.part == "val"].to_numpy()
    model = oracles.load(run / f"m/{name}/classifier.keras")
    network = keras.Model(model.inputs, model.get_layer("features").output)
    images, labels = oracles.read_images(table_path)
    images, labels = images[rows], labels[rows]
    features = network.predict(images.astype("float32"), verbose=0)
    assert shown["tensorShape"] == list(features.shape)
    served = np.frombuffer(get("/tensor"), np.float32).reshape(features.shape)
    np.testing.assert_allclose(served, features, rtol=1e-4, atol=1e-5)
    ill = np.isin(labels, [CLASSES.index(c) for c in ("akiec", "bcc", "mel")]).astype(int)
    wanted = [classes[k] for k in (labels if len(classes) == 7 else ill)]
    assert get("/metadata").decode().split() == wanted
    sprite = pixels(get("/sprite_image"))
    across = sprite.shape[1] // 28
    for i, image in enumerate(images):
        y, x = 28 * (i // across), 28 * (i % across)
        np.testing.assert_array_equal(sprite[y : y + 28, x : x + 28], image)


def test_a_resumed_training_goes_on_with_its_log(run, table_path, tmp_path, monkeypatch):
    flags = ["--data", str(table_path), "--models-dir", str(tmp_path / "m"), "--subset", "150"]
    flags += ["--outputs-dir", str(tmp_path / "o"), "--tensorboard", "--epochs", "2"]
    flags += ["--synthetic", "none", "--resume"]
    from lesiongan.run import checkpoints

    real, saved = checkpoints.save_state, []

    def stop_after_first(*args, **kept):
        real(*args, **kept)
        saved.append(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(checkpoints, "save_state", stop_after_first)
        with pytest.raises(KeyboardInterrupt):
            train_cnn.main(flags)
    train_cnn.main(flags)
    assert [e.step for e in read_log(tmp_path / "m/cnn").Scalars("cnn/loss")] == [1, 2]
    # A training without the flag leaves no log of another network behind.
    train_cnn.main([f for f in flags if f != "--tensorboard"] + ["--seed", "1"])
    assert not (tmp_path / "m/cnn/tensorboard").exists()


def test_a_missing_tensorboard_is_told_before_the_training(monkeypatch):
    import importlib.metadata

    real = importlib.metadata.version

    def without(name):
        if name.startswith("tensorboard"):
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    with pytest.raises(
        InputError, match=r"tensorboard is not installed and --tensorboard needs it"
    ):
        packages.check_formats(["tensorboard"])
