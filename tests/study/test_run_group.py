"""One group of the study on phantom lesions: what its cells see, and going on after a kill."""

import json
import shutil

import pandas as pd
import pytest
import yaml

import evaluate
import train_gan
from lesiongan import ROOT
from lesiongan.files import checksums, records
from lesiongan.files.errors import InputError
from lesiongan.phantom import write_phantom
from lesiongan.run import inputs
from study import collect, plan, run_group
from study.grid import Grid
from tests.conftest import interrupted
from tests.study.conftest import write_grid


@pytest.fixture(scope="module")
def study(table_path, tmp_path_factory):
    """A grid whose first GAN, set and two groups have run."""
    folder = tmp_path_factory.mktemp("study")
    grid = Grid(write_grid(folder, data=str(table_path), cnn=["--width", 8, "--batch", 32]))
    gan = grid.gan_folder(30, "shared", 0)
    flags = [*grid.places(), *grid.gan_recipe(30, "shared", 0), "--models-dir", gan / "models"]
    flags += ["--outputs-dir", gan / "outputs", "--out", gan / "sets/70", "--samples", 70]
    train_gan.main([str(f) for f in [*flags, *grid.values["drawing"], "--no-png", "--quiet"]])
    for name in ("f30_real", "f30_shared_70_g0"):
        run_group.main([str(grid.path), name])
    inputs.kept = None
    return grid


def read(grid, name):
    return json.loads((grid.records / f"{name}.json").read_text())


def test_classifier_and_shared_gan_have_no_lesion_in_common_and_test_has_none_of_either(study):
    split = pd.read_csv(study.work / "cells/f30_shared_70_g0_c0/outputs/split.csv", dtype=str)
    theirs = pd.read_csv(study.gan_folder(30, "shared", 0) / "outputs/split.csv", dtype=str)
    pd.testing.assert_frame_equal(split, theirs)
    lesions = {part: set(split.lesion[split.part == part]) for part in split.part.unique()}
    assert not lesions["own"] & lesions["others"]
    assert not lesions["test"] & (lesions["own"] | lesions["others"])
    record = read(study, "f30_shared_70_g0_c0")
    assert record["lesions"] == len(lesions["own"])
    assert sum(record["split"]["images"]["train"]) == (split.part == "own").sum()
    assert record["trained"]["trained_on"] == f"{(split.part == 'own').sum()} real + 70 synthetic"
    gan = records.read_json(study.gan_folder(30, "shared", 0) / "models/gan/options.json", "")
    assert gan["split"]["train_share"] == "others"
    assert record["split"]["train_share"] == "own"


def test_a_record_says_what_was_trained_and_what_it_cost(study):
    record = read(study, "f30_real_c1")
    assert (record["fraction"], record["arm"], record["cnn_seed"]) == (30, "real", 1)
    assert record["steps"] == 20
    assert record["trained"]["trained_on"].endswith(" real")
    made = study.work / "cells/f30_real_c1"
    history = pd.read_csv(made / "models/cnn/history.csv")
    assert record["training_minutes"] == pytest.approx(history.seconds.sum() / 60)
    assert record["overhead_seconds"] > 0
    plain = (made / "outputs/evaluation/predictions.csv").read_text()
    packed = pd.read_csv(study.records / "f30_real_c1.csv.gz")
    assert packed.to_csv(index=False).count("\n") == plain.count("\n")
    # Nothing but predictions was made of a cell; the estimates follow from them.
    names = {p.name for p in (made / "outputs/evaluation").iterdir() if p.name[0] != "."}
    assert names >= {"predictions.csv", "context.json", "options.json"}
    assert "metrics.json" not in names
    test = pd.read_csv(study.results / "test.csv.gz", dtype=str)
    assert set(test.part) == {"test"}
    assert len(test) == len(packed)


def test_what_is_done_is_not_done_again(study, capsys):
    before = {p: p.stat().st_mtime_ns for p in study.records.iterdir()}
    run_group.main([str(study.path), "f30_real"])
    assert {p: p.stat().st_mtime_ns for p in study.records.iterdir()} == before
    assert "train_cnn" not in capsys.readouterr().out


def test_a_cell_that_was_stopped_goes_on_and_ends_with_the_same_files(study, tmp_path):
    """Its network is gone from this machine, and its training was stopped after an epoch."""
    copy = Grid(
        write_grid(
            tmp_path,
            data=study.values["data"],
            cnn=study.values["cnn"],
            cnn_seeds=[0],
            fractions={30: {"steps": 120, "closed": [], "shared": []}},
            stages=[{"fractions": [30], "arms": ["real"]}],
        )
    )
    whole = Grid(copy.path)
    run_group.main([str(copy.path), "f30_real"])
    name = "f30_real_c0"
    wanted = {p.name: checksums.file_sha256(p) for p in whole.records.glob("*.gz")}
    shutil.rmtree(copy.work)
    shutil.rmtree(copy.results)
    with interrupted():
        run_group.main([str(copy.path), "f30_real"])
    assert not list(copy.records.glob("*")) or not copy.records.exists()
    assert (copy.work / "cells" / name / "models/cnn/checkpoint.npz").is_file()
    run_group.main([str(copy.path), "f30_real"])
    assert {p.name: checksums.file_sha256(p) for p in copy.records.glob("*.gz")} == wanted


def test_cells_of_one_process_read_the_table_once(study, table_path, monkeypatch):
    calls = []
    real = inputs.read_table
    monkeypatch.setattr(inputs, "read_table", lambda *a: calls.append(a) or real(*a))
    monkeypatch.setattr(inputs, "kept", None)
    flags = ["--data", str(table_path), "--models-dir", "x", "--outputs-dir", "y", "--dry-run"]
    for _ in range(2):
        inputs.load_inputs(evaluate.parse_args(flags))
    assert len(calls) == 2
    inputs.keep_tables()
    first, second = (inputs.load_inputs(evaluate.parse_args(flags)) for _ in range(2))
    assert len(calls) == 3
    assert first.split["sha256"] == second.split["sha256"]
    # Other lesions are another table.
    other = inputs.load_inputs(evaluate.parse_args([*flags, "--metadata", "none"]))
    assert len(calls) == 4
    assert other.split["sha256"] != first.split["sha256"]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("gan", "was made by other flags"),
        ("set", "was drawn by other flags"),
        ("least", "was drawn by other flags"),
    ],
)
def test_a_gan_or_a_set_of_another_recipe_is_refused(study, what, words):
    """Its files may be of before a change of the grid."""
    grid = Grid(study.path)
    group = grid.group("f30_shared_70_g0")
    run_group.check_made(grid, group)
    if what == "set":
        table = grid.set_path(group)
        grid.arms["shared_70"]["amount"] = 71
        grid.set_path = lambda _: table
    elif what == "least":
        grid.values["drawing"] = ["--least-images", 6]
    else:
        grid.fractions[30]["shared"] = ["--epochs", 3, "--width", 8]
    with pytest.raises(InputError, match=words):
        run_group.check_made(grid, group)


def test_a_gan_of_another_table_or_split_is_refused(study, tmp_path):
    """The table may have been mended since, and its lesions be in other parts now."""
    group = study.group("f30_shared_70_g0")
    other = write_phantom(tmp_path, 200, seed=5)
    grid = Grid(study.path)
    grid.values["data"] = str(other)
    inputs.kept = None
    with pytest.raises(InputError, match="was made from another table or split"):
        run_group.check_made(grid, group)
    inputs.kept = None
    grid = Grid(study.path)
    grid.values["common"] = ["--metadata", "none"]
    with pytest.raises(InputError, match="was made from another table or split"):
        run_group.check_made(grid, group)


def test_every_arm_of_the_committed_grid_can_ask_for_its_table(table_path, monkeypatch):
    grid = Grid(ROOT / "study/config.yaml")
    grid.values["data"] = str(table_path)
    inputs.kept = None
    # Shares differ by fraction, and flags by arm.
    groups = {g.fraction: g for g in grid.groups} | {g.arm: g for g in grid.groups}
    for group in groups.values():
        own = run_group.load_own(grid, group)
        whole = group.arm == "all_real" or group.fraction == 100
        assert own.split.get("train_fraction") == (None if whole else group.fraction / 100)


def test_a_gan_of_the_other_share_is_refused(study):
    grid = Grid(study.path)
    group = grid.group("f30_shared_70_g0")
    grid.arms["shared_70"]["source"] = "closed"
    grid.fractions[30]["closed"] = grid.fractions[30]["shared"]
    folder = study.gan_folder(30, "shared", 0)
    grid.gan_folder = lambda *_: folder
    with pytest.raises(InputError, match="was made by other flags"):
        run_group.check_made(grid, group)


def test_records_of_another_table_stop_a_group_before_it_trains(study, npz_path):
    grid = Grid(study.path)
    run_group.check_table(grid, grid.group("f30_real"))
    grid.values["data"] = str(npz_path)
    inputs.kept = None
    with pytest.raises(InputError, match="is of another table than"):
        run_group.check_table(grid, grid.group("f30_real"))


def test_soft_labels_are_of_classifiers_of_own_lesions_with_seeds_of_their_own(study, monkeypatch):
    asked = []
    group = study.group("f30_closed_soft_g0")
    monkeypatch.setattr(run_group.train_cnn, "main", lambda words: asked.append(words))
    monkeypatch.setattr(run_group.evaluate, "main", lambda words: None)
    monkeypatch.setattr(run_group, "write_record", lambda *a: 0.1)
    run_group.train_cell(study, group, 1)
    (words,) = asked
    folder = study.work / "teachers/f30_c7/models/cnn"
    assert words[words.index("--soft-labels") + 1] == str(folder / "classifier.keras")
    recipe = study.teacher_recipe(30, 7)
    assert recipe == study.cnn_recipe(study.group("f30_real"), 7)
    assert recipe[recipe.index("--train-share") + 1] == "own"
    assert not set(study.values["teacher_seeds"]) & set(study.values["cnn_seeds"])
    assert study.recipe(group, 1)["teachers"] == [recipe]
    assert study.teachers(study.group("f30_closed_70_g0")) == []


def test_a_group_of_no_such_name_is_refused(study):
    with pytest.raises(InputError, match="no group f31_real"):
        run_group.main([str(study.path), "f31_real"])


def test_test_rows_that_differ_from_those_of_cells_before_are_refused(study, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("row,lesion,part\n0,a,own\n1,b,test\n")
    with pytest.raises(InputError, match="other test rows"):
        run_group.keep_test_rows(study, path)


def test_another_split_is_refused_before_test_is_read(study, monkeypatch):
    read = []
    monkeypatch.setattr(run_group, "log_reading", lambda *a: read.append(a))
    monkeypatch.setattr(run_group, "train_cell", lambda *a: read.append(a))
    path = study.path.with_name("other_split.yaml")
    values = yaml.safe_load(study.path.read_text())
    path.write_text(yaml.safe_dump(values | {"split_seed": 1}))
    inputs.kept = None
    with pytest.raises(InputError, match="other test rows than the split as it is now"):
        run_group.main([str(path), "f30_real"])
    assert not read


def test_the_plan_counts_what_is_done_and_the_answer_is_of_it(study, capsys):
    plan.main([str(study.path)])
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: line.split()[1:] for line in lines}
    assert found["f30_real"] == ["2", "of", "2"]
    assert found["f30_shared_70_g0"] == ["2", "of", "2", "there", "or", "not", "needed"]
    assert found["f30_closed_70_g0"] == ["0", "of", "2", "to", "train"]
    assert lines[-1].startswith("study: 4 of 14 cells done, about ")
    answer = collect.collect(study)
    assert (answer["cells"], answer["data"]["phantom"]) == (4, True)
    assert {c["arm"] for c in answer["contrasts"]} == {"shared_70"}
    assert len(answer["answers"]) == 1


def test_a_missing_table_is_said_before_any_job_starts(study, tmp_path, capsys):
    plan.main([str(study.path), "--brief"])
    assert len(capsys.readouterr().out.splitlines()) == 1
    path = write_grid(tmp_path, data=str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match="no such table"):
        plan.main([str(path), "--brief"])
