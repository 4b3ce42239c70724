"""MedMNIST's own evaluator reads what evaluate.py --medmnist-csv writes, its data set our npz.

It is skipped without the package `medmnist` (its evaluator needs scikit-learn and pandas alone).
"""

import numpy as np
import pytest

from lesiongan.data.tables import read_table
from lesiongan.measures import medmnist
from lesiongan.nets import exports
from tests import one_liners, oracles
from tests.npz import write_npz


@pytest.fixture
def evaluator(table_path, tmp_path, monkeypatch):
    """MedMNIST's Evaluator, whose data set lies in tmp_path instead of the home folder."""
    # The package makes a folder at home when it is imported.
    monkeypatch.setenv("HOME", str(tmp_path))
    module = pytest.importorskip("medmnist.evaluator")
    write_npz(tmp_path / "root", table_path)

    class Here(module.Evaluator):
        def __init__(self, flag, split, size=None):
            super().__init__(flag, split, size, root=str(tmp_path / "root"))

    return Here


def test_the_evaluator_finds_the_scores_of_the_files_name(evaluator, tmp_path):
    table = read_table(tmp_path / "root/dermamnist.npz")
    test = table.take(np.flatnonzero(table.own_parts == "test"))
    rng = np.random.default_rng(0)
    p = rng.random((len(test), 7)) + np.eye(7)[test.labels] * 0.7
    p /= p.sum(axis=1, keepdims=True)
    medmnist.write(tmp_path / "results", test, p, "seed0")
    (path,) = (tmp_path / "results").iterdir()
    found = evaluator.parse_and_evaluate(str(path))
    assert f"_[AUC]{found.AUC:.3f}_[ACC]{found.ACC:.3f}@seed0.csv" in path.name
    assert 0.5 < found.ACC < 1
    assert (p.argmax(axis=1) == test.labels).mean() == found.ACC
    # It writes the scores anew, under the same name.
    assert list((tmp_path / "results").iterdir()) == [path]
    np.testing.assert_allclose(
        np.loadtxt(path, delimiter=",")[:, 1:],
        p[:, [("akiec", "bcc", "bkl", "df", "nv", "vasc", "mel").index(c) for c in table.order]],
        rtol=1e-7,
    )
    assert evaluator("dermamnist", "test").evaluate(p[:, ::-1]).ACC < 0.5


def test_its_data_set_is_loaded_from_the_npz_of_a_synthetic_set(drawn, tmp_path, monkeypatch):
    # The package makes a folder at home when it is imported.
    monkeypatch.setenv("HOME", str(tmp_path))
    library = pytest.importorskip("medmnist")
    images, labels = oracles.read_images(drawn.outputs / "synthetic/hmnist_28_28_RGB.csv")
    (tmp_path / "medmnist").mkdir()
    exports.write_npz(tmp_path / "medmnist/dermamnist.npz", images, labels)
    monkeypatch.chdir(tmp_path)
    data = one_liners.run_line("MedMNIST", medmnist=library)
    np.testing.assert_array_equal(data.imgs, images)
    # Its names of the classes begin with other words, but stand in the same order.
    order = sorted(oracles.CLASSES)
    assert [order[code] for code in data.labels[:, 0]] == [oracles.CLASSES[c] for c in labels]
    picture, target = data[0]
    np.testing.assert_array_equal(np.asarray(picture), images[0])
    assert target.tolist() == data.labels[0].tolist()
