"""Age, sex and site as numbers: what is known, what is odd, and what is forgotten."""

import numpy as np
import pandas as pd
import pytest

from lesiongan.data import clinical
from lesiongan.files.errors import InputError

COUNT = 20_000


@pytest.fixture
def known():
    rng = np.random.default_rng(0)
    return {
        "age": rng.integers(0, 90, COUNT).astype(np.float32),
        "sex": rng.integers(1, 3, COUNT).astype(np.int32),
        "site": rng.integers(1, len(clinical.SITES), COUNT).astype(np.int32),
    }


def test_known_values_are_numbers_and_all_else_is_unknown():
    frame = pd.DataFrame(
        {
            "age": ["45.0", "", "0", "130", "131", "-3", "old", "nan"],
            "sex": ["male", "female", " Female ", "unknown", "", "m", "MALE", "other"],
            "localization": ["back", "Upper Extremity", "unknown", "", "tail", "acral", "ear", "?"],
        }
    )
    found = clinical.encode(frame, 8)
    assert found["age"].tolist() == [45, -1, 0, 130, -1, -1, -1, -1]
    assert found["sex"].tolist() == [2, 1, 1, 0, 0, 0, 2, 0]
    names = [clinical.SITES[i] for i in found["site"]]
    unknown = "unknown"
    assert names == ["back", "upper extremity", *[unknown] * 3, "acral", "ear", unknown]
    assert {v.dtype.name for v in found.values()} == {"float32", "int32"}


@pytest.mark.parametrize("frame", [None, pd.DataFrame({"lesion_id": ["a", "b", "c"]})])
def test_without_columns_nothing_is_known(frame):
    found = clinical.encode(frame, 3)
    assert {k: v.tolist() for k, v in found.items()} == {
        "age": [-1] * 3,
        "sex": [0] * 3,
        "site": [0] * 3,
    }
    with pytest.raises(InputError, match=r"t\.csv: --clinical needs metadata with age"):
        clinical.require(frame, "t.csv")


def test_every_site_of_ham10000_has_a_number_of_its_own(table_path):
    """The metadata of the phantoms has HAM10000's words."""
    meta = pd.read_csv(table_path.with_name("HAM10000_metadata.csv"))
    assert set(meta.localization) <= set(clinical.SITES)
    assert len(set(clinical.SITES)) == 15
    found = clinical.encode(meta, len(meta))
    words = np.array(clinical.SITES)[found["site"]]
    assert (words == meta.localization).all()


def test_values_are_forgotten_one_by_one_and_all_at_once(known):
    before = {name: v.copy() for name, v in known.items()}
    found = clinical.forget(known, 0.3, np.random.default_rng(1))
    gone = {name: found[name] != known[name] for name in clinical.NAMES}
    for name, nothing in (("age", -1), ("sex", 0), ("site", 0)):
        assert (found[name][gone[name]] == nothing).all()
        # .15 for all at once, and .3 of the rest.
        assert gone[name].mean() == pytest.approx(0.15 + 0.85 * 0.3, abs=0.01)
        np.testing.assert_array_equal(known[name], before[name])
        assert found[name].dtype == known[name].dtype
    every = np.logical_and.reduce(list(gone.values()))
    assert every.mean() == pytest.approx(0.15 + 0.85 * 0.3**3, abs=0.01)
    again = clinical.forget(known, 0.3, np.random.default_rng(1))
    assert all((again[name] == found[name]).all() for name in clinical.NAMES)


def test_parts_are_joined_in_order(known):
    first = clinical.take(known, np.array([3, 1]))
    found = clinical.join([first, clinical.unknown(2)])
    assert found["age"].tolist() == [known["age"][3], known["age"][1], -1, -1]
    assert found["site"].tolist() == [known["site"][3], known["site"][1], 0, 0]


def test_metadata_of_which_no_value_can_be_read_is_refused():
    meta = pd.DataFrame({"age": ["61 years"], "sex": ["M"], "localization": ["Ruecken"]})
    meta["age"] = pd.to_numeric(meta.age, errors="coerce")
    with pytest.raises(InputError, match="no age, sex or localization of its metadata can be read"):
        clinical.require(meta, "t.csv")
    assert not clinical.is_known(meta)
    for column, value in (("age", 61.0), ("sex", "male"), ("localization", "back")):
        assert clinical.is_known(meta.assign(**{column: [value]}))
    assert not clinical.is_known(None)
