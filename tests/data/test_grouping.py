"""Which lesion an image is of: by metadata, by known copies, and by what it shows."""

import numpy as np
import pandas as pd
import pytest

from lesiongan.data import lesions, near_duplicates, row_order, split
from lesiongan.data.tables import Table, read_table
from lesiongan.files.errors import InputError
from lesiongan.phantom import draw_table
from tests import oracles


@pytest.fixture(scope="module")
def table(table_path):
    return lesions.group_lesions(read_table(table_path))


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
