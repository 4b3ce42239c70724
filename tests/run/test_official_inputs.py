"""What a run under the official split of an npz works on, and what its outputs say."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import eda
from lesiongan.files.errors import InputError
from lesiongan.plots import style
from lesiongan.run import runs
from tests.npz import write_npz


def start(path, *flags):
    return runs.Run(eda.parse_args(["--data", str(path), "--split", "official", *flags]), "eda")


def test_split_csv_has_the_parts_of_the_file(npz_path):
    inputs = start(npz_path).inputs
    lines = [line.split(",") for line in inputs.split_text.splitlines()]
    assert lines[0] == ["row", "lesion", "part"]
    sizes = [len(np.load(npz_path)[f"{p}_labels"]) for p in ("train", "val", "test")]
    assert [line[2] for line in lines[1:]] == list(np.repeat(["train", "val", "test"], sizes))
    assert [int(line[0]) for line in lines[1:]] == list(range(sum(sizes)))
    meta = pd.read_csv(npz_path.with_name("HAM10000_metadata.csv"))
    assert [line[1] for line in lines[1:]] == meta.lesion_id.tolist()
    assert "LEAKY official split of dermamnist.npz" in inputs.figure_note


def test_a_subset_keeps_every_image_in_its_own_part(npz_path):
    whole, small = start(npz_path).inputs, start(npz_path, "--subset", "90").inputs
    assert 80 < len(small.table) < len(whole.table)
    np.testing.assert_array_equal(small.parts, whole.parts[small.table.rows])
    for part in ("train", "val", "test"):
        assert len(small.part(part)[1]) == (small.parts == part).sum() > 0
    # The share is that of the file, as the split is.
    leaks = whole.split["protocol"].partition(" show")[0]
    assert "leaky: " in leaks
    assert small.split["protocol"].startswith(leaks)
    assert small.split["protocol"].endswith(f", subset of {len(small.table)} images")


def test_a_seed_of_the_split_contradicts_the_official_split(npz_path):
    with pytest.raises(InputError, match="--split-seed 1: an official split is the file's own"):
        start(npz_path, "--split-seed", "1")
    assert "official" in start(npz_path, "--split-seed", "0").inputs.split["protocol"]


def test_a_renamed_file_makes_nothing_stale(npz_path, table_path, tmp_path):
    run = start(npz_path)
    other = start(write_npz(tmp_path, table_path, name="of_a_colleague.npz"))
    assert run.inputs.split["protocol"] != other.inputs.split["protocol"]
    assert run.identify().fingerprint == other.identify().fingerprint
    # What is said of the leak is no name.
    clean = run.inputs.split["protocol"].partition(", leaky")[0]
    other.inputs = dataclasses.replace(other.inputs, split=other.inputs.split | {"protocol": clean})
    assert run.identify().fingerprint != other.identify().fingerprint


def test_an_official_split_without_lesion_ids_says_how_lesions_were_found(npz_path):
    protocol = start(npz_path, "--metadata", "none").inputs.split["protocol"]
    assert protocol.startswith("official split of dermamnist.npz")
    assert "no lesion ids: grouped by near-duplicate images" in protocol


def test_eda_reports_what_the_official_split_leaks(npz_path, tmp_path, capsys, monkeypatch):
    def save(fig, folder, name, note=""):
        for suffix in (".png", ".pdf"):
            (folder / (name + suffix)).write_bytes(b"x")

    monkeypatch.setattr(style, "save", save)
    assert (
        eda.main(["--data", str(npz_path), "--split", "official", "--outputs-dir", str(tmp_path)])
        == 0
    )
    summary = json.loads((tmp_path / "eda/summary.json").read_text())
    meta = pd.read_csv(npz_path.with_name("HAM10000_metadata.csv"))
    sizes = [len(np.load(npz_path)[f"{p}_labels"]) for p in ("train", "val", "test")]
    meta["part"] = np.repeat(["train", "val", "test"], sizes)
    test = meta[meta.part == "test"]
    leaked = test.lesion_id.isin(set(meta.lesion_id[meta.part == "train"]))
    assert {k for k in summary if "leakage" in k} == {"official_split_leakage"}
    found = summary["official_split_leakage"]
    assert found["overall"] == pytest.approx(leaked.mean())
    for name, share in leaked.groupby(test.dx).mean().items():
        assert found[name] == pytest.approx(share)
    assert summary["note"].count("LEAKY official split of dermamnist.npz") == 1
    assert f"the official split leaks {leaked.mean():.1%} of the test" in capsys.readouterr().out
