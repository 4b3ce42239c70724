"""The study's small commands: the map that is drawn, and clearing what a trial wrote."""

from pathlib import Path

import numpy as np
import pytest

from lesiongan import ROOT
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from study import clear, study_map
from study.grid import Group
from study.runs import Runs
from tests.study.conftest import write_cell, write_list


@pytest.fixture
def found(grid):
    """Contrasts of two sources at two numbers of lesions, as collect.py gives them."""

    def row(arm, lesions, value, low, high):
        label, source = grid.arms[arm]["label"], grid.arms[arm].get("source")
        return {
            "arm": arm,
            "label": label,
            "source": source,
            "measure": "auc",
            "lesions": lesions,
            "value": value,
            "low": low,
            "high": high,
            "backend": "tensorflow",
            "cnn_seeds": [0, 1, 2],
            "gan_seeds": [0, 1, 2],
        }

    rows = [
        row("closed_70", 400, 0.01, -0.02, 0.02),
        row("closed_70", 100, 0.03, 0.0, 0.04),
        row("shared_70", 100, 0.05, 0.04, 0.09),
        row("all_real", 100, 0.1, 0.05, 0.11),
    ]
    # Another backend has fewer cells, and is not drawn into the same line.
    rows.append(row("closed_70", 100, 0.9, 0.8, 1.0) | {"backend": "jax"})
    arms = [{"cells": 9, "backend": "tensorflow"}, {"cells": 3, "backend": "jax"}]
    return {"contrasts": rows, "arms": arms, "data": {"phantom": True}}


def test_the_map_shows_each_gain_with_its_interval_at_its_number_of_lesions(found, grid):
    from lesiongan.plots.headless import subplots

    _, ax = subplots()
    study_map.draw_gains(ax, found, grid, "auc", "tensorflow")
    drawn = {c.get_label(): c for c in ax.containers}
    assert set(drawn) == {grid.arms[a]["label"] for a in ("closed_70", "shared_70", "all_real")}
    points, _, (spans,) = drawn[grid.arms["closed_70"]["label"]].lines
    x, y = (np.array(v, float) for v in points.get_data())
    np.testing.assert_allclose(y, [0.03, 0.01])
    # They stand at their numbers of lesions, but for what keeps intervals apart.
    np.testing.assert_allclose(x, [100, 400], rtol=0.11)
    ends = [[segment[0, 1], segment[1, 1]] for segment in spans.get_segments()]
    np.testing.assert_allclose(ends, [[0.0, 0.04], [-0.02, 0.02]], atol=1e-12)
    assert not list_hollow(ax)


def list_hollow(ax):
    """Return the heights of all hollow points."""
    return [line.get_ydata()[0] for line in ax.lines if line.get_markerfacecolor() == "white"]


def test_a_point_of_too_few_seeds_is_hollow(found, grid):
    """The interval of one GAN does not know how GANs differ."""
    from lesiongan.plots.headless import subplots

    few = found["contrasts"][1] | {"gan_seeds": [0]}
    found["contrasts"][1] = few
    _, ax = subplots()
    study_map.draw_gains(ax, found, grid, "auc", "tensorflow")
    assert list_hollow(ax) == [few["value"]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["100", "400"]


def test_each_panel_of_the_map_says_what_it_shows_of_the_backend_with_most_cells(
    found, grid, monkeypatch
):
    from lesiongan.plots import style

    drawn = []
    monkeypatch.setattr(style, "save", lambda fig, *a: drawn.append(fig))
    other = [
        c | {"measure": "balanced_accuracy", "value": c["value"] + 1} for c in found["contrasts"]
    ]
    for c in other:
        c |= {"low": c["low"] + 1, "high": c["high"] + 1}
    arms = [
        {"arm": "real", "cells": n, "backend": b, "fraction": 30, "lesions": 100, "auc": 0.5}
        for b, n in (("jax", 3), ("tensorflow", 9))
    ]
    study_map.draw(found | {"contrasts": found["contrasts"] + other, "arms": arms}, grid)
    (fig,) = drawn
    for ax in fig.axes[:2]:
        label = ax.get_ylabel()
        heights = [y for c in ax.containers for y in np.asarray(c.lines[0].get_ydata(), float)]
        assert len(heights) == 4
        more = {"gain of AUC": 0, "gain of balanced accuracy": 1}[label]
        np.testing.assert_allclose(sorted(heights), np.array([0.01, 0.03, 0.05, 0.1]) + more)
    assert fig.axes[0].get_ylabel() != fig.axes[1].get_ylabel()


def test_the_map_shows_the_level_of_real_images_and_of_the_sets_at_ones_own_lesions(grid):
    """A set stands at the lesions one owns, and the curve goes on to all real lesions."""
    from lesiongan.plots.headless import subplots

    def row(arm, fraction, lesions, auc, backend="tensorflow"):
        return {
            "arm": arm,
            "fraction": fraction,
            "lesions": lesions,
            "auc": auc,
            "backend": backend,
        }

    arms = [
        row("real", 30, 100, 0.80),
        row("all_real", 30, 400, 0.90),
        row("shared_70", 30, 100, 0.85),
        row("real", 30, 100, 0.99, "jax"),
    ]
    contrast = row("shared_70", 30, 100, 0.85) | {"cnn_seeds": [0, 1, 2], "gan_seeds": [0, 1, 2]}
    for gans, few in (([0, 1, 2], []), ([0], [0.85])):
        _, ax = subplots()
        found = {"arms": arms, "contrasts": [contrast | {"gan_seeds": gans}]}
        study_map.draw_level(ax, found, grid, "tensorflow")
        drawn = [[list(map(float, v)) for v in line.get_data()] for line in ax.lines]
        assert drawn[:3] == [[[100, 400], [0.80, 0.90]], [[400], [0.90]], [[100], [0.85]]]
        assert list_hollow(ax) == few
        assert len(drawn) == 3 + len(few)


def test_the_committed_records_are_never_cleared(monkeypatch):
    # Were they to be, this test would not do it.
    monkeypatch.setattr(Path, "unlink", lambda self, **_: pytest.fail(f"removes {self}"))
    for words in (["config.yaml"], ["smoke.yaml", "--records", "records.yaml"]):
        files = [w if w.startswith("--") else str(ROOT / "study" / w) for w in words]
        with pytest.raises(InputError, match="committed results"):
            clear.main(files)


def test_clearing_removes_what_the_grid_wrote_and_nothing_else(grid, labels, capsys):
    group = Group(30, "real", None)
    write_cell(grid, group, 0, labels, 0.5)
    mine = grid.work / "groups" / group.name / "done.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("{}")
    log = grid.work / "cells" / group.cell(0) / "log.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("{}")
    others = [grid.records / "notes.txt", grid.results.parent / "paper.pdf", grid.work / "notes"]
    for path in others:
        path.write_text("mine")
    clear.main([str(grid.path)])
    assert not list(grid.records.glob("f30*"))
    assert not mine.exists()
    assert not log.exists()
    assert all(path.read_text() == "mine" for path in others)
    # Where nothing was written nothing is missing.
    clear.main([str(grid.path)])


def test_clearing_a_list_removes_what_its_runs_wrote_and_nothing_else(grid, tmp_path):
    runs = Runs(write_list(tmp_path / "mine"))
    arm, gan = runs.find("plain_1"), runs.find("gan_quality_0")
    ours = [
        runs.mark(gan),
        runs.record(gan),
        *(runs.record(arm) / n for n in ("predictions_x.csv.gz", "context.json", "made.json")),
        runs.split_file(of_images=False),
        runs.results / "arms.json",
        runs.work / "collected.json",
    ]
    others = [runs.record(arm) / "notes.txt", runs.results / "paper.json", runs.work / "notes"]
    for path in [*ours, *others]:
        writing.write_text(path, "{}")
    clear.main([str(grid.path), "--records", str(runs.path)])
    assert not [p for p in ours if p.exists()]
    assert all(p.exists() for p in others)


def test_no_two_arms_of_the_map_look_alike(grid):
    grid.values["family"]["arms"] = ["closed_70", "shared_70", "closed_soft", "balanced", "soft"]
    grid.arms["balanced"] = grid.arms["soft"] = {"label": "x", "flags": []}
    marks = study_map.choose_marks(grid)
    assert set(marks) == {*grid.values["family"]["arms"], "all_real"}
    assert len(set(marks.values())) == len(marks)
    # The colour is the source's.
    assert marks["closed_70"][1] == marks["closed_soft"][1] != marks["shared_70"][1]
    assert marks["balanced"][1] == marks["soft"][1] != marks["all_real"][1]


def test_committed_records_behind_a_link_are_committed_records(tmp_path, monkeypatch):
    """Otherwise a copy of the project, with results/ a link, would clear those of the original."""
    from study import grid as grids

    (tmp_path / "kept/study").mkdir(parents=True)
    root = tmp_path / "copy"
    root.mkdir()
    (root / "results").symlink_to(tmp_path / "kept")
    grid = grids.Grid(ROOT / "study/config.yaml")
    monkeypatch.setattr(grids, "ROOT", root)
    assert grid.is_committed()
    grid.results = tmp_path / "mine"
    assert not grid.is_committed()
