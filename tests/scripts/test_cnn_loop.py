"""The training loop of train_cnn.py: what it feeds, keeps and resumes, and what its model is.

The loop is seen by a stub network that records its calls. What the model is built of is checked
against the flags and the published run's record.
"""

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import log_softmax

import train_cnn
import train_gan
from lesiongan import ROOT
from lesiongan.data import clinical
from lesiongan.measures import training_pool
from lesiongan.nets import augmentation, optimizers
from lesiongan.run import classifier_flags, keras_setup, runs
from lesiongan.run.folders import ResultFolder
from tests import oracles
from tests.conftest import interrupted
from tests.stress.damaged_files import Variable


class Notes:
    """A model that notes each batch.

    The network beside it has the number of epochs seen as its opinion and its weight.
    """

    def __init__(self, steps, predictions):
        self.batches, self.predictions, self.steps = [], predictions, steps
        self.weight, self.variables = Variable(np.zeros(1)), [Variable(np.zeros(1))]
        self.optimizer = self

    def train_on_batch(self, images, targets, weights=None, return_dict=False):
        assert return_dict
        if isinstance(images, dict):
            images = images["image"]
        assert weights is not None, "the weights never reach the loss"
        self.batches.append((images, targets, weights))
        self.variables[0].assign(self.variables[0].value + 1)
        self.weight.assign(self.variables[0].value // self.steps)
        return {"loss": float(len(self.batches) % 7)}


class Network:
    def __init__(self, notes):
        self.notes, self.variables, self.told = notes, [notes.weight], []

    def predict_on_batch(self, images):
        if isinstance(images, dict):
            self.told.append({name: values for name, values in images.items() if name != "image"})
            images = images["image"]
        # The epoch would be more than three, or less than one, if the plan were wrong.
        epoch = int(self.notes.weight.value[0])
        return self.notes.predictions[min(max(epoch, 1), 3) - 1][: len(images)]


@pytest.fixture
def loop(table_path, tmp_path, monkeypatch):
    """Function: run the training loop for three epochs with a note-taking model.

    It returns (notes, kept weight, history).
    """
    rng = np.random.default_rng(0)
    predictions = rng.normal(size=(3, 20, 7))
    # The second epoch is the best.
    predictions[1] += 5 * np.eye(7)[np.arange(20) % 7]

    def run_loop(*flags, resuming=False, known=(None, None)):
        args = train_cnn.parse_args(
            [
                "--data",
                str(table_path),
                "--epochs",
                "3",
                "--batch",
                "32",
                *([] if known[0] else ["--role", "control"]),
                *flags,
            ]
        )
        run = runs.Run(args, "train_cnn")
        place = ResultFolder(run, tmp_path / "options.json", run.identify(train_cnn.PATHS))
        # The 43 are synthetic rows, say, and an epoch is no longer for them.
        n = (run.inputs.parts == "train").sum() + 43
        notes = Notes(round((n if args.role == "judge" else n - 43) / 32), predictions)
        asked = []
        monkeypatch.setattr(
            train_cnn, "prepare", lambda *a, soft: asked.append(a[1:]) or (notes, Network(notes))
        )
        monkeypatch.setattr(keras_setup, "seed_everything", lambda *a: asked.append(a))
        images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones(
            (1, 28, 28, 3), np.uint8
        )
        pool = images, np.arange(n) % 7, np.arange(n, dtype=np.float32)
        val = np.zeros((20, 28, 28, 3), np.uint8), np.arange(20) % 7
        shift = np.linspace(-1, 1, 7)
        network, history = train_cnn.train(place, pool, val, shift, resuming, known)
        assert asked == [(args.seed, False), (7, 3 * notes.steps)], (
            "seed, classes or steps of the schedule are others"
        )
        run_loop.told = network.told
        return notes, float(network.variables[0].value[0]), history

    run_loop.predictions = predictions
    return run_loop


def test_every_image_reaches_the_loss_with_its_own_label_and_weight(loop):
    notes, _, history = loop()
    n = 3 * notes.steps * 32
    images, targets, weights = (np.concatenate([b[i] for b in notes.batches])[:n] for i in range(3))
    numbers = images[:, 0, 0, 0].astype(int)
    np.testing.assert_array_equal(targets, numbers % 7)
    np.testing.assert_array_equal(weights, numbers)
    assert len(notes.batches) == 3 * notes.steps
    drawn = np.bincount(numbers)
    # The batches go over the pool pass after pass and are not the same in every epoch.
    assert drawn.max() - drawn.min() <= 1
    assert [h["epoch"] for h in history] == [1, 2, 3]
    steps = [float((i + 1) % 7) for i in range(3 * notes.steps)]
    assert [h["loss"] for h in history] == pytest.approx(np.reshape(steps, (3, -1)).mean(axis=1))


def test_epochs_are_scored_on_val_under_the_train_prior(loop):
    _, _, history = loop()
    y = np.arange(20) % 7
    for row, logits in zip(history, loop.predictions, strict=True):
        log_p = log_softmax(logits + np.linspace(-1, 1, 7), axis=1)
        assert row["val_log_loss"] == pytest.approx(-log_p[np.arange(20), y].mean())
        assert row["val_accuracy"] == pytest.approx((log_p.argmax(axis=1) == y).mean())
        assert row["val_balanced_accuracy"] == pytest.approx(
            sk.balanced_accuracy_score(y, log_p.argmax(axis=1))
        )


def test_a_clinical_network_is_scored_on_val_with_what_is_known_of_it(loop):
    """It is what history.csv says of it, and what --keep best goes by."""
    known = tuple(
        {
            "age": np.arange(n) + 10.0,
            "sex": np.arange(n) % 2 + 1,
            "site": np.arange(n) % 9 + 1,
        }
        for n in (400, 20)
    )
    _, _, history = loop("--clinical", "--synthetic", "none", known=known)
    assert len(loop.told) == len(history) == 3
    for told in loop.told:
        for name, values in known[1].items():
            np.testing.assert_array_equal(told[name], values)


@pytest.mark.parametrize(("keep", "epoch"), [("best", 2), ("last", 3)])
def test_a_resumed_training_has_every_epoch_once_and_keeps_the_same_one(loop, keep, epoch):
    notes, kept, whole = loop("--keep", keep)
    assert kept == epoch
    for stop_after in (1, 2):
        with interrupted(stop_after):
            loop("--keep", keep)
        again, kept, history = loop("--keep", keep, resuming=True)
        assert kept == epoch
        assert [h["epoch"] for h in history] == [1, 2, 3]
        for row, other in zip(history, whole, strict=True):
            for name in ("val_log_loss", "val_accuracy", "val_balanced_accuracy"):
                assert row[name] == pytest.approx(other[name]), (name, row["epoch"])
        rest = notes.batches[stop_after * notes.steps :]
        assert len(again.batches) == len(rest)
        for a, b in zip(again.batches, rest, strict=True):
            # The training goes on with the batches that were still to come.
            np.testing.assert_array_equal(a[2], b[2])


def test_flags_reach_the_network_its_optimizer_and_its_augmentation(monkeypatch):
    asked = []
    real = augmentation.build_augmentation
    monkeypatch.setattr(augmentation, "build_augmentation", lambda *a: asked.append(a) or real(*a))
    args = train_cnn.parse_args(
        [
            "--synthetic",
            "none",
            "--width",
            "8",
            "--augment",
            "classic",
            "--colour-gain",
            "0.3",
            "--sharpness",
            "0.7",
            "--seed",
            "5",
            "--weight-decay",
            "0.3",
            "--learning-rate",
            "0.02",
        ]
    )
    model, network = train_cnn.prepare(args, 7, 400)
    assert asked == [("classic", 5, 0.3, 0.7)]
    rates = [float(model.optimizer._learning_rate(step)) for step in (0, 10, 20, 220, 400)]
    # A twentieth of the steps is warm-up, and then a cosine goes down to nearly nothing.
    assert rates == pytest.approx([0, 0.01, 0.02, 0.01, 0], abs=2e-4)
    for name in ("muon", "adamw"):
        optimizer = optimizers.build_optimizer(name, 0.01, 0.3)
        assert optimizer.weight_decay == 0.3, name
    assert optimizers.build_optimizer("muon", 0.01, 0.3).adam_weight_decay == 0.3
    assert network.get_layer("features").output.shape[-1] == 32


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_weight_decay_shrinks_weights_that_have_no_gradient(optimizer):
    import keras

    kernel = keras.Variable(np.ones((3, 3, 2, 2), np.float32))
    built = optimizers.build_optimizer(optimizer, 0.1, 0.5)
    built.build([kernel])
    built.apply([keras.ops.zeros_like(kernel)])
    np.testing.assert_allclose(np.asarray(kernel), 1 - 0.1 * 0.5, atol=1e-6)


def test_a_rows_weight_is_a_factor_of_its_loss():
    """Without augmentation and dropout, and before the first update, whose rate is zero."""
    rng = np.random.default_rng(0)
    images, y = rng.uniform(0, 255, (8, 28, 28, 3)).astype(np.float32), np.arange(8) % 7
    # Without augmentation nothing is cropped.
    args = train_cnn.parse_args(["--synthetic", "none", "--width", "8", "--augment", "none"])
    model, network = train_cnn.prepare(args, 7, 1000)
    for layer in network.layers:
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    logits = np.asarray(network(images, training=True))
    whole, quarter, one = (
        float(model.train_on_batch(images, y, w.astype(np.float32)))
        for w in (np.ones(8), np.full(8, 0.25), np.eye(8)[3])
    )
    assert quarter == pytest.approx(0.25 * whole, rel=0.01)
    # So is that of soft labels, which are shares of each class.
    soft, _ = train_cnn.prepare(args, 7, 1000, soft=True)
    shares = rng.dirichlet(np.ones(7), 8).astype(np.float32)
    z = rng.normal(0, 3, (8, 7)).astype(np.float32)
    cross = -(shares * log_softmax(z, axis=1)).sum(axis=1).mean()
    assert float(soft.loss(shares, z)) == pytest.approx(cross, rel=1e-5)
    # The loss is of logits, not of shares.
    assert whole == pytest.approx(-log_softmax(logits, axis=1)[np.arange(8), y].mean(), rel=0.01)
    assert 0 < one < whole


def test_seeds_start_from_other_weights_and_the_judge_from_its_own():
    import keras

    first = []
    for seed in (0, 1, 1):
        keras_setup.seed_everything(seed)
        network = train_cnn.build_network(7, 8)
        first.append(network.get_layer("logits").get_weights()[0])
        assert isinstance(network, keras.Model)
    assert not np.array_equal(first[0], first[1])
    np.testing.assert_array_equal(first[1], first[2])
    for flags in (["--seed", "3"], []):
        assert train_cnn.parse_args(["--role", "judge", *flags]).seed == classifier_flags.JUDGE_SEED


def test_an_epoch_is_as_many_images_as_are_real_and_the_judges_as_its_own(networks):
    """So that classifier and control take equal steps, whatever is mixed in."""
    steps = {
        name: oracles.read(networks.models / name / "options.json")["steps"]
        for name in ("cnn", "control", "judge")
    }
    parts = oracles.Parts(networks)
    assert steps["cnn"] == steps["control"] == 20 * round(len(parts.rows("train")) / 32)
    assert steps["judge"] == 60 * round(len(parts.halves()[0]) / 32)
    args = train_cnn.parse_args(["--steps", "103", "--synthetic", "none"])
    assert sum(train_cnn.plan_epochs(args, 1280)) == 103
    # On a small table val is not scored after every few steps.
    args = train_cnn.parse_args(["--steps", "1000", "--synthetic", "none"])
    assert train_cnn.plan_epochs(args, 705) == [50] * 20
    assert train_cnn.plan_epochs(args, 7008) == [56] * 10 + [55] * 8


def test_balanced_batches_are_drawn_anew_at_each_step_and_from_every_class(loop):
    notes, _, _ = loop("--sampler", "balanced")
    numbers = [b[0][:, 0, 0, 0].astype(int).tolist() for b in notes.batches]
    assert len({tuple(n) for n in numbers}) == len(numbers), "two steps have the same batch"
    drawn = np.concatenate(numbers)
    np.testing.assert_array_equal(np.concatenate([b[1] for b in notes.batches]), drawn % 7)
    np.testing.assert_array_equal(np.concatenate([b[2] for b in notes.batches]), drawn)
    shares = np.bincount(drawn % 7) / len(drawn)
    np.testing.assert_allclose(shares, 1 / 7, atol=0.06)
    # There are about 180 images, and none is favoured.
    assert len(set(drawn.tolist())) > 100


def test_seed_and_length_of_an_epoch_reach_the_training(loop):
    first, _, _ = loop("--seed", "4")
    second, _, _ = loop("--seed", "5")
    assert not np.array_equal(first.batches[0][2], second.batches[0][2])
    judge, _, _ = loop("--role", "judge")
    # The judge's epoch is its own pool.
    assert judge.steps > first.steps


def test_random_streams_of_the_batches_are_those_of_published_networks():
    """Frozen by hash: another stream, or another order of drawing, is another training."""
    import hashlib

    n = 1000
    images, y = np.zeros((n, 1, 1, 1), np.uint8), np.arange(n) % 7
    found = {}
    for sampler in ("natural", "balanced"):
        args = train_cnn.parse_args(["--synthetic", "none", "--seed", "3", "--sampler", sampler])
        batch = training_pool.build_batches(images, y, np.arange(n, dtype=np.float32), args)
        found[sampler] = hashlib.sha256(
            b"".join(batch(i)[2].tobytes() for i in (0, 1, 9))
        ).hexdigest()[:16]
    assert found == {"natural": "1256e13c14934d66", "balanced": "dfdc06f3ef20019e"}


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("cnn", []),
        ("control", ["--role", "control"]),
        ("judge", ["--role", "judge"]),
        ("malignancy", ["--task", "malignancy"]),
    ],
)
def test_flags_left_out_mean_the_recipe_of_the_published_run(name, flags):
    published = oracles.read(ROOT / f"results/run/{name}_options.json")
    args = vars(train_cnn.parse_args(flags))
    for flag, value in published["options"].items():
        assert args[flag] == value, flag
    network = train_cnn.build_network(
        2 if flags == ["--task", "malignancy"] else 7, args["width"], args["stem"], args["middle"]
    )
    assert network.count_params() == published["parameters"]


@pytest.mark.parametrize("flags", [[], ["--clinical"]])
def test_augmentation_stands_before_the_network_that_is_trained(monkeypatch, flags):
    """What is trained must see the output of the augmentation.

    In place of the flips there is a layer that turns black to white, in training alone.
    """
    from keras import layers

    class Negative(layers.Layer):
        def call(self, images, training=None):
            return 255 - images if training else images

    monkeypatch.setattr(augmentation, "build_augmentation", lambda *a: [Negative()])
    words = ["--synthetic", "none", "--width", "8", "--augment", "flips", *flags]
    model, network = train_cnn.prepare(train_cnn.parse_args(words), 7, 9)
    still_everything(network)
    images = np.random.default_rng(0).uniform(0, 255, (5, 28, 28, 3)).astype(np.float32)

    def told(images):
        return {"image": images, **clinical.unknown(5)} if flags else images

    np.testing.assert_allclose(
        np.asarray(model(told(images), training=True)),
        np.asarray(network(told(255 - images), training=False)),
        atol=1e-4,
    )
    np.testing.assert_allclose(
        np.asarray(model(told(images), training=False)),
        np.asarray(network(told(images), training=False)),
        atol=1e-4,
    )


def still_everything(network):
    """Let nothing but the augmentation tell training from use."""
    for layer in network.layers:
        if hasattr(layer, "rate"):
            layer.rate = 0.0
        if hasattr(layer, "momentum"):
            layer.trainable = False


def test_the_networks_layers_are_those_of_the_published_ones():
    """Rates, momenta, slopes and scales show in no count of parameters."""
    keys = ("rate", "momentum", "epsilon", "scale", "offset", "negative_slope", "activation")
    keys += ("strides", "padding", "use_bias", "kernel_size")

    def describe(model):
        kinds = [(type(layer).__name__, layer.get_config()) for layer in model.layers]
        return [
            (kind, {k: config[k] for k in keys if k in config})
            for kind, config in kinds
            if kind not in ("InputLayer", "Softmax")
        ]

    weights = ROOT / "weights"
    for name, flags in (("cnn", []), ("judge", ["--role", "judge"])):
        args = train_cnn.parse_args(flags)
        network = train_cnn.build_network(7, args.width, args.stem, args.middle)
        assert describe(network) == describe(oracles.load(weights / name / "classifier.keras"))
    joined = oracles.load(weights / "gan/generator.keras")
    members = [layer for layer in joined.layers if layer.name.startswith("member_")]
    assert len(members) == 3
    for member in members:
        assert describe(train_gan.build_generator()) == describe(member)


def test_the_middle_is_as_large_as_the_flag_says():
    for middle in (20, 24, 26):
        args = train_cnn.parse_args(["--synthetic", "none", "--middle", str(middle)])
        _, network = train_cnn.prepare(args, 7, 9)
        (crop,) = [x for x in network.layers if type(x).__name__ == "CenterCrop"]
        assert (crop.height, crop.width) == (middle, middle)


@pytest.mark.parametrize("stem", [1, 2])
def test_stem_weight_decay_and_optimizer_reach_the_model_that_is_trained(stem):
    args = train_cnn.parse_args(
        [
            "--synthetic",
            "none",
            "--stem",
            str(stem),
            "--weight-decay",
            "0.3",
            "--optimizer",
            "adamw",
        ]
    )
    model, network = train_cnn.prepare(args, 7, 10)
    assert network.count_params() == train_cnn.build_network(7, args.width, stem).count_params()
    strides = [layer.strides for layer in network.layers if "conv2d" in layer.name]
    assert strides[0] == (stem, stem)
    assert model.optimizer.weight_decay == 0.3
    assert type(model.optimizer).__name__ == "AdamW"


def test_an_epoch_has_at_least_one_step_and_no_more_than_its_images():
    args = train_cnn.parse_args(["--synthetic", "none", "--epochs", "3", "--batch", "128"])
    for images, steps in ((10, 1), (128, 1), (300, 2), (7008, 55)):
        assert train_cnn.plan_epochs(args, images) == [steps] * 3
