"""A run of study/records.yaml: it calls its scripts and keeps its record; all are gathered."""

import gzip
import json
import shutil

import pytest

from lesiongan import ROOT
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.run import classifier_flags
from study import (
    collect_arms,
    collect_classifier,
    collect_clinical,
    collect_gan,
    collect_records,
    gather,
    run_one,
)
from study.runs import Runs
from tests.study.conftest import write_list


def test_a_run_takes_models_of_others_and_keeps_its_record_last(tmp_path, monkeypatch):
    made = []
    runs = Runs(write_list(tmp_path))
    monkeypatch.setattr(run_one, "call", lambda command: made.append(command[0]))
    monkeypatch.setattr(run_one, "note_reading", lambda runs, run: made.append("noted"))

    def keep(runs, run):
        made.append("kept")
        writing.write_text(runs.record(run), "{}")

    monkeypatch.setitem(run_one.KEEP, "gan", keep)
    for run, folder in (("gan_1", "gan"), ("judge", "judge"), ("real_1", "control")):
        writing.write_text(runs.models(runs.find(run)) / folder / "net.keras", run)
        writing.write_text(runs.models(runs.find(run)) / folder / ".lock", "")
    run = runs.find("gan_quality_1")
    run_one.main([str(runs.path), run.id])
    # A reading of test is noted before the record, which may never come.
    scripts = [*["train_gan.py"] * 2, "train_cnn.py", "evaluate.py"]
    assert made == [*scripts, "noted", "kept"]
    taken = {p.relative_to(runs.models(run)).as_posix() for p in runs.models(run).rglob("*.*")}
    assert taken == {"gan/net.keras", "judge/net.keras", "control/net.keras"}
    assert (runs.models(run) / "control/net.keras").read_text() == "real_1"
    assert runs.is_done(run)
    assert runs.mark(run).is_file()
    # A record that is there is not made again.
    made.clear()
    run_one.main([str(runs.path), run.id])
    assert made == []
    with pytest.raises(InputError, match="has no run gan_9"):
        run_one.main([str(runs.path), "gan_9"])
    (runs.results / "gan/seed_2.json").mkdir()
    with pytest.raises(InputError, match="a folder, not a file"):
        run_one.main([str(runs.path), "gan_quality_2"])
    assert made == []


def test_a_script_that_fails_ends_the_run(capsys):
    with pytest.raises(SystemExit, match=r"eda\.py failed"):
        run_one.call(["eda.py", "--no-such-flag"])


def test_a_reading_of_test_is_noted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(run_one, "ROOT", tmp_path)
    log = tmp_path / "results/TEST_LOG.md"
    log.parent.mkdir()
    log.write_text("")
    runs = Runs(write_list(tmp_path))
    monkeypatch.setattr(Runs, "is_committed", lambda self: True)
    run = runs.find("gan_0")
    record = runs.outputs(run) / "evaluation/options.json"

    def note(commit, rows=10015, phantom=False):
        data = {"name": "t.csv", "phantom": phantom, "rows": rows}
        environment = {"commit": commit}
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(
            json.dumps({"date": "2026-01-02 03:04:05", "data": data, "environment": environment})
        )
        run_one.note_reading(runs, run)

    # These are the record's commits after each call; the second call had nothing to do.
    for commit, lines in (("a", 1), ("a", 1), ("b", 2)):
        note(commit)
        assert log.read_text().count(f"gan_0: {runs.why(run)}") == lines
    with pytest.raises(InputError, match=r"t\.csv: is not HAM10000"):
        note("c", rows=600)
    with pytest.raises(InputError, match=r"t\.csv: is not HAM10000"):
        note("c", phantom=True)
    monkeypatch.setattr(Runs, "is_committed", lambda self: False)
    note("d")
    assert log.read_text().count("gan_0: ") == 2


def work_in(runs, name, pipeline):
    """Return the run of this name, whose work was done by `pipeline`."""
    run = runs.find(name)
    writing.ensure_folder(runs.work)
    runs.folder(run).symlink_to(pipeline.models.parent)
    return run


def test_the_predictions_that_are_kept_are_the_runs_own(tmp_path, pipeline):
    runs = Runs(write_list(tmp_path))
    run = work_in(runs, "clinical_1", pipeline)
    old = runs.record(run) / "predictions_of_a_network_that_is_gone.csv.gz"
    writing.write_text(old, "")
    writing.write_text(runs.record(run) / "notes.txt", "mine")
    run_one.KEEP["predictions"](runs, run)
    evaluation = pipeline.outputs / "evaluation"
    kept = {p.name for p in runs.record(run).iterdir()}
    named = {f"{p.name}.gz" for p in evaluation.glob("predictions*.csv")}
    assert kept == named | {"context.json", "made.json", "notes.txt"}
    assert records.read_json(runs.record(run) / "context.json", "") == records.read_json(
        evaluation / "context.json", ""
    )
    made = records.read_json(pipeline.models / "cnn/options.json", "")
    assert records.read_json(runs.record(run) / "made.json", "") == {
        "minutes": made["wall_seconds"] / 60,
        "environment": made["environment"],
    }


def test_each_split_is_kept_as_what_it_is_and_never_replaced(tmp_path):
    runs = Runs(write_list(tmp_path))
    path = tmp_path / "split.csv"
    for of_images, protocol in ((False, "lesion split"), (True, "image split, leaky")):
        path.write_text(protocol)
        gather.keep_split(runs, protocol, path)
        assert gzip.decompress(runs.split_file(of_images).read_bytes()) == path.read_bytes()
        gather.keep_split(runs, protocol, path)
    assert runs.split_file(True) != runs.split_file(False)
    with pytest.raises(InputError, match="is another split than"):
        gather.keep_split(runs, "lesion split", path)
    with pytest.raises(InputError, match="lesion split or the image split alone"):
        gather.keep_split(runs, "official split of a.npz", path)


def test_scores_and_costs_are_those_of_the_classifier(tmp_path, pipeline):
    """Networks beside it took another time, and were trained on other images."""
    copy = pipeline.copy(tmp_path)
    runs = Runs(write_list(tmp_path / "kept"))
    for folder in ("control", "malignancy", "judge"):
        path = copy.models / folder / "options.json"
        if path.is_file():
            other = {"wall_seconds": 9e5, "peak_gib": 99.0, "synthetic_images": 0}
            path.write_text(json.dumps(json.loads(path.read_text()) | other))
    run = work_in(runs, "lesion_1", copy)
    run_one.KEEP["scores"](runs, run)
    row = records.read_json(runs.record(run), "", collect_classifier.ROW)
    made = records.read_json(copy.models / "cnn/options.json", "")
    assert row["seed"] == 1
    assert row["environment"] == made["environment"]
    assert row["recipe"]["synthetic_images"] == made["synthetic_images"] > 0
    assert row["recipe"]["epochs"] == made["options"]["epochs"]
    assert row["classifier"]["peak_gib"] == made["peak_gib"]
    assert row["classifier"]["minutes"] == pytest.approx(made["wall_seconds"] / 60, rel=0.5)
    folder = runs.record(run).with_suffix("")
    assert (folder / "predictions_control.csv.gz").is_file()
    assert (folder / "context.json").is_file()
    alone = work_in(runs, "alone", copy)
    run_one.KEEP["cost"](runs, alone)
    cost = records.read_json(runs.record(alone), "")
    assert cost["minutes"] == row["classifier"]["minutes"]
    assert (cost["peak_gib"], cost["model_sha256"]) == (made["peak_gib"], made["model_sha256"])


def test_the_minutes_of_a_training_are_its_epochs_where_it_was_interrupted(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,seconds\n1,60\n2,120\n")
    assert collect_classifier.training_minutes(tmp_path, {"wall_seconds": 100}) == 3
    assert collect_classifier.training_minutes(tmp_path, {"wall_seconds": 240}) == 4


def test_a_gans_record_names_each_commit_and_where_the_gan_was_trained(tmp_path, pipeline):
    copy = pipeline.copy(tmp_path)
    places = {
        "gan": "models/gan",
        "judge": "models/judge",
        "cas_real": "models/control",
        "cas_synthetic": "models/cnn",
        "evaluation": "outputs/evaluation",
    }
    for name, place in places.items():
        path = copy.models.parent / place / "options.json"
        found = json.loads(path.read_text())
        found["environment"] |= {"commit": name}
        path.write_text(json.dumps(found))
    runs = Runs(write_list(tmp_path / "kept"))
    runs.values["data"] = copy.flags[copy.flags.index("--data") + 1]
    run = work_in(runs, "gan_quality_0", copy)
    run_one.KEEP["gan"](runs, run)
    row = records.read_json(runs.record(run), "")
    assert row["commits"] == {name: name for name in places}
    assert row["environment"]["commit"] == "gan"
    # No generator was kept on the way, so there is no curve.
    assert row["curve"] == []
    quality = work_in(runs, "published", copy)
    run_one.KEEP["quality"](runs, quality)
    found = records.read_json(runs.record(quality), "")
    assert found["environment"]["commit"] == "evaluation"
    assert found["swd_ratio"] == row["swd_ratio"]


def test_a_recipe_on_file_is_every_choice_of_the_training():
    choices = set(classifier_flags.RECIPE) | {
        "learning_rate",
        "weight_decay",
        "width",
        "batch",
        "augment",
    }
    assert choices <= set(collect_classifier.RECIPE)


def test_the_records_that_are_there_are_gathered_and_the_rest_is_named(
    tmp_path, capsys, monkeypatch
):
    """From the committed records come the committed summaries again, but for what is drawn."""
    runs = Runs(write_list(tmp_path))
    collect_records.main([str(runs.path)])
    assert f"0 of {len(runs.kept())} runs are there; not gan_quality_0, " in capsys.readouterr().out
    assert not list(tmp_path.glob("*.json"))
    committed = {n: ROOT / "results" / n for n in ("gan.json", "classifier.json", "arms.json")}
    for name in ("gan", "classifier", "arms", "splits"):
        shutil.copytree(ROOT / "results" / name, tmp_path / name)
    known = {n: json.loads(path.read_text()) for n, path in committed.items()}
    asked = []

    def score(runs, split, rows, name="classifier"):
        asked.append((split, name, [r["seed"] for r in rows]))
        block = known["classifier.json"][split]
        return (block if name == "classifier" else block[name])["ensemble"]

    monkeypatch.setattr(collect_classifier, "score_ensemble", score)
    monkeypatch.setattr(collect_clinical, "DRAWS", 20)
    monkeypatch.setattr(collect_arms, "DRAWS", 20)
    marker = tmp_path / "collected.json"
    collect_records.main([str(runs.path), "--marker", str(marker)])
    found = {n: json.loads((tmp_path / n).read_text()) for n in committed}
    assert found["gan.json"] == known["gan.json"]
    assert (tmp_path / "gan_curve.csv").read_bytes() == (
        ROOT / "results/gan_curve.csv"
    ).read_bytes()
    for name in set(known["classifier.json"]) - {"lesion_split", "lesion_split_clinical"}:
        assert found["classifier.json"][name] == known["classifier.json"][name], name
    lesion, was = (f["classifier.json"]["lesion_split"] for f in (found, known))
    assert {k: v for k, v in lesion.items() if k != "price_of_leakage"} == {
        k: v for k, v in was.items() if k != "price_of_leakage"
    }
    assert ("lesion_split", "control", [0, 1, 2, 3, 4]) in asked
    told, was = (f["classifier.json"].get("lesion_split_clinical", {}) for f in (found, known))
    assert {k: v for k, v in told.items() if k.startswith("au")} == {
        k: v for k, v in was.items() if k.startswith("au")
    }
    for arm, row in known["arms.json"]["arms"].items():
        drawn = found["arms.json"]["arms"][arm]
        assert {k: v for k, v in drawn.items() if k != "less_classic"} == {
            k: v for k, v in row.items() if k != "less_classic"
        }
        for measure, gain in row.get("less_classic", {}).items():
            assert drawn["less_classic"][measure]["value"] == gain["value"]
    assert json.loads(marker.read_text())["left"] == [r.id for r in runs.left()]
    # Summaries of records that are gone are not taken for new ones.
    shutil.rmtree(tmp_path / "gan")
    capsys.readouterr()
    collect_records.main([str(runs.path)])
    assert "gan.json: stays as it was" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"seed": 1}', "\xff"])
@pytest.mark.parametrize(
    "name", ["gan/seed_1.json", "gan/baseline.json", "gan/speed.json", "gan/published.json"]
)
def test_a_damaged_record_of_a_gan_is_refused_in_one_line(tmp_path, name, text):
    check_damaged(tmp_path, "gan", name, text, collect_gan.collect)


@pytest.mark.parametrize("text", ["", "{}", '{"seed": 1}', "\xff"])
@pytest.mark.parametrize("name", ["classifier/lesion_split_1.json", "classifier/alone.json"])
def test_a_damaged_record_of_a_classifier_is_refused_in_one_line(tmp_path, name, text, monkeypatch):
    monkeypatch.setattr(collect_classifier, "score_ensemble", lambda *a: {"half_widths": {}})
    monkeypatch.setattr(collect_classifier, "price_leakage", lambda *a: None)
    monkeypatch.setattr(collect_classifier, "compare_clinical", lambda *a: None)
    check_damaged(tmp_path, "classifier", name, text, collect_classifier.collect)


def check_damaged(folder, room, name, text, collect):
    runs = Runs(write_list(folder))
    shutil.copytree(ROOT / "results" / room, folder / room)
    (folder / name).write_bytes(text.encode("latin-1"))
    words = "run benchmarks.gan_speed again" if "speed" in name else "remove it, and `make records`"
    with pytest.raises(InputError, match=name.replace(".", r"\.") + f".*{words}") as e:
        collect(runs)
    assert "\n" not in str(e.value)
    assert not (folder / f"{room}.json").exists()


def test_a_folder_of_another_name_is_no_seed(tmp_path):
    runs = Runs(write_list(tmp_path))
    for name in ("classifier/lesion_split_1.bak", "arms/plain_x", "arms/notes_1"):
        (tmp_path / name).mkdir(parents=True)
    assert not any(collect_arms.find_arms(runs).values())
    writing.write_text(tmp_path / "classifier/lesion_split_1.bak.json", "{}")
    assert gather.find_rows(tmp_path / "classifier", "lesion_split") == []


def test_committed_results_are_followed_by_their_pages(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(collect_records.publish_run, "main", asked.append)
    path = write_list(tmp_path)
    for committed in (False, True):
        monkeypatch.setattr(Runs, "is_committed", lambda self, c=committed: c)
        collect_records.main([str(path)])
    assert asked == [["--tables-only"]]
