"""The committed results: metrics follow from predictions to the last digit, and the README's table from the files."""

import pytest
from conftest import load_benchmark

import evaluate
from runlog import ROOT

RUN = ROOT / "results" / "run"
pytestmark = pytest.mark.skipif(not (RUN / "metrics.json").is_file(), reason="no committed run yet")


@pytest.mark.parametrize("name", ["metrics.json", "per_class.csv", "confusion.csv"])
def test_from_predictions_reproduces_the_committed_figures(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp() / "results"
    if not folder.is_dir():
        evaluate.main(["--from-predictions", str(RUN / "predictions.csv"), "--split", str(RUN / "split.csv"),
                       "--outputs-dir", str(folder)])  # fmt: skip
    assert (folder / "evaluation/from_predictions" / name).read_bytes() == (RUN / name).read_bytes()


def test_readme_table_is_that_of_the_files():
    publish = load_benchmark("publish_run")
    readme = (ROOT / "README.md").read_text()
    assert publish.insert_sections(readme) == readme
