"""The committed results: metrics follow from predictions to the last digit, and the README's table from the files."""

import importlib.util

import pytest

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
    spec = importlib.util.spec_from_file_location("publish_run", ROOT / "benchmarks" / "publish_run.py")
    publish = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(publish)
    readme = (ROOT / "README.md").read_text()
    assert publish.insert_table(readme, publish.build_table()) == readme
