"""MedMNIST's format: the columns are the npz's codes, and the scores those of its evaluator."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from lesiongan.data.tables import Table
from lesiongan.measures import medmnist
from tests.oracles import CLASSES


def evaluate(codes, scores):
    """(AUC, accuracy) as medmnist 3.0.2 computes them for a data set of several classes."""
    each = [roc_auc_score(codes == k, scores[:, k]) for k in range(scores.shape[1])]
    return sum(each) / scores.shape[1], accuracy_score(codes, scores.argmax(axis=1))


@pytest.fixture
def drawn():
    """(labels by Kaggle's codes (140,), probabilities (140, 7) that are right more often than not).

    Some are equal, as those of a network that is sure are.
    """
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(7), 20).astype(np.int32)
    p = rng.random((140, 7)) + 0.7 * np.eye(7)[labels]
    p = (p / p.sum(axis=1, keepdims=True)).round(2)
    p[::9] = 1 / 7
    return labels, p


def write(folder, labels, p, order, run="3"):
    n = len(labels)
    test = Table(
        "somewhere/dermamnist.npz",
        "",
        np.zeros((n, 1, 1, 3)),
        labels,
        "",
        np.arange(n),
        order=order,
    )
    medmnist.write(folder, test, p, run)
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize("order", [tuple(sorted(CLASSES)), tuple(CLASSES)])
def test_the_file_scores_as_medmnists_formulas_say(drawn, tmp_path, order):
    labels, p = drawn
    path = write(tmp_path, labels, p, order)
    frame = pd.read_csv(path, header=None, index_col=0)
    assert frame.index.tolist() == list(range(140))
    codes = np.array([order.index(CLASSES[y]) for y in labels])
    for k, name in enumerate(order):
        np.testing.assert_allclose(frame[k + 1], p[:, CLASSES.index(name)], rtol=1e-8)
    auc, accuracy = evaluate(codes, frame.to_numpy())
    assert 0.6 < accuracy < 0.95
    assert path.name == f"dermamnist_test_[AUC]{auc:.3f}_[ACC]{accuracy:.3f}@3.csv"
    assert medmnist.score(codes, frame.to_numpy()) == pytest.approx((auc, accuracy), abs=1e-12)


def test_of_equal_scores_the_first_column_of_the_file_decides(drawn, tmp_path):
    """That is akiec for Kaggle's codes and the alphabet's, but not for every order."""
    labels, p = drawn
    order = ("mel", "nv", "vasc", "akiec", "bcc", "bkl", "df")
    path = write(tmp_path, labels, np.full_like(p, 1 / 7), order)
    # Of the images a seventh are mel.
    assert "_[AUC]0.500_[ACC]0.143@" in path.name


def test_a_class_without_images_leaves_no_auc(drawn, tmp_path):
    """MedMNIST's mean is over all classes, and scikit-learn's value for such a one is NaN."""
    labels, p = drawn
    few = labels >= 4
    path = write(tmp_path, labels[few], p[few], tuple(sorted(CLASSES)))
    assert path.name.startswith("dermamnist_test_[AUC]nan_[ACC]")
