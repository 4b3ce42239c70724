"""Tables are read as NumPy, gzip, lzma and zstandard wrote them, in every layout, and each kind of
bad file ends in one clear line. Phantom lesions and the download are checked against what HAM10000
has.
"""

import gzip
import lzma

import numpy as np
import pytest
import zstandard

from lesiongan.data import classes, tables
from lesiongan.data.classes import CLASSES
from lesiongan.data.tables import read_table
from lesiongan.files import checksums, records, writing
from lesiongan.files.errors import InputError


@pytest.fixture
def lines(table_path):
    return table_path.read_text().splitlines()


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def refuse(path, *words):
    """The InputError of reading `path`: one line that names the file and each of `words`."""
    with pytest.raises(InputError) as e:
        read_table(path)
    text = str(e.value)
    assert "\n" not in text
    for word in (path.name, *words):
        assert word in text, text
    return text


def test_pixels_are_row_major_height_width_channel(tmp_path):
    images = np.arange(2 * 2352).reshape(2, 28, 28, 3).astype(np.uint8)
    tables.write_table(tmp_path / "t.csv", [(images, np.array([3, 6]))])
    header, first, _ = (tmp_path / "t.csv").read_text().splitlines()
    assert header.split(",")[:2] == ["pixel0000", "pixel0001"]
    assert header.endswith("pixel2351,label")
    assert first.split(",")[:4] == ["0", "1", "2", "3"]
    table = read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(table.images, images)
    # pixel k is row k // 84, column k // 3 % 28, channel k % 3
    assert table.images[0, 5, 7, 2] == (5 * 84 + 7 * 3 + 2) % 256
    assert table.labels.tolist() == [3, 6]


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.xz", "t.csv.zst", "misnamed.csv"])
def test_compressed_tables_are_the_same_table(table_path, tmp_path, name):
    raw = table_path.read_bytes()
    pack = {
        "gz": gzip.compress,
        "xz": lzma.compress,
        "zst": zstandard.compress,
        "csv": gzip.compress,
    }[name.split(".")[-1]]
    (tmp_path / name).write_bytes(pack(raw))
    a, b = read_table(table_path), read_table(tmp_path / name)
    np.testing.assert_array_equal(a.images, b.images)
    assert a.sha256 == b.sha256


def test_labels_of_dermamnist_are_converted(tmp_path):
    # MedMNIST: 0 akiec, 1 bcc, 2 bkl, 3 df, 4 mel, 5 nv, 6 vasc
    names = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    arrays = {}
    for i, part in enumerate(("train", "val", "test")):
        arrays[f"{part}_images"] = np.full((7, 28, 28, 3), 10 * i, np.uint8)
        arrays[f"{part}_labels"] = np.arange(7, dtype=np.uint8)[:, None]
    np.savez(tmp_path / "dermamnist.npz", **arrays)
    table = read_table(tmp_path / "dermamnist.npz")
    assert [CLASSES[c] for c in table.labels[:7]] == list(names)
    assert table.images[:, 0, 0, 0].tolist() == [0] * 7 + [10] * 7 + [20] * 7


def test_npz_of_one_part_is_enough(tmp_path, table_path):
    table = read_table(table_path)
    arrays = {
        "test_images": table.images[:9],
        "test_labels": np.argsort(classes.DERMAMNIST_TO_HAM)[table.labels[:9], None],
    }
    np.savez(tmp_path / "test.npz", **arrays)
    found = read_table(tmp_path / "test.npz")
    np.testing.assert_array_equal(found.images, table.images[:9])
    np.testing.assert_array_equal(found.labels, table.labels[:9])


def test_npz_with_pickles_or_other_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", train_images=np.zeros((2, 28, 28, 3), np.uint8))
    refuse(tmp_path / "a.npz", "train_labels")
    parts = {
        f"{p}_{k}": np.array([{}]) for p in ("train", "val", "test") for k in ("images", "labels")
    }
    np.savez(tmp_path / "b.npz", **parts)
    refuse(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:100])
    refuse(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("pixels", "layout"), [(784, "hmnist_28_28_L"), (192, "hmnist_8_8_RGB"), (64, "hmnist_8_8_L")]
)
def test_other_layouts_are_recognised_drawn_and_refused_by_trainers(tmp_path, pixels, layout):
    import eda
    import train_cnn
    import train_gan

    rng = np.random.default_rng(0)
    header = ",".join([f"pixel{i:04d}" for i in range(pixels)] + ["label"])
    rows = [",".join(map(str, [*rng.integers(0, 256, pixels), i % 7])) for i in range(70)]
    path = write(tmp_path / "t.csv", [header, *rows])
    assert read_table(path).layout == layout
    flags = [
        "--data",
        str(path),
        "--models-dir",
        str(tmp_path / "m"),
        "--outputs-dir",
        str(tmp_path / "o"),
    ]
    assert eda.main(flags) == 0
    assert (tmp_path / "o/eda/class_means.png").is_file()
    for script in (train_gan, train_cnn):
        with pytest.raises(InputError, match=layout):
            script.main([*flags, *(["--synthetic", "none"] if script is train_cnn else [])])


def test_bad_cells_name_line_and_column(tmp_path, lines):
    def spoil(cell, column=5, line=3):
        cells = lines[line - 1].split(",")
        cells[column] = cell
        return write(tmp_path / "bad.csv", [*lines[: line - 1], ",".join(cells), *lines[line:]])

    for cell in (
        "256",
        "-1",
        "70000",
        "4294967296",
        "1.5",
        "nan",
        "",
        "x",
        "1e3",
        "99999999999999999999999",
    ):
        refuse(spoil(cell), "line 3", "pixel0005")
    refuse(spoil("7", column=2352), "line 3", "label", "0 to 6")


def test_bad_shapes_are_named(tmp_path, lines):
    refuse(
        write(tmp_path / "short.csv", [*lines[:3], lines[3].rsplit(",", 2)[0]]),
        "line 4",
        "2351",
        "truncated",
    )
    refuse(write(tmp_path / "long.csv", [*lines[:3], lines[3] + ",1"]), "line 4", "2354")
    refuse(
        write(tmp_path / "long_first.csv", [lines[0], lines[1] + ",1", lines[2]]), "line 2", "2354"
    )
    refuse(
        write(tmp_path / "joined.csv", [*lines[:3], lines[0], lines[3]]),
        "line 4",
        "repeats the header",
    )
    # Blank lines are nothing.
    assert len(read_table(write(tmp_path / "gap.csv", [*lines[:3], "", lines[3], ""]))) == 3
    refuse(write(tmp_path / "only_header.csv", lines[:1]), "no rows")
    refuse(
        write(tmp_path / "semicolons.csv", [line.replace(",", ";") for line in lines[:3]]),
        "semicolon",
    )
    refuse(
        write(tmp_path / "columns.csv", [line.split(",", 1)[1] for line in lines[:3]]),
        "2352 columns",
    )
    refuse(
        write(tmp_path / "renamed.csv", [lines[0].replace("pixel0007", "p7"), *lines[1:3]]),
        "column 8",
        "pixel0007",
    )


def test_unreadable_files_are_named(tmp_path, table_path):
    (tmp_path / "empty.csv").write_bytes(b"")
    refuse(tmp_path / "empty.csv", "empty")
    (tmp_path / "noise.csv").write_bytes(bytes(range(256)) * 40)
    refuse(tmp_path / "noise.csv")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(table_path.read_bytes())[:-2000])
    refuse(tmp_path / "cut.csv.gz", "fetch the file again")
    (tmp_path / "cut.csv.zst").write_bytes(zstandard.compress(table_path.read_bytes())[:20000])
    refuse(tmp_path / "cut.csv.zst")
    # Flushed after each line, so that a cut file ends with a whole one.
    packer = zstandard.ZstdCompressor().compressobj()
    pieces = [
        packer.compress(line) + packer.flush(1)
        for line in table_path.read_bytes().splitlines(keepends=True)
    ]
    (tmp_path / "cut.csv.zst").write_bytes(b"".join(pieces[: len(pieces) // 2]))
    refuse(tmp_path / "cut.csv.zst", "cannot be read to its end")
    (tmp_path / "two.csv.zst").write_bytes(
        b"".join(zstandard.compress(p) for p in table_path.read_bytes().partition(b"\n"))
    )
    # Frame after frame.
    assert read_table(tmp_path / "two.csv.zst").sha256 == read_table(table_path).sha256
    # As spreadsheets write it.
    (tmp_path / "mark.csv").write_bytes(b"\xef\xbb\xbf" + table_path.read_bytes())
    assert read_table(tmp_path / "mark.csv").sha256 == read_table(table_path).sha256
    for name, pack in (
        ("rot.csv.gz", gzip.compress),
        ("rot.csv.xz", lzma.compress),
        ("rot.csv.zst", zstandard.compress),
    ):
        packed = bytearray(pack(table_path.read_bytes()))
        for i in range(len(packed) // 2, len(packed) // 2 + 40):
            packed[i] ^= 0x55
        (tmp_path / name).write_bytes(packed)
        refuse(tmp_path / name)
    refuse(tmp_path / "absent.csv", "no such file")
    (tmp_path / "cut.csv").write_bytes(table_path.read_bytes()[:-3000])
    refuse(tmp_path / "cut.csv", "truncated")


def test_phantom_mark_is_seen_and_photographs_have_none(table_path):
    table = read_table(table_path)
    assert table.is_phantom
    plain = classes.mark_as_phantom(table.images)
    np.testing.assert_array_equal(plain, table.images)
    assert not classes.has_phantom_mark(
        np.random.default_rng(0).integers(0, 256, (1, 28, 28, 3), dtype=np.uint8)
    )


def test_mean_and_deviation_in_blocks_are_those_of_the_whole():
    from lesiongan.plots import table_figures

    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28, 3), dtype=np.uint8)
    chosen = np.arange(3, 45, 2)
    mean, deviation = table_figures.mean_and_deviation(images, chosen, block=8)
    np.testing.assert_allclose(mean, images[chosen].mean(axis=0))
    np.testing.assert_allclose(deviation, images[chosen].std(axis=0), atol=1e-9)


def test_phantoms_never_replace_a_table_or_metadata_of_photographs(tmp_path):
    from lesiongan import phantom

    phantom.main(["--rows", "84", "--out", str(tmp_path)])
    # Phantoms may be drawn again.
    phantom.main(["--rows", "84", "--out", str(tmp_path)])
    table, metadata = tmp_path / "hmnist_28_28_RGB.csv", tmp_path / "HAM10000_metadata.csv"
    metadata.write_text(metadata.read_text().replace("PHANTOM_", "ISIC_"))
    with pytest.raises(InputError, match="would be replaced"):
        phantom.main(["--out", str(tmp_path)])
    metadata.unlink()
    lines = table.read_text().splitlines()
    lines[1] = lines[1].rsplit(",", 57)[0] + ",7" * 56 + ",0"
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="would be replaced"):
        phantom.main(["--out", str(tmp_path)])


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


def test_phantoms_are_deterministic_and_have_every_class(table_path, tmp_path):
    from lesiongan.phantom import write_phantom

    assert write_phantom(tmp_path, 200).read_bytes() == table_path.read_bytes()
    counts = classes.class_counts(read_table(table_path).labels)
    assert counts.min() >= 12
    assert counts.argmax() == CLASSES.index("nv")


def test_npz_parts_keep_their_labels_in_whatever_order_they_are_joined(tmp_path):
    arrays, pairs = {}, set()
    for i, part in enumerate(("train", "val", "test")):
        n = 5 + i
        arrays[f"{part}_images"] = (
            np.full((n, 28, 28, 3), 10 * i) + np.arange(n)[:, None, None, None]
        ).astype(np.uint8)
        arrays[f"{part}_labels"] = ((np.arange(n) + i) % 7).astype(np.uint8)[:, None]
        pairs |= {(10 * i + k, (k + i) % 7) for k in range(n)}
    np.savez(tmp_path / "d.npz", **arrays)
    table = read_table(tmp_path / "d.npz")
    codes = [
        ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc").index(CLASSES[c]) for c in table.labels
    ]
    assert set(zip(table.images[:, 0, 0, 0].tolist(), codes, strict=True)) == pairs
    assert len(table) == 18


def test_nothing_in_a_foreign_npz_is_run(tmp_path):
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return open, (str(marker), "w")

    for part in ("train", "val", "test"):
        trap = np.empty(1, object)
        trap[0] = Trap()
        np.savez(
            tmp_path / "trap.npz",
            **{f"{p}_{k}": trap for p in (part,) for k in ("images", "labels")},
        )
        refuse(tmp_path / "trap.npz")
        assert not marker.exists()


def test_a_table_of_several_chunks_is_read_whole_and_in_order(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (9000, 8, 8, 1), dtype=np.uint8), np.arange(9000) % 7
    values = np.concatenate([images.reshape(9000, 64), labels[:, None]], axis=1)
    header = ",".join([f"pixel{i:04d}" for i in range(64)] + ["label"])
    np.savetxt(tmp_path / "t.csv", values, "%d", ",", header=header, comments="")
    table = read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(table.images, images)
    np.testing.assert_array_equal(table.labels, labels)
    assert table.rows.tolist() == list(range(9000))


def test_classes_their_codes_and_their_groups_are_ham10000s():
    assert CLASSES == ("akiec", "bcc", "bkl", "df", "nv", "vasc", "mel")
    assert [c for c, m in zip(CLASSES, classes.MALIGNANT, strict=True) if m] == [
        "akiec",
        "bcc",
        "mel",
    ]
    assert dict(zip(CLASSES, classes.HAM10000_COUNTS, strict=True)) == {
        "akiec": 327,
        "bcc": 514,
        "bkl": 1099,
        "df": 115,
        "nv": 6705,
        "vasc": 142,
        "mel": 1113,
    }
    assert CLASSES[classes.MEL] == "mel"
    assert {c: n.split()[0] for c, n in classes.CLASS_NAMES.items()} == {
        "akiec": "actinic",
        "bcc": "basal",
        "bkl": "benign",
        "df": "dermatofibroma",
        "nv": "melanocytic",
        "vasc": "vascular",
        "mel": "melanoma",
    }


def test_phantom_photographs_of_a_lesion_share_its_id_and_class_and_seeds_draw_others(
    table_path, tmp_path
):
    import pandas as pd

    from lesiongan.phantom import write_phantom

    meta = pd.read_csv(table_path.with_name("HAM10000_metadata.csv"))
    assert meta.dx.tolist() == [CLASSES[c] for c in read_table(table_path).labels]
    sizes = meta.groupby("lesion_id").size()
    assert 1 < sizes.max() <= 3
    assert (meta.groupby("lesion_id").dx.nunique() == 1).all()
    assert meta.image_id.is_unique
    first, second = (read_table(write_phantom(tmp_path / str(seed), 84, seed)) for seed in (1, 2))
    assert not (first.images == second.images).all(axis=(1, 2, 3)).any()


def download_from(folder, monkeypatch):
    """Kaggle's client with this folder in place of Kaggle."""
    import sys
    from types import SimpleNamespace

    from lesiongan import fetch

    monkeypatch.setattr(fetch, "answers", lambda: True)
    client = SimpleNamespace(dataset_download=lambda handle, path: str(folder / path))
    monkeypatch.setitem(sys.modules, "kagglehub", client)


def test_a_download_is_moved_in_only_if_it_is_the_whole_table_with_its_metadata(
    table_path, tmp_path, monkeypatch, capsys
):
    from lesiongan import fetch

    download_from(table_path.parent, monkeypatch)
    names = ("hmnist_28_28_RGB.csv", "HAM10000_metadata.csv")
    with pytest.raises(InputError, match="with class counts"):
        fetch.download(tmp_path)
    assert not [n for n in names if (tmp_path / n).exists()]
    counts = tuple(classes.class_counts(read_table(table_path).labels).tolist())
    monkeypatch.setattr(fetch, "HAM10000_COUNTS", counts)
    assert fetch.download(tmp_path) == tmp_path / names[0]
    assert "not those behind results" in capsys.readouterr().err
    for name in names:
        assert (tmp_path / name).read_bytes() == (table_path.parent / name).read_bytes()
    record = records.read_json(tmp_path / "provenance.json", "")
    assert record["file_sha256"] == {n: checksums.file_sha256(tmp_path / n) for n in names}
    assert record["data_sha256"] == read_table(table_path).sha256
    shuffled = writing.ensure_folder(tmp_path / "shuffled")
    lines = (table_path.parent / names[1]).read_text().splitlines()
    (shuffled / names[1]).write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    (shuffled / names[0]).write_bytes(table_path.read_bytes())
    download_from(shuffled, monkeypatch)
    with pytest.raises(InputError, match="dx"):
        fetch.download(tmp_path / "new")
    assert not (tmp_path / "new" / names[0]).exists()


def test_the_table_in_data_comes_before_a_download_and_phantoms_are_last(
    tmp_path, monkeypatch, capsys
):
    from lesiongan import fetch
    from lesiongan.run import inputs

    monkeypatch.setattr(inputs, "ROOT", tmp_path)
    monkeypatch.setattr(fetch, "answers", lambda: False)
    drawn = fetch.choose(tmp_path / "data")
    assert drawn == tmp_path / "data/phantom/hmnist_28_28_RGB.csv"
    assert "PHANTOM LESIONS" in capsys.readouterr().err
    assert read_table(drawn).is_phantom
    (tmp_path / "data/hmnist_28_28_RGB.csv.gz").write_bytes(b"x")
    assert fetch.choose(tmp_path / "data") == tmp_path / "data/hmnist_28_28_RGB.csv.gz"
    (tmp_path / "data/hmnist_28_28_RGB.csv").write_bytes(b"x")
    assert fetch.choose(tmp_path / "data") == tmp_path / "data/hmnist_28_28_RGB.csv"
    assert "PHANTOM" not in capsys.readouterr().err
