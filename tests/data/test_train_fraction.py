"""Fractions of the train lesions: nested, by lesion and class, and apart from the others."""

import hashlib
import itertools

import numpy as np
import pandas as pd
import pytest

from lesiongan.data import lesions, split, tables
from lesiongan.data.classes import CLASSES
from lesiongan.phantom import write_phantom

SHARES = ("own", "others")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = write_phantom(tmp_path_factory.mktemp("fraction"), 1500, seed=2)
    return lesions.group_lesions(tables.read_table(path))


@pytest.fixture(scope="module")
def parts(table):
    return split.split_table(table)


def lesions_of(table, named, part):
    return set(table.lesions[named == part])


@pytest.mark.parametrize("fraction", [0.03, 0.1, 0.3])
def test_the_shares_are_whole_lesions_of_train_and_val_and_test_stay(table, parts, fraction):
    named = split.own_part(table, parts, fraction)
    assert set(named) == {*SHARES, "val", "test"}
    for part in ("val", "test"):
        np.testing.assert_array_equal(named == part, parts == part)
    np.testing.assert_array_equal(np.isin(named, SHARES), parts == "train")
    sets = [lesions_of(table, named, part) for part in (*SHARES, "val", "test")]
    for i, one in enumerate(sets):
        for other in sets[:i]:
            assert not one & other
    classes = pd.Series(table.labels).groupby(table.lesions).first()
    for code in range(len(CLASSES)):
        members = [name for name in lesions_of(table, parts, "train") if classes[name] == code]
        ours = [name for name in sets[0] if classes[name] == code]
        assert len(ours) == min(len(members), max(3, round(fraction * len(members))))


def test_a_smaller_fraction_lies_within_a_larger_one(table, parts):
    own = [
        lesions_of(table, split.own_part(table, parts, f), "own") for f in (0.03, 0.1, 0.3, 0.99)
    ]
    for small, large in itertools.pairwise(own):
        assert small < large


def test_it_depends_on_names_and_split_seed_alone(table, parts):
    named = split.own_part(table, parts, 0.1, seed=0)
    order = np.random.default_rng(0).permutation(len(table))
    again = split.own_part(table.take(order), parts[order], 0.1, seed=0)
    np.testing.assert_array_equal(again, named[order])
    other = split.own_part(table, parts, 0.1, seed=1)
    assert (other != named).any()
    # The order is that of SHA-256 of these words, as anyone can compute.
    nevi = sorted(
        set(table.lesions[(parts == "train") & (table.labels == 4)]),
        key=lambda name: hashlib.sha256(f"fraction0:{name}".encode()).digest(),
    )
    assert lesions_of(table, named, "own") & set(nevi) == set(nevi[: round(0.1 * len(nevi))])


def test_all_of_train_is_own_at_one(table, parts):
    named = split.own_part(table, parts, 1.0)
    np.testing.assert_array_equal(named == "own", parts == "train")
    assert not (named == "others").any()
