"""The grid: which cells there are, what makes one done, and what the rest will take."""

import datetime
import json

import pytest
import yaml

from lesiongan import ROOT
from lesiongan.files.errors import InputError
from study.grid import Grid, Group
from tests.study.conftest import write_cell, write_grid


def test_stages_come_first_and_what_a_fraction_cannot_have_is_left_out(grid):
    names = [g.name for g in grid.groups]
    assert names == [
        "f30_real",
        "f30_all_real",
        "f30_closed_70_g0",
        "f30_closed_70_g1",
        "f30_closed_70_g2",
        "f30_shared_70_g0",
        "f30_shared_70_g1",
        "f30_shared_70_g2",
        "f30_closed_soft_g0",
        "f30_closed_soft_g1",
        "f30_closed_soft_g2",
        "f100_real",
        "f100_closed_70_g0",
        "f100_closed_70_g1",
        "f100_closed_70_g2",
    ]
    assert len(set(names)) == len(names)
    assert [g.name for g in Grid(grid.path, stages=1).groups] == names[:8]


def test_the_committed_grid_can_be_read_and_tests_what_it_names():
    grid = Grid(ROOT / "study/config.yaml")
    first = [g for g in grid.groups if g.fraction == 10][: 3 + 2 * 3]
    assert {g.arm for g in first} == {
        "real",
        "repeated_5000",
        "all_real",
        "closed_5000",
        "shared_5000",
    }
    assert not [g for g in grid.groups if g.fraction == 100 and "shared" in g.arm]
    # Arms of one fraction take equal steps.
    for group in grid.groups:
        flags = grid.cnn_recipe(group, 0)
        steps = flags[flags.index("--steps") + 1]
        assert steps == str(grid.fractions[group.fraction]["steps"])


def test_every_training_has_the_seed_of_its_name(grid):
    for seed in (0, 2, 7):
        made = [grid.cnn_recipe(Group(30, "real", None), seed), grid.teacher_recipe(30, seed)]
        made.append(grid.cnn_recipe(Group(30, "shared_70", 1), seed))
        made += [grid.gan_recipe(30, source, seed) for source in ("closed", "shared")]
        for flags in made:
            assert flags[flags.index("--seed") + 1] == str(seed)
            assert flags.count("--seed") == 1


def test_the_grid_that_the_readme_proposes_for_a_table_of_ones_own_is_one(tmp_path):
    """Its lines replace those of the committed grid."""
    text = (ROOT / "study/README.md").read_text()
    example = text.split("## A table of your own")[1].split("```yaml\n")[1].split("```")[0]
    values = yaml.safe_load((ROOT / "study/config.yaml").read_text()) | yaml.safe_load(example)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    grid = Grid(path)
    assert [g.name for g in grid.groups] == ["f100_real", "f100_balanced"]
    assert not grid.is_committed()
    assert grid.values["family"]["arms"] == ["balanced"]


def test_a_closed_gan_learns_from_own_lesions_and_a_shared_one_from_the_others(grid):
    for source, share in (("closed", "own"), ("shared", "others")):
        flags = grid.gan_recipe(30, source, 1)
        assert flags[flags.index("--train-share") + 1] == share
        assert flags[flags.index("--train-fraction") + 1] == "0.3"
        assert flags[flags.index("--seed") + 1] == "1"
    assert "--train-fraction" not in grid.gan_recipe(100, "closed", 0)
    flags = grid.cnn_recipe(Group(30, "shared_70", 0), 2)
    assert flags[flags.index("--train-share") + 1] == "own"
    # The ceiling is of all train lesions.
    assert "--train-fraction" not in grid.cnn_recipe(Group(30, "all_real", None), 2)


def test_two_jobs_share_no_folder(grid):
    # A set is drawn once for all arms that learn from it.
    sets = {
        (g.fraction, grid.arms[g.arm]["source"], g.gan_seed, grid.arms[g.arm]["amount"]): p.parent
        for g in grid.groups
        if (p := grid.set_path(g))
    }
    assert len(set(sets.values())) == len(sets)
    cells = [g.cell(s) for g in grid.groups for s in grid.values["cnn_seeds"]]
    assert len(set(cells)) == len(cells)


def test_a_cell_is_done_if_its_record_is_of_this_recipe_and_these_predictions(
    grid, labels, tmp_path
):
    group = grid.groups[2]
    assert grid.seeds_left(group) == [0, 1, 2]
    write_cell(grid, group, 1, labels, 0.5)
    assert grid.seeds_left(group) == [0, 2]
    # Where the table lies is no part of it.
    moved = write_grid(tmp_path, cnn_seeds=[0, 1, 2], gan_seeds=[0, 1, 2], data="elsewhere.csv")
    assert Grid(moved).seeds_left(group) == [0, 2]
    predictions = grid.records / f"{group.cell(1)}.csv.gz"
    kept = predictions.read_bytes()
    predictions.write_bytes(kept + b"x")
    assert grid.seeds_left(group) == [0, 1, 2]
    predictions.unlink()
    assert grid.seeds_left(group) == [0, 1, 2]
    predictions.write_bytes(kept)
    assert grid.seeds_left(group) == [0, 2]
    grid.fractions[30]["steps"] = 21
    assert grid.seeds_left(group) == [0, 1, 2]


@pytest.mark.parametrize("flags", [["--epochs", 3], ["--epochs", 2, "--width", 16]])
def test_another_gan_or_another_drawing_makes_its_cells_undone(grid, labels, flags):
    closed, shared = grid.groups[2], grid.groups[5]
    for group in (closed, shared, grid.groups[0]):
        write_cell(grid, group, 0, labels, 0.5)
    grid.fractions[30]["closed"] = flags
    assert grid.seeds_left(closed) == [0, 1, 2]
    assert grid.seeds_left(shared) == grid.seeds_left(grid.groups[0]) == [1, 2]
    grid.values["drawing"] = ["--least-images", 7]
    assert grid.seeds_left(shared) == [0, 1, 2]
    assert grid.seeds_left(grid.groups[0]) == [1, 2]


def test_a_group_whose_records_are_gone_is_not_taken_for_done_by_its_mark(grid, labels):
    first, second = grid.groups[:2]
    for group in (first, second):
        grid.mark(group).parent.mkdir(parents=True)
        grid.mark(group).write_text("{}")
        for seed in (0, 1, 2):
            write_cell(grid, group, seed, labels, 0.5)
    grid.drop_stale_marks()
    assert grid.mark(first).is_file()
    assert grid.mark(second).is_file()
    (grid.records / f"{first.cell(1)}.json").unlink()
    grid.drop_stale_marks()
    assert not grid.mark(first).exists()
    assert grid.mark(second).is_file()


def test_a_damaged_record_is_not_done(grid, labels):
    group = grid.groups[0]
    write_cell(grid, group, 0, labels, 0.5)
    path = grid.records / f"{group.cell(0)}.json"
    for content in ("", "[]", "{}", json.dumps({"recipe": None})):
        path.write_text(content)
        assert grid.seeds_left(group) == [0, 1, 2]


def test_the_time_left_goes_by_the_minutes_of_cells_that_are_done(grid, labels):
    cells, gans = 15 * 3, 9
    # 20 steps a cell everywhere; the guess is a minute each.
    assert grid.hours_left() == pytest.approx(((cells + 1) * 1 + gans * 1) / 60)
    for seed in (0, 1, 2):
        write_cell(grid, grid.groups[0], seed, labels, 0.5)
    # Each took 3 minutes and 6 seconds, and one teacher has to be trained.
    assert grid.hours_left() == pytest.approx(((cells - 2) * 3.1 + gans) / 60)
    options = grid.gan_folder(30, "closed", 0) / "models/gan/options.json"
    options.parent.mkdir(parents=True)
    options.write_text(json.dumps({"training_seconds": 600}))
    # The other closed GANs of this fraction take ten minutes, too; the rest take the guess.
    assert grid.hours_left() == pytest.approx(((cells - 2) * 3.1 + 20 + 6) / 60)
    assert grid.progress() == "study: 3 of 45 cells done, about 2.7 hours left"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": "rael"}, "names the arm rael"),
        ({"family": {"arms": ["x"], "measures": []}}, "names the arm x"),
        ({"stages": [{"fractions": [7], "arms": []}]}, "names the fraction 7"),
        ({"sedes": 1}, "unknown entry sedes"),
        ({"draws": 99}, "100 draws or more"),
        ({"fractions": {}, "stages": []}, "needs a fraction"),
        ({"fractions": {30: {"steps": 0, "closed": []}}, "stages": []}, "steps from 1"),
        ({"fractions": {30: {"steps": True, "closed": []}}, "stages": []}, "steps from 1"),
        (
            {"fractions": {30: {"steps": 1, "closed": [], "shared": 5}}, "stages": []},
            "the fraction 30: shared is no list",
        ),
        ({"cnn_seeds": 5}, "cnn_seeds is no list"),
        ({"cnn_seeds": [1, 1]}, "names a seed twice"),
        ({"cnn": "--width"}, "cnn is no list"),
        ({"family": {"arms": [], "measures": ["acu"]}}, "measure acu is none of auc"),
        ({"stages": [{"fractions": [30]}]}, "arms is missing"),
        ({"arms": None}, "arms is no object"),
        ({"fractions": {30: {"closed": []}}}, "fractions.30.steps is missing"),
        (
            {"fractions": {"30": {"steps": 1, "closed": []}}, "stages": []},
            "30 is no whole",
        ),
        (
            {"fractions": {150: {"steps": 1, "closed": []}}, "stages": []},
            "150 is no whole",
        ),
        (
            {"fractions": {100: {"steps": 1, "closed": [], "shared": []}}, "stages": []},
            "nobody to share",
        ),
        (
            {
                "arms": {"real": {"label": "", "source": "closed", "flags": []}},
                "stages": [],
                "family": {"arms": [], "measures": []},
            },
            "the arm real needs both a source",
        ),
        *[
            (
                {
                    "arms": {"real": {"label": "", "flags": [], **arm}},
                    "stages": [],
                    "family": {"arms": [], "measures": []},
                },
                words,
            )
            for arm, words in (
                ({"teacher": True}, "unknown entry teacher"),
                ({1: 2, "teacher": True}, "unknown entry 1"),
                ({"label": datetime.date(2020, 1, 1)}, "label is "),
                ({"source": "closed", "amount": True}, "whole number"),
                ({"source": "closed", "amount": "70"}, "whole number"),
                ({"source": "closed", "amount": 70}, "is the base"),
            )
        ],
    ],
)
def test_a_grid_that_names_what_it_does_not_define_is_refused(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        Grid(write_grid(tmp_path, **changes))


@pytest.mark.parametrize("content", ["", "[1, 2]", "a: [", "a: 1"])
def test_what_is_no_grid_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "grid.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as e:
        Grid(path)
    assert len(str(e.value).splitlines()) == 1
    assert str(path) in str(e.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cnn_seeds": []}, "cnn_seeds needs a seed"),
        ({"cnn_seeds": [-1]}, "cnn_seeds needs whole numbers from 0"),
        ({"gan_seeds": [True]}, "gan_seeds needs whole numbers from 0"),
        ({"guess": {"gan_minutes": -100, "cnn_minutes": 4}}, "guess and memory_gb need numbers"),
        ({"base": "all_real"}, "without all"),
    ],
)
def test_values_that_make_no_sense_are_refused(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        Grid(write_grid(tmp_path, **changes))


@pytest.mark.parametrize("flag", ["teachers", "all"])
def test_a_word_is_no_yes(tmp_path, flag):
    values = yaml.safe_load((ROOT / "study/smoke.yaml").read_text())
    values["arms"]["closed_70"][flag] = "no"
    with pytest.raises(InputError, match=f"closed_70 has {flag}: 'no'; write true"):
        Grid(write_grid(tmp_path, arms=values["arms"]))


@pytest.mark.parametrize(("old", "new"), [("all_real", "ceiling"), ("real", "real")])
def test_the_ceiling_has_one_name(tmp_path, old, new):
    """The map and the answer know it by its name."""
    values = yaml.safe_load((ROOT / "study/smoke.yaml").read_text())
    arms = values["arms"]
    arms[new] = arms.pop(old) | {"all": True}
    family = {"arms": ["shared_70"], "measures": ["auc"]}
    stages = [{"fractions": [30], "arms": [new, "shared_70"]}]
    changes = {"arms": arms, "stages": stages, "family": family, "base": "shared_70"}
    with pytest.raises(InputError, match="is the one named all_real"):
        Grid(write_grid(tmp_path, **changes))


def test_an_arm_is_no_path(tmp_path):
    values = yaml.safe_load((ROOT / "study/smoke.yaml").read_text())
    values["arms"]["../../evil"] = values["arms"]["real"]
    with pytest.raises(InputError, match="needs a name of letters, digits and _"):
        Grid(write_grid(tmp_path, arms=values["arms"]))


@pytest.mark.parametrize("name", [5, False])
def test_a_name_that_yaml_reads_as_a_number_or_no_is_refused(tmp_path, name):
    values = yaml.safe_load((ROOT / "study/smoke.yaml").read_text())
    values["arms"][name] = values["arms"]["real"]
    with pytest.raises(InputError, match=f"{name} needs a name of .*; put it in quotes"):
        Grid(write_grid(tmp_path, arms=values["arms"]))


def test_two_arms_of_the_same_cells_are_refused(tmp_path):
    values = yaml.safe_load((ROOT / "study/smoke.yaml").read_text())
    values["arms"]["closed_70_g0"] = values["arms"]["real"]
    stages = [*values["stages"], {"fractions": [30], "arms": ["closed_70_g0"]}]
    with pytest.raises(InputError, match="two arms have the cells f30_closed_70_g0"):
        Grid(write_grid(tmp_path, arms=values["arms"], stages=stages))


@pytest.mark.parametrize("text", ["a: 2020-13-45", "a: " + 5000 * "9", 20_000 * "["])
def test_what_yaml_cannot_read_is_no_grid(tmp_path, text):
    (tmp_path / "g.yaml").write_text(text)
    with pytest.raises(InputError, match="is no readable grid"):
        Grid(tmp_path / "g.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environment": {}}, "environment.backend is missing"),
        ({"training_minutes": "x"}, "training_minutes"),
        ({"points": {}}, "points.balanced_shift is missing"),
    ],
)
def test_a_record_that_was_edited_is_named(grid, labels, changes, words):
    write_cell(grid, Group(30, "real", None), 0, labels, 0.3, **changes)
    with pytest.raises(InputError, match=rf"f30_real_c0\.json: .*{words}.*remove it"):
        grid.read_done()
