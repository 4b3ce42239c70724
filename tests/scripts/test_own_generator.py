"""Sets of other generators, through train_cnn.py, evaluate.py and the report."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import visualize_results
from lesiongan.data import tables
from lesiongan.files.errors import InputError
from lesiongan.measures import networks as arms
from lesiongan.measures import synthetic_quality, synthetic_sets, texture
from lesiongan.phantom import draw_table
from lesiongan.plots import report
from lesiongan.run import runs
from tests import oracles
from tests.conftest import CNN, Pipeline
from tests.oracles import CLASSES


@pytest.fixture
def foreign(tmp_path):
    """The path of a table of 56 images of another generator."""
    images = draw_table(90, seed=9)[0][:56]
    path = tmp_path / "mine.csv"
    tables.write_table(path, [(images, np.arange(56, dtype=np.int32) % 7)])
    return path


def test_the_classifier_learns_from_any_set_and_its_record_says_whose_it_is(
    networks, foreign, tmp_path
):
    run = Pipeline(networks.table, tmp_path)
    assert run.run("train_cnn", *CNN, "--epochs", "1", "--synthetic", str(foreign)) == 0
    options = oracles.read(run.models / "cnn/options.json")
    assert options["synthetic_origin"] == "made elsewhere"
    assert options["inputs"]["synthetic"] == tables.read_table(foreign).sha256
    assert options["synthetic_images"] == 56
    words = arms.describe_arm(options)["trained_on"]
    assert words == f"{options['real_images']} real + 56 synthetic (made elsewhere)"
    ours = oracles.read(networks.models / "cnn/options.json")
    assert "synthetic_origin" not in ours
    assert arms.describe_arm(ours)["trained_on"].endswith("35 synthetic")


def test_a_foreign_set_in_the_place_of_ours_is_measured_under_its_name(
    evaluated, foreign, tmp_path, capsys
):
    run = evaluated.copy(tmp_path)
    place = run.outputs / "synthetic"
    shutil.rmtree(place)
    place.mkdir()
    shutil.copy(foreign, place / "hmnist_28_28_RGB.csv")
    run.run("evaluate")
    quality = oracles.read(run.outputs / "evaluation/synthetic_quality.json")
    assert quality["synthetic_origin"] == "made elsewhere"
    assert quality["source"] == "synthetic table"
    assert "was made elsewhere" in report.quality_section(quality)
    before = oracles.read(evaluated.outputs / "evaluation/synthetic_quality.json")
    assert "synthetic_origin" not in before
    assert "made elsewhere" not in report.quality_section(before)


@pytest.fixture
def measured(evaluated, foreign, tmp_path):
    """(run, what evaluate.py --synthetic wrote) of our set, a foreign one and copies."""
    run = evaluated.copy(tmp_path)
    images, labels = oracles.Parts(run).of("train")
    copies = tmp_path / "copies.csv"
    tables.write_table(copies, [(images[:60], labels[:60])])
    sets = [str(run.outputs / "synthetic/hmnist_28_28_RGB.csv"), str(foreign), str(copies)]
    before = {p.name: p.read_bytes() for p in (run.outputs / "evaluation").iterdir()}
    assert run.run("evaluate", "--synthetic", *sets) == 0
    # Nothing else in the folder has changed.
    for name, content in before.items():
        if not name.startswith("."):
            assert (run.outputs / "evaluation" / name).read_bytes() == content, name
    return run, oracles.read(run.outputs / "evaluation/synthetic_sets.json"), sets


def test_sets_are_measured_side_by_side_on_val(measured, capsys):
    run, found, names = measured
    ours, theirs, copies = found["sets"]
    assert [s["name"] for s in found["sets"]] == names
    assert [s["origin"] for s in found["sets"]] == ["train_gan.py", *["made elsewhere"] * 2]
    assert theirs["sha256"] == tables.read_table(names[1]).sha256
    assert theirs["images"] == dict.fromkeys(CLASSES, 8)
    # Equally many images of each set give the distances, in the mix of the train part.
    n = {s["distances"]["frechet"]["n"] for s in (ours, theirs)}
    assert len(n) == 1
    judged = len(oracles.Parts(run).rows("val"))
    for each in (ours, theirs):
        assert f"against the {judged} of the val part" in each["protocol"]
        assert each["judge_balanced_accuracy"]["n"] == judged
        assert each["source"] == "synthetic table"
    assert copies["passes_as_new"]["passes"] is False
    assert copies["memorisation"]["value"] == copies["mixtures"]["value"] == 1
    assert theirs["passes_as_new"]["passes"] is True
    # They are the same numbers as of one set alone, as far as the number of images goes.
    run.run("evaluate", "--synthetic", names[1])
    alone = oracles.read(run.outputs / "evaluation/synthetic_sets.json")["sets"][0]
    for key in ("label_agreement", "diversity", "memorisation", "copies", "mixtures"):
        assert alone[key] == theirs[key]
    shown = capsys.readouterr().out
    assert "Passes as new" in shown
    assert "made elsewhere" in shown


def test_the_report_shows_the_sets_and_leaves_out_what_is_of_another_judge(measured):
    run, found, _ = measured
    args = visualize_results.parse_args(run.flags)
    inner = runs.Run(args, "visualize_results")
    page = report.sets_section(inner)
    for each in found["sets"]:
        assert synthetic_sets.short_names([each["name"]])[0] in page
        assert synthetic_sets.show(each["mixtures"]["value"]) in page
    assert "copies.csv does not pass as new: 100.0 % are nearly training images" in page
    judge = run.models / "judge/classifier.keras"
    content = judge.read_bytes()
    judge.write_bytes(content + b"x")
    assert "measured by another judge" in report.sets_section(inner)
    judge.write_bytes(content)
    path = run.outputs / "evaluation/synthetic_sets.json"
    path.write_text(path.read_text().replace("mine.csv", "none.csv"))
    assert "has changed since" in report.sets_section(inner)
    (run.outputs / "evaluation/synthetic_sets_options.json").unlink()
    assert report.sets_section(inner) == ""


def test_a_set_with_held_out_images_is_not_measured(evaluated, foreign, tmp_path):
    run = evaluated.copy(tmp_path)
    table, val = tables.read_table(foreign), oracles.Parts(run).of("val")
    table.images[3] = np.clip(np.rot90(val[0][2]).astype(int) + 6, 0, 255)
    tables.write_table(foreign, [(table.images, table.labels)])
    for script, flags in (("evaluate", ()), ("train_cnn", CNN)):
        with pytest.raises(InputError, match=r"--synthetic .*: 1 of its 56 images are val"):
            run.run(script, *flags, "--synthetic", str(foreign))
    assert not (run.outputs / "evaluation/synthetic_sets.json").exists()


def test_without_a_judge_only_novelty_is_measured(networks, foreign, tmp_path, capsys):
    run = Pipeline(networks.table, tmp_path)
    run.run("evaluate", "--synthetic", str(foreign))
    (found,) = oracles.read(run.outputs / "evaluation/synthetic_sets.json")["sets"]
    assert "no judge" in found["reason"]
    assert found["memorisation"]["n"] == 56
    assert "no judge" in capsys.readouterr().out


@pytest.mark.parametrize("judge", [None, "judge"])
def test_equally_many_images_are_measured_of_every_set(monkeypatch, judge):
    """The smallest set that can be measured at all decides, for distances and for patches."""
    drawn, patches, asked = {"a": 90, "b": 1, "c": 40}, {"a": 70, "b": 60, "c": 19}, []
    monkeypatch.setattr(
        synthetic_quality, "plan_draws", lambda inputs, table, *a: (None, drawn[table.path])
    )
    monkeypatch.setattr(
        texture, "plan_patches", lambda inputs, table, held_out: (inputs, patches[table.path])
    )
    monkeypatch.setattr(
        synthetic_quality, "measure", lambda *a, **more: asked.append(more) or {"x": 1}
    )
    sets = [
        synthetic_sets.set_sources.SyntheticSet(
            tables.Table(name, "", None, np.zeros(3, int), f"sha {name}"), "somewhere", {}
        )
        for name in drawn
    ]
    inputs = SimpleNamespace(of_share=lambda share: share)
    found = synthetic_sets.measure(inputs, judge, list(drawn), sets)
    # Without a judge there are no distances to draw for.
    most = 40 if judge else synthetic_quality.IMAGES
    assert asked == [{"held_out": "val", "most": most, "most_patches": 60, "seen": None}] * 3
    assert [f["sha256"] for f in found] == ["sha a", "sha b", "sha c"]


def describe_set(name, number, without=()):
    """A set as synthetic_sets.json has it: every number another, from `number` on."""
    distances = {k: {"value": 0.0} for _, *keys in synthetic_sets.DISTANCES for k in keys if k}
    patches = {k: {"value": 0.0} for _, *keys in synthetic_sets.PATCHES for k in keys if k}
    agreement = {"value": 0.0, "real_recall": {"value": 0.0}}
    found = {
        "distances": distances,
        "patches": patches,
        "label_agreement": {c: dict(agreement) for c in CLASSES[:2]},
        "diversity": {c: {"value": 0.0} for c in CLASSES[:2]},
        **{key: {"value": 0.0} for _, key in synthetic_sets.NOVELTY},
    }
    found = oracles.make_unlike(found, number)
    images = {c: 0 if c in without else 9 + i for i, c in enumerate(CLASSES)}
    new = {"passes": number < 100, "reason": "r"}
    return {"name": name, "origin": f"of {name}", "images": images, "passes_as_new": new} | found


def test_each_column_of_the_table_is_its_own_sets():
    sets = [describe_set("a.csv", 1), describe_set("b.csv", 101), describe_set("c.csv", 201)]
    head, rows = synthetic_sets.tabulate(sets)
    assert head == ("", "a.csv", "b.csv", "c.csv", "real images")
    cells = {(row[0], name): cell for row in rows for name, cell in zip(head, row, strict=True)}
    for found in sets:
        name = found["name"]
        for block, names in (
            ("distances", synthetic_sets.DISTANCES),
            ("patches", synthetic_sets.PATCHES),
        ):
            for label, key, floor in names:
                assert cells[label, name] == f"{found[block][key]['value']:.3f}"
                if floor and found is sets[0]:
                    assert cells[label, "real images"] == f"{found[block][floor]['value']:.3f}"
        for label, block in (
            ("Judge agrees with the label", "label_agreement"),
            ("Diversity", "diversity"),
        ):
            mean = np.mean([f["value"] for f in found[block].values()])
            (cell,) = [v for (k, n), v in cells.items() if k.startswith(label) and n == name]
            assert cell == f"{mean:.3f}"
        assert cells["Nearly training images", name] == f"{found['memorisation']['value']:.3f}"
        assert (
            cells["The same but for brightness and contrast", name]
            == f"{found['copies']['value']:.3f}"
        )
        assert cells["Between two training images", name] == f"{found['mixtures']['value']:.3f}"
        assert cells["Origin", name] == f"of {name}"
        assert cells["Images", name] == str(sum(found["images"].values()))
    shown = [cells["Passes as new", s["name"]] for s in sets]
    assert shown == ["yes", "no", "no"]
    recall = np.mean([f["real_recall"]["value"] for f in sets[0]["label_agreement"].values()])
    (judge,) = [row for row in rows if row[0].startswith("Judge")]
    assert judge[-1] == f"{recall:.3f}"
    # Half B has no one number where the sets have different classes.
    head, rows = synthetic_sets.tabulate([sets[0], describe_set("d.csv", 301, without=["df"])])
    assert {row[0]: row[-1] for row in rows}["Precision"] == ""
    shared = describe_set("e.csv", 301) | {"train_share": "others"}
    head, rows = synthetic_sets.tabulate([sets[0], shared])
    assert {row[0]: row[-1] for row in rows}["Patch distance, fine level (28 px)"] == ""


def test_sets_of_one_name_are_shown_with_as_many_folders_as_tell_them_apart():
    table = "synthetic/hmnist_28_28_RGB.csv"
    names = synthetic_sets.short_names([f"a/outputs/{table}", f"b/outputs/{table}", "x/mine.csv"])
    assert names == [f"a/outputs/{table}", f"b/outputs/{table}", "mine.csv"]
    assert synthetic_sets.short_names([f"a/{table}"]) == [table]
    # The same set twice cannot be told apart.
    assert synthetic_sets.short_names(["x/m.csv", "x/m.csv"]) == ["x/m.csv", "x/m.csv"]


def test_a_set_that_cannot_be_measured_hides_no_other():
    whole = describe_set("a.csv", 1)
    few = {
        k: v for k, v in describe_set("b.csv", 101).items() if k not in ("distances", "diversity")
    }
    few |= {"patches": {"swd_ratio": {"value": None, "reason": "too few"}}, "reason": "too few"}
    for sets in ([whole, few], [few, whole]):
        head, rows = synthetic_sets.tabulate(sets)
        cells = {(row[0], name): c for row in rows for name, c in zip(head, row, strict=True)}
        value = whole["distances"]["precision"]["value"]
        assert cells["Precision", "a.csv"] == f"{value:.3f}"
        assert cells["Precision", "b.csv"] == "-"


def test_a_set_of_other_data_is_compared_with_the_whole_train_part():
    for origin, share in (
        (synthetic_sets.set_sources.OURS, "others"),
        (synthetic_sets.set_sources.OTHER_DATA, None),
    ):
        made = SimpleNamespace(origin=origin, provenance={"split": {"train_share": "others"}})
        assert synthetic_sets.name_share(made) == share
