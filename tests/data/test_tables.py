"""Tables are read as NumPy, gzip, lzma and zstandard wrote them, in every layout.

Each kind of bad file ends in one clear line.
"""

import gzip
import lzma

import numpy as np
import pytest
import zstandard

from lesiongan.data import classes, tables
from lesiongan.data.classes import CLASSES
from lesiongan.data.tables import read_table
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
    # Pixel k is row k // 84, column k // 3 % 28, channel k % 3.
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
    # MedMNIST's codes are 0 akiec, 1 bcc, 2 bkl, 3 df, 4 mel, 5 nv and 6 vasc.
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
        "test_labels": np.array([sorted(CLASSES).index(CLASSES[y]) for y in table.labels[:9]])[
            :, None
        ],
    }
    np.savez(tmp_path / "test.npz", **arrays)
    found = read_table(tmp_path / "test.npz")
    np.testing.assert_array_equal(found.images, table.images[:9])
    np.testing.assert_array_equal(found.labels, table.labels[:9])


def test_npz_with_pickles_or_other_arrays_is_refused(tmp_path):
    images = np.zeros((2, 28, 28, 3), np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images)
    refuse(tmp_path / "a.npz", "train_labels")
    # A part that lost its labels is not left out beside one that is whole.
    np.savez(tmp_path / "d.npz", train_images=images, train_labels=[0, 1], test_images=images)
    refuse(tmp_path / "d.npz", "test_labels")
    parts = {
        f"{p}_{k}": np.array([{}]) for p in ("train", "val", "test") for k in ("images", "labels")
    }
    np.savez(tmp_path / "b.npz", **parts)
    refuse(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:100])
    refuse(tmp_path / "c.npz")


@pytest.mark.parametrize("label", [-1, 7])
def test_npz_labels_that_are_no_class_are_refused(label, tmp_path):
    images = np.zeros((2, 28, 28, 3), np.uint8)
    np.savez_compressed(tmp_path / "t.npz", train_images=images, train_labels=[0, label])
    # NumPy would read the last class for -1.
    for order in ("alphabetical", "auto"):
        with pytest.raises(InputError, match="train_labels has values outside 0 to 6"):
            read_table(tmp_path / "t.npz", order)


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
    # Blank lines are passed over.
    assert len(read_table(write(tmp_path / "gap.csv", [*lines[:3], "", lines[3], ""]))) == 3
    refuse(write(tmp_path / "only_header.csv", lines[:1]), "no rows")
    refuse(
        write(tmp_path / "spaces.csv", [line.replace(",", " ") for line in lines[:3]]),
        "separated by spaces",
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
    # The packer is flushed after each line, so that a cut file ends with a whole one.
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
    # A file may hold one frame after another.
    assert read_table(tmp_path / "two.csv.zst").sha256 == read_table(table_path).sha256
    # Spreadsheets write a byte order mark in front.
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
