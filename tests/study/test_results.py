"""The committed results: metrics follow from the predictions, and both READMEs' tables from files.

The metrics agree to the last digit.
"""

import json

import pytest

import evaluate
from lesiongan import ROOT
from tests.conftest import load_fresh

RUN = ROOT / "results" / "run"
pytestmark = pytest.mark.skipif(not (RUN / "metrics.json").is_file(), reason="no committed run yet")


@pytest.mark.parametrize("name", ["metrics.json", "per_class.csv", "confusion.csv"])
def test_from_predictions_reproduces_the_committed_figures(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp() / "results"
    if not folder.is_dir():
        files = [
            "--from-predictions",
            RUN / "predictions.csv.gz",
            "--split",
            RUN.parent / "splits/lesion_split.csv.gz",
        ]
        evaluate.main([*map(str, files), "--outputs-dir", str(folder)])
    assert (folder / "evaluation/from_predictions" / name).read_bytes() == (RUN / name).read_bytes()


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_tables_are_those_of_the_files(page):
    pages = load_fresh("study.pages.build")
    text = (ROOT / page).read_text()
    assert pages.insert_sections(text, pages.PAGES[page]) == text


def test_a_picture_of_other_synthetic_images_than_the_tables_is_called_so(tmp_path, monkeypatch):
    """The published run may be newer than the arms, whose images another training drew."""
    pages = load_fresh("study.pages.build")
    monkeypatch.setattr(pages, "RUN", tmp_path / "run")
    context = tmp_path / "arms/full_weight_0/context.json"
    for folder in (tmp_path / "run", context.parent):
        folder.mkdir(parents=True)
    arms = {"classifier": {"synthetic_sha256": "a"}, "control": {"synthetic_sha256": None}}
    context.write_text(json.dumps({"arms": arms}))
    for table, is_another in (("a", False), ("b", True)):
        made = tmp_path / "run/synthetic_provenance.json"
        made.write_text(json.dumps({"table_sha256": table}))
        assert pages.is_of_another_set() == is_another
    context.unlink()
    assert not pages.is_of_another_set()


def test_the_documented_table_of_the_row_order_is_that_of_its_file():
    import pandas as pd

    found = pd.read_csv(ROOT / "results/row_order.csv")
    text = (ROOT / "docs/data.md").read_text()
    for words, low, high in (
        ("100 or more", 100, 10**7),
        ("50 to 99", 50, 99),
        ("20 to 49", 20, 49),
        ("fewer", 0, 19),
    ):
        own = found[found.least_pairs.between(low, high)].sum(numeric_only=True)
        right, shuffled = (
            f"{own[f'{what}_refused']:,} of {own[what]:,}".replace(",", " ")
            for what in ("right", "shuffled")
        )
        assert f"| {words} | {right} | {shuffled} |" in text
    testable = found[found.least_pairs >= 100]
    assert testable.right_refused.sum() * 10_000 < testable.right.sum() > 25_000
    assert testable.shuffled_refused.sum() > 0.99 * testable.shuffled.sum()
