"""Damaged, hostile and huge files are read in bounded time and memory, or refused in one line.

tests/stress/damaged_files.py tries the same at length.
"""

import io
import json
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from lesiongan.data import classes, csv_tables
from lesiongan.data.tables import read_table
from lesiongan.files import records
from lesiongan.files.errors import InputError
from lesiongan.measures.predictions import read_predictions
from lesiongan.nets import saved_models
from lesiongan.run import checkpoints
from tests.stress import damaged_files


def test_damaged_files_load_or_are_refused_in_one_line(tmp_path):
    tried, wrong = damaged_files.try_files(tmp_path, 200, seed=1)
    assert tried == 200
    assert not wrong


def test_bombs_are_cut_off_without_being_unpacked(table_path, tmp_path, monkeypatch):
    import gzip

    header, row = table_path.read_bytes().split(b"\n")[:2]
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(header + b"\n" + (row + b"\n") * 30_000))
    assert path.stat().st_size < 2 << 20
    with pytest.raises(InputError, match="over 100 times its size"):
        read_table(path)
    path.write_bytes(gzip.compress(header + b"\n" + row + b"\n" + b"1," * 1_000_000))
    with pytest.raises(InputError, match="a line of over"):
        read_table(path)
    monkeypatch.setattr(csv_tables, "MAX_ROWS", 150)
    with pytest.raises(InputError, match="more than 150 rows"):
        read_table(table_path)


def test_huge_or_endless_files_are_refused_unread(tmp_path, table_path, scratch):
    for name in ("context.json", "split.csv"):
        with open(tmp_path / name, "wb") as f:
            # The file is sparse and takes no room.
            f.truncate(20 << 30)
    with pytest.raises(InputError, match="over 67108864 bytes"):
        records.read_json(tmp_path / "context.json", "evaluate.py")
    scratch.outputs.mkdir(parents=True)
    os.replace(tmp_path / "split.csv", scratch.outputs / "split.csv")
    with pytest.raises(InputError, match="was not written by a run"):
        scratch.run("eda")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is no file"):
        read_predictions(tmp_path / "pipe")


@pytest.mark.parametrize("text", ["\n" + "a," * 30_000, '"\n",' * 30_000, "a,b\n" + "1," * 30_000])
def test_columns_without_end_are_refused_at_once(tmp_path, text):
    """pandas takes minutes to tell them apart."""
    (tmp_path / "wide.csv").write_text(text)
    with pytest.raises(InputError, match="columns"):
        read_predictions(tmp_path / "wide.csv")


def test_find_fault_names_the_place():
    shape = {"a": records.NUMBER, "b": {...: [int]}}
    assert records.find_fault({"a": 1.5, "b": {"x": [1, 2]}, "c": None}, shape, "") is None
    faults = {
        "b is missing": {"a": 1},
        "a is true": {"a": True, "b": {}},
        "b is no object": {"a": 1, "b": []},
        'b.x[1] is "2"': {"a": 1, "b": {"x": [1, "2"]}},
        "b.x is no list": {"a": 1, "b": {"x": 2}},
    }
    for words, value in faults.items():
        assert records.find_fault(value, shape, "") == words


def archive_of(path, kind, **members):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def npy(array):
    f = io.BytesIO()
    np.save(f, array)
    return f.getvalue()


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_archives_are_read_in_bounded_memory_whatever_they_say(tmp_path, kind):
    """A hundred megabytes of zeros lie in a few kilobytes, as a checkpoint and as a network.

    The sizes they say are true or false.
    """
    zeros = np.zeros(100 << 20, np.uint8)
    variables = [damaged_files.Variable(np.zeros(3, np.float32))]
    state = archive_of(
        tmp_path / "c.npz", kind, v0000__npy=npy(zeros), fingerprint__npy=npy(np.array("f"))
    )
    members = {
        "metadata__json": b"{}",
        "config__json": b"{}" + b" " * (100 << 20),
        "model__weights__h5": b"x",
    }
    network = archive_of(tmp_path / "n.keras", kind, **members)
    for path in (state, network):
        lying = tmp_path / f"lying_{path.name}"
        size = {
            i.file_size for i in zipfile.ZipFile(path).infolist() if i.file_size > 1 << 20
        }.pop()
        lying.write_bytes(
            path.read_bytes().replace(size.to_bytes(4, "little"), (5000).to_bytes(4, "little"))
        )
    del zeros, members
    tracemalloc.start()
    for name in ("c.npz", "lying_c.npz"):
        with pytest.raises(InputError, match="not a usable checkpoint"):
            checkpoints.load_state(tmp_path / name, variables, {}, "f")
    for name in ("n.keras", "lying_n.keras"):
        with pytest.raises(InputError, match=r"not a readable model|unpacks to more"):
            saved_models.load_generator(tmp_path / name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 << 20


def test_words_of_the_metadata_are_drawn_as_words(tmp_path):
    from lesiongan.data.lesions import group_lesions
    from lesiongan.plots import style, table_figures

    zoo = damaged_files.Zoo(tmp_path)
    lines = zoo.metadata.read_text().splitlines()
    columns = lines[0].split(",")
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines[1:]]
    rows[3]["localization"], rows[4]["age"], rows[5]["age"] = "$^$", "1e308", "-5"
    zoo.metadata.write_text("\n".join([lines[0], *(",".join(r.values()) for r in rows)]) + "\n")
    table = group_lesions(zoo.table, str(zoo.metadata))
    assert table.metadata["age"].isna().tolist()[3:6] == [False, True, True]
    style.save(table_figures.draw_metadata(table), tmp_path, "metadata")


def test_readers_of_narrow_files_refuse_wide_ones_at_once(tmp_path):
    zoo = damaged_files.Zoo(tmp_path)
    zoo.predictions.write_text(",".join(["a"] * 60_000) + "\n")
    with pytest.raises(InputError, match="over 64 columns"):
        zoo.evaluate(zoo.predictions)


def test_a_fault_is_sought_only_where_reading_failed(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("pixel0000,label\n" + "1,0\n" * 50 + "\n7,9\n" + "1,0\n")
    header = csv_tables.Header(
        "x", (1, 1, 1), ["pixel0000", "label"], [0, 1], b",", is_there=True, notes=[]
    )
    assert "line 53, column label: 9" in csv_tables.locate_fault(path, header, 50)
    path.write_text("pixel0000,label\nbad,0\n" + "1,0\n" * 50 + "7,9\n")
    # The first 40 rows have been read, so the fault is sought after them.
    assert "line 53" in csv_tables.locate_fault(path, header, 40)


def test_the_rows_of_a_large_table_are_compared_in_blocks(monkeypatch):
    from lesiongan.data import row_order

    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (9000, 28, 28, 3), dtype=np.uint8)
    images[1::2] = images[::2]
    asked, real = [], row_order.colour_signature
    monkeypatch.setattr(row_order, "colour_signature", lambda x: asked.append(len(x)) or real(x))
    found = row_order.measure(
        np.full(9000, 4, np.int32),
        np.repeat(np.arange(4500), 2).astype(str),
        lambda rows: row_order.signatures_of(images, rows),
        draws=3000,
    )["nv"]
    assert (found.score, found.pairs) == (1.0, 3000)
    assert max(asked) <= 4096


def test_a_split_file_with_a_row_twice_is_refused(tmp_path):
    """Found by damaged_files.py: a part of the file repeated."""
    zoo = damaged_files.Zoo(tmp_path)
    lines = zoo.split.read_text().splitlines()
    zoo.split.write_text("\n".join([*lines, lines[5]]) + "\n")
    with pytest.raises(InputError, match=r"split\.csv: row 4 stands twice"):
        zoo.evaluate(zoo.split)


def test_cells_that_would_be_read_as_another_number_are_refused(tmp_path):
    zoo = damaged_files.Zoo(tmp_path)
    text = zoo.predictions.read_text()
    row, label, rest = text.splitlines()[3].split(",", 2)
    for odd in (
        f"{row},{label}.7,{rest}",
        f"{row}.4,{label},{rest}",
        f"1e300,{label},{rest}",
        f"{row},-1,{rest}",
    ):
        zoo.predictions.write_text(text.replace(f"\n{row},{label},{rest}\n", f"\n{odd}\n"))
        with pytest.raises(InputError, match="not whole numbers"):
            zoo.evaluate(zoo.predictions)
    raw = (tmp_path / classes.TABLE_NAME).read_bytes()
    path = tmp_path / "nul.csv"
    path.write_bytes(raw[:40_000] + b"\0" + raw[40_000:])
    with pytest.raises(InputError, match="byte of value 0"):
        read_table(path)


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"y": float("nan")}},
        {"protocol": "\ud800"},
        {"data": {"y": "@1e309"}},
        {"data": {"y": 10**400}},
    ],
)
def test_json_that_cannot_be_written_again_is_refused(tmp_path, change):
    zoo = damaged_files.Zoo(tmp_path)
    zoo.context.write_text(
        json.dumps(json.loads(zoo.context.read_text()) | change).replace('"@1e309"', "1e309")
    )
    with pytest.raises(InputError, match="not readable as JSON"):
        zoo.evaluate(zoo.context)


def test_small_files_that_unpack_to_much_are_refused_by_every_reader(tmp_path):
    import gzip

    from lesiongan.data.lesions import group_lesions

    zoo = damaged_files.Zoo(tmp_path)
    for source, read in (
        (zoo.metadata, lambda p: group_lesions(zoo.table, str(p))),
        (zoo.predictions, zoo.evaluate),
    ):
        lines = source.read_bytes().splitlines(keepends=True)
        body = gzip.compress(lines[0] + lines[1] * 400_000)
        path = source if read == zoo.evaluate else tmp_path / "bomb.csv.gz"
        path.write_bytes(body)
        with pytest.raises(InputError, match="over 100 times its size"):
            read(path)


def test_an_archive_member_that_is_no_array_is_refused(tmp_path):
    """Found by damaged_files.py: NumPy hands such a member over as bytes."""
    zoo = damaged_files.Zoo(tmp_path)
    for kind, member, words in (
        ("dermamnist.npz", "val_images.npy", "not a readable .npz"),
        ("checkpoint.npz", "v0001.npy", "not a usable checkpoint"),
    ):
        path = tmp_path / f"odd_{kind}"
        with (
            zipfile.ZipFile(io.BytesIO(zoo.kinds[kind][0])) as source,
            zipfile.ZipFile(path, "w") as target,
        ):
            for name in source.namelist():
                target.writestr(name, b"no array" if name == member else source.read(name))
        with pytest.raises(InputError, match=words):
            zoo.kinds[kind][2](path)


def test_a_member_of_an_archive_is_read_up_to_its_bound(tmp_path):
    from lesiongan.files import archives

    path = archive_of(tmp_path / "a.zip", zipfile.ZIP_DEFLATED, x__bin=b"1" * 200_000)
    with zipfile.ZipFile(path) as archive:
        assert archives.read_member(archive, "x.bin", 200_000) == b"1" * 200_000
        with pytest.raises(ValueError, match="over 199999 bytes"):
            archives.read_member(archive, "x.bin", 199_999)
