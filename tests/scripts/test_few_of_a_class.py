"""Tables with few lesions of a class, or few classes: every script ends right or in one line."""

import numpy as np
import pandas as pd
import pytest

from lesiongan.data import tables
from lesiongan.data.classes import CLASSES
from lesiongan.files import records
from lesiongan.files.errors import InputError
from lesiongan.phantom import draw_table
from tests.conftest import Pipeline

STEPS = (
    ("train_gan", "--epochs", "1", "--samples", "14", "--width", "16"),
    ("train_cnn", "--role", "judge", "--steps", "2", "--width", "8"),
    ("train_cnn", "--steps", "2", "--width", "8"),
    ("train_cnn", "--role", "control", "--steps", "2", "--width", "8"),
    ("evaluate",),
    ("visualize_results",),
)
CASES = {
    "three lesions of each class": dict.fromkeys(CLASSES, 3),
    "one class": {"nv": 8},
    "one lesion of all classes but one": dict.fromkeys(CLASSES, 1) | {"nv": 12},
}


@pytest.fixture(scope="module")
def drawn():
    images, labels, meta = draw_table(400, seed=3)
    return images, labels, pd.DataFrame(meta)


def make(drawn, lesions_of, folder):
    """A table of so many lesions of each class, with its metadata."""
    images, labels, meta = drawn
    chosen = [meta.lesion_id[meta.dx == c].unique()[:n] for c, n in lesions_of.items()]
    rows = np.flatnonzero(meta.lesion_id.isin(np.concatenate(chosen)))
    tables.write_table(folder / "t.csv", [(images[rows], labels[rows])])
    meta.iloc[rows].to_csv(folder / "HAM10000_metadata.csv", index=False)
    return Pipeline(folder / "t.csv", folder)


@pytest.mark.parametrize("case", CASES)
def test_few_lesions_go_through_every_script(case, drawn, tmp_path, monkeypatch):
    from lesiongan.measures import synthetic_quality

    # Were the judge good enough, what it measures would have to be computable, or say why not.
    monkeypatch.setattr(synthetic_quality, "LEAST_JUDGE", 0)
    run = make(drawn, CASES[case], tmp_path)
    run.run("eda")
    for script, *flags in STEPS:
        assert run.run(script, *flags) == 0
    metrics = records.read_json(run.outputs / "evaluation/metrics.json", "")
    assert metrics["images"] > 0
    assert (run.outputs / "report.html").is_file()


def test_one_lesion_of_each_class_leaves_a_part_empty_and_every_script_says_so(drawn, tmp_path):
    run = make(drawn, dict.fromkeys(CLASSES, 1), tmp_path)
    run.run("eda")
    for script, *flags in STEPS:
        with pytest.raises(InputError, match=r"images leave the (val|test) part empty; use more"):
            run.run(script, *flags)
