"""What `main` of train_cnn.py teaches, calibrates and records.

It is checked against closed forms, SciPy and scikit-learn. teacher.py's classifier takes the place
of a trained one.
"""

import shutil

import numpy as np
import pytest
import scipy.optimize
import sklearn.metrics as sk
from scipy.special import softmax

import train_cnn
from lesiongan.data import tables
from lesiongan.data.classes import CLASSES
from lesiongan.files import checksums
from lesiongan.files.errors import InputError
from lesiongan.measures import calibration, training_pool
from lesiongan.run import runs
from tests import oracles
from tests.conftest import Pipeline
from tests.teacher import Teacher


class Lesson:
    """One call of train_cnn.main, with training itself replaced.

    It holds what was to be learned, and what was written.
    """

    losses = (3.0, 2.0, 2.5)

    def __init__(self, run, monkeypatch, *flags):
        def train(place, pool, val, shift, resuming=False, known=None, real=0):
            self.pool, self.val, self.shift = pool, val, shift
            self.teacher = Teacher(pool[0], pool[1], len(shift))
            history = [
                dict.fromkeys(train_cnn.HISTORY, 0.0) | {"epoch": e + 1.0, "val_log_loss": v}
                for e, v in enumerate(self.losses)
            ]
            return self.teacher.build_network(), history

        monkeypatch.setattr(train_cnn, "train", train)
        run.run("train_cnn", *flags)
        folder = (
            run.models
            / train_cnn.FOLDERS[
                flags[flags.index("--role") + 1] if "--role" in flags else "classifier",
                flags[flags.index("--task") + 1] if "--task" in flags else "dx",
            ]
        )
        self.options, self.path = oracles.read(folder / "options.json"), folder / "classifier.keras"
        self.parts = oracles.Parts(run)
        self.synthetic = oracles.read_images(run.outputs / "synthetic/hmnist_28_28_RGB.csv")


@pytest.fixture
def attend(drawn, tmp_path, monkeypatch):
    """Function of flags: the Lesson of train_cnn.py with them.

    It is held in a copy of the trained run without its classifiers.
    """
    copy = Pipeline(drawn.table, tmp_path)
    shutil.copytree(drawn.outputs, copy.outputs)
    shutil.copytree(drawn.models / "gan", copy.models / "gan")
    return lambda *flags: Lesson(copy, monkeypatch, *flags)


MALIGNANCY = ("--task", "malignancy")
# Each lesson has flags, and the weight of a synthetic row in the prior that the network is taught.
LESSONS = {
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
def test_probabilities_are_the_networks_under_the_train_prior_at_the_temperature_on_file(
    attend, name
):
    """The logits are log p(y | x) + log prior(y) - log taught prior(y), all divided by T.

    The priors are those of Saerens et al. 2002, the temperature T that of Guo et al. 2017.
    """
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
        pool, train, k = (
            oracles.MALIGNANT[pool].astype(int),
            oracles.MALIGNANT[train].astype(int),
            2,
        )
    np.testing.assert_array_equal(lesson.pool[1], pool, "the network was taught other labels")
    np.testing.assert_allclose(lesson.pool[2], weights, err_msg="the rows have other weights")
    if "balanced batches" in name or name == "judge":
        counts = np.bincount(pool, minlength=k)
        weights = weights * (len(pool) / counts)[pool]
    shift = np.log(shares(train, k)) - np.log(shares(pool, k, weights))
    np.testing.assert_allclose(
        lesson.shift, shift, atol=2e-3, err_msg="epochs are scored under another prior"
    )
    val = lesson.parts.of("val")
    # The judge weighs all classes alike.
    inside = 0 if name == "judge" else shift
    made = len(lesson.synthetic[1]) if weight else 0
    assert (lesson.options["real_images"], lesson.options["synthetic_images"]) == (
        len(pool) - made,
        made,
    )
    expected = softmax(
        (lesson.teacher.logits(val[0]) + inside) / lesson.options["temperature"], axis=1
    )
    found = oracles.load(lesson.path).predict(val[0].astype(np.float32), verbose=0)
    np.testing.assert_allclose(found, expected, atol=5e-4)
    # The shift is large enough that its other sign would show.
    if weight:
        assert (
            np.abs(
                softmax(
                    (lesson.teacher.logits(val[0]) - shift) / lesson.options["temperature"], axis=1
                )
                - found
            ).max()
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
            return oracles.log_loss(
                labels, np.maximum(softmax(views / np.exp(log_t), axis=2).mean(axis=0), 1e-12)
            )

        return np.exp(
            scipy.optimize.minimize_scalar(loss, bounds=np.log([0.25, 4]), method="bounded").x
        )

    # The grid's spacing is .035.
    assert lesson.options["temperature"] == pytest.approx(best(views), rel=0.04)
    # The best temperature is inside the grid.
    assert 0.3 < best(views) < 3.5
    # It is another temperature than that of one view.
    assert abs(np.log(best(views) / best(views[:1]))) > 0.1


@pytest.mark.parametrize("flags", [(), MALIGNANCY])
def test_operating_points_and_records_are_those_of_the_val_part_in_eight_views(attend, flags):
    lesson = attend(*flags)
    options, points = lesson.options, lesson.options["operating_points"]
    images, y = lesson.parts.of("val")
    p = oracles.average_of_views(oracles.load(lesson.path), images)
    train = lesson.parts.of("train")[1]
    groups = {
        "melanoma": (y == 6, p[:, -1]),
        "malignant": (oracles.MALIGNANT[y], p[:, oracles.MALIGNANT].sum(axis=1))
        if not flags
        else (oracles.MALIGNANT[y], p[:, 1]),
    }
    if flags:
        del groups["melanoma"]
        y, train = oracles.MALIGNANT[y].astype(int), oracles.MALIGNANT[train].astype(int)
    for group, (positive, score) in groups.items():
        for at in (90, 95):
            fpr, _, thresholds = sk.roc_curve(positive, score, drop_intermediate=False)
            # The first threshold is infinite.
            wanted = thresholds[1:][fpr[1:] <= 1 - at / 100 + 1e-9]
            found = points[f"{group}_threshold_at_{at}_specificity"]
            # The lowest threshold of that specificity is the lowest score above the last negative
            # that may not pass.
            assert (score[~positive] >= found - 1e-6).mean() <= 1 - at / 100 + 1e-9
            assert len(wanted) == 0 or found == pytest.approx(min(wanted.min(), 2), abs=1e-5), (
                group,
                at,
            )
    prior = shares(train, p.shape[1])
    np.testing.assert_allclose(points["train_prior"], prior, atol=1e-4)
    np.testing.assert_allclose(
        points["balanced_shift"], -points["tau"] * np.log(points["train_prior"]), atol=1e-9
    )
    assert points["tau"] == pytest.approx(
        calibration.fit_tau(p, y, np.log(prior), lesson.parts.lesions("val")), abs=0.01
    )
    assert options["val"]["log_loss"] == pytest.approx(oracles.log_loss(y, p), abs=1e-4)
    assert options["val"]["accuracy"] == pytest.approx((p.argmax(axis=1) == y).mean())
    recall = sk.recall_score(y, p.argmax(axis=1), average="macro", labels=np.unique(y))
    assert options["val"]["balanced_accuracy"] == pytest.approx(recall)
    pool = np.append(lesson.parts.of("train")[1], lesson.synthetic[1])
    assert options["trained_on"] == np.bincount(pool, minlength=7).tolist()
    assert (options["real_images"], options["synthetic_images"]) == (
        len(lesson.parts.rows("train")),
        35,
    )
    assert options["model_sha256"] == checksums.file_sha256(lesson.path)
    # The table gives one step an epoch, so 36 epochs would be too few.
    assert round(len(lesson.parts.rows("train")) / 128) == 1
    assert options["steps"] == 400
    assert options["kept_epoch"] == 3


def test_of_equal_epochs_the_last_is_kept_and_named(attend, monkeypatch):
    monkeypatch.setattr(Lesson, "losses", (2.0, 3.0, 2.0))
    assert attend("--keep", "best").options["kept_epoch"] == 3


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


def test_roles_that_are_real_images_alone_read_no_synthetic_table():
    for role in ("control", "judge"):
        assert train_cnn.parse_args(["--role", role]).synthetic == "none"
    assert train_cnn.parse_args([]).synthetic.endswith("synthetic/hmnist_28_28_RGB.csv")
    assert [CLASSES[i] for i in np.flatnonzero(oracles.MALIGNANT)] == ["akiec", "bcc", "mel"]


def test_repeated_images_are_drawn_by_the_stream_of_published_arms(drawn):
    args = train_cnn.parse_args(
        [*drawn.flags, "--repeat-real", "40", "--synthetic", "none", "--seed", "2"]
    )
    run = runs.Run(args, "train_cnn")
    images, labels = oracles.Parts(drawn).of("train")
    again = np.random.default_rng([2, 3]).integers(len(labels), size=40)
    pool = training_pool.gather(run)
    np.testing.assert_array_equal(pool[0][len(labels) :], images[again])
    np.testing.assert_array_equal(pool[1][len(labels) :], labels[again])


def test_added_real_images_weigh_as_much_as_the_tables_own(drawn, tmp_path):
    from lesiongan.phantom import draw_table

    images, labels, _ = draw_table(90, seed=7)
    tables.write_table(tmp_path / "other.csv", [(images, labels)])
    args = train_cnn.parse_args([*drawn.flags, "--real", str(tmp_path / "other.csv")])
    pool = training_pool.gather(runs.Run(args, "train_cnn"))
    n = len(oracles.Parts(drawn).rows("train"))
    np.testing.assert_array_equal(pool[0][n : n + 90], images)
    np.testing.assert_array_equal(pool[1][n : n + 90], labels)
    np.testing.assert_allclose(pool[2], np.repeat([1, 1, 0.25], [n, 90, 35]))
    assert pool[3] == 35


def test_a_class_that_was_not_taught_keeps_its_own_logit(drawn, tmp_path, monkeypatch):
    """The prior of nothing is no reason to find a class everywhere.

    The set is one without dermatofibromas.
    """
    copy = drawn.copy(tmp_path)
    copy.run(
        "train_gan", "--sample-only", "--samples", "60", "--class-mix", "1,1,1,0,1,1,1", "--no-png"
    )
    lesson = Lesson(copy, monkeypatch, "--real", "none")
    assert 3 not in lesson.pool[1]
    assert lesson.shift[3] == 0
    assert (lesson.shift[[0, 1, 2, 4, 5, 6]] != 0).all()
    assert lesson.options["trained_on"][3] == 0


def test_a_class_taught_by_one_image_alone_is_corrected_for_like_any_other(
    drawn, tmp_path, monkeypatch
):
    copy = drawn.copy(tmp_path)
    copy.run(
        "train_gan",
        "--sample-only",
        "--samples",
        "61",
        "--class-mix",
        "10,10,10,1,10,10,10",
        "--no-png",
    )
    lesson = Lesson(copy, monkeypatch, "--real", "none")
    assert (lesson.pool[1] == 3).sum() == 1
    prior = np.bincount(oracles.Parts(copy).of("train")[1], minlength=7)[3] / len(
        oracles.Parts(copy).of("train")[1]
    )
    assert lesson.shift[3] == pytest.approx(np.log(prior * 61), abs=0.01)


def test_held_out_images_are_refused_among_whatever_else_is_added(drawn, tmp_path):
    images, labels = oracles.Parts(drawn).of("test")
    tables.write_table(tmp_path / "test.csv", [(images[:4], labels[:4])])
    args = train_cnn.parse_args(
        [*drawn.flags, "--repeat-real", "9", "--real", str(tmp_path / "test.csv")]
    )
    with pytest.raises(InputError, match="4 of its 4 images are val or test"):
        training_pool.gather(runs.Run(args, "train_cnn"))


def test_images_labels_and_lesions_of_a_part_are_those_of_the_split_on_file(drawn):
    run = runs.Run(train_cnn.parse_args(drawn.flags), "train_cnn")
    parts = oracles.Parts(drawn)
    for part in ("train", "val", "test"):
        for ours, theirs in zip(run.inputs.part(part), parts.of(part), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(run.inputs.lesions(part), parts.lesions(part))
