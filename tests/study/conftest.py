"""A grid of two fractions, and made-up records of its cells whose scores are known."""

import gzip
import json
import zlib

import numpy as np
import pytest
import yaml

from lesiongan import ROOT
from lesiongan.data.classes import CLASSES
from lesiongan.files import checksums, writing
from lesiongan.measures.predictions import write_predictions
from study.grid import Grid
from study.runs import Runs

IMAGES = 140


def write_grid(folder, **changes):
    """Write the smoke grid with other places and changes to its entries; return its path."""
    values = yaml.safe_load((ROOT / "study/smoke.yaml").read_text())
    values |= {"results": str(folder / "results/study"), "work": str(folder / "work")}
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return path


def write_list(folder, **changes):
    """Write the list of runs, with results in `folder`, and changes to its entries.

    Returns its path.
    """
    values = yaml.safe_load((ROOT / "study/records.yaml").read_text())
    values |= {"results": str(folder), "work": str(folder / "work")}
    path = writing.ensure_folder(folder) / "runs.yaml"
    path.write_text(yaml.safe_dump(values | changes, sort_keys=False))
    return path


def write_cell(grid, group, seed, labels, skill, name=None, **changes):
    """Write the record of a cell whose probabilities hold so much of the truth.

    name: groups given the same name have the same probabilities; default the group's own.
    """
    rng = np.random.default_rng([seed, zlib.crc32((name or group.name).encode())])
    p = rng.dirichlet(np.ones(7), len(labels)) * (1 - skill)
    p[np.arange(len(labels)), labels] += skill
    grid.records.mkdir(parents=True, exist_ok=True)
    name = group.cell(seed)
    plain = grid.records / f"{name}.csv"
    write_predictions(plain, np.arange(len(labels)), labels, p)
    packed = grid.records / f"{name}.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    plain.unlink()
    record = {
        "id": name,
        "fraction": group.fraction,
        "arm": group.arm,
        "source": grid.arms[group.arm].get("source"),
        "amount": grid.arms[group.arm].get("amount", 0),
        "gan_seed": group.gan_seed,
        "cnn_seed": seed,
        "recipe": grid.recipe(group, seed),
        "predictions_sha256": checksums.file_sha256(packed),
        "protocol": "lesion split",
        "data": {"name": "t.csv", "sha256": "d", "rows": 700, "phantom": True},
        "split": {"split_seed": 0, "images": {"train": [group.fraction] * 7}},
        "lesions": 5 * group.fraction,
        "trained": {"synthetic_sha256": None if group.gan_seed is None else group.name},
        "points": {"balanced_shift": [0.0] * 7, "train_prior": [1 / 7] * 7},
        "steps": 20,
        "training_minutes": 3.0,
        "overhead_seconds": 6.0,
        "environment": {"backend": "tensorflow", "accelerators": []},
    }
    (grid.records / f"{name}.json").write_text(json.dumps(record | changes))
    return p


def write_test_rows(grid, count):
    """Write the lesions of the test rows, two photographs each."""
    lines = ["row,lesion,part\n", *(f"{i},L{i // 2},test\n" for i in range(count))]
    grid.results.mkdir(parents=True, exist_ok=True)
    (grid.results / "test.csv.gz").write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


@pytest.fixture
def place(tmp_path):
    """The runs of records.yaml, with results in a folder of this test."""
    return Runs(write_list(tmp_path))


@pytest.fixture
def grid(tmp_path):
    return Grid(write_grid(tmp_path, cnn_seeds=[0, 1, 2], gan_seeds=[0, 1, 2]))


@pytest.fixture
def labels():
    return np.arange(IMAGES) % len(CLASSES)


SKILLS = {"real": 0.05, "all_real": 0.25, "closed_70": 0.05, "shared_70": 0.15}


@pytest.fixture
def filled(grid, labels):
    """The grid with every cell of 30 % done; returns it and {ID: probabilities}."""
    write_test_rows(grid, len(labels))
    found = {}
    for group in grid.groups:
        if group.fraction == 30 and group.arm in SKILLS:
            for seed in (0, 1, 2):
                p = write_cell(grid, group, seed, labels, SKILLS[group.arm])
                found[group.cell(seed)] = p
    return grid, found


def pick(found, arm, measure, fraction=30):
    (row,) = [
        c
        for c in found["contrasts"]
        if (c["arm"], c["measure"], c["fraction"]) == (arm, measure, fraction)
    ]
    return row
