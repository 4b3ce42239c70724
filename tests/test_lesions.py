"""Lesion groups and the split: no lesion in two parts, whatever the order of the rows."""

import numpy as np
import pandas as pd
import pytest

import lesions
from ham10000 import CLASSES, PARTS, InputError, Table, class_counts, read_table
from runlog import ROOT

REAL = next((p for s in ("", ".gz") if (p := ROOT / "data" / f"hmnist_28_28_RGB.csv{s}").is_file()), None)


@pytest.fixture(scope="module")
def table(table_path):
    return lesions.group_lesions(read_table(table_path))


@pytest.mark.parametrize("seed", range(5))
def test_no_lesion_stands_in_two_parts(table, seed):
    parts = lesions.split_table(table, "lesion", seed)
    by_part = [set(table.lesions[parts == p]) for p in PARTS]
    assert len(set(table.lesions)) < len(table)  # there are lesions with several photographs: the test can fail
    assert sum(map(len, by_part)) == len(set.union(*by_part)) == len(set(table.lesions))
    for code in range(len(CLASSES)):
        assert set(parts[table.labels == code]) == set(PARTS)
    assert 0.6 < (parts == "train").mean() < 0.8


def test_image_split_does_leak(table):
    parts = lesions.split_table(table, "image", 0)
    share, _ = lesions.leakage_share(table.labels, table.lesions, parts)
    assert share > 0.1
    assert lesions.leakage_share(table.labels, table.lesions, lesions.split_table(table))[0] == 0


def test_split_depends_on_the_lesion_and_not_on_row_order(table):
    order = np.random.default_rng(0).permutation(len(table))
    parts, shuffled = lesions.split_table(table), lesions.split_table(table.take(order))
    np.testing.assert_array_equal(parts[order], shuffled)
    assert (parts != lesions.split_table(table, seed=1)).any()


def test_split_is_frozen(table):
    """A change of this list moves every published split: do not change it lightly."""
    assert lesions.hash_order(["a", "b", "c", "d", "e", "f"], "lesion0").tolist() == [5, 3, 1, 2, 0, 4]


@pytest.mark.parametrize("sizes", [(1, 1, 2), (1, 1, 1), (5, 1, 1), (1, 9, 1), (1, 1, 9), (2, 2, 1, 1)])
def test_no_part_of_a_class_of_three_lesions_is_empty(sizes):
    names = np.repeat([f"L{i}" for i in range(len(sizes))], sizes)
    labels = np.zeros(len(names), np.int64)
    images = np.zeros((len(names), 28, 28, 3), np.uint8)
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "", rows=np.arange(len(names)), lesions=names)
    for seed in range(20):  # whatever the order of the sizes
        assert set(lesions.split_table(table, "lesion", seed)) == set(PARTS)


def test_subset_takes_whole_lesions_and_ten_of_each_class(table):
    small = lesions.subset(table, 100)
    assert len(small) < len(table)
    for lesion in set(small.lesions):
        assert (small.lesions == lesion).sum() == (table.lesions == lesion).sum()
    for code in range(len(CLASSES)):
        existing = len(set(table.lesions[table.labels == code]))
        assert len(set(small.lesions[small.labels == code])) >= min(10, existing)


def test_half_a_is_train_lesions_and_leaves_half_b(table):
    parts = lesions.split_table(table)
    a = lesions.half_a(table, parts)
    assert set(parts[a]) == {"train"}
    b = (parts == "train") & ~a
    assert not set(table.lesions[a]) & set(table.lesions[b])
    assert 0.3 < a.sum() / (parts == "train").sum() < 0.7


def spoil_metadata(table_path, tmp_path, change):
    meta = pd.read_csv(table_path.with_name("HAM10000_metadata.csv"), dtype=str)
    meta = change(meta)
    meta.to_csv(tmp_path / "meta.csv", index=False)
    return tmp_path / "meta.csv"


def shuffle_class(meta, name):
    own = np.flatnonzero(meta.dx == name)
    moved = meta.copy()
    moved.loc[own] = meta.loc[np.random.default_rng(1).permutation(own)].to_numpy()
    return moved


def swap_dx(meta):
    i, j = meta.index[meta.dx == "nv"][0], meta.index[meta.dx == "mel"][0]
    meta.loc[[i, j]] = meta.loc[[j, i]].to_numpy()
    return meta


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: shuffle_class(m, "nv"), ("class nv", "another order")),
        (swap_dx, ("line", "dx")),
        (lambda m: m.iloc[:-1], ("199 rows", "200")),
        (lambda m: m.drop(columns="lesion_id"), ("lesion_id",)),
        (lambda m: m.assign(lesion_id=["", *m.lesion_id[1:]]), ("line 2", "lesion_id", "empty")),
    ],
)
def test_metadata_of_other_rows_is_refused(table_path, tmp_path, change, words):
    path = spoil_metadata(table_path, tmp_path, change)
    with pytest.raises(InputError) as e:
        lesions.group_lesions(read_table(table_path), path)
    for word in ("meta.csv", *words):
        assert word in str(e.value)


def test_known_duplicates_under_two_ids_are_merged():
    a, b = lesions.CROSS_LESION_DUPLICATES[0]
    meta = pd.DataFrame({"lesion_id": ["L2", "L1", "L3", "L1"], "image_id": [f"ISIC_{a:07d}", f"ISIC_{b:07d}", "x", "y"]})
    assert lesions.lesions_from_metadata(meta).tolist() == ["L1", "L1", "L3", "L1"]


def test_near_duplicates_are_grouped_without_metadata(table):
    from ham10000 import Table

    rng = np.random.default_rng(0)
    images = table.images[:60]
    copies = np.clip(images[:5, ::-1].swapaxes(1, 2).astype(int) + rng.integers(-6, 7, (5, 28, 28, 3)), 0, 255).astype(
        np.uint8
    )
    joined = np.concatenate([images, copies])
    t = Table("t.csv", "hmnist_28_28_RGB", joined, np.zeros(65, np.int32), "", np.arange(65), np.arange(65).astype(str))
    lesions.group_lesions(t, "none")
    assert (t.lesions[60:] == t.lesions[:5]).all()
    assert "near-duplicate" in t.grouping
    assert "5 groups" in t.notes[0]


def test_near_duplicate_search_is_skipped_on_large_tables(table, monkeypatch):
    monkeypatch.setattr(lesions, "GROUPING_ROW_LIMIT", 10)
    t = lesions.group_lesions(read_table(table.path), "none")
    assert "no near-duplicate search" in t.notes[0]


@pytest.mark.skipif(REAL is None, reason="the real table is not in data/")
def test_facts_of_the_real_table():
    table = lesions.group_lesions(read_table(REAL))
    assert tuple(class_counts(table.labels)) == (327, 514, 1099, 115, 6705, 142, 1113)
    assert len(set(table.metadata.lesion_id)) == 7470
    assert len(set(table.lesions)) == 7452
    for name in CLASSES:  # a shuffle within any one class must be refused
        assert f"class {name}" in lesions.find_other_order(table, shuffle_class(table.metadata, name).lesion_id.to_numpy())
