"""Which images, lesions and numbers a measure is handed, on tables where each would show."""

from types import SimpleNamespace

import numpy as np
import pytest

from lesiongan.data.split import split_table
from lesiongan.data.tables import Table
from lesiongan.measures import copies, distances, novelty, shares, synthetic_quality, texture
from lesiongan.phantom import draw_table
from tests.measures.conftest import LEVELS


@pytest.fixture
def asked(monkeypatch):
    """What novelty.report and texture.report are handed: {name: arguments}."""
    found = {}
    for module in (novelty, texture):
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, "report", lambda *a, name=name: found.update({name: a}) or {})
    return found


@pytest.fixture
def made(bright):
    """A synthetic set: every other test image of `bright`, a grey level away."""
    images, labels = bright[0].part("test")
    fake, rows = images[::2] ^ 1, np.arange(len(images[::2]))
    return Table("s.csv", "hmnist_28_28_RGB", fake, labels[::2], "s", rows, rows.astype(str))


def measure_by(bright, made, right, **more):
    """synthetic_quality.measure by a judge that is right in this share of held-out images."""
    inputs, judge = bright
    labels = inputs.part(judge.held_out)[1]
    judge.sha256 = "judge"
    decided = np.where(np.arange(len(labels)) < right * len(labels), labels, (labels + 1) % 7)
    judge.decide = lambda x: decided[: len(x)]
    return synthetic_quality.measure(inputs, made, judge, None, **more)


@pytest.mark.parametrize("right", [1, 0.1])
@pytest.mark.parametrize("held_out", ["val", "test"])
def test_novelty_and_texture_are_of_what_the_generator_saw_against_the_judges_part(
    bright, made, asked, right, held_out
):
    """Whether the judge works or not: `seen` may be the lesions of the other share."""
    inputs, judge = bright
    judge.held_out, seen, path = held_out, object(), object()
    # A judge that is right in a tenth of the images does not work, and another path is taken.
    measure_by(bright, made, right, most=77, seen=seen, nearest_path=path, held_out="neither")
    assert asked["novelty"] == (seen, made, held_out, path)
    assert asked["texture"] == (seen, made, None, held_out, 77)
    measure_by(bright, made, right, most=77, most_patches=33)
    assert asked["texture"][-1] == 33
    measure_by(bright, made, right)
    assert asked["novelty"][0] is asked["texture"][0] is inputs


def test_without_a_judge_they_are_against_the_part_that_was_asked_for(bright, made, asked):
    seen = object()
    synthetic_quality.measure(bright[0], made, None, "g", held_out="val", most=9, seen=seen)
    assert asked == {"novelty": (seen, made, "val", None), "texture": (seen, made, "g", "val", 9)}


def test_intervals_of_the_judge_are_over_lesions(bright, made, asked, monkeypatch):
    """With ten photographs of a lesion, alike in what the judge says of them, they are wider."""
    inputs, _ = bright
    alone = measure_by(bright, made, 0.8)
    of = inputs.lesions("test")
    monkeypatch.setattr(inputs, "lesions", lambda part: of[np.arange(len(of)) // 10 * 10])
    grouped = measure_by(bright, made, 0.8)

    def widths(found):
        judge, mel = found["judge_balanced_accuracy"], found["label_agreement"]["mel"]
        return np.array([judge["high"] - judge["low"], mel["real_recall"]["se"]])

    assert (widths(grouped) > 2 * widths(alone)).all()
    mel = grouped["label_agreement"]["mel"]
    se = np.hypot(np.sqrt(mel["value"] * (1 - mel["value"]) / mel["n"]), mel["real_recall"]["se"])
    assert mel["se_of_difference"] == pytest.approx(se)


def test_held_out_photographs_of_a_training_lesion_do_not_lower_the_threshold():
    """Under a split by image they would find their own lesion in train."""
    # Each photograph is there twice, as one lesion's.
    images, labels = (np.repeat(x, 2, axis=0) for x in draw_table(150)[:2])
    rows = np.arange(len(labels))
    lesions = np.array([f"L{i // 2}" for i in rows])
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "s", rows, lesions)
    parts = split_table(table, "image")
    assert set(lesions[parts == "val"]) & set(lesions[parts == "train"])
    inputs = SimpleNamespace(
        split={"protocol": "p"},
        part=lambda name: (images[parts == name], labels[parts == name]),
        lesions=lambda name: lesions[parts == name],
    )
    made = SimpleNamespace(images=images[:5])
    found = novelty.report_share(inputs, made, "val", copies)
    measure = copies.ruler(*(x[parts == "train"] for x in (images, lesions)))
    own = lesions[parts == "val"]
    passed_over = np.quantile(measure(images[parts == "val"], own), 0.01)
    assert found["threshold"] == pytest.approx(passed_over)
    assert found["threshold"] > 2 * np.quantile(measure(images[parts == "val"]), 0.01)


def test_patches_of_a_generator_are_drawn_in_the_train_parts_class_mix(bright):
    inputs, _ = bright
    labels = inputs.table.labels
    # The table is sorted by class; two of five train images become nevi.
    train = np.flatnonzero(inputs.parts == "train")
    labels[train[np.arange(len(train)) % 5 < 2]] = 4
    drawn = []

    def draw(batch):
        drawn.append(np.bincount(batch[1], minlength=7))
        return np.full((len(batch[1]), 28, 28, 3), float(LEVELS["test"]))

    painter = SimpleNamespace(inputs=(np.zeros((1, 3)), None), predict_on_batch=draw)
    found = texture.measure_patches(inputs, None, painter, "test", 300)
    n = found["swd_28"]["n"]
    mix = np.bincount(labels[train], minlength=7) / len(train)
    per_draw = np.sum(drawn, axis=0) / shares.DRAWS
    np.testing.assert_allclose(per_draw, mix * n, atol=1)


def test_the_interval_of_a_spectrums_deviation_is_over_synthetic_images_and_train_lesions(
    bright, monkeypatch
):
    inputs, _ = bright
    rng = np.random.default_rng(0)
    labels = inputs.table.labels
    contrast = rng.uniform(0.3, 3, len(labels))[:, None, None, None]
    noise = rng.normal(0, 15, inputs.table.images.shape)
    inputs.table.images[:] = np.clip(120 + contrast * noise, 0, 255).astype(np.uint8)
    made = SimpleNamespace(
        images=np.clip(120 + rng.normal(0, 20, (1500, 28, 28, 3)), 0, 255).astype(np.uint8),
        labels=np.full(1500, 4),
    )

    def width():
        found = texture.measure_spectrum(inputs, made, None, "test", 4)["deviation"]
        return (found["high"] - found["low"]) / found["value"]

    # The synthetic images are many and of one contrast: what varies are the train images.
    each = width()
    power = texture.spectrum.ring_powers(inputs.part("train")[0][inputs.part("train")[1] == 4])
    se = power.mean(axis=1).std() / np.sqrt(len(power)) / power.mean()
    assert each > 2.5 * se
    of = inputs.lesions("train")
    own = inputs.part("train")[1] == 4
    # Ten photographs of a lesion have its contrast.
    order = np.argsort(contrast.ravel()[inputs.parts == "train"][own])
    grouped = of.copy()
    grouped[np.flatnonzero(own)[order]] = [f"g{i // 10}" for i in range(own.sum())]
    monkeypatch.setattr(
        inputs, "lesions", lambda part: grouped if part == "train" else of[: len(labels)]
    )
    monkeypatch.setattr(texture, "LEAST", 2)
    real_part = inputs.part
    monkeypatch.setattr(
        inputs, "part", lambda name: real_part(name) if name == "train" else ([], np.array([]))
    )
    assert width() > 1.5 * each


def test_distances_are_of_64_components_as_the_protocols_say():
    x = np.random.default_rng(0).normal(size=(200, 100))
    assert distances.Components(x)(x).shape == (200, 64) == (200, distances.COMPONENTS)
