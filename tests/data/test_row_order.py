"""Whether metadata stands in the order of the images: decided by the score's own standard error."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from lesiongan.data import lesions, row_order
from lesiongan.data.classes import CLASSES
from lesiongan.data.tables import Table, read_table
from lesiongan.files.errors import InputError
from tests.data.test_grouping import shuffle_class
from tests.data.test_lesions import REAL

NV = CLASSES.index("nv")


def photographs(rng, many, spread=1.0):
    """(signatures, lesion ids) of `many` lesions with two photographs each.

    They differ between lesions by 1 and between photographs of one lesion by `spread`.
    """
    lesion = rng.normal(size=(many, 14)).repeat(2, axis=0)
    return lesion + spread * rng.normal(size=lesion.shape), np.arange(many).repeat(2).astype(str)


def measure(signature, ids, labels=None, **options):
    labels = np.full(len(ids), NV) if labels is None else labels
    return row_order.measure(labels, ids, signature.__getitem__, **options)


def test_the_score_is_mann_whitneys():
    rng = np.random.default_rng(0)
    signature, ids = photographs(rng, 300)
    found = measure(signature, ids, draws=20_000)["nv"]
    own = np.linalg.norm(signature[::2] - signature[1::2], axis=1)
    a, b = rng.integers(600, size=(2, 20_000))
    other = np.linalg.norm(signature[a] - signature[b], axis=1)[ids[a] != ids[b]]
    u = mannwhitneyu(other, own).statistic / len(own) / len(other)
    assert found.score == pytest.approx(u, abs=0.01)
    assert found.pairs == 300


def test_the_standard_error_is_that_of_repeated_tables():
    """It is never too small; where all pairs are alike, it stays above the little that varies."""
    rng = np.random.default_rng(1)
    for shuffled in (True, False):
        scores, errors = [], []
        for _ in range(300):
            signature, ids = photographs(rng, 150)
            found = measure(signature, rng.permutation(ids) if shuffled else ids, draws=1000)["all"]
            scores.append(found.score)
            errors.append(found.se)
        assert np.std(scores) < 1.15 * np.mean(errors)
        if shuffled:
            assert np.mean(scores) == pytest.approx(0.5, abs=0.01)
            assert np.std(scores) > 0.5 * np.mean(errors)


def test_the_standard_error_counts_lesions_and_the_random_pairs_too():
    """Pairs of one lesion vary together; few equal ranks are no certainty."""
    ranks = np.array([1.0, 1.0, 0.0, 0.0])
    found = row_order.summarise(ranks, np.array(list("aabb")), 3.0)
    assert (found.score, found.pairs) == (0.5, 4)
    assert found.se == pytest.approx(np.sqrt(1 + 1 + 3) / 4)
    assert row_order.summarise(np.ones(6), np.arange(6), 0.0).se == pytest.approx(0.5 / 6)


@pytest.mark.parametrize("many", [100, 160, 400])
def test_shuffled_rows_are_told_from_right_ones_from_a_hundred_pairs_on(many):
    rng = np.random.default_rng(many)
    refused = {True: 0, False: 0}
    for _ in range(200):
        signature, ids = photographs(rng, many)
        for shuffled in refused:
            names = rng.permutation(ids) if shuffled else ids
            # A shuffle leaves some photographs of one lesion together by chance: they count too.
            refused[shuffled] += row_order.find_wrong(measure(signature, names)) is not None
    assert refused[True] >= 196
    assert refused[False] == 0


def test_order_in_the_table_alone_is_no_likeness():
    """Kaggle's rows are sorted by source, so neighbours look alike whatever lesion they show."""
    rng = np.random.default_rng(0)
    signature = np.linspace(0, 30, 3000)[:, None] + rng.normal(size=(3000, 14))
    ids = rng.permutation(np.arange(1000).repeat(3)).astype(str)
    scores = [
        measure(signature, rng.permutation(ids), draws=20_000)["all"].score for _ in range(20)
    ]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.005)


def test_one_class_in_another_order_is_found_among_classes_that_are_right():
    rng = np.random.default_rng(0)
    signature, ids = photographs(rng, 600)
    labels = np.where(np.arange(1200) < 800, NV, CLASSES.index("mel"))
    assert row_order.find_wrong(measure(signature, ids, labels)) is None
    ids[800:] = rng.permutation(ids[800:])
    name, found = row_order.find_wrong(measure(signature, ids, labels))
    assert name == "mel"
    assert found.score == pytest.approx(0.5, abs=0.06)


def test_a_class_without_pairs_does_not_hide_another_order_in_the_classes_after_it():
    rng = np.random.default_rng(0)
    signature, ids = photographs(rng, 400)
    labels = np.where(np.arange(800) < 100, 0, NV)
    ids[:100] = [f"alone{i}" for i in range(100)]
    assert row_order.find_wrong(measure(signature, ids, labels)) is None
    ids[100:] = rng.permutation(ids[100:])
    assert row_order.find_wrong(measure(signature, ids, labels))[0] in ("all", "nv")


def test_fewer_than_a_hundred_pairs_are_accepted_and_named(table_path, tmp_path):
    """The shared table has fewer, and its metadata shuffled within nevi passes, with a note."""
    meta = pd.read_csv(table_path.with_name("HAM10000_metadata.csv"), dtype=str)
    shuffle_class(meta, "nv").to_csv(tmp_path / "meta.csv", index=False)
    found = lesions.group_lesions(read_table(table_path), tmp_path / "meta.csv")
    pairs = len(meta) - len(set(meta.lesion_id))
    words = f"row order of the metadata not testable: {pairs} same-lesion pairs"
    assert pairs < row_order.LEAST_PAIRS
    assert found.order_note == words


def test_a_refuted_order_is_used_on_request_alone_and_named(tmp_path):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (400, 1, 1, 3), dtype=np.uint8)
    images = np.broadcast_to(colours, (400, 28, 28, 3)).repeat(2, axis=0)
    # No two photographs are identical: those of several lesions would be merged.
    images[:, 0, 0] = np.stack([np.arange(800) % 256, np.arange(800) // 256, np.zeros(800)], axis=1)
    rows, labels = np.arange(800), np.full(800, NV, np.int32)
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "", rows, rows.astype(str))
    ids = rng.permutation(rows // 2).astype(str)
    meta = pd.DataFrame({"lesion_id": ids, "image_id": rows, "dx": "nv"})
    meta.to_csv(tmp_path / "meta.csv", index=False)
    with pytest.raises(InputError, match="--trust-row-order"):
        lesions.group_lesions(table, tmp_path / "meta.csv")
    found = lesions.group_lesions(table, tmp_path / "meta.csv", trust=True)
    assert found.lesions.tolist() == ids.tolist()
    assert found.order_note.endswith("REFUTED by the images, trusted on request")
    # Nobody has asked for an external table's ids; they are used for intervals alone.
    found = lesions.group_lesions(table, tmp_path / "meta.csv", external=True)
    assert found.order_note.endswith("REFUTED by the images")


@pytest.mark.skipif(REAL is None, reason="the real table is not in data/")
def test_the_real_metadata_is_right_and_a_shuffle_of_a_class_with_pairs_enough_is_refused(tmp_path):
    table = read_table(REAL)
    meta = pd.read_csv(REAL.with_name("HAM10000_metadata.csv"), dtype=str)
    lesions.group_lesions(table)
    assert table.order_note == ""
    for name in ("akiec", "bcc", "bkl", "nv", "mel"):
        shuffle_class(meta, name).to_csv(tmp_path / "meta.csv", index=False)
        with pytest.raises(InputError, match=f"class {name}.*--trust-row-order"):
            lesions.group_lesions(read_table(REAL), tmp_path / "meta.csv")
    trusted = lesions.group_lesions(read_table(REAL), tmp_path / "meta.csv", trust=True)
    assert "REFUTED" in trusted.order_note
    assert "mel" in trusted.notes[-1]


@pytest.mark.skipif(REAL is None, reason="the real table is not in data/")
def test_balanced_subsets_of_the_real_table_keep_their_metadata():
    """15 of 240 such subsets were refused by a threshold of .62 in every class of 20 pairs."""
    table = lesions.group_lesions(read_table(REAL))
    signature = row_order.signatures_of(table.images, np.arange(len(table)))
    ids = table.metadata.lesion_id.to_numpy().astype(str)
    rng = np.random.default_rng(0)
    for _ in range(60):
        own = [rng.permutation(np.flatnonzero(table.labels == c))[:150] for c in range(7)]
        rows = np.concatenate(own)
        assert row_order.find_wrong(measure(signature[rows], ids[rows], table.labels[rows])) is None


def test_a_class_of_twenty_pairs_is_asked_by_itself():
    """All classes together would hide it."""
    right = row_order.RowOrder(0.9, 0.02, 400)
    for pairs in (19, 20):
        bad = row_order.RowOrder(0.5, 0.02, pairs)
        found = row_order.find_wrong({"all": right, "df": bad})
        assert found == (("df", bad) if pairs == 20 else None)
