"""DATASHEET.md and LICENSE of a written set, and what the run's record knows of them."""

import re
import shlex
import shutil

import numpy as np
import pytest

import train_gan
from lesiongan import clean
from lesiongan.data.classes import HAM10000_COUNTS
from lesiongan.data.picture_folders import read_pictures
from lesiongan.files import checksums
from lesiongan.files.errors import InputError
from lesiongan.nets import data_card
from tests import oracles
from tests.nets.cards import GENERATOR, OWN_COUNTS, TABLE, identify, write_described

FILES = ("croissant.json", "DATASHEET.md", "LICENSE")


def read_sheet(folder):
    """DATASHEET.md, its lines joined to one."""
    return " ".join((folder / "DATASHEET.md").read_text().split())


def table_rows(text):
    """{first cell: other cells} of the Markdown tables of a page, without backticks."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("`", "") for cell in row] for row in rows]
    return {first: rest for first, *rest in cells}


# ---------------------------------------------------------------- the datasheet


def test_the_datasheet_tells_counts_seed_and_hashes_of_the_drawn_set(drawn):
    folder = drawn.outputs / "synthetic"
    rows = table_rows((folder / "DATASHEET.md").read_text())
    labels = oracles.read_images(folder / TABLE)[1]
    seen = np.bincount(oracles.Parts(drawn).of("train")[1], minlength=7)
    for code, name in enumerate(oracles.CLASSES):
        diagnosis, images, trained = rows[name]
        assert int(images) == (labels == code).sum()
        assert int(trained) == seen[code]
        assert ("malignant" in diagnosis) == (name in ("akiec", "bcc", "mel"))
    assert rows["all"][1:] == [str(len(labels)), str(seen.sum())]
    record = oracles.read(folder / "provenance.json")
    generator = checksums.file_sha256(drawn.models / "gan/generator.keras")
    assert rows["generator, SHA-256"] == [generator]
    assert rows["its pixels and labels, SHA-256"] == [record["data"]["sha256"]]
    assert rows["split, SHA-256"] == [record["split"]["sha256"]]
    assert rows["seed of the pictures"] == rows["seed of the training"] == ["0"]
    for name in (TABLE, "contact_sheet.png"):
        size = str((folder / name).stat().st_size)
        assert rows[name][1:] == [size, checksums.file_sha256(folder / name)]


def test_the_two_seeds_are_not_confused(tmp_path):
    rows = table_rows((write_described(tmp_path / "set", identify()) / "DATASHEET.md").read_text())
    assert rows["seed of the pictures"] == ["5"]
    assert rows["seed of the training"] == ["4"]
    assert rows["generator, SHA-256"] == [GENERATOR]


def test_the_sections_are_those_of_gebru_et_al(tmp_path):
    text = (write_described(tmp_path / "set", identify()) / "DATASHEET.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Motivation",
        "Composition",
        "Collection",
        "Preprocessing, cleaning, labelling",
        "Uses",
        "Distribution",
        "Maintenance",
    ]
    # No template is left unfilled.
    assert not re.search(r"\{\{ |\{%|\n\n\n", text)


def test_classes_without_pictures_are_named(tmp_path, drawn):
    folder = write_described(tmp_path / "set", identify(), labels=(3, 6, 6))
    assert "No picture shows akiec, bcc, bkl, nv, vasc." in read_sheet(folder)
    assert "All seven classes have pictures." in read_sheet(drawn.outputs / "synthetic")


def test_the_command_on_the_datasheet_draws_the_same_table(drawn, tmp_path):
    copy = drawn.copy(tmp_path)
    flags = ["--sample-only", "--classes", "mel,df", "--class-mix", "1,1,1,2,1,1,1", "--seed", "7"]
    copy.run("train_gan", "--samples", "9", *flags, "--no-png", "--out", str(tmp_path / "first"))
    text = (tmp_path / "first/DATASHEET.md").read_text()
    command = re.search(r"```bash\n(.*)\n```", text)[1]
    python, script, *flags = shlex.split(command)
    assert (python, script) == ("python", "train_gan.py")
    copy.run("train_gan", *flags, "--no-png", "--out", str(tmp_path / "again"))
    assert (tmp_path / "first" / TABLE).read_bytes() == (tmp_path / "again" / TABLE).read_bytes()


def test_published_networks_are_named_in_the_command():
    sampling = {"samples": 3, "class_mix": "balanced", "seed": 0}
    given = train_gan.parse_args(shlex.split(data_card.find_command(sampling, True))[2:])
    assert given.weights == "published"
    assert given.samples == 3
    own = train_gan.parse_args(shlex.split(data_card.find_command(sampling, False))[2:])
    assert own.weights is None


# ---------------------------------------------------------------- what it is of


@pytest.mark.parametrize("kind", ["phantom", "ham10000", "own"])
def test_phantoms_are_called_so_in_every_file_and_nothing_else_is(kind, tmp_path):
    folder = write_described(tmp_path / "set", identify(kind))
    for name in FILES:
        text = (folder / name).read_text()
        assert ("PHANTOM" in text) == (kind == "phantom"), name
        assert ("Tschandl" in text) == (kind == "ham10000"), name
    assert ("no gain that could be measured" in read_sheet(folder)) == (kind == "ham10000")


@pytest.mark.parametrize(
    ("protocol", "leaky"),
    [("lesion split", False), ("image split, leaky", True), ("official split of x, leaky", True)],
)
def test_a_leaky_split_is_called_so(protocol, leaky, tmp_path):
    folder = write_described(tmp_path / "set", identify("ham10000", protocol))
    for text in (read_sheet(folder), (folder / "croissant.json").read_text()):
        assert ("LEAKY" in text) == leaky
        assert ("scores under it are too high" in text) == leaky


@pytest.mark.parametrize(
    ("kind", "licence", "words"),
    [
        ("phantom", "https://spdx.org/licenses/MIT.html", "No photograph and no other data set"),
        (
            "ham10000",
            "https://creativecommons.org/licenses/by-nc/4.0/",
            "Attribution-NonCommercial 4.0",
        ),
        ("own", "Not stated yet", "does not know the licence"),
    ],
)
def test_the_licence_is_that_of_what_the_generator_learned_from(kind, licence, words, tmp_path):
    folder = write_described(tmp_path / "set", identify(kind))
    assert oracles.read(folder / "croissant.json")["license"].startswith(licence)
    text = " ".join((folder / "LICENSE").read_text().split())
    assert words in text
    assert ("by-nc" in text) == (kind == "ham10000")
    assert ("mine.csv" in text) == (kind == "own")
    assert "without warranty" in text


@pytest.mark.parametrize(
    ("rows", "counts", "phantom", "kind"),
    [
        (10015, HAM10000_COUNTS, False, "ham10000"),
        (10015, HAM10000_COUNTS, True, "phantom"),
        # Of a subset the whole table's size is known alone.
        (10015, OWN_COUNTS, False, "ham10000"),
        (10015, (10009, 1, 1, 1, 1, 1, 1), False, "own"),
        (sum(OWN_COUNTS), OWN_COUNTS, False, "own"),
        (600, OWN_COUNTS, True, "phantom"),
    ],
)
def test_ham10000_is_known_by_its_numbers_of_images(rows, counts, phantom, kind):
    parts = {"train": [n // 2 for n in counts], "test": [n - n // 2 for n in counts]}
    assert data_card.find_kind({"rows": rows, "phantom": phantom}, {"images": parts}) == kind


def test_a_name_of_a_table_cannot_end_its_backticks(tmp_path):
    identity = identify()
    identity.data["name"] = "a`b.csv"
    text = (write_described(tmp_path / "set", identity) / "DATASHEET.md").read_text()
    assert "`a'b.csv`" in text
    assert "a`b" not in text


# ---------------------------------------------------------------- the run's record


def test_equal_sets_have_equal_descriptions_whenever_they_are_written(tmp_path, monkeypatch):
    import time

    first = write_described(tmp_path / "first", identify())
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.setattr(time, "strftime", lambda *_: "2096-10-02")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    again = write_described(tmp_path / "again", identify())
    for name in FILES:
        assert (first / name).read_bytes() == (again / name).read_bytes()


def test_the_record_names_them_and_cleaning_removes_them(drawn, tmp_path):
    copy = drawn.copy(tmp_path)
    folder = copy.outputs / "synthetic"
    outputs = oracles.read(folder / "provenance.json")["outputs"]
    for name in FILES:
        assert outputs[name] == checksums.file_sha256(folder / name)
    (folder / "NOTES.md").write_text("mine")
    clean.main([str(copy.outputs)])
    assert [p.name for p in folder.iterdir()] == ["NOTES.md"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_somebody_elses_is_not_replaced(name, tmp_path, drawn):
    copy = drawn.copy(tmp_path)
    folder = tmp_path / "set"
    flags = ("--sample-only", "--no-png", "--samples", "7", "--out", str(folder))
    copy.run("train_gan", *flags)
    before = (folder / TABLE).read_bytes()
    # This is a set of before there were descriptions, in which somebody put a file of that name.
    for forget in (".files.json", "provenance.json"):
        text = (folder / forget).read_text()
        assert f'"{name}"' in text
        (folder / forget).write_text(text.replace(f'"{name}"', '"other"'))
    (folder / name).write_text("mine")
    with pytest.raises(InputError, match=f"{name}: is there and was not written by a run"):
        copy.run("train_gan", *flags, "--seed", "3")
    assert (folder / name).read_text() == "mine"
    assert (folder / TABLE).read_bytes() == before


def test_who_reads_the_folder_as_pictures_does_not_mind_them(drawn, tmp_path):
    folder = drawn.outputs / "synthetic"
    copied = shutil.copytree(folder, tmp_path / "passed_on")
    # A set that was passed on without its record counts as made elsewhere.
    (copied / "provenance.json").unlink()
    table = read_pictures(copied)
    assert table.notes == []
    images, labels = oracles.read_images(folder / TABLE)
    found = sorted((i.tobytes(), c) for i, c in zip(table.images, table.labels, strict=True))
    assert found == sorted((i.tobytes(), c) for i, c in zip(images, labels, strict=True))


def test_a_set_that_is_half_written_is_not_described_as_the_one_before(
    drawn, tmp_path, monkeypatch
):
    copy = drawn.copy(tmp_path)
    folder = copy.outputs / "synthetic"
    assert all((folder / name).is_file() for name in FILES)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lesiongan.data.tables.write_table", stop)
    with pytest.raises(KeyboardInterrupt):
        copy.run("train_gan", "--sample-only", "--samples", "7", "--seed", "3")
    assert not any((folder / name).exists() for name in FILES)
