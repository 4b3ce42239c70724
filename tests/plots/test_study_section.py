"""The study in the report: shown for the table it is of, and for no other."""

import json

import pytest

import visualize_results
from lesiongan.files import checksums
from lesiongan.plots import report, study, style
from lesiongan.plots.headless import subplots
from tests import oracles

SENTENCES = ["With 10 % of the lesions: <add> .020 of AUC.", "With 3 %: none."]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results with a study of the table `abc`."""
    fig, _ = subplots(figsize=(1, 1))
    style.save(fig, tmp_path, "study_map")
    found = {
        "data": {"sha256": "abc"},
        "base": "own images",
        "lead": "Images <help>.",
        "cells": 4,
        "cells_planned": 9,
        "answers": [{"sentence": s, "fraction": 10, "arm": "x"} for s in SENTENCES],
    }
    (tmp_path / "study.json").write_text(json.dumps(found))
    monkeypatch.setattr(study, "FOLDER", tmp_path)
    return tmp_path


def test_the_study_of_this_table_is_shown_with_its_map(results):
    shown = report.render("study.html", study=study.read({"sha256": "abc"}))
    assert "4 of 9 trainings" in shown
    assert "<li>With 10 % of the lesions: &lt;add&gt; .020 of AUC.</li>" in shown
    assert "<li>With 3 %: none.</li>" in shown
    assert "<strong>Images &lt;help&gt;.</strong>" in shown
    # What the sentences say is not said twice to who hears the page.
    assert shown.count("With 3 %: none.") == 1
    assert shown.count("<img ") == 1
    assert 'id="study"' in shown


def test_the_study_of_another_table_is_not_shown(results):
    assert study.read({"sha256": "abd"}) is None
    assert report.render("study.html", study=None).strip() == ""


@pytest.mark.parametrize("content", ["", "[]", '{"data": {"sha256": "abc"}}', '{"data": 1}'])
def test_a_study_that_cannot_be_read_is_not_shown(results, content):
    (results / "study.json").write_text(content)
    assert study.find_files({"sha256": "abc"}) == []


def test_without_its_map_or_at_all_it_is_not_shown(results):
    (results / "study_map.png").unlink()
    assert study.find_files({"sha256": "abc"}) == []
    (results / "study.json").unlink()
    assert study.find_files({"sha256": "abc"}) == []


def test_a_new_study_makes_the_report_stale_and_no_figure(results, pipeline, monkeypatch):
    """Its hash is among the inputs of the report."""
    seen = {}

    def keep(run, _):
        seen.update(run.files)

    monkeypatch.setattr(visualize_results, "draw_report", keep)
    monkeypatch.setattr(visualize_results, "draw_alone", keep)
    text = (results / "study.json").read_text()
    sha256 = oracles.read(pipeline.outputs / "split.json")["data"]["sha256"]
    visualize_results.main([*pipeline.flags])
    assert "study.json" not in seen
    (results / "study.json").write_text(text.replace("abc", sha256))
    visualize_results.main([*pipeline.flags])
    assert seen["study.json"] == checksums.file_sha256(results / "study.json")
    seen.clear()
    visualize_results.main([*pipeline.flags, "--only", "confusion"])
    assert "study.json" not in seen
