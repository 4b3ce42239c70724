"""Lesions and the split: no lesion is in two parts, whatever the order of the rows.

What published results rest on (parts, halves, subsets, known duplicates) is frozen by hash.
"""

import hashlib

import numpy as np
import pandas as pd
import pytest

from lesiongan import ROOT
from lesiongan.data import lesions, near_duplicates, split
from lesiongan.data.classes import CLASSES, PARTS, class_counts
from lesiongan.data.tables import Table, read_table
from tests import oracles

REAL = next(
    (p for s in ("", ".gz") if (p := ROOT / "data" / f"hmnist_28_28_RGB.csv{s}").is_file()), None
)


@pytest.fixture(scope="module")
def table(table_path):
    return lesions.group_lesions(read_table(table_path))


@pytest.mark.parametrize("seed", range(5))
def test_no_lesion_stands_in_two_parts(table, seed):
    parts = split.split_table(table, "lesion", seed)
    by_part = [set(table.lesions[parts == p]) for p in PARTS]
    # Some lesions have several photographs, so the test can fail.
    assert len(set(table.lesions)) < len(table)
    assert sum(map(len, by_part)) == len(set.union(*by_part)) == len(set(table.lesions))
    for code in range(len(CLASSES)):
        assert set(parts[table.labels == code]) == set(PARTS)
    assert 0.6 < (parts == "train").mean() < 0.8


def test_image_split_does_leak(table):
    parts = split.split_table(table, "image", 0)
    share, _ = split.leakage_share(table.labels, table.lesions, parts)
    assert share > 0.1
    assert split.leakage_share(table.labels, table.lesions, split.split_table(table))[0] == 0


def test_split_depends_on_the_lesion_and_not_on_row_order(table):
    order = np.random.default_rng(0).permutation(len(table))
    parts, shuffled = split.split_table(table), split.split_table(table.take(order))
    np.testing.assert_array_equal(parts[order], shuffled)
    assert (parts != split.split_table(table, seed=1)).any()


def digest(values):
    return hashlib.sha256("".join(map(str, values)).encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def many():
    """3000 images of 1600 lesions in a table without pictures."""
    names = np.array([f"HAM_{i:07d}" for i in np.random.default_rng(0).integers(0, 2200, 3000)])
    _, codes = np.unique(names, return_inverse=True)
    labels = (codes * 7919 % 97 % 7).astype(np.int32)
    return Table(
        "t.csv",
        "hmnist_28_28_RGB",
        np.zeros((3000, 1, 1, 3), np.uint8),
        labels,
        "",
        np.arange(3000),
        names,
    )


def test_parts_halves_and_subsets_are_those_of_every_published_result(many, table):
    """A change of one of these moves every published split.

    It would be another salt, other shares or another order. Do not mend the hash.
    """
    assert split.hash_order(["a", "b", "c", "d", "e", "f"], "lesion0").tolist() == [
        5,
        3,
        1,
        2,
        0,
        4,
    ]
    parts = {
        (kind, seed): digest(split.split_table(many, kind, seed))
        for kind in ("lesion", "image")
        for seed in (0, 1)
    }
    assert parts == {
        ("lesion", 0): "96cd1a3a610bef2b",
        ("lesion", 1): "9bddea97ce7ee097",
        ("image", 0): "1bbd0af7d06db211",
        ("image", 1): "9491ec5608488876",
    }
    assert digest(np.flatnonzero(split.half_a(many, split.split_table(many)))) == "eef39327a54987c9"
    small = split.subset(many, 500)
    assert (digest(small.rows), len(small)) == ("d5c58ae79db8f8b0", 505)
    assert digest(split.split_table(table)) == digest(split.split_table(table, "lesion", 0))


def test_parts_are_70_10_and_20_percent_of_every_class():
    names = np.array([f"L{i}" for i in range(7000)])
    labels = np.arange(7000, dtype=np.int32) % 7
    t = Table("t.csv", "", np.zeros((7000, 1, 1, 3), np.uint8), labels, "", np.arange(7000), names)
    for kind in ("lesion", "image"):
        parts = split.split_table(t, kind)
        for code in range(7):
            shares = [(parts[labels == code] == p).mean() for p in ("train", "val", "test")]
            assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.001)


def test_the_known_duplicates_are_the_eighteen_pairs_of_abhishek_et_al():
    """Each pair of the list that comes with their paper is merged, and no other images are.

    The pairs are frozen here.
    """
    pairs = lesions.CROSS_LESION_DUPLICATES
    assert len(pairs) == 18
    assert hashlib.sha256(repr(pairs).encode()).hexdigest()[:16] == "cc6c30fcff334735"
    images = [f"ISIC_{i:07d}" for pair in pairs for i in pair] + ["ISIC_0000001", "ISIC_0000002"]
    assert len(set(images)) == 38
    meta = pd.DataFrame({"image_id": images, "lesion_id": [f"HAM_{i:07d}" for i in range(38)]})
    found = lesions.lesions_from_metadata(meta)
    assert (found[0:36:2] == found[1:36:2]).all()
    assert len(set(found)) == 20


def test_the_split_seed_the_kind_and_nothing_else_moves_the_split(many):
    first = split.split_table(many)
    assert (split.split_table(many, seed=1) != first).mean() > 0.2
    assert (split.split_table(many, "image") != first).mean() > 0.2
    other = Table("u.csv", "", many.images + 7, many.labels, "x", np.arange(3000) + 5, many.lesions)
    np.testing.assert_array_equal(split.split_table(other), first)


def test_a_lesions_class_is_that_of_most_of_its_photographs():
    names, classes, codes = lesions.lesion_classes(
        np.array(["b", "a", "b", "b", "c", "c"]), np.array([1, 6, 2, 2, 5, 3])
    )
    assert names.tolist() == ["a", "b", "c"]
    # The lower code wins a tie.
    assert classes.tolist() == [6, 2, 3]
    assert names[codes].tolist() == ["b", "a", "b", "b", "c", "c"]


def test_leakage_is_of_test_images_whose_lesion_is_in_train_and_not_in_val():
    parts = np.array(["test", "test", "test", "train", "val"])
    share, by_class = split.leakage_share(
        np.array([0, 0, 1, 0, 1]), np.array(["a", "b", "c", "a", "c"]), parts
    )
    assert share == pytest.approx(1 / 3)
    assert by_class[:2].tolist() == [0.5, 0]
    assert np.isnan(by_class[2:]).all()


def test_rows_and_metadata_go_with_their_images(table):
    index = [7, 3, 150]
    small = table.take(index)
    np.testing.assert_array_equal(small.images, table.images[index])
    assert small.rows.tolist() == index
    assert small.lesions.tolist() == table.lesions[index].tolist()
    assert small.metadata.image_id.tolist() == table.metadata.image_id[index].tolist()
    # These are rows of the file, not of the subset.
    assert small.take([2]).rows.tolist() == [150]


def test_the_eight_views_are_the_symmetries_of_the_square():
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 3))
    ours = {v.tobytes() for v in near_duplicates.dihedral_views(images)}
    assert ours == {np.ascontiguousarray(v).tobytes() for v in oracles.eight_views(images)}
    assert len(ours) == 8


@pytest.mark.parametrize(
    "sizes", [(1, 1, 2), (1, 1, 1), (5, 1, 1), (1, 9, 1), (1, 1, 9), (2, 2, 1, 1)]
)
def test_no_part_of_a_class_of_three_lesions_is_empty(sizes):
    names = np.repeat([f"L{i}" for i in range(len(sizes))], sizes)
    labels = np.zeros(len(names), np.int64)
    images = np.zeros((len(names), 28, 28, 3), np.uint8)
    table = Table(
        "t.csv", "hmnist_28_28_RGB", images, labels, "", rows=np.arange(len(names)), lesions=names
    )
    # The seed changes the order of the sizes, which must not matter.
    for seed in range(20):
        assert set(split.split_table(table, "lesion", seed)) == set(PARTS)


def test_subset_takes_whole_lesions_and_ten_of_each_class(table):
    small = split.subset(table, 100)
    assert len(small) < len(table)
    for lesion in set(small.lesions):
        assert (small.lesions == lesion).sum() == (table.lesions == lesion).sum()
    for code in range(len(CLASSES)):
        existing = len(set(table.lesions[table.labels == code]))
        assert len(set(small.lesions[small.labels == code])) >= min(10, existing)


def test_half_a_is_train_lesions_and_leaves_half_b(table):
    parts = split.split_table(table)
    a = split.half_a(table, parts)
    assert set(parts[a]) == {"train"}
    b = (parts == "train") & ~a
    assert not set(table.lesions[a]) & set(table.lesions[b])
    assert 0.3 < a.sum() / (parts == "train").sum() < 0.7


@pytest.mark.skipif(REAL is None, reason="the real table is not in data/")
def test_the_real_table_has_the_images_and_lesions_of_its_paper():
    table = lesions.group_lesions(read_table(REAL))
    assert tuple(class_counts(table.labels)) == (327, 514, 1099, 115, 6705, 142, 1113)
    assert len(set(table.metadata.lesion_id)) == 7470
    assert len(set(table.lesions)) == 7452


@pytest.mark.skipif(REAL is None, reason="the real table is not in data/")
def test_the_split_of_the_real_table_is_the_published_one():
    table = lesions.group_lesions(read_table(REAL))
    published = pd.read_csv(ROOT / "results/splits/lesion_split.csv.gz", dtype=str)
    assert published.part.tolist() == split.split_table(table).tolist()
    assert published.lesion.tolist() == table.lesions.tolist()
