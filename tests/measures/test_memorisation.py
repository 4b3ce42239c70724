"""Copies of training images are flagged, and unseen images are not."""

from types import SimpleNamespace

import numpy as np
import pytest

from lesiongan.data import near_duplicates
from lesiongan.data.tables import Table
from lesiongan.measures import memorisation, novelty


def smooth_images(rng, n):
    """Random pictures with structure at the scale of lesions."""
    coarse = rng.integers(60, 200, (n, 7, 7, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def test_copies_of_lesions_are_flagged():
    """Turned, shifted and noisy copies must still fall below the threshold.

    It is tight, because lesions look alike.
    """
    from lesiongan.data.classes import class_counts
    from lesiongan.phantom import draw_table

    images, labels, meta = draw_table(500)
    lesions = np.array(meta["lesion_id"])
    held = np.isin(lesions, np.unique(lesions)[::4])
    train, y = images[~held], labels[~held]
    rng = np.random.default_rng(0)
    at = rng.permutation(len(train))[:80]
    copies = {
        "turned": np.rot90(train[at], axes=(1, 2)),
        "shifted": np.roll(train[at], 1, axis=2),
        "noisy": np.clip(train[at] + rng.normal(0, 8, train[at].shape), 0, 255).astype(np.uint8),
        "other": draw_table(300, seed=9)[0][:80],
    }
    share = {}
    for name, fake in copies.items():
        fake = np.ascontiguousarray(fake)
        m = memorisation.memorisation(
            fake, y[at], train, y, lesions[~held], images[held], lesions[held]
        )
        share[name] = (m["distance"] < m["threshold"]).mean()
    assert class_counts(y).min() > 2
    assert share["turned"] == 1
    assert share["noisy"] > 0.95
    assert share["shifted"] > 0.5
    assert share["other"] < 0.1


def test_copies_are_flagged_and_unseen_images_are_not():
    rng = np.random.default_rng(0)
    train, held_out, fresh = (smooth_images(rng, n) for n in (400, 300, 200))
    labels, lesions = np.arange(400) % 7, np.arange(400)
    plain = train[:50]
    turned = np.rot90(train[50:100], axes=(1, 2))[:, :, ::-1]
    shifted = np.roll(train[100:150], 1, axis=2)
    noisy = np.clip(
        train[150:200].astype(int) + rng.integers(-15, 16, (50, 28, 28, 3)), 0, 255
    ).astype(np.uint8)
    fake = np.concatenate([plain, turned, shifted, noisy, fresh])
    fake_labels = np.concatenate([labels[:200], np.arange(200) % 7])
    m = memorisation.memorisation(
        fake, fake_labels, train, labels, lesions, held_out, 1000 + np.arange(300)
    )
    flagged = m["distance"] < m["threshold"]
    assert flagged[:200].mean() > 0.99
    assert flagged[200:].mean() < 0.05
    np.testing.assert_array_equal(m["position"][:200], np.arange(200))
    assert all(0.4 < v["flagged"].mean() < 0.6 for v in m["by_class"].values())


def test_photographs_of_the_same_lesion_do_not_set_the_class_threshold():
    rng = np.random.default_rng(0)
    base = smooth_images(rng, 60)
    # Every lesion is photographed twice, identically.
    train = np.concatenate([base, base])
    lesions, labels = np.tile(np.arange(60), 2), np.zeros(120, int)
    others, names = smooth_images(rng, 50), 1000 + np.arange(50)
    m = memorisation.memorisation(base[:5], np.zeros(5, int), train, labels, lesions, others, names)
    assert m["by_class"]["akiec"]["threshold"] > 50
    assert m["by_class"]["akiec"]["flagged"].all()
    assert m["by_class"]["nv"] is None
    # Nor do they set the overall one, where a leaky split has photographs of one lesion on both
    # sides.
    held_out, held_lesions = np.concatenate([others, base]), np.concatenate([names, np.arange(60)])
    leaky = memorisation.memorisation(
        base[:5], np.zeros(5, int), train, labels, lesions, held_out, held_lesions
    )
    assert leaky["threshold"] > 50


def test_a_copy_of_an_image_of_another_class_is_memorised_but_not_within_its_class():
    rng = np.random.default_rng(0)
    train, held_out = smooth_images(rng, 80), smooth_images(rng, 50)
    labels = np.arange(80) % 2
    # Two are of class 1 and one is of class 0, and all are said to be of class 0.
    fake = train[[1, 3, 0]]
    m = memorisation.memorisation(
        fake, np.zeros(3, int), train, labels, np.arange(80), held_out, 100 + np.arange(50)
    )
    assert (m["distance"] < m["threshold"]).all()
    assert m["position"].tolist() == [1, 3, 0]
    assert m["by_class"]["akiec"]["flagged"].tolist() == [False, False, True]
    assert m["by_class"]["bcc"] is None


def test_the_nearest_image_is_found_under_every_flip_and_turn():
    rng = np.random.default_rng(0)
    images = smooth_images(rng, 30)
    for view in near_duplicates.dihedral_views(images):
        distance, at = memorisation.nearest(np.ascontiguousarray(view[::-1]), images)
        np.testing.assert_array_equal(at, np.arange(30)[::-1])
        assert distance.max() < 1e-3


def test_memorisation_passes_over_photographs_of_the_held_out_lesion_itself(
    bright, tmp_path, monkeypatch
):
    """A leaky split has lesions on both sides."""
    inputs, _ = bright
    asked = []

    def stop(*given):
        asked.extend(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(memorisation, "memorisation", stop)
    synthetic = SimpleNamespace(images=np.zeros((3, 28, 28, 3), np.uint8), labels=np.arange(3))
    for part in ("test", "val"):
        asked.clear()
        with pytest.raises(KeyboardInterrupt):
            novelty.report_memorisation(inputs, synthetic, part, tmp_path / "nearest.csv")
        wanted = (
            synthetic.images,
            synthetic.labels,
            *inputs.part("train"),
            inputs.lesions("train"),
            inputs.part(part)[0],
            inputs.lesions(part),
        )
        for a, b in zip(asked, wanted, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_memorised_share_of_a_class_is_of_what_was_flagged_within_it(
    bright, tmp_path, monkeypatch
):
    inputs, _ = bright
    distance, nothing = (
        np.array([1.0, 9.0, 9.0, 1.0]),
        dict.fromkeys(("bcc", "bkl", "df", "nv", "vasc", "mel")),
    )
    by_class = {
        "akiec": {"flagged": np.array([False, True, True, False]), "threshold": 5.0},
        **nothing,
    }
    found = {"threshold": 4.0, "by_class": by_class, "distance": distance, "position": np.arange(4)}
    monkeypatch.setattr(memorisation, "memorisation", lambda *a: found)
    synthetic = Table(
        "t", "", np.zeros((4, 28, 28, 3), np.uint8), np.zeros(4, int), "", np.arange(4)
    )
    synthetic.labels = np.array([0, 0, 0, 0])
    report = novelty.report_memorisation(inputs, synthetic, "test", tmp_path / "nearest.csv")
    assert (report["value"], report["n"], report["threshold"]) == (0.5, 4, 4.0)
    akiec = report["by_class"]["akiec"]
    assert (akiec["value"], akiec["n"], akiec["threshold"]) == (0.5, 4, 5.0)
    by_class["akiec"]["flagged"] = np.array([True, True, True, False])
    assert (
        novelty.report_memorisation(inputs, synthetic, "test", tmp_path / "nearest.csv")[
            "by_class"
        ]["akiec"]["value"]
        == 0.75
    )
    assert report["by_class"]["mel"]["value"] is None
