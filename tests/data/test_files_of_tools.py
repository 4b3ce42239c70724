"""Tables and metadata as tools write them: read where their meaning is certain, else named."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from lesiongan.data import label_order, lesions, npz_tables
from lesiongan.data.classes import CLASSES, HAM10000_COUNTS
from lesiongan.data.tables import read_table
from lesiongan.files import compressed
from lesiongan.files.errors import InputError
from tests.data.test_tables import refuse

ALPHABETICAL = sorted(CLASSES)


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def frame_of(text):
    return pd.read_csv(io.BytesIO(text))


# What a tool made of the table: its bytes, and the word that the one note about it has.
KINDS = {
    "pandas' index": (lambda t: frame_of(t).to_csv().encode(), "index"),
    "an index by name": (lambda t: frame_of(t).rename_axis("index").to_csv().encode(), "index"),
    "no header": (lambda t: t.split(b"\n", 1)[1], "no header"),
    "semicolons": (lambda t: t.replace(b",", b";"), "semicolons"),
    "tabs": (lambda t: t.replace(b",", b"\t"), "tabs"),
    "label first": (
        lambda t: frame_of(t)[["label", *frame_of(t).columns[:-1]]].to_csv(index=False).encode(),
        "label stands first",
    ),
    "index and label first": (
        lambda t: frame_of(t)[["label", *frame_of(t).columns[:-1]]].to_csv().encode(),
        "index",
    ),
    "quotes and CRLF": (
        lambda t: frame_of(t).to_csv(index=False, quoting=1, lineterminator="\r\n").encode(),
        None,
    ),
    "Kaggle's zip": (lambda t: zipped({"hmnist_28_28_RGB.csv": t}), None),
    "a Mac's zip": (
        lambda t: zipped({"x/t.csv": t, "__MACOSX/x/._t.csv": b"\0", "x/.DS_Store": b"\0"}),
        None,
    ),
    "the data set's zip": (
        lambda t: zipped({"HAM10000_metadata.csv": b"a,b\n", "t.csv": t, "other.csv": b"a\n"}),
        None,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_tools_make_of_a_table_is_the_same_table(kind, table_path, tmp_path):
    make, word = KINDS[kind]
    path = tmp_path / "t.csv"
    path.write_bytes(make(table_path.read_bytes()))
    table, plain = read_table(path), read_table(table_path)
    assert table.sha256 == plain.sha256
    np.testing.assert_array_equal(table.images, plain.images)
    if word is None:
        assert table.notes == []
    else:
        assert word in " ".join(table.notes)


def test_a_zip_with_several_tables_or_none_is_not_guessed_at(table_path, tmp_path):
    text = table_path.read_bytes()
    for members, words in (({"a.csv": text, "b.csv": text}, "a.csv, b.csv"), ({"x.md": b""}, "no")):
        (tmp_path / "t.csv.zip").write_bytes(zipped(members))
        refuse(tmp_path / "t.csv.zip", f"is a zip archive with {words}")
    lines = text.splitlines(keepends=True)
    (tmp_path / "t.csv.zip").write_bytes(zipped({"a.csv": b"".join(lines[:9]), "t.csv": text}))
    assert read_table(tmp_path / "t.csv.zip").sha256 == read_table(table_path).sha256
    (tmp_path / "t.csv.zip").write_bytes(zipped({"t.csv": text})[:5000])
    refuse(tmp_path / "t.csv.zip")


def test_the_separator_is_the_commonest_mark_of_the_first_line():
    assert compressed.find_separator(b"lesion_id;image_id;age (years, rounded)\n") == b";"
    assert compressed.find_separator(b"one column\n") == b","


def test_a_zip_bomb_is_cut_off(table_path, tmp_path):
    header, row = table_path.read_bytes().split(b"\n")[:2]
    (tmp_path / "t.zip").write_bytes(zipped({"t.csv": header + b"\n" + (row + b"\n") * 30_000}))
    refuse(tmp_path / "t.zip", "over 100 times its size")


def test_pixels_between_0_and_1_are_named_as_divided(table_path, tmp_path):
    lines = table_path.read_text().splitlines()[:3]
    cells = [f"{int(c) / 255:.4f}" for c in lines[1].split(",")[:-1]]
    (tmp_path / "t.csv").write_text("\n".join([lines[0], ",".join([*cells, "3"])]))
    refuse(tmp_path / "t.csv", "divided by 255")


def test_a_larger_dermamnist_is_named_before_it_is_unpacked(tmp_path, monkeypatch):
    images = np.zeros((3, 64, 64, 3), np.uint8)
    np.savez(
        tmp_path / "dermamnist_64.npz", train_images=images, train_labels=np.zeros((3, 1), int)
    )
    monkeypatch.setattr(npz_tables.archives, "read_arrays", lambda *_: pytest.fail("unpacked"))
    refuse(tmp_path / "dermamnist_64.npz", "64 x 64", "get dermamnist.npz")


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_the_head_of_an_array_is_read_in_known_compressions_alone(kind, tmp_path):
    """The others unpack whole blocks, however large they are, before the first byte is there."""
    arrays = {"train_images": np.zeros((3, 64, 64, 3), np.uint8), "train_labels": np.zeros(3, int)}
    # Noise keeps the archive from looking like a bomb.
    arrays["noise"] = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8)
    np.savez(tmp_path / "plain.npz", **arrays)
    with (
        zipfile.ZipFile(tmp_path / "plain.npz") as source,
        zipfile.ZipFile(tmp_path / "t.npz", "w", kind) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    refuse(tmp_path / "t.npz", "compressed in a way that no file of this project is")


# ---------------------------------------------------------------- class codes


def codes_of(order, counts=HAM10000_COUNTS):
    """Class codes of a table of these counts by CLASSES, numbered in `order`."""
    return np.repeat([order.index(c) for c in CLASSES], counts)


@pytest.mark.parametrize("default", ["kaggle", "alphabetical"])
@pytest.mark.parametrize("order", [CLASSES, ALPHABETICAL, CLASSES[::-1]])
def test_the_seven_counts_tell_the_order_of_the_codes(order, default):
    codes = codes_of(list(order))
    found, note = label_order.find_order(codes, default)
    assert found == tuple(order)
    assert (note is None) == (tuple(order) == label_order.ORDERS[default])
    assert note is None or ",".join(order) in note
    labels = label_order.convert(codes, found)
    assert tuple(np.bincount(labels)) == HAM10000_COUNTS


def test_a_table_of_mostly_anything_but_nevi_is_named_where_another_order_has_nevi():
    half = [n // 2 for n in HAM10000_COUNTS]
    found, note = label_order.find_order(codes_of(ALPHABETICAL, half), "kaggle")
    assert found == CLASSES
    assert "% of its images are read as vasc" in note
    assert "--label-order alphabetical" in note
    found, note = label_order.find_order(codes_of(list(CLASSES), half), "alphabetical")
    assert "read as mel" in note
    assert "--label-order kaggle" in note
    assert label_order.find_order(codes_of(list(CLASSES), half), "kaggle")[1] is None
    assert label_order.find_order(codes_of(ALPHABETICAL, [20] * 7), "kaggle")[1] is None


@pytest.fixture
def alphabetical(table_path, tmp_path):
    """The shared table with alphabetical codes, its metadata beside it."""
    frame = frame_of(table_path.read_bytes())
    frame["label"] = [ALPHABETICAL.index(CLASSES[y]) for y in frame["label"]]
    frame.to_csv(tmp_path / "t.csv", index=False)
    meta = table_path.with_name("HAM10000_metadata.csv").read_bytes()
    (tmp_path / "HAM10000_metadata.csv").write_bytes(meta)
    return tmp_path / "t.csv"


def test_metadata_tells_which_order_would_fit_and_the_flag_converts(alphabetical, table_path):
    with pytest.raises(InputError, match="pass --label-order alphabetical"):
        lesions.group_lesions(read_table(alphabetical))
    for order in ("alphabetical", ",".join(ALPHABETICAL)):
        table = lesions.group_lesions(read_table(alphabetical, order))
        assert table.sha256 == read_table(table_path).sha256
    with pytest.raises(InputError, match="--label-order 'a,b'"):
        read_table(alphabetical, "a,b")


def test_an_order_that_the_metadata_beside_the_table_refutes_is_refused(table_path):
    with pytest.raises(InputError, match="pass --label-order kaggle"):
        lesions.group_lesions(read_table(table_path, "alphabetical"))


def test_any_other_order_that_fits_is_named(alphabetical):
    frame = frame_of(alphabetical.read_bytes())
    order = list(CLASSES[3:] + CLASSES[:3])
    frame["label"] = [order.index(ALPHABETICAL[y]) for y in frame["label"]]
    frame.to_csv(alphabetical, index=False)
    with pytest.raises(InputError, match=f"pass --label-order {','.join(order)}"):
        lesions.group_lesions(read_table(alphabetical))
    # Two classes mixed up fit no order.
    frame.loc[::2, "label"] = 0
    frame.to_csv(alphabetical, index=False)
    with pytest.raises(InputError, match="the files are not in the same order"):
        lesions.group_lesions(read_table(alphabetical))


# ---------------------------------------------------------------- metadata


def meta_of(table_path):
    return pd.read_csv(table_path.with_name("HAM10000_metadata.csv"), dtype=str)


METADATA = {
    "tabs": lambda m: m.assign(dataset="x").to_csv(index=False, sep="\t"),
    "semicolons": lambda m: m.to_csv(index=False, sep=";"),
    "index": lambda m: m.to_csv(),
    "jpg": lambda m: m.assign(image_id=m.image_id + ".jpg").to_csv(index=False),
    "lower case": lambda m: m.assign(image_id=m.image_id.str.lower()).to_csv(index=False),
    "diagnoses in capitals": lambda m: m.assign(dx=m.dx.str.upper() + " ").to_csv(index=False),
}


@pytest.mark.parametrize("kind", METADATA)
def test_metadata_as_tools_write_it_gives_the_same_lesions(kind, table_path, tmp_path):
    (tmp_path / "meta.tab").write_text(METADATA[kind](meta_of(table_path)))
    found = lesions.group_lesions(read_table(table_path), tmp_path / "meta.tab")
    plain = lesions.group_lesions(read_table(table_path))
    assert found.lesions.tolist() == plain.lesions.tolist()


@pytest.mark.parametrize("name", ["ISIC_{:07d}.jpg", "isic_{:07d}", "ISIC_{:07d}.JPEG"])
def test_known_duplicates_are_merged_however_their_ids_are_written(name, table_path, tmp_path):
    meta = meta_of(table_path)
    a, b = lesions.CROSS_LESION_DUPLICATES[3]
    nevi = meta.index[meta.dx == "nv"][[0, 5]]
    assert meta.lesion_id[nevi[0]] != meta.lesion_id[nevi[1]]
    meta.loc[nevi, "image_id"] = [name.format(a), name.format(b)]
    meta.to_csv(tmp_path / "meta.csv", index=False)
    found = lesions.group_lesions(read_table(table_path), tmp_path / "meta.csv")
    assert found.lesions[nevi[0]] == found.lesions[nevi[1]]
    assert "2 image ids of the metadata" in " ".join(found.notes) or ".jpg" not in name


def test_metadata_of_another_table_beside_this_one_is_noted_and_not_used(table_path, tmp_path):
    table = read_table(table_path).take(np.arange(0, 200, 2))
    from lesiongan.data import tables

    tables.write_table(tmp_path / "t.csv", [(table.images, table.labels)])
    meta_of(table_path).to_csv(tmp_path / "HAM10000_metadata.csv", index=False)
    found = lesions.group_lesions(read_table(tmp_path / "t.csv"))
    assert found.metadata is None
    assert found.grouping == "near-duplicate images"
    assert "HAM10000_metadata.csv is of another table and not used" in found.notes[0]
    # Whoever names it means it.
    with pytest.raises(InputError, match="200 rows"):
        lesions.group_lesions(read_table(tmp_path / "t.csv"), tmp_path / "HAM10000_metadata.csv")


def test_dermamnist_beside_kaggles_metadata_is_used_without_it(table_path, tmp_path):
    table = read_table(table_path)
    order = np.random.default_rng(0).permutation(len(table))
    codes = np.array([[ALPHABETICAL.index(CLASSES[y])] for y in table.labels[order]])
    np.savez(tmp_path / "dermamnist.npz", train_images=table.images[order], train_labels=codes)
    meta_of(table_path).to_csv(tmp_path / "HAM10000_metadata.csv", index=False)
    found = lesions.group_lesions(read_table(tmp_path / "dermamnist.npz"))
    assert found.metadata is None
    assert "is of another table" in found.notes[0]


def test_no_message_shows_numpys_own_words(table_path, tmp_path):
    """`np.str_('bkl')` is no word of a table's."""
    meta = meta_of(table_path)
    swapped = meta.copy()
    swapped.loc[[0, 150]] = meta.loc[[150, 0]].to_numpy()
    for bad in (swapped, meta.assign(image_id=meta.image_id + "?"), meta.assign(lesion_id="")):
        bad.to_csv(tmp_path / "meta.csv", index=False)
        with pytest.raises(InputError) as e:
            lesions.group_lesions(read_table(table_path), tmp_path / "meta.csv")
        assert "np." not in str(e.value)
        assert "meta.csv: line" in str(e.value)


def test_eda_draws_metadata_without_one_age(table_path, tmp_path):
    import eda

    meta_of(table_path).assign(age="unknown").to_csv(tmp_path / "meta.csv", index=False)
    flags = ["--data", table_path, "--metadata", tmp_path / "meta.csv", "--outputs-dir", tmp_path]
    assert eda.main([str(f) for f in flags]) == 0
    assert (tmp_path / "eda/metadata.png").is_file()
