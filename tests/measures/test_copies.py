"""Copies are found under every turn, brightness and contrast; unseen lesions are none."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

from lesiongan.data.split import split_table
from lesiongan.data.tables import Table
from lesiongan.files.errors import InputError
from lesiongan.measures import copies
from lesiongan.phantom import draw_table
from tests import oracles


def to_pixels(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def inputs():
    """The inputs of a run on 400 phantoms."""
    images, labels, meta = draw_table(400)
    lesions, rows = np.array(meta["lesion_id"]), np.arange(len(labels))
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "s", rows, lesions)
    return SimpleNamespace(table=table, parts=split_table(table))


def describe(image):
    """What is compared of one image (28, 28, 3), by the plain definition."""
    cells = image.astype(float).reshape(7, 4, 7, 4, 3).mean(axis=(1, 3))
    cells = cells - cells.mean(axis=(0, 1))
    return cells / (1 + np.sqrt((cells**2).mean()) / 40)


def test_distances_are_those_of_the_plain_definition(inputs):
    images, others = inputs.table.images[:20], inputs.table.images[20:60]
    distance, at = copies.nearest(images, others)
    plain = np.array(
        [
            [
                min(np.linalg.norm(describe(image) - describe(v[j])) for v in views)
                for j in range(len(others))
            ]
            for views in [oracles.eight_views(others)]
            for image in images
        ]
    )
    np.testing.assert_allclose(distance, plain.min(axis=1), rtol=1e-4)
    np.testing.assert_array_equal(at, plain.argmin(axis=1))


CHANGES = {
    "same": lambda x: x,
    "turned": lambda x: np.rot90(x),
    "flipped": lambda x: x[::-1].swapaxes(0, 1),
    "brighter by 10": lambda x: to_pixels(x + 10.0),
    "darker by 25": lambda x: to_pixels(x - 25.0),
    "brighter by 25": lambda x: to_pixels(x + 25.0),
    "less contrast": lambda x: to_pixels(x * 0.9),
    "more contrast": lambda x: to_pixels(x * 1.1),
    "another colour cast": lambda x: to_pixels(x + np.array([12.0, -8.0, 0.0])),
    "noisy": lambda x: to_pixels(x + np.random.default_rng(0).normal(0, 5, x.shape)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("part", ["val", "test"])
def test_one_changed_copy_of_a_held_out_image_refuses_a_set(inputs, change, part):
    made = draw_table(100, seed=5)[0]
    copies.refuse_held_out(inputs, "--synthetic", "s.csv", made)
    # Of phantoms, some are so dark or bright that a change of 25 grey levels cuts their values.
    held = inputs.table.images[inputs.parts == part]
    source = held[np.argsort(np.abs(held.mean(axis=(1, 2, 3)) - 128))[3]]
    made[17] = CHANGES[change](source)
    with pytest.raises(InputError, match=r"--synthetic s\.csv: 1 of its 100 images are val"):
        copies.refuse_held_out(inputs, "--synthetic", "s.csv", made)


def test_copies_of_train_images_are_no_reason_to_refuse(inputs):
    train = inputs.table.images[inputs.parts == "train"]
    copies.refuse_held_out(inputs, "--synthetic", "s.csv", train[:100])


class Forgetful(set):
    """A set that keeps nothing."""

    def add(self, _):
        pass


def test_images_that_hold_no_copy_are_asked_once_and_others_anew(inputs, monkeypatch):
    monkeypatch.setattr(copies, "cleared", set())
    asked, real = [], copies.nearest
    monkeypatch.setattr(copies, "nearest", lambda *a: asked.append(1) or real(*a))
    images = inputs.table.images[inputs.parts == "train"][:20]
    for _ in range(3):
        copies.refuse_held_out(inputs, "--synthetic", "s.csv", images)
    assert len(asked) == 1
    copies.refuse_held_out(inputs, "--real", "s.csv", images, real=True)
    assert len(asked) == 2
    held = inputs.table.images[inputs.parts == "test"][:20]
    for _ in range(2):
        with pytest.raises(InputError, match="20 of its 20 images"):
            copies.refuse_held_out(inputs, "--synthetic", "s.csv", held)
    assert len(asked) == 4
    # Where they are held out, they are copies, whatever was found before.
    parts = inputs.parts.copy()
    parts[np.flatnonzero(parts == "train")[:20]] = "val"
    other = SimpleNamespace(table=inputs.table, parts=parts)
    with pytest.raises(InputError, match="20 of its 20 images"):
        copies.refuse_held_out(other, "--synthetic", "s.csv", images)


def test_near_images_refuse_a_set_when_chance_cannot_give_so_many(inputs, monkeypatch):
    distance = np.full(1000, 90.0)
    monkeypatch.setattr(copies, "nearest", lambda *a: (distance, None))
    monkeypatch.setattr(copies.memorisation, "nearest", lambda *a: (np.full(1000, 90.0), None))
    images = np.zeros((1000, 28, 28, 3), np.uint8)
    # The same images have other distances here, which none really have.
    monkeypatch.setattr(copies, "cleared", Forgetful())
    most = copies.most_by_chance(1000)
    # The least number that so many unseen images exceed in less than one set of a thousand.
    assert (
        scipy.stats.binom.cdf(most, 1000, 0.002)
        >= 0.999
        > (scipy.stats.binom.cdf(most - 1, 1000, 0.002))
    )
    distance[:most] = 31
    copies.refuse_held_out(inputs, "--synthetic", "s.csv", images)
    distance[most] = 31
    with pytest.raises(InputError, match=f"{most + 1} of its 1000 images"):
        copies.refuse_held_out(inputs, "--synthetic", "s.csv", images)
    distance[:] = 90
    distance[5] = 21
    with pytest.raises(InputError, match="1 of its 1000 images"):
        copies.refuse_held_out(inputs, "--synthetic", "s.csv", images)
    # Real photographs may look alike; they are refused for being one, and not for chance.
    distance[5] = 31
    copies.refuse_held_out(inputs, "--real", "r.csv", images, real=True)


def test_other_photographs_of_the_lesion_are_passed_over():
    images = draw_table(60)[0]
    names = np.arange(len(images)).astype(str)
    measure = copies.ruler(images, names)
    assert measure(images[:5]).max() < 0.1
    assert measure(images[:5], names[:5]).min() > 10
