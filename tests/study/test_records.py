"""study/records.yaml and what runs it: each run's commands, what it needs, and when it is done."""

import json
import shutil

import pytest

from lesiongan import ROOT
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.run import classifier_flags
from study import collect_arms, collect_classifier, collect_records, gather, run_one
from study.runs import Run, Runs
from tests.study.conftest import write_list


@pytest.fixture
def runs():
    return Runs(ROOT / "study/records.yaml")


def steps(runs, run):
    """Return the commands of a run without the flags that all of them have."""
    out = []
    for command in runs.commands(runs.find(run)):
        assert command[command.index("--metadata") + 1] == "auto"
        assert {"--deterministic", "--if-stale"} <= set(command)
        folder = runs.folder(runs.find(run))
        assert command[command.index("--outputs-dir") + 1] == str(folder / "outputs")
        own = ["--outputs-dir", str(folder / "outputs"), "--metadata", "auto"]
        if "--weights" not in command:
            own += ["--models-dir", str(folder / "models")]
        ends = ["--deterministic", "--if-stale"]
        out.append([w for w in command if w not in [*own, *ends]])
    return out


def test_the_image_split_has_its_recipe_and_leakage_that_of_the_lesion_split(runs):
    flags = ["--split", "image", "--synthetic", "none"]
    recipe = ["--epochs", "90", "--learning-rate", "0.004"]
    end = ["--seed", "3", "--resume"]
    evaluation = ["evaluate.py", "--split", "image", "--seed", "3"]
    assert steps(runs, "image_3") == [["train_cnn.py", *recipe, *flags, *end], evaluation]
    assert steps(runs, "leak_3") == [["train_cnn.py", *flags, *end], evaluation]


def test_every_arm_is_trained_with_its_own_flags_on_its_own_seeds_images(runs):
    table = str(runs.work / "set_3/outputs/synthetic/hmnist_28_28_RGB.csv")
    own = {
        "plain": ["--synthetic", "none", "--augment", "none"],
        "balanced": ["--synthetic", "none", "--sampler", "balanced"],
        "repeated": ["--synthetic", "none", "--repeat-real", "1000"],
        "plain_synthetic": ["--augment", "none", "--synthetic", table],
        "full_weight": ["--synthetic-weight", "1", "--synthetic", table],
        "synthetic_only": ["--real", "none", "--synthetic", table],
    }
    for arm, flags in own.items():
        assert steps(runs, f"{arm}_3") == [
            ["train_cnn.py", *flags, "--seed", "3", "--resume"],
            ["evaluate.py", "--predictions-only", "--seed", "3"],
        ]
        needed = {run.id for run in runs.needs(Run(arm, 3))}
        assert needed == ({"set_3"} if table in flags else set())
        assert runs.record(Run(arm, 3)) == runs.results / "arms" / f"{arm}_3"
    # The other two are the control and the classifier of the run `lesion`.
    trained = {collect_arms.BASE, collect_arms.DEFAULT}
    assert set(collect_arms.ARMS) == trained | set(own)


def test_the_arms_of_the_main_result_draw_their_images_with_their_own_seed(runs):
    table = str(runs.work / "set_2/outputs/synthetic/hmnist_28_28_RGB.csv")
    seed = ["--seed", "2"]
    assert runs.needs(Run("set", 2)) == {Run("gan", 0): "gan"}
    assert steps(runs, "set_2") == [["train_gan.py", "--sample-only", "--no-png", *seed]]
    two = [
        ["train_cnn.py", "--role", "control", *seed, "--resume"],
        ["train_cnn.py", "--synthetic", table, *seed, "--resume"],
        ["evaluate.py", *seed],
    ]
    assert steps(runs, "lesion_2") == two
    # A paired interval tells a network of two classes from the sum, so one will do.
    (first, *rest) = steps(runs, "lesion_0")
    assert first[:3] == ["train_cnn.py", "--task", "malignancy"]
    assert [w.replace("set_0", "set_2").replace("0", "2") for c in rest for w in c] == [
        w.replace("0", "2") for c in two for w in c
    ]


def test_a_gan_is_measured_by_one_judge_and_by_networks_of_its_own_seed(runs):
    assert runs.needs(Run("gan", 2)) == {Run("judge", None): "judge", Run("real", 2): "control"}
    assert steps(runs, "judge") == [["train_cnn.py", "--role", "judge", "--resume"]]
    training, few, many, network, evaluation = steps(runs, "gan_2")
    seed = ["--seed", "2"]
    assert training == ["train_gan.py", "--snapshots", *seed, "--resume"]
    assert few == ["train_gan.py", "--sample-only", "--samples", "1000", *seed]
    cas = runs.work / "gan_2/outputs/cas"
    assert many == [*few[:2], "--samples", "20000", "--no-png", "--out", str(cas), *seed]
    assert evaluation == ["evaluate.py", *seed]
    # The two networks are alike but for what they learn from, and of the judge's recipe.
    (real,) = steps(runs, "real_2")
    source = ["--real", "none", "--synthetic", str(cas / "hmnist_28_28_RGB.csv")]
    assert real[:3] == ["train_cnn.py", "--role", "control"]
    assert network[:5] == ["train_cnn.py", *source]
    assert real[3:] == network[5:]
    wanted = classifier_flags.JUDGE_RECIPE | {"keep": "last", "epochs": 20}
    flags = [f"--{k.replace('_', '-')}" for k in wanted]
    assert dict(zip(real[3:-3:2], real[4:-3:2], strict=True)) == {
        flag: str(value) for flag, value in zip(flags, wanted.values(), strict=True)
    }
    # The textbook DCGAN is measured alike.
    baseline, *rest = steps(runs, "dcgan_0")
    assert baseline == ["benchmarks/gan_baseline.py", "--seed", "0", "--resume"]
    assert rest == [
        [w.replace("gan_2", "dcgan_0") if "/" in w else "0" if w == "2" else w for w in command]
        for command in (few, many, network, evaluation)
    ]


def test_the_clinical_network_differs_from_its_neighbour_by_its_inputs_alone(runs):
    alone, told, evaluation = steps(runs, "clinical_3")
    assert alone == ["train_cnn.py", "--synthetic", "none", "--seed", "3", "--resume"]
    assert told == [alone[0], "--clinical", *alone[1:]]
    assert evaluation == ["evaluate.py", "--predictions-only", "--seed", "3"]


def test_the_published_networks_are_read_where_they_lie(runs):
    for command in runs.commands(runs.find("published")):
        assert command[command.index("--weights") + 1] == "published"
        assert "--models-dir" not in command
        assert "--resume" not in command


def test_every_command_is_one_that_its_script_takes(runs):
    import evaluate
    import train_cnn
    import train_gan

    scripts = {s.__name__ + ".py": s for s in (evaluate, train_cnn, train_gan)}
    # The textbook DCGAN takes the flags of this GAN.
    scripts["benchmarks/gan_baseline.py"] = train_gan
    for run in runs.all.values():
        for script, *flags in runs.commands(run):
            assert scripts[script].parse_args(flags).if_stale, run


def test_every_run_that_reads_test_says_why_and_every_record_is_kept(runs):
    for run in runs.all.values():
        evaluates = any(c[0] == "evaluate.py" for c in runs.commands(run))
        assert evaluates == bool(runs.why(run)), run
        assert runs.record(run) is None or runs.listed[run.name]["keep"] in run_one.KEEP
    records_of = [runs.record(run) for run in runs.kept()]
    assert len(set(records_of)) == len(records_of)


def test_a_run_is_done_if_its_record_is_there(tmp_path):
    runs = Runs(write_list(tmp_path))
    assert [r.id for r in runs.left()] == [r.id for r in runs.kept()]
    done = {"gan/seed_1.json", "arms/plain_2/context.json"}
    for name in done:
        writing.write_text(runs.results / name, "{}")
    writing.write_text(runs.results / "arms/plain_3/predictions.csv.gz", "")
    left = {r.id for r in runs.left()}
    assert {r.id for r in runs.kept()} - left == {"gan_1", "plain_2"}
    for name in ("gan_1", "plain_3"):
        writing.write_text(runs.mark(runs.find(name)), "{}")
    runs.drop_stale_marks()
    assert runs.mark(runs.find("gan_1")).exists()
    assert not runs.mark(runs.find("plain_3")).exists()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"steps": "train_cnn.py"}, "steps"),
        ({"steps": [], "seed": [1]}, "unknown entry seed"),
        ({"steps": [], "keep": "gan"}, "both keep and record"),
        ({"steps": [], "with": {"nobody": None}}, "has no run nobody"),
        ({"steps": [["train_cnn.py", "{nobody}/x"]]}, "a step names 'nobody'"),
        ({"steps": [], "seeds": [0, "x"]}, "seeds"),
        ({"steps": [{"only": [0]}]}, "a step needs"),
        ({"steps": [[]]}, "a step needs"),
        ({"steps": [["rm", "-r"]]}, "is no script"),
        ({"steps": [], "keep": "x", "record": "y/{seeds}"}, "record"),
    ],
)
def test_a_list_that_is_wrong_is_refused_in_one_line(tmp_path, entry, words):
    path = write_list(tmp_path, runs={"mine": entry})
    with pytest.raises(InputError, match=words) as e:
        Runs(path)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


def test_no_list_at_all_is_refused_in_one_line(tmp_path):
    path = tmp_path / "runs.yaml"
    for text in ("a: [", "- 1", "", "data: null"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"runs\.yaml"):
            Runs(path)
    with pytest.raises(InputError, match="unknown entry extra"):
        Runs(write_list(tmp_path, extra=1))


def test_a_run_takes_models_of_others_and_keeps_its_record_last(tmp_path, monkeypatch):
    made = []
    runs = Runs(write_list(tmp_path))
    monkeypatch.setattr(run_one, "call", lambda command: made.append(command[0]))
    monkeypatch.setattr(run_one, "note_reading", lambda runs, run: made.append("noted"))
    kept = lambda runs, run: writing.write_text(runs.record(run), "{}")  # noqa: E731
    monkeypatch.setitem(run_one.KEEP, "gan", kept)
    for run, folder in (("judge", "judge"), ("real_1", "control")):
        writing.write_text(runs.models(runs.find(run)) / folder / "classifier.keras", run)
        writing.write_text(runs.models(runs.find(run)) / folder / ".lock", "")
    run = runs.find("gan_1")
    run_one.main([str(runs.path), "gan_1"])
    assert made == [*["train_gan.py"] * 3, "train_cnn.py", "evaluate.py", "noted"]
    taken = {p.relative_to(runs.models(run)).as_posix() for p in runs.models(run).rglob("*.*")}
    assert taken == {"judge/classifier.keras", "control/classifier.keras"}
    assert runs.is_done(run)
    assert runs.mark(run).is_file()
    # A record that is there is not made again.
    made.clear()
    run_one.main([str(runs.path), "gan_1"])
    assert made == []
    with pytest.raises(InputError, match="has no run gan_9"):
        run_one.main([str(runs.path), "gan_9"])


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

    def note(commit, rows=10015):
        data = {"name": "t.csv", "phantom": False, "rows": rows}
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
    monkeypatch.setattr(Runs, "is_committed", lambda self: False)
    note("d")
    assert log.read_text().count("gan_0: ") == 2


def test_the_predictions_that_are_kept_are_the_runs_own(tmp_path, pipeline):
    runs = Runs(write_list(tmp_path))
    run = runs.find("clinical_1")
    runs.work.mkdir()
    runs.folder(run).symlink_to(pipeline.models.parent)
    old = runs.record(run) / "predictions_of_a_network_that_is_gone.csv.gz"
    writing.write_text(old, "")
    gather.keep_predictions(runs, run)
    evaluation = pipeline.outputs / "evaluation"
    kept = {p.name for p in runs.record(run).iterdir()}
    named = {f"{p.name}.gz" for p in evaluation.glob("predictions*.csv")}
    assert kept == named | {"context.json", "made.json"}
    assert records.read_json(runs.record(run) / "context.json", "") == records.read_json(
        evaluation / "context.json", ""
    )
    made = records.read_json(pipeline.models / "cnn/options.json", "")
    assert records.read_json(runs.record(run) / "made.json", "") == {
        "minutes": made["wall_seconds"] / 60,
        "environment": made["environment"],
    }
    assert runs.split_file(of_images=False).is_file()
    assert not runs.split_file(of_images=True).is_file()


def test_a_recipe_on_file_is_every_choice_of_the_training():
    choices = set(classifier_flags.RECIPE) | {
        "learning_rate",
        "weight_decay",
        "width",
        "batch",
        "augment",
    }
    assert choices <= set(collect_classifier.RECIPE)


def test_the_records_that_are_there_are_gathered_and_the_rest_is_named(tmp_path, capsys):
    runs = Runs(write_list(tmp_path))
    collect_records.main([str(runs.path)])
    assert f"0 of {len(runs.kept())} runs are there; not gan_0, " in capsys.readouterr().out
    assert not list(tmp_path.glob("*.json"))
    shutil.copytree(ROOT / "results/gan", tmp_path / "gan")
    marker = tmp_path / "collected.json"
    collect_records.main([str(runs.path), "--marker", str(marker)])
    for name in ("gan.json", "gan_curve.csv"):
        assert (tmp_path / name).read_bytes() == (ROOT / "results" / name).read_bytes()
    left = json.loads(marker.read_text())["left"]
    assert left == [r.id for r in runs.kept() if r.name not in ("gan", "dcgan", "published")]
