"""The official split of an npz: its arrays are its parts, and its lesions say whether it leaks."""

import numpy as np
import pandas as pd
import pytest

from lesiongan.data import lesions, protocols, split
from lesiongan.data.classes import PARTS
from lesiongan.data.tables import Table, read_table
from lesiongan.files.errors import InputError
from tests import oracles
from tests.npz import write_npz


@pytest.fixture(scope="module")
def table(npz_path):
    return lesions.group_lesions(read_table(npz_path))


def lesion_parts(table_path):
    """Part of each image, where all photographs of a lesion are in one part, by pandas alone."""
    meta = pd.read_csv(table_path.with_name("HAM10000_metadata.csv"))
    turn = meta.groupby("lesion_id", sort=False).ngroup().to_numpy() % 10
    return np.array([*["train"] * 7, "val", *["test"] * 2])[turn]


def test_the_parts_are_the_arrays_of_the_file_in_their_order(npz_path, table):
    parts = split.split_table(table, "official")
    arrays = np.load(npz_path)
    for part in PARTS:
        np.testing.assert_array_equal(table.images[parts == part], arrays[f"{part}_images"])
    assert {p: int((parts == p).sum()) for p in PARTS} == {
        p: len(arrays[f"{p}_labels"]) for p in PARTS
    }
    # Whoever takes images takes their parts with them.
    order = np.random.default_rng(0).permutation(len(table))
    np.testing.assert_array_equal(split.split_table(table.take(order), "official"), parts[order])


def test_a_split_that_shares_lesions_is_leaky_and_tells_the_share(npz_path, table):
    meta = pd.read_csv(npz_path.with_name("HAM10000_metadata.csv"))
    meta["part"] = table.own_parts
    known = set(meta.lesion_id[meta.part == "train"])
    share = 100 * meta.lesion_id[meta.part == "test"].isin(known).mean()
    assert 10 < share < 90
    protocol = protocols.name_split(table, "official")
    assert protocol == (
        f"official split of dermamnist.npz, leaky: {share:.3g}% of its test images show a lesion "
        "of its train part"
    )
    assert protocols.is_leaky(protocol)
    assert protocols.warn_of(protocol) == "LEAKY official split of dermamnist.npz"


def test_a_split_by_lesion_is_not_leaky(table_path, tmp_path):
    path = write_npz(tmp_path, table_path, lesion_parts(table_path), "dermamnist_corrected_28.npz")
    table = lesions.group_lesions(read_table(path))
    # There are lesions of several photographs, which might have been separated.
    assert len(set(table.lesions)) < len(table)
    protocol = protocols.name_split(table, "official")
    assert protocol == "official split of dermamnist_corrected_28.npz"
    assert not protocols.is_leaky(protocol)
    assert protocols.warn_of(protocol) == ""


def test_without_lesion_ids_copies_on_both_sides_are_a_least_share(table_path, tmp_path):
    arrays = dict(np.load(write_npz(tmp_path, table_path)))
    arrays["test_images"][:2] = arrays["train_images"][:2]
    np.savez(tmp_path / "copied.npz", **arrays)
    table = lesions.group_lesions(read_table(tmp_path / "copied.npz"), "none")
    share = 200 / len(arrays["test_images"])
    assert protocols.name_split(table, "official") == (
        f"official split of copied.npz, leaky: at least {share:.3g}% of its test images show a "
        "lesion of its train part"
    )


@pytest.mark.parametrize("sizes", [(7007, 1003, 2005), (7008, 1002, 2005)])
def test_dermamnist_is_known_by_its_numbers_whatever_its_name(sizes):
    """Grouped by near-duplicates it might show no leak at all."""
    n = sum(sizes)
    table = Table(
        "renamed.npz",
        "hmnist_28_28_RGB",
        np.zeros((n, 1, 1, 3), np.uint8),
        np.zeros(n, np.int32),
        "",
        np.arange(n),
        np.arange(n).astype(str),
        own_parts=np.repeat(PARTS, sizes),
    )
    assert protocols.name_split(table, "official") == (
        "official split of renamed.npz" + ", leaky" * (sizes[0] == 7007)
    )


def test_a_leak_into_val_alone_is_none_of_the_test_part(table_path, tmp_path):
    parts = lesion_parts(table_path)
    train, val = np.flatnonzero(parts == "train"), np.flatnonzero(parts == "val")
    arrays = dict(np.load(write_npz(tmp_path, table_path, parts)))
    arrays["val_images"][0] = arrays["train_images"][0]
    np.savez(tmp_path / "t.npz", **arrays)
    table = lesions.group_lesions(read_table(tmp_path / "t.npz"), "none")
    assert min(len(train), len(val)) > 5
    assert not protocols.is_leaky(protocols.name_split(table, "official"))


def test_a_csv_and_a_file_of_two_parts_have_no_official_split(table_path, tmp_path):
    table = read_table(table_path)
    assert table.own_parts is None
    with pytest.raises(InputError, match="has no split of its own; --split official takes an npz"):
        protocols.name_split(table, "official")
    parts = lesion_parts(table_path)
    path = write_npz(tmp_path, table_path, np.where(parts == "val", "train", parts))
    with pytest.raises(InputError, match="has no val images; --split official needs train, val"):
        protocols.name_split(read_table(path), "official")


def test_halves_are_of_the_train_images_and_share_no_lesion(table):
    parts = split.split_table(table, "official")
    a = split.half_a(table, parts)
    b = (parts == "train") & ~a
    assert (parts[a] == "train").all()
    assert min(a.sum(), b.sum()) > 0.3 * (parts == "train").sum()
    assert not set(table.lesions[a]) & set(table.lesions[b])


@pytest.mark.parametrize("kind", protocols.SPLITS)
def test_only_the_lesion_split_of_this_table_is_not_leaky(table, kind):
    """What is said agrees with the parts themselves, counted by pandas."""
    frame = pd.DataFrame({"lesion": table.lesions, "part": split.split_table(table, kind)})
    shared = set(frame.lesion[frame.part == "test"]) & set(frame.lesion[frame.part == "train"])
    assert bool(shared) == (kind != "lesion")
    assert protocols.is_leaky(protocols.name_split(table, kind)) == bool(shared)


def test_labels_of_the_parts_are_those_of_the_arrays(npz_path, table):
    arrays = np.load(npz_path)
    for part in PARTS:
        named = [oracles.CLASSES[y] for y in table.labels[table.own_parts == part]]
        assert [sorted(oracles.CLASSES).index(n) for n in named] == arrays[
            f"{part}_labels"
        ].ravel().tolist()
