"""The joints of train_cnn.py. What `main` teaches, calibrates and records is checked against closed
forms, SciPy and scikit-learn, with teacher.py's network in place of a trained one; what the
training loop feeds, keeps and resumes, with a network that only takes notes.
"""

import shutil

import numpy as np
import oracles
import pytest
import scipy.optimize
import sklearn.metrics as sk
from conftest import Pipeline
from mutating import Variable
from scipy.special import log_softmax, softmax
from teacher import Teacher

import artifacts
import augmentation
import calibration
import machine
import runlog
import train_cnn
from ham10000 import CLASSES


class Lesson:
    """One call of train_cnn.main, with training itself replaced: what was to be learned, and what was written."""

    def __init__(self, run, monkeypatch, *flags):
        def train(run, folder, pool, val, shift, resuming=False):
            self.pool, self.val, self.shift = pool, val, shift
            self.teacher = Teacher(pool[0], pool[1], len(shift))
            losses = (3.0, 2.0, 2.5)
            history = [dict.fromkeys(train_cnn.HISTORY, 0.0) | {"epoch": e + 1.0, "val_log_loss": v} for e, v in
                       enumerate(losses)]  # fmt: skip
            return self.teacher.build_network(), history

        monkeypatch.setattr(train_cnn, "train", train)
        run.run("train_cnn", *flags)
        folder = run.models / train_cnn.FOLDERS[
            flags[flags.index("--role") + 1] if "--role" in flags else "classifier",
            flags[flags.index("--task") + 1] if "--task" in flags else "dx",
        ]  # fmt: skip
        self.options, self.path = oracles.read(folder / "options.json"), folder / "classifier.keras"
        self.parts = oracles.Parts(run)
        self.synthetic = oracles.read_images(run.outputs / "synthetic/hmnist_28_28_RGB.csv")


@pytest.fixture
def attend(drawn, tmp_path, monkeypatch):
    """Function of flags: the Lesson of train_cnn.py with them, in a copy of the trained run without its classifiers."""
    copy = Pipeline(drawn.table, tmp_path)
    shutil.copytree(drawn.outputs, copy.outputs)
    shutil.copytree(drawn.models / "gan", copy.models / "gan")
    return lambda *flags: Lesson(copy, monkeypatch, *flags)


MALIGNANCY = ("--task", "malignancy")
LESSONS = {  # flags, and the weight of a synthetic row in the prior that the network is taught
    "default": ((), 0.25),
    "full weight": (("--synthetic-weight", "1"), 1.0),
    "synthetic alone": (("--real", "none"), 0.25),
    "balanced batches": (("--sampler", "balanced", "--synthetic-weight", "0.5"), 0.5),
    "control": (("--role", "control"), 0.0),
    "benign or malignant": (MALIGNANCY, 0.25),
    "judge": (("--role", "judge"), 0.0),
}


def shares(labels, k, weights=None):
    counts = np.bincount(labels, weights, minlength=k)
    return counts / counts.sum()


@pytest.mark.parametrize("name", LESSONS)
def test_probabilities_are_the_networks_under_the_train_prior_at_the_temperature_on_file(attend, name):
    """Saerens et al. 2002: log p(y | x) + log prior(y) - log taught prior(y), all divided by T (Guo et al. 2017)."""
    flags, weight = LESSONS[name]
    lesson = attend(*flags)
    _, labels = lesson.parts.of("train")
    if name == "judge":
        labels = lesson.parts.labels[lesson.parts.halves()[0]]
    k = 7
    pool, weights = labels, np.ones(len(labels))
    if weight:
        real = 0 if "--real" in flags else len(labels)
        pool = np.append(labels[:real], lesson.synthetic[1])
        weights = np.repeat([1, weight], [real, len(lesson.synthetic[1])])
    train = lesson.parts.of("train")[1]
    if "--task" in flags:
        pool, train, k = oracles.MALIGNANT[pool].astype(int), oracles.MALIGNANT[train].astype(int), 2
    np.testing.assert_array_equal(lesson.pool[1], pool, "the network was taught other labels")
    np.testing.assert_allclose(lesson.pool[2], weights, err_msg="the rows have other weights")
    if "balanced batches" in name or name == "judge":
        counts = np.bincount(pool, minlength=k)
        weights = weights * (len(pool) / counts)[pool]
    shift = np.log(shares(train, k)) - np.log(shares(pool, k, weights))
    np.testing.assert_allclose(lesson.shift, shift, atol=2e-3, err_msg="epochs are scored under another prior")
    val = lesson.parts.of("val")
    inside = 0 if name == "judge" else shift  # the judge weighs all classes alike
    made = len(lesson.synthetic[1]) if weight else 0
    assert (lesson.options["real_images"], lesson.options["synthetic_images"]) == (len(pool) - made, made)
    expected = softmax((lesson.teacher.logits(val[0]) + inside) / lesson.options["temperature"], axis=1)
    found = oracles.load(lesson.path).predict(val[0].astype(np.float32), verbose=0)
    np.testing.assert_allclose(found, expected, atol=5e-4)
    if weight:  # else its sign could not be told
        assert (
            np.abs(softmax((lesson.teacher.logits(val[0]) - shift) / lesson.options["temperature"], axis=1) - found).max()
            > 5e-3
        )


@pytest.mark.parametrize("flags", [(), ("--role", "judge"), MALIGNANCY])
def test_the_temperature_is_the_best_for_the_average_of_eight_views_of_val(attend, flags):
    lesson = attend(*flags)
    images, labels = lesson.parts.of("val")
    labels = oracles.MALIGNANT[labels].astype(int) if flags == MALIGNANCY else labels
    np.testing.assert_array_equal(lesson.val[0], images, "val is scored on other images")
    np.testing.assert_array_equal(lesson.val[1], labels)
    views = np.stack([lesson.teacher.logits(v) for v in oracles.eight_views(images)]) + lesson.shift

    def best(views):
        def loss(log_t):
            return oracles.log_loss(labels, np.maximum(softmax(views / np.exp(log_t), axis=2).mean(axis=0), 1e-12))

        return np.exp(scipy.optimize.minimize_scalar(loss, bounds=np.log([0.25, 4]), method="bounded").x)

    assert lesson.options["temperature"] == pytest.approx(best(views), rel=0.04)  # the grid's spacing is .035
    assert 0.3 < best(views) < 3.5  # inside the grid, and
    assert abs(np.log(best(views) / best(views[:1]))) > 0.1  # another than that of one view


@pytest.mark.parametrize("flags", [(), MALIGNANCY])
def test_operating_points_and_records_are_those_of_the_val_part_in_eight_views(attend, flags):
    lesson = attend(*flags)
    options, points = lesson.options, lesson.options["operating_points"]
    images, y = lesson.parts.of("val")
    p = oracles.average_of_views(oracles.load(lesson.path), images)
    train = lesson.parts.of("train")[1]
    groups = {"melanoma": (y == 6, p[:, -1]), "malignant": (oracles.MALIGNANT[y], p[:, oracles.MALIGNANT].sum(axis=1))
              if not flags else (oracles.MALIGNANT[y], p[:, 1])}  # fmt: skip
    if flags:
        del groups["melanoma"]
        y, train = oracles.MALIGNANT[y].astype(int), oracles.MALIGNANT[train].astype(int)
    for group, (positive, score) in groups.items():
        for at in (90, 95):
            fpr, _, thresholds = sk.roc_curve(positive, score, drop_intermediate=False)
            wanted = thresholds[1:][fpr[1:] <= 1 - at / 100 + 1e-9]  # the first is infinite
            found = points[f"{group}_threshold_at_{at}_specificity"]
            # The lowest threshold of that specificity: the lowest score above the last negative that may not pass.
            assert (score[~positive] >= found - 1e-6).mean() <= 1 - at / 100 + 1e-9
            assert len(wanted) == 0 or found == pytest.approx(min(wanted.min(), 2), abs=1e-5), (group, at)
    prior = shares(train, p.shape[1])
    np.testing.assert_allclose(points["train_prior"], prior, atol=1e-4)
    np.testing.assert_allclose(points["balanced_shift"], -points["tau"] * np.log(points["train_prior"]), atol=1e-9)
    assert points["tau"] == pytest.approx(calibration.fit_tau(p, y, np.log(prior), lesson.parts.lesions("val")), abs=0.01)
    assert options["val"]["log_loss"] == pytest.approx(oracles.log_loss(y, p), abs=1e-4)
    assert options["val"]["accuracy"] == pytest.approx((p.argmax(axis=1) == y).mean())
    recall = sk.recall_score(y, p.argmax(axis=1), average="macro", labels=np.unique(y))
    assert options["val"]["balanced_accuracy"] == pytest.approx(recall)
    pool = np.append(lesson.parts.of("train")[1], lesson.synthetic[1])
    assert options["trained_on"] == np.bincount(pool, minlength=7).tolist()
    assert (options["real_images"], options["synthetic_images"]) == (len(lesson.parts.rows("train")), 35)
    assert options["model_sha256"] == artifacts.file_sha256(lesson.path)
    assert options["steps"] == 36 * round(len(lesson.parts.rows("train")) / 128)
    assert options["kept_epoch"] == 3


def test_the_kept_epoch_on_file_is_the_best_where_the_best_is_kept(attend):
    assert attend("--keep", "best").options["kept_epoch"] == 2


def test_the_judge_learns_from_half_a_of_the_train_lesions_alone(attend):
    lesson = attend("--role", "judge")
    a, b = lesson.parts.halves()
    np.testing.assert_array_equal(lesson.pool[0], lesson.parts.images[a])
    np.testing.assert_array_equal(lesson.pool[1], lesson.parts.labels[a])
    assert set(lesson.parts.split.lesion[a]).isdisjoint(lesson.parts.split.lesion[b])


def test_repeated_real_images_keep_their_labels(attend):
    lesson = attend("--repeat-real", "60", "--synthetic", "none")
    images, labels = lesson.parts.of("train")
    assert len(lesson.pool[0]) == len(images) + 60
    label_of = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert len(label_of) == len(images)
    assert [label_of[image.tobytes()] for image in lesson.pool[0]] == lesson.pool[1].tolist()
    assert (lesson.pool[2] == 1).all()


# ---------------------------------------------------------------- the training loop


class Notes:
    """A model that notes each batch, and a network beside it whose opinion and weight are the number of epochs seen."""

    def __init__(self, steps, predictions):
        self.batches, self.predictions, self.steps = [], predictions, steps
        self.weight, self.variables = Variable(np.zeros(1)), [Variable(np.zeros(1))]
        self.optimizer = self

    def train_on_batch(self, images, targets, weights=None):
        assert weights is not None, "the weights never reach the loss"
        self.batches.append((images, targets, weights))
        self.variables[0].assign(self.variables[0].value + 1)
        self.weight.assign(self.variables[0].value // self.steps)
        return float(len(self.batches) % 7)


class Network:
    def __init__(self, notes):
        self.notes, self.variables = notes, [notes.weight]

    def predict_on_batch(self, images):
        return self.notes.predictions[int(self.notes.weight.value[0]) - 1][: len(images)]


@pytest.fixture
def loop(table_path, tmp_path, monkeypatch):
    """Function: run the training loop for three epochs with a note-taking model: (notes, kept weight, history)."""
    rng = np.random.default_rng(0)
    predictions = rng.normal(size=(3, 20, 7))
    predictions[1] += 5 * np.eye(7)[np.arange(20) % 7]  # the second epoch is the best

    def run_loop(*flags, resuming=False, stop_after=None):
        args = train_cnn.parse_args(
            ["--data", str(table_path), "--epochs", "3", "--batch", "32", "--role", "control", *flags]
        )
        run = runlog.Run(args, "train_cnn")
        n = (run.parts == "train").sum() + 43  # synthetic rows, say: an epoch is no longer for them
        notes = Notes(round((n if args.role == "judge" else n - 43) / 32), predictions)
        asked = []
        monkeypatch.setattr(train_cnn, "prepare", lambda *a: asked.append(a[1:]) or (notes, Network(notes)))
        monkeypatch.setattr(machine, "seed_everything", lambda *a: asked.append(a))
        save, left = artifacts.save_state, [stop_after]

        def save_and_stop(*a, **k):
            save(*a, **k)
            left[0] = None if left[0] is None else left[0] - 1
            if left[0] == 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(artifacts, "save_state", save_and_stop)
        images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 28, 28, 3), np.uint8)
        pool = images, np.arange(n) % 7, np.arange(n, dtype=np.float32)
        val = np.zeros((20, 28, 28, 3), np.uint8), np.arange(20) % 7
        shift = np.linspace(-1, 1, 7)
        try:
            network, history = train_cnn.train(run, tmp_path, pool, val, shift, resuming)
        finally:
            monkeypatch.setattr(artifacts, "save_state", save)
        assert asked == [(args.seed, False), (7, 3 * notes.steps)], "seed, classes or steps of the schedule are others"
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
    assert drawn.max() - drawn.min() <= 1  # pass after pass over the pool, not the same batches in every epoch
    steps = [float((i + 1) % 7) for i in range(3 * notes.steps)]
    assert [h["loss"] for h in history] == pytest.approx(np.reshape(steps, (3, -1)).mean(axis=1))


def test_epochs_are_scored_on_val_under_the_train_prior(loop):
    _, _, history = loop()
    y = np.arange(20) % 7
    for row, logits in zip(history, loop.predictions, strict=True):
        log_p = log_softmax(logits + np.linspace(-1, 1, 7), axis=1)
        assert row["val_log_loss"] == pytest.approx(-log_p[np.arange(20), y].mean())
        assert row["val_accuracy"] == pytest.approx((log_p.argmax(axis=1) == y).mean())
        assert row["val_balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, log_p.argmax(axis=1)))


@pytest.mark.parametrize(("keep", "epoch"), [("best", 2), ("last", 3)])
def test_a_resumed_training_has_every_epoch_once_and_keeps_the_same_one(loop, keep, epoch):
    notes, kept, whole = loop("--keep", keep)
    assert kept == epoch
    for stop_after in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            loop("--keep", keep, stop_after=stop_after)
        again, kept, history = loop("--keep", keep, resuming=True)
        assert kept == epoch
        assert [h["epoch"] for h in history] == [1, 2, 3]
        for row, other in zip(history, whole, strict=True):
            for name in ("val_log_loss", "val_accuracy", "val_balanced_accuracy"):
                assert row[name] == pytest.approx(other[name]), (name, row["epoch"])
        rest = notes.batches[stop_after * notes.steps :]
        assert len(again.batches) == len(rest)
        for a, b in zip(again.batches, rest, strict=True):
            np.testing.assert_array_equal(a[2], b[2])  # goes on with the batches that were still to come


# ---------------------------------------------------------------- what prepare() makes of the flags


def test_flags_reach_the_network_its_optimizer_and_its_augmentation(monkeypatch):
    asked = []
    real = augmentation.build_augmentation
    monkeypatch.setattr(augmentation, "build_augmentation", lambda *a: asked.append(a) or real(*a))
    args = train_cnn.parse_args(["--synthetic", "none", "--width", "8", "--augment", "flips", "--colour-gain", "0.3",
                                 "--sharpness", "0.7", "--seed", "5", "--weight-decay", "0.3", "--learning-rate",
                                 "0.02"])  # fmt: skip
    model, network = train_cnn.prepare(args, 7, 100)
    assert asked == [("flips", 5, 0.3, 0.7)]
    rates = [float(model.optimizer._learning_rate(step)) for step in (0, 5, 100)]
    assert rates == pytest.approx([0, 0.02, 0], abs=2e-4)  # a twentieth of warm-up, then a cosine down to nearly nothing
    for name in ("muon", "adamw"):
        optimizer = train_cnn.build_optimizer(name, 0.01, 0.3)
        assert optimizer.weight_decay == 0.3, name
    assert train_cnn.build_optimizer("muon", 0.01, 0.3).adam_weight_decay == 0.3
    assert network.get_layer("features").output.shape[-1] == 32


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_weight_decay_shrinks_weights_that_have_no_gradient(optimizer):
    import keras

    kernel = keras.Variable(np.ones((3, 3, 2, 2), np.float32))
    built = train_cnn.build_optimizer(optimizer, 0.1, 0.5)
    built.build([kernel])
    built.apply([keras.ops.zeros_like(kernel)])
    np.testing.assert_allclose(np.asarray(kernel), 1 - 0.1 * 0.5, atol=1e-6)


def test_a_rows_weight_is_a_factor_of_its_loss():
    """Without augmentation and dropout, and before the first update, whose rate is zero."""
    rng = np.random.default_rng(0)
    images, y = rng.uniform(0, 255, (8, 28, 28, 3)).astype(np.float32), np.arange(8) % 7
    args = train_cnn.parse_args(["--synthetic", "none", "--width", "8", "--augment", "none"])  # so nothing is cropped
    model, network = train_cnn.prepare(args, 7, 1000)
    for layer in network.layers:
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    logits = np.asarray(network(images, training=True))
    whole, quarter, one = (float(model.train_on_batch(images, y, w.astype(np.float32)))
                           for w in (np.ones(8), np.full(8, 0.25), np.eye(8)[3]))  # fmt: skip
    assert quarter == pytest.approx(0.25 * whole, rel=0.01)
    assert whole == pytest.approx(-log_softmax(logits, axis=1)[np.arange(8), y].mean(), rel=0.01)  # of logits, not of shares
    assert 0 < one < whole


def test_seeds_start_from_other_weights_and_the_judge_from_its_own():
    import keras

    first = []
    for seed in (0, 1, 1):
        machine.seed_everything(seed)
        network = train_cnn.build_network(7, 8)
        first.append(network.get_layer("logits").get_weights()[0])
        assert isinstance(network, keras.Model)
    assert not np.array_equal(first[0], first[1])
    np.testing.assert_array_equal(first[1], first[2])
    for flags in (["--seed", "3"], []):
        assert train_cnn.parse_args(["--role", "judge", *flags]).seed == train_cnn.JUDGE_SEED


def test_roles_that_are_real_images_alone_read_no_synthetic_table():
    for role in ("control", "judge"):
        assert train_cnn.parse_args(["--role", role]).synthetic == "none"
    assert train_cnn.parse_args([]).synthetic.endswith("synthetic/hmnist_28_28_RGB.csv")
    assert [CLASSES[i] for i in np.flatnonzero(oracles.MALIGNANT)] == ["akiec", "bcc", "mel"]


def test_an_epoch_is_as_many_images_as_are_real_and_the_judges_as_its_own(networks):
    """So that classifier and control take equal steps, whatever is mixed in."""
    steps = {name: oracles.read(networks.models / name / "options.json")["steps"] for name in ("cnn", "control", "judge")}
    parts = oracles.Parts(networks)
    assert steps["cnn"] == steps["control"] == 20 * round(len(parts.rows("train")) / 32)
    assert steps["judge"] == 60 * round(len(parts.halves()[0]) / 32)
    args = train_cnn.parse_args(["--steps", "103", "--synthetic", "none"])
    assert sum(train_cnn.plan_epochs(args, 1280)) == 103


def test_balanced_batches_are_drawn_anew_at_each_step_and_from_every_class(loop):
    notes, _, _ = loop("--sampler", "balanced")
    numbers = [b[0][:, 0, 0, 0].astype(int).tolist() for b in notes.batches]
    assert len({tuple(n) for n in numbers}) == len(numbers), "two steps have the same batch"
    drawn = np.concatenate(numbers)
    np.testing.assert_array_equal(np.concatenate([b[1] for b in notes.batches]), drawn % 7)
    np.testing.assert_array_equal(np.concatenate([b[2] for b in notes.batches]), drawn)
    shares = np.bincount(drawn % 7) / len(drawn)
    np.testing.assert_allclose(shares, 1 / 7, atol=0.06)
    assert len(set(drawn.tolist())) > 100  # of 180: no image is favoured


def test_seed_and_length_of_an_epoch_reach_the_training(loop):
    first, _, _ = loop("--seed", "4")
    second, _, _ = loop("--seed", "5")
    assert not np.array_equal(first.batches[0][2], second.batches[0][2])
    judge, _, _ = loop("--role", "judge")
    assert judge.steps > first.steps  # whose epoch is its own pool


def test_random_streams_of_the_batches_are_those_of_published_networks():
    """Frozen by hash: another stream, or another order of drawing, is another training."""
    import hashlib

    n = 1000
    images, y = np.zeros((n, 1, 1, 1), np.uint8), np.arange(n) % 7
    found = {}
    for sampler in ("natural", "balanced"):
        args = train_cnn.parse_args(["--synthetic", "none", "--seed", "3", "--sampler", sampler])
        batch = train_cnn.build_batches(images, y, np.arange(n, dtype=np.float32), args)
        found[sampler] = hashlib.sha256(b"".join(batch(i)[2].tobytes() for i in (0, 1, 9))).hexdigest()[:16]
    assert found == {"natural": "1256e13c14934d66", "balanced": "dfdc06f3ef20019e"}


def test_repeated_images_are_drawn_by_the_stream_of_published_arms(drawn):
    args = train_cnn.parse_args([*drawn.flags, "--repeat-real", "40", "--synthetic", "none", "--seed", "2"])
    run = runlog.Run(args, "train_cnn")
    images, labels = oracles.Parts(drawn).of("train")
    again = np.random.default_rng([2, 3]).integers(len(labels), size=40)
    pool = train_cnn.gather_pool(run)
    np.testing.assert_array_equal(pool[0][len(labels) :], images[again])
    np.testing.assert_array_equal(pool[1][len(labels) :], labels[again])


def test_added_real_images_weigh_as_much_as_the_tables_own(drawn, tmp_path):
    from phantom import draw_table

    images, labels, _ = draw_table(90, seed=7)
    artifacts.write_table(tmp_path / "other.csv", [(images, labels)])
    args = train_cnn.parse_args([*drawn.flags, "--real", str(tmp_path / "other.csv")])
    pool = train_cnn.gather_pool(runlog.Run(args, "train_cnn"))
    n = len(oracles.Parts(drawn).rows("train"))
    np.testing.assert_array_equal(pool[0][n : n + 90], images)
    np.testing.assert_array_equal(pool[1][n : n + 90], labels)
    np.testing.assert_allclose(pool[2], np.repeat([1, 1, 0.25], [n, 90, 35]))
    assert pool[3] == 35


@pytest.mark.parametrize(("name", "flags"), [("cnn", []), ("control", ["--role", "control"]), ("judge", ["--role", "judge"]),
                                             ("malignancy", ["--task", "malignancy"])])  # fmt: skip
def test_flags_left_out_mean_the_recipe_of_the_published_run(name, flags):
    published = oracles.read(runlog.ROOT / f"results/run/{name}_options.json")
    args = vars(train_cnn.parse_args(flags))
    for flag, value in published["options"].items():
        assert args[flag] == value, flag
    network = train_cnn.build_network(
        2 if flags == ["--task", "malignancy"] else 7, args["width"], args["stem"], args["middle"]
    )
    assert network.count_params() == published["parameters"]


def test_augmentation_stands_before_the_network_that_is_trained(monkeypatch):
    """In place of the flips, a layer that turns black to white: what is trained must see its output."""
    from keras import layers

    monkeypatch.setattr(augmentation, "build_augmentation", lambda *a: [layers.Rescaling(-1, 255)])
    model, network = train_cnn.prepare(
        train_cnn.parse_args(["--synthetic", "none", "--width", "8", "--augment", "flips"]), 7, 9
    )
    images = np.random.default_rng(0).uniform(0, 255, (5, 28, 28, 3)).astype(np.float32)
    np.testing.assert_allclose(model.predict(images, verbose=0), network.predict(255 - images, verbose=0), atol=1e-4)


@pytest.mark.parametrize("stem", [1, 2])
def test_stem_weight_decay_and_optimizer_reach_the_model_that_is_trained(stem):
    args = train_cnn.parse_args(
        ["--synthetic", "none", "--stem", str(stem), "--weight-decay", "0.3", "--optimizer", "adamw"]
    )
    model, network = train_cnn.prepare(args, 7, 10)
    assert network.count_params() == train_cnn.build_network(7, args.width, stem).count_params()
    strides = [layer.strides for layer in network.layers if "conv2d" in layer.name]
    assert strides[0] == (stem, stem)
    assert model.optimizer.weight_decay == 0.3
    assert type(model.optimizer).__name__ == "AdamW"


def test_a_class_that_was_not_taught_keeps_its_own_logit(drawn, tmp_path, monkeypatch):
    """Of a set without dermatofibromas: the prior of nothing is no reason to find them everywhere."""
    copy = drawn.copy(tmp_path)
    copy.run("train_gan", "--sample-only", "--samples", "60", "--class-mix", "1,1,1,0,1,1,1", "--no-png")
    lesson = Lesson(copy, monkeypatch, "--real", "none")
    assert 3 not in lesson.pool[1]
    assert lesson.shift[3] == 0
    assert (lesson.shift[[0, 1, 2, 4, 5, 6]] != 0).all()
    assert lesson.options["trained_on"][3] == 0
