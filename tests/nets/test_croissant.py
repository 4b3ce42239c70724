"""croissant.json of a written set, read by mlcroissant from local files without a network."""

import hashlib
import json
import re
import socket

import mlcroissant
import numpy as np
import pytest

from lesiongan import ROOT
from tests import oracles
from tests.nets.cards import identify, write_described

# mlcroissant uses a class of rdflib's that will go away.
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")

# NeurIPS 2026, hosting guidelines of the track for evaluations and datasets: the minimal
# responsible-AI fields, which its checker looks for
# (https://neurips.cc/Conferences/2026/EvaluationsDatasetsHosting,
# https://huggingface.co/spaces/JoaquinVanschoren/croissant-checker).
ASKED_BY_NEURIPS = (
    "rai:dataLimitations",
    "rai:dataBiases",
    "rai:personalSensitiveInformation",
    "rai:dataUseCases",
    "rai:dataSocialImpact",
    "rai:hasSyntheticData",
    "prov:wasDerivedFrom",
    "prov:wasGeneratedBy",
)
# Croissant 1.1, "Required" and "Recommended" of its dataset-level information, and RAI 1.0, "RAI
# property information", without those about annotators, platforms and dates, of which a drawn set
# has none (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, croissant-rai-spec).
ASKED_BY_CROISSANT = (
    "@context",
    "@type",
    "conformsTo",
    "description",
    "license",
    "name",
    "url",
    "creator",
    "datePublished",
    "distribution",
    "recordSet",
    "keywords",
    "version",
    "inLanguage",
    "citeAs",
    "rai:dataCollection",
    "rai:dataCollectionType",
    "rai:dataCollectionMissingData",
    "rai:dataCollectionRawData",
    "rai:dataManipulationProtocol",
    "rai:dataPreprocessingProtocol",
    "rai:dataAnnotationProtocol",
    "rai:annotationsPerItem",
    "rai:dataReleaseMaintenancePlan",
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        pytest.fail("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def folder(drawn):
    """The set of the shared run: 35 images of a generator of phantoms, with PNGs."""
    return drawn.outputs / "synthetic"


@pytest.fixture
def dataset(folder):
    return mlcroissant.Dataset(jsonld=folder / "croissant.json")


def find_faults(path, caplog):
    """What mlcroissant has against a file: errors, warnings, and warnings of its log."""
    with caplog.at_level("WARNING", logger="absl"):
        issues = mlcroissant.Dataset(jsonld=path).metadata.issues
    said = [r.getMessage() for r in caplog.records if r.name == "absl"]
    return [*issues.errors, *issues.warnings, *said]


def text_of(value):
    """A value of mlcroissant, whose texts are bytes, as text."""
    return value.decode() if isinstance(value, bytes) else value


def test_mlcroissant_has_nothing_against_a_drawn_set(folder, caplog):
    assert find_faults(folder / "croissant.json", caplog) == []
    # It would say so: without a version there is a warning.
    damaged = oracles.read(folder / "croissant.json")
    del damaged["version"]
    assert find_faults(damaged, caplog)


@pytest.mark.parametrize("kind", ["phantom", "ham10000", "own"])
def test_mlcroissant_has_nothing_against_a_set_whatever_it_is_of(kind, tmp_path, caplog):
    folder = write_described(tmp_path / "set", identify(kind))
    assert find_faults(folder / "croissant.json", caplog) == []


def test_its_rows_are_those_of_the_table(folder, dataset):
    _, labels = oracles.read_images(folder / "hmnist_28_28_RGB.csv")
    rows = list(dataset.records("rows"))
    assert [row["rows/row"] for row in rows] == list(range(35))
    assert [row["rows/label"] for row in rows] == labels.tolist()
    assert {text_of(row["rows/split"]) for row in rows} == {"train"}


def test_its_pictures_are_the_rows_with_their_classes(folder, dataset):
    images, labels = oracles.read_images(folder / "hmnist_28_28_RGB.csv")
    found = {row["images/row"]: row for row in dataset.records("images")}
    assert sorted(found) == list(range(35))
    for i, row in found.items():
        np.testing.assert_array_equal(np.asarray(row["images/image"]), images[i])
        name = oracles.CLASSES[labels[i]]
        assert text_of(row["images/class"]) == name
        assert text_of(row["images/path"]) == f"images/{name}/{i:05d}.png"
        assert text_of(row["images/split"]) == "train"


def test_its_classes_are_the_codes_of_the_table_and_the_counts_of_the_set(folder, dataset):
    _, labels = oracles.read_images(folder / "hmnist_28_28_RGB.csv")
    rows = list(dataset.records("classes"))
    named = [(row["classes/code"], text_of(row["classes/name"])) for row in rows]
    assert named == list(enumerate(oracles.CLASSES))
    counts = [row["classes/images"] for row in rows]
    assert counts == np.bincount(labels, minlength=7).tolist()
    malignant = {text_of(row["classes/name"]) for row in rows if row["classes/malignant"]}
    assert malignant == {"akiec", "bcc", "mel"}


def test_all_of_it_is_one_split_for_training(folder, dataset):
    assert [text_of(row["split/name"]) for row in dataset.records("split")] == ["train"]
    (split,) = (
        s for s in oracles.read(folder / "croissant.json")["recordSet"] if s["@id"] == "split"
    )
    assert split["dataType"] == "cr:Split"
    assert split["data"] == [{"split/name": "train", "split/url": "cr:TrainingSplit"}]
    parts = oracles.read(folder / "provenance.json")["split"]
    # Under that split alone it may be trained on.
    text = oracles.read(folder / "croissant.json")["description"]
    assert f"begins with {parts['sha256'][:12]}" in text


def test_every_file_has_its_checksum_and_size(folder):
    listed = {f["@id"]: f for f in oracles.read(folder / "croissant.json")["distribution"]}
    pictures = listed.pop("pictures")
    assert pictures["@type"] == "cr:FileSet"
    found = {p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")}
    # The others say what the set is; provenance.json names the hash of this very file.
    others = {"croissant.json", "DATASHEET.md", "LICENSE", "provenance.json"}
    assert set(listed) == found - others
    assert "hmnist_28_28_RGB.csv" in listed
    for name, file in listed.items():
        content = (folder / name).read_bytes()
        assert file["contentUrl"] == name
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["contentSize"] == f"{len(content)} B"


def test_a_changed_table_is_noticed(folder, tmp_path):
    content = (folder / "hmnist_28_28_RGB.csv").read_bytes()
    (tmp_path / "hmnist_28_28_RGB.csv").write_bytes(content + b"\n")
    (tmp_path / "croissant.json").write_bytes((folder / "croissant.json").read_bytes())
    found = mlcroissant.Dataset(jsonld=tmp_path / "croissant.json")
    with pytest.raises(mlcroissant.GenerationError):
        list(found.records("rows"))


@pytest.mark.parametrize("kind", ["phantom", "ham10000", "own"])
def test_what_the_checkers_ask_for_is_there_and_not_empty(kind, tmp_path):
    content = oracles.read(write_described(tmp_path / "set", identify(kind)) / "croissant.json")
    for name in (*ASKED_BY_NEURIPS, *ASKED_BY_CROISSANT):
        value = content[name]
        values = value if isinstance(value, list) else [value]
        assert values, name
        assert all(v is True or v for v in values), name
        assert all(v.strip() for v in values if isinstance(v, str)), name
    assert content["isLiveDataset"] is False
    assert content["rai:hasSyntheticData"] is True
    conforms = {"http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"}
    assert set(content["conformsTo"]) == conforms
    # No template is left unfilled, and no text is broken over lines.
    prose = json.dumps({k: v for k, v in content.items() if k != "citeAs"})
    assert not re.search(r"\{\{|\{%|\\n|  ", prose)


def test_what_it_was_made_from_and_by_is_told_with_whole_hashes(folder):
    content, record = (oracles.read(folder / n) for n in ("croissant.json", "provenance.json"))
    (source,) = content["prov:wasDerivedFrom"]
    assert source["sha256"] == record["data"]["sha256"]
    training, drawing = (a["description"] for a in content["prov:wasGeneratedBy"])
    assert record["generator_sha256"] in training
    assert record["split"]["sha256"] in training
    assert f"seed {record['options']['sampling']['seed']}:" in drawing


def test_version_date_and_authors_are_those_of_the_citation(folder):
    text = (ROOT / "CITATION.cff").read_text()
    content = oracles.read(folder / "croissant.json")
    for key, value in (
        ("version", content["version"]),
        ("date-released", content["datePublished"]),
        ("  - name", content["creator"]["name"]),
    ):
        assert f"\n{key}: {value}\n" in text
    title = re.search(r'^title: "(.*)"$', text, re.MULTILINE)[1]
    assert title in content["citeAs"]
    assert f"year = {{{content['datePublished'][:4]}}}" in content["citeAs"]
