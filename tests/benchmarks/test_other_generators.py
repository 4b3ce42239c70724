"""The committed numbers of copies and of other generators, and the sets that give them."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import copies as copies_benchmark
from benchmarks import other_generators
from lesiongan import ROOT
from lesiongan.phantom import draw_table
from tests import oracles

RESULTS = ROOT / "results"


def test_the_documented_table_is_that_of_its_file():
    found = json.loads((RESULTS / "other_generators.json").read_text())
    text = (ROOT / "docs/extending.md").read_text()
    for row in (found["head"], *found["rows"]):
        assert f"| {' | '.join(row)} |" in text
    # The readable rows are those of the numbers beside them.
    rows = {row[0]: row[1:] for row in found["rows"]}
    for i, each in enumerate(found["sets"].values()):
        assert found["head"][i + 1] == each["label"]
        assert rows["Passes as new"][i] == ("yes" if each["passes_as_new"]["passes"] else "no")
        cas = each["cas_on_val"]
        for key in ("accuracy", "balanced_accuracy"):
            shown = rows[f"CAS on val, {key.replace('_', ' ')}"][i]
            assert shown == (f"{cas[key]:.3f}" if cas else "-")


def test_this_gan_stands_before_the_textbook_one_and_only_generators_pass_as_new():
    found = json.loads((RESULTS / "other_generators.json").read_text())
    rows = {row[0]: row[1:] for row in found["rows"]}
    ours, dcgan = (list(found["sets"]).index(name) for name in ("ours", "dcgan"))
    frechet = rows["Fréchet distance over that of real images"]
    assert float(frechet[ours]) < float(frechet[dcgan])
    for measure in ("accuracy", "balanced_accuracy"):
        cas = {n: found["sets"][n]["cas_on_val"][measure] for n in ("ours", "dcgan")}
        assert cas["ours"] > cas["dcgan"]
    passes = {n: each["passes_as_new"]["passes"] for n, each in found["sets"].items()}
    assert {n for n, passed in passes.items() if passed} == {"ours", "dcgan"}
    origins = {n: each["origin"] for n, each in found["sets"].items()}
    assert {n for n, origin in origins.items() if origin != "made elsewhere"} == {"ours"}


def test_the_committed_shares_of_copies_keep_what_the_page_promises():
    found = pd.read_csv(RESULTS / "copies.csv").set_index("change")
    light = [c for c in found.index if c.startswith(("none", "8 flips", "brightness", "gain"))]
    assert len(light) == 10
    assert (found.loc[light, "copy"] >= 0.97).all()
    assert (found.loc[light, "near"] > 0.99).all()
    assert (
        found.loc[[c for c in found.index if c.startswith("noise")], "memorisation"] >= 0.9
    ).all()
    assert (found.loc[[c for c in found.index if c.startswith("mixed")], "mixtures"] > 0.99).all()
    unseen = found.loc["unseen lesions"]
    assert unseen.images == 1003
    assert unseen["copy"] == unseen.near == 0
    assert (unseen[["memorisation", "copies", "mixtures"]] < 0.02).all()
    record = json.loads((RESULTS / "copies.json").read_text())
    assert record["unseen_near"] <= record["unseen_near_allowed"]
    page = " ".join((ROOT / "docs/extending.md").read_text().split())
    assert f"of {int(unseen.images)} images of unseen lesions none is" in page
    for change, words in (("noise of sd 10", "one in 7"), ("JPEG of quality 75", "one in 18")):
        missed = 1 - found.loc[change, "copy"]
        assert words == f"one in {round(1 / missed)}"
        assert words.replace("7", "seven") in page or words in page


@pytest.fixture(scope="module")
def inputs():
    """Phantoms in two parts."""
    images, labels, _ = draw_table(300)
    parts = np.where(np.arange(len(labels)) % 3 == 0, "val", "train")
    return SimpleNamespace(part=lambda name: (images[parts == name], labels[parts == name]))


def test_only_train_images_go_into_the_sets_equally_many_of_each_class(inputs, tmp_path):
    other_generators.make(inputs, tmp_path, tmp_path / "none.keras", seed=0)
    known = {image.tobytes(): label for image, label in zip(*inputs.part("train"), strict=True)}
    images, labels = oracles.read_images(tmp_path / "real.csv")
    assert [known[image.tobytes()] for image in images] == labels.tolist()
    assert set(np.bincount(labels)) == {142, 143}
    for sd in other_generators.NOISE:
        noisy, same = oracles.read_images(tmp_path / f"noise_{sd}.csv")
        assert same.tolist() == labels.tolist()
        inside = (images > 40) & (images < 215)
        assert (noisy.astype(float) - images)[inside].std() == pytest.approx(sd, rel=0.05)
    mixed, same = oracles.read_images(tmp_path / "mixup.csv")
    assert same.tolist() == labels.tolist()
    assert not {image.tobytes() for image in mixed} & set(known)


def test_a_mixture_is_of_an_image_and_one_of_its_nearest_of_the_class(inputs):
    pool, pool_labels = inputs.part("train")
    images, labels = pool[:12], pool_labels[:12]
    mixed = copies_benchmark.mix(images, labels, pool, pool_labels, np.random.default_rng(0), 3)
    for i, (image, result) in enumerate(zip(images, mixed, strict=True)):
        own = pool[pool_labels == labels[i]].astype(float)
        order = np.argsort(((own - image) ** 2).sum(axis=(1, 2, 3)))
        fits = []
        for partner in own[order[1:4]]:
            # The weight that fits best, by least squares.
            away, moved = (partner - image).ravel(), (result.astype(float) - image).ravel()
            weight = away @ moved / (away @ away)
            fits.append((np.abs(moved - weight * away).max(), weight))
        error, weight = min(fits)
        assert error <= 0.6
        assert 0.29 < weight < 0.71


def test_every_change_is_what_it_is_called():
    images, labels, _ = draw_table(20)
    changes = copies_benchmark.list_changes(np.random.default_rng(0), images, labels)
    changed = {name: change(images, labels) for name, change in changes.items()}
    np.testing.assert_array_equal(changed["none"], images)
    views = oracles.eight_views(images)
    turned = changed["8 flips and turns"]
    which = [[(v[i] == turned[i]).all() for v in views].index(True) for i in range(16)]
    assert sorted(which[:8]) == sorted(which[8:]) == list(range(8))
    for by in (-25, -10, -5, 5, 10, 25):
        plain = np.clip(images.astype(int) + by, 0, 255)
        np.testing.assert_array_equal(changed[f"brightness {by:+d}"], plain)
    plain = np.clip(np.rint(images * 1.1), 0, 255)
    np.testing.assert_array_equal(changed["gain 1.1"], plain)
    assert 0 < np.abs(changed["JPEG of quality 75"].astype(int) - images).mean() < 6


def test_a_half_of_the_unseen_lesions_is_tried_on_the_threshold_of_the_other():
    """Distances of one half are all below those of the other."""
    n = 80
    inputs = SimpleNamespace(
        part=lambda name: (np.zeros((n, 28, 28, 3)), None),
        lesions=lambda name: np.array([f"L{i:03d}" for i in range(n)]),
    )
    far = np.where(np.arange(n) % 2 == 0, 0, 10) + np.linspace(0, 1, n)
    rulers = dict.fromkeys(copies_benchmark.MEASURES, lambda images, own: far)
    row, thresholds, _ = copies_benchmark.measure_unseen(inputs, rulers)
    for name in copies_benchmark.MEASURES:
        # All of the near half are below the far half's threshold, and none the other way round.
        assert row[name] == pytest.approx(0.5)
        assert thresholds[name] == pytest.approx(np.quantile(far, 0.01))
