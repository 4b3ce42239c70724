"""Soft labels: what teachers say reaches the loss; none that has seen too much is asked."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import train_cnn
from lesiongan.data import tables
from lesiongan.data.near_duplicates import dihedral_views
from lesiongan.files.errors import InputError
from lesiongan.measures import teacher, training_pool
from lesiongan.nets import saved_models
from lesiongan.phantom import draw_table
from tests import oracles
from tests.conftest import CNN


class Caught(Exception):
    """Raised in the place of the training."""


@pytest.fixture
def pool_of(networks, monkeypatch, tmp_path):
    """A function of flags to what would be trained on: pool, shift and number of real images."""

    def catch(place, pool, val, shift, resuming=False, known=(None, None), real=0):
        caught.update(pool=pool, shift=shift, real=real, place=place)
        raise Caught

    caught = {}
    monkeypatch.setattr(train_cnn, "train", catch)

    def run(*flags):
        with pytest.raises(Caught):
            networks.run("train_cnn", *CNN, "--quiet", "--models-dir", str(tmp_path), *flags)
        return caught

    return run


@pytest.fixture
def control(networks):
    return networks.models / "control" / "classifier.keras"


def ask(path, images):
    """What a network says of images, averaged over eight views: an independent way."""
    network = saved_models.load_classifier(path)
    views = [network.predict(v.astype(np.float32), verbose=0) for v in dihedral_views(images)]
    return np.mean(views, axis=0)


def test_synthetic_images_get_the_mean_of_what_the_teachers_say_and_real_ones_keep_their_label(
    pool_of, control, networks
):
    # Networks elsewhere are asked, not those that are about to be replaced.
    classifier = networks.models / "cnn" / "classifier.keras"
    found = pool_of("--soft-labels", str(control), str(classifier))
    (images, soft, _), real = found["pool"], found["real"]
    parts = oracles.Parts(networks)
    assert real == len(parts.rows("train"))
    assert len(images) - real == 35
    _, labels = oracles.read_images(networks.table)
    np.testing.assert_array_equal(soft[:real], np.eye(7)[labels[parts.rows("train")]])
    wanted = (ask(control, images[real:]) + ask(classifier, images[real:])) / 2
    np.testing.assert_allclose(soft[real:], wanted, atol=1e-5)
    # What the teachers say holds under the train prior already.
    np.testing.assert_array_equal(found["shift"], np.zeros(7))


def test_soft_labels_of_real_images_alone_are_a_control_of_their_own(pool_of, control):
    found = pool_of("--synthetic", "none", "--soft-labels", str(control), "--soft-of", "all")
    images, soft, _ = found["pool"]
    assert found["real"] == len(images)
    np.testing.assert_allclose(soft, ask(control, images), atol=1e-5)


def test_images_on_whose_label_the_teachers_do_not_agree_are_left_out(pool_of, control, networks):
    table = oracles.read_images(networks.outputs / "synthetic/hmnist_28_28_RGB.csv")
    said = ask(control, table[0])[np.arange(35), table[1]]
    # The limit stands in the widest gap near the middle, so that rounding moves no image across it.
    middle = np.sort(said)[10:25]
    at = (middle[1:] / middle[:-1]).argmax()
    least = float(np.sqrt(middle[at] * middle[at + 1]))
    found = pool_of("--soft-labels", str(control), "--least-agreement", str(least))
    images, soft, weights = found["pool"]
    assert len(images) - found["real"] == (said >= least).sum()
    assert len(images) == len(soft) == len(weights)
    np.testing.assert_array_equal(images[found["real"] :], table[0][said >= least])


def test_none_left_is_refused_in_one_line():
    soft = np.full((4, 7), 1 / 7)
    assert teacher.keep_agreeing(soft, np.arange(4), 1 / 7).all()
    with pytest.raises(InputError, match=r"^--least-agreement 0.5: the teachers agree with no"):
        teacher.keep_agreeing(soft, np.arange(4), 0.5)


def test_from_a_step_on_batches_are_of_real_images_alone():
    args = train_cnn.parse_args(["--synthetic", "none", "--batch", "8", "--finish-real", "0.25"])
    images = np.arange(50, dtype=np.uint8)[:, None, None, None] * np.ones((28, 28, 3), np.uint8)
    labels, weights = np.zeros(50, int), np.ones(50)
    batch = training_pool.build_batches(images, labels, weights, args, finish=(30, 20))
    seen = [set(batch(step)[0][:, 0, 0, 0].astype(int)) for step in range(40)]
    assert max(max(s) for s in seen[:30]) == 49
    assert all(max(s) < 20 for s in seen[30:])
    # Every real image has its turn.
    assert set.union(*seen[30:]) == set(range(20))
    same = training_pool.build_batches(images, labels, weights, args)
    np.testing.assert_array_equal(same(7)[0], batch(7)[0])


def test_the_share_of_finishing_steps_reaches_the_training(scratch, drawn, monkeypatch):
    seen = []

    def note(images, targets, weights, args, known=None, finish=None):
        seen.append(finish)
        raise Caught

    monkeypatch.setattr(training_pool, "build_batches", note)
    words = ["--synthetic", "none", "--steps", "40", "--finish-real", "0.25", "--quiet"]
    with pytest.raises(Caught):
        scratch.run("train_cnn", "--width", "8", "--batch", "32", *words)
    rows = len(oracles.Parts(drawn).rows("train"))
    assert seen == [(30, rows)]


def test_a_network_learns_from_soft_labels_and_its_record_says_so(networks, control, tmp_path):
    copy = networks.copy(tmp_path)
    control = copy.models / "control" / "classifier.keras"
    flags = [*CNN, "--soft-labels", str(control), "--least-agreement", "0.05", "--if-stale"]
    assert copy.run("train_cnn", *flags, "--finish-real", "0.5") == 0
    record = oracles.read(copy.models / "cnn/options.json")
    assert (
        record["inputs"]["teacher0"]
        == oracles.read(copy.models / "control/options.json")["model_sha256"]
    )
    assert record["options"]["least_agreement"] == 0.05
    assert "soft_labels" not in record["options"]
    assert 0 < record["synthetic_images"] <= 35
    assert sum(record["trained_on"]) == record["real_images"] + record["synthetic_images"]
    assert copy.run("evaluate", "--predictions-only") == 0


def test_another_teacher_and_another_agreement_make_a_network_stale(pool_of, networks, control):
    other = networks.models / "cnn" / "classifier.keras"
    prints = [
        pool_of("--soft-labels", *words)["place"].identity.fingerprint
        for words in (
            [str(control)],
            [str(other)],
            [str(control), str(other)],
            [str(control), "--least-agreement", "0.01"],
            [str(control), "--soft-of", "all"],
        )
    ]
    assert len(set(prints)) == len(prints)


def test_a_teacher_of_another_split_is_refused(scratch, control):
    """It may have seen val and test."""
    words = ["--soft-labels", str(control), "--split-seed", "1", "--synthetic", "none"]
    with pytest.raises(InputError, match="made from other split"):
        scratch.run("train_cnn", *CNN, *words, "--soft-of", "all")


def test_a_teacher_of_the_others_lesions_is_refused(networks, control):
    """Both shares of a fraction have one split.csv, so its hash does not tell them apart."""
    run = SimpleNamespace(
        inputs=SimpleNamespace(
            split={"train_share": "own"},
            check_made_from=lambda path, *a: oracles.read(path) | {"split": {"train_share": share}},
        ),
        hash_file=lambda name, path: oracles.read(path.with_name("options.json"))["model_sha256"],
    )
    share = "own"
    teacher.check(run, [control], networks.models / "cnn")
    share = "others"
    with pytest.raises(InputError, match="was trained with --train-share others"):
        teacher.check(run, [control], networks.models / "cnn")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_sha256": "0"}, "is not the model that its options.json describes"),
        ({"synthetic_origin": "LEAKY: of x"}, "has learned from images of a leaky generator"),
        ({"options": {"task": "malignancy"}}, "is no classifier of the seven diagnoses"),
        ({"options": {"task": "dx", "clinical": True}}, "is no classifier of the seven"),
        # Its probabilities are of the uniform prior, and it would measure what it chose.
        ({"options": {"task": "dx", "role": "judge"}}, "is the judge, which measures"),
    ],
)
def test_what_is_no_teacher_is_refused(networks, tmp_path, changes, words):
    copy = networks.copy(tmp_path)
    record = copy.models / "control/options.json"
    record.write_text(json.dumps(oracles.read(record) | changes))
    with pytest.raises(InputError, match=words):
        copy.run("train_cnn", *CNN, "--soft-labels", str(record.with_name("classifier.keras")))


def test_a_teacher_is_not_replaced_by_its_pupil(networks, tmp_path):
    copy = networks.copy(tmp_path)
    path = copy.models / "cnn" / "classifier.keras"
    before = path.read_bytes()
    with pytest.raises(InputError, match="would be replaced by the network that learns from it"):
        copy.run("train_cnn", *CNN, "--soft-labels", str(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["--least-agreement", "0.5"],
        ["--least-agreement", "1.5", "--soft-labels", "a"],
        ["--soft-of", "all"],
        ["--finish-real", "1"],
        ["--finish-real", "0.5", "--real", "none"],
        ["--soft-labels", "a", "--task", "malignancy"],
        ["--soft-labels", "a", "--sampler", "balanced"],
        ["--soft-labels", "a", "--role", "control"],
        ["--soft-labels", "a", "--synthetic", "none"],
        ["--soft-labels", "a", "--real", "b.csv"],
        [
            "--soft-labels",
            "a",
            "--soft-of",
            "all",
            "--synthetic",
            "none",
            "--least-agreement",
            "0.5",
        ],
    ],
)
def test_flags_that_contradict_each_other_are_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        train_cnn.parse_args(words)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_what_a_training_ends_with_is_what_its_prior_is_taken_from(pool_of, tmp_path):
    """Real images alone: the train part's, and those of --real if there are any."""
    images, labels, _ = draw_table(140, seed=9)
    tables.write_table(tmp_path / "more.csv", [(images, labels)])
    caught = pool_of("--finish-real", "0.2")
    np.testing.assert_array_equal(caught["shift"], 0)
    caught = pool_of("--finish-real", "0.2", "--real", str(tmp_path / "more.csv"))
    real, targets = caught["real"], caught["pool"][1]
    train = targets[: real - len(labels)]
    before, after = (np.bincount(y, minlength=7) / len(y) for y in (train, targets[:real]))
    np.testing.assert_allclose(caught["shift"], np.log(before) - np.log(after), atol=1e-3)
    assert np.abs(caught["shift"]).max() > 0.1


def test_a_finish_of_no_step_is_refused():
    """The prior would be that of real images alone, which the last steps did not see."""
    args = train_cnn.parse_args(["--synthetic", "none", "--finish-real", "0.01"])
    assert train_cnn.find_finish(args, 100) == 99
    with pytest.raises(InputError, match=r"--finish-real 0\.01: is less than one of the 40 steps"):
        train_cnn.find_finish(args, 40)
