"""Lesions and the split: no lesion is in two parts, whatever the order of the rows.

Images are grouped as pandas and known copies say. What published results rest on (parts, halves,
subsets, known duplicates) is frozen by hash.
"""

import hashlib

import numpy as np
import pandas as pd
import pytest

from lesiongan import ROOT
from lesiongan.data import lesions, near_duplicates, row_order, split
from lesiongan.data.classes import CLASSES, PARTS, class_counts
from lesiongan.data.tables import Table, read_table
from lesiongan.files.errors import InputError
from lesiongan.phantom import draw_table
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


def test_near_pairs_are_those_of_the_plain_definition_in_any_blocks(table):
    images = table.images[:40].copy()
    images[25] = np.rot90(images[3])
    images[38] = images[10][:, ::-1]
    images[12] = np.clip(images[30].astype(int) + 4, 0, 255)
    means = images.reshape(40, 7, 4, 7, 4, 3).mean(axis=(2, 4))
    wanted = set()
    for i in range(40):
        for j in range(i + 1, 40):
            near = min(
                np.linalg.norm(v[0] - means[j]) for v in oracles.eight_views(means[i : i + 1])
            )
            if near < near_duplicates.NEAR_DUPLICATE_DISTANCE:
                wanted.add((i, j))
    assert {(3, 25), (10, 38), (12, 30)} <= wanted
    for block in (7, 1024):
        assert {
            tuple(p) for p in near_duplicates.near_pairs(images, block=block).tolist()
        } == wanted


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


def spoil_metadata(table_path, tmp_path, change):
    meta = pd.read_csv(table_path.with_name("HAM10000_metadata.csv"), dtype=str)
    meta = change(meta)
    meta.to_csv(tmp_path / "meta.csv", index=False)
    return tmp_path / "meta.csv"


def test_photographs_that_look_the_same_score_one_in_a_table_of_any_length():
    """Five thousand lesions have one colour each, twice.

    The signatures are computed a block at a time.
    """
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (5000, 1, 1, 3), dtype=np.uint8)
    images = np.broadcast_to(colours, (5000, 2, 2, 3)).repeat(2, axis=0)
    labels = np.zeros(10_000, np.int32)
    found = row_order.measure(
        labels,
        np.arange(5000).repeat(2).astype(str),
        lambda rows: row_order.signatures_of(images, rows),
    )
    assert found["akiec"].pairs == found["all"].pairs == 4000
    assert found["akiec"].score > 0.999


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
    meta = pd.DataFrame(
        {
            "lesion_id": ["L2", "L1", "L3", "L1"],
            "image_id": [f"ISIC_{a:07d}", f"ISIC_{b:07d}", "x", "y"],
        }
    )
    assert lesions.lesions_from_metadata(meta).tolist() == ["L1", "L1", "L3", "L1"]


def test_near_duplicates_are_grouped_without_metadata(table):
    from lesiongan.data.tables import Table

    rng = np.random.default_rng(0)
    images = table.images[:60]
    copies = np.clip(
        images[:5, ::-1].swapaxes(1, 2).astype(int) + rng.integers(-6, 7, (5, 28, 28, 3)), 0, 255
    ).astype(np.uint8)
    joined = np.concatenate([images, copies])
    t = Table(
        "t.csv",
        "hmnist_28_28_RGB",
        joined,
        np.zeros(65, np.int32),
        "",
        np.arange(65),
        np.arange(65).astype(str),
    )
    lesions.group_lesions(t, "none")
    assert (t.lesions[60:] == t.lesions[:5]).all()
    assert "near-duplicate" in t.grouping
    assert "5 groups" in t.notes[0]


def test_exact_copies_are_grouped_in_a_table_without_area_means(tmp_path):
    """An 8 x 8 table has no 7 x 7 areas: near-duplicates are not sought, copies are."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    images[20:25] = images[:5]
    images[29] = images[0]
    header = [f"pixel{i:04d}" for i in range(192)] + ["label"]
    rows = [[*image.ravel(), 0] for image in images]
    pd.DataFrame(rows, columns=header).to_csv(tmp_path / "t.csv", index=False)
    t = lesions.group_lesions(read_table(tmp_path / "t.csv"), "none")
    assert t.grouping == "identical images"
    assert (t.lesions[20:25] == t.lesions[:5]).all()
    assert t.lesions[29] == t.lesions[0]
    assert len(set(t.lesions)) == 24


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


def test_blank_images_do_not_make_pairs_by_the_million():
    from lesiongan.data.lesions import merge_groups
    from lesiongan.data.near_duplicates import MOST_PARTNERS, near_pairs

    images = np.random.default_rng(0).integers(0, 256, (400, 28, 28, 3), dtype=np.uint8)
    images[100:300] = 200
    images[350] = images[3]
    for block in (64, 1024):
        pairs = near_pairs(images, block=block)
        assert len(pairs) == 1 + sum(min(i, MOST_PARTNERS) for i in range(200))
        groups = merge_groups(400, pairs)
        assert (groups[100:300] == 100).all()
        assert groups[350] == 3
        assert len(set(groups)) == 400 - 199 - 1


def test_images_without_a_lesion_id_are_grouped_by_what_they_show_and_counted():
    """Each has an id of its own in the metadata, as lesiongan.photographs writes it."""
    images, labels, _ = draw_table(84, seed=2)
    images, labels = images[:40], labels[:40]
    # Every photograph is there twice: 30 of them without an id, the rest with one.
    images, labels = images.repeat(2, axis=0), labels.repeat(2)
    names = [f"only_I{i}" if i < 60 else f"L{i // 4}" for i in range(80)]
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "", np.arange(80), np.array(names))
    lesions.merge_alone(table)
    assert (table.lesions[:60:2] == table.lesions[1:60:2]).all()
    assert table.lesions[60:].tolist() == names[60:]
    for said in (table.grouping, table.order_note):
        assert "60 of 80 images have no lesion id" in said
    # With an id for each, nothing is looked at and nothing said.
    table.lesions, table.order_note = np.array([f"L{i}" for i in range(80)]), ""
    lesions.merge_alone(table)
    assert len(set(table.lesions)) == 80
    assert table.order_note == ""


def test_an_image_without_an_id_is_of_the_lesion_that_it_shows_wherever_it_stands():
    """Turned and noisy copies, among images that have ids: a split must not part them."""
    images, labels, _ = draw_table(84, seed=2)
    images, labels = images[:60], labels[:60]
    rng = np.random.default_rng(0)
    # Copy: original. Some originals have ids, others have none, and two lesions have one copy.
    copy_of = {7: 2, 21: 40, 33: 10, 55: 30}
    for copy, original in copy_of.items():
        turned = np.rot90(images[original], copy % 4).astype(int)
        images[copy] = np.clip(turned + rng.integers(-4, 5, turned.shape), 0, 255)
    images[50] = images[30]
    alone = [*copy_of, 2, 3, 4]
    names = np.array([f"only_I{i}" if i in alone else f"L{i}" for i in range(60)])
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "", np.arange(60), names)
    lesions.merge_alone(table)
    for copy, original in copy_of.items():
        assert table.lesions[copy] == table.lesions[original]
    # 50 is the same as 30, and both have ids of their own; the copy without one ties them.
    assert table.lesions[50] == table.lesions[30] == table.lesions[55]
    assert len(set(table.lesions)) == 60 - len(copy_of) - 1
    # An id of the metadata outlives a name that stands for none.
    assert table.lesions[55] in ("L30", "L50")
    assert table.lesions[21] == "L40"
    assert "7 of 60 images have no lesion id" in table.grouping
    # Where both have ids, they are believed.
    table.lesions = names[np.arange(60)]
    table.lesions[55] = "L55"
    lesions.merge_alone(table)
    assert table.lesions[30] != table.lesions[50]


def test_ages_from_0_to_130_are_kept(tmp_path):
    """HAM10000 has 39 images of children under 5 years, whose age is 0."""
    images, labels, meta = draw_table(84, seed=2)
    meta = pd.DataFrame(meta).assign(age=50.0)
    meta.loc[[0, 1, 2, 3], "age"] = [0, 130, 131, -1]
    meta.to_csv(tmp_path / "m.csv", index=False)
    n = len(labels)
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "", np.arange(n))
    found = lesions.group_lesions(table, tmp_path / "m.csv").metadata.age
    assert found[:4].tolist()[:2] == [0, 130]
    assert found[2:4].isna().all()
    assert (found[4:] == 50).all()


def test_lesions_with_ids_are_not_chained_to_an_image_without():
    """Each is near to the next, and only the first to the image without an id."""
    image = np.full((28, 28, 3), 100, np.uint8)
    images = np.stack([image + 3 * i for i in range(5)]).astype(np.uint8)
    far = near_duplicates.least_distances
    means = near_duplicates.area_means(images)
    steps = far(means, np.zeros(4, int), np.arange(1, 5))
    assert steps[0] < near_duplicates.NEAR_DUPLICATE_DISTANCE < steps[1]
    names = np.array(["only_a", "p1", "p2", "p3", "p4"])
    labels = np.zeros(5, np.int32)
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "", np.arange(5), names)
    lesions.merge_alone(table)
    assert table.lesions.tolist() == ["p1", "p1", "p2", "p3", "p4"]


def test_identical_images_are_of_one_lesion_whatever_their_ids(tmp_path):
    """A table that was copied under other ids would have most test images in train."""
    images, labels, meta = draw_table(84, seed=2)
    n = len(labels)
    meta = pd.DataFrame(meta)
    again = meta.assign(lesion_id="X" + meta.lesion_id, image_id="X" + meta.image_id)
    pd.concat([meta, again[:30]]).to_csv(tmp_path / "m.csv", index=False)
    images, labels = np.concatenate([images, images[:30]]), np.concatenate([labels, labels[:30]])
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "", np.arange(n + 30))
    found = lesions.group_lesions(table, tmp_path / "m.csv")
    assert (found.lesions[n:] == found.lesions[:30]).all()
    assert len(set(found.lesions)) == meta.lesion_id.nunique()
    merged = again.lesion_id[:30].nunique()
    assert (
        found.notes[-1]
        == f"{merged} lesions merged with others, of which they have an identical image"
    )
    parts = split.split_table(found)
    train = {image.tobytes() for image in images[parts == "train"]}
    assert not any(image.tobytes() in train for image in images[parts == "test"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",histo,", ",histo, biopsy,", "Expected 7 fields in line 4, saw 8"),
        ("PHL_", "NA,", "some lines have more fields than the first line has names"),
    ],
)
def test_lines_with_a_comma_too_many_do_not_shift_the_columns(
    table_path, tmp_path, old, new, words
):
    text = table_path.with_name("HAM10000_metadata.csv").read_text()
    (tmp_path / "m.csv").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=words):
        lesions.group_lesions(read_table(table_path), tmp_path / "m.csv")


def test_an_id_that_says_there_is_none_is_refused(table_path, tmp_path):
    """R writes NA, and all such images would be one lesion."""
    meta = pd.read_csv(table_path.with_name("HAM10000_metadata.csv"), keep_default_na=False)
    meta.loc[4, "lesion_id"] = "NA"
    meta.to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(InputError, match="line 6, column lesion_id is NA; every image needs an id"):
        lesions.group_lesions(read_table(table_path), tmp_path / "m.csv")
