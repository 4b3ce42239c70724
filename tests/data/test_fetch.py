"""The download is moved in only if it is HAM10000, and phantoms are drawn only without a table."""

import pytest

from lesiongan.data import classes
from lesiongan.data.tables import read_table
from lesiongan.files import checksums, records, writing
from lesiongan.files.errors import InputError


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
