"""Files of predictions and of the split are read as they were written."""

import numpy as np
import pytest

from lesiongan.files.errors import InputError
from lesiongan.measures.predictions import (
    check_isic,
    read_lesions,
    read_predictions,
    write_isic,
    write_predictions,
)
from tests.oracles import P


def test_lesion_ids_that_look_like_missing_values_stay_themselves(tmp_path):
    (tmp_path / "split.csv").write_text(
        "row,lesion,part\n0,NA,test\n1,null,test\n2,None,test\n3,nan,train\n"
    )
    lesions, leaky = read_lesions(tmp_path / "split.csv", np.arange(3))
    assert lesions.tolist() == ["NA", "null", "None"]
    assert not leaky


def test_predictions_keep_nine_digits_each_class_in_its_own_column(tmp_path):
    rng = np.random.default_rng(0)
    rows, labels = np.array([5, 2, 9]), np.array([6, 0, 3])
    for k in (7, 2):
        p = rng.dirichlet(np.ones(k), 3)
        write_predictions(tmp_path / "p.csv", rows, labels, p)
        header, *lines = (tmp_path / "p.csv").read_text().splitlines()
        assert header == ("row,label,p_malignant" if k == 2 else ",".join(["row", "label", *P]))
        values = np.array([[float(v) for v in line.split(",")] for line in lines])
        np.testing.assert_array_equal(values[:, :2], np.column_stack([rows, labels]))
        np.testing.assert_allclose(values[:, 2:], p[:, 1:] if k == 2 else p, rtol=1e-8)
        again = read_predictions(tmp_path / "p.csv")
        for a, b in zip(again, (rows, labels, p), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7)


def test_lesions_are_those_of_the_predicted_rows_in_their_order(tmp_path):
    (tmp_path / "s.csv").write_text(
        "row,lesion,part\n3,c,test\n1,a,test\n2,b,test\n4,d,train\n5,e,val\n"
    )
    lesions, leaky = read_lesions(tmp_path / "s.csv", np.array([2, 1, 3]))
    assert lesions.tolist() == ["b", "a", "c"]
    assert not leaky
    # A file without train rows cannot show a leak.
    for part, leaks in (("train", True), ("val", None)):
        (tmp_path / "s.csv").write_text(
            f"row,lesion,part\n3,c,test\n1,a,test\n2,b,test\n4,a,{part}\n"
        )
        assert read_lesions(tmp_path / "s.csv", np.array([1, 2, 3]))[1] == leaks


def test_a_submission_replaces_no_file_of_its_own_run_and_has_a_name_for_each_image(tmp_path):
    path = tmp_path / "evaluation/metrics.json"
    with pytest.raises(InputError, match="is a file that this run writes itself"):
        check_isic(tmp_path / "x/../evaluation/metrics.json", (), [path])
    check_isic(tmp_path / "isic.csv", (), [path])
    p = np.full((3, 7), 1 / 7)
    with pytest.raises(InputError, match="2 images are called b; a submission needs a name"):
        write_isic(tmp_path / "isic.csv", ["a", "b", "b"], p)
    assert not (tmp_path / "isic.csv").exists()
