"""What the tests of the measures share: a table where brightness tells an image's part and half."""

from types import SimpleNamespace

import numpy as np
import pytest

from lesiongan.data import split
from lesiongan.data.tables import Table

# These are the brightnesses of half A, half B, val and test.
LEVELS = {"a": 40, "b": 100, "val": 220, "test": 104}


@pytest.fixture
def bright():
    """(inputs, judge): 2100 lesions whose brightness tells their half or part.

    The judge's features are three brightnesses.
    """
    rng = np.random.default_rng(0)
    n = 2100
    labels = np.repeat(np.arange(7), 300).astype(np.int32)
    names = np.array([f"L{i}" for i in range(n)])
    table = Table(
        "t.csv",
        "hmnist_28_28_RGB",
        np.zeros((n, 28, 28, 3), np.uint8),
        labels,
        "s",
        np.arange(n),
        names,
    )
    parts = split.split_table(table)
    a = split.half_a(table, parts)
    where = np.where(parts == "train", np.where(a, "a", "b"), parts)
    level = np.array([LEVELS[w] for w in where])[:, None] + rng.normal(0, 5, (n, 3))
    table.images += np.rint(np.clip(level, 0, 255)).astype(np.uint8)[:, None, None]

    class Inputs:
        split, data, data_note = {"protocol": "p"}, {}, ""

        def part(self, name):
            return table.images[parts == name], labels[parts == name]

        def lesions(self, name):
            return names[parts == name]

    def features(images):
        return images.reshape(len(images), -1, 3).mean(axis=1)

    inputs = Inputs()
    inputs.table, inputs.parts = table, parts
    judge = SimpleNamespace(held_out="test", floor=(parts == "train") & ~a, features=features)
    return inputs, judge
