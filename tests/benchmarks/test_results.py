"""The committed results: metrics follow from the predictions, and both READMEs' tables from files.

The metrics agree to the last digit.
"""

import pytest

import evaluate
from lesiongan import ROOT
from tests.conftest import load_benchmark

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
    pages = load_benchmark("pages")
    text = (ROOT / page).read_text()
    assert pages.insert_sections(text, pages.PAGES[page]) == text
