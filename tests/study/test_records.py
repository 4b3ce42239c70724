"""study/records.yaml and what runs it: each run's commands, what it needs, and when it is done."""

import pytest
import yaml

import train_gan
from lesiongan import ROOT
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.run import classifier_flags
from study import (
    collect_arms,
    run_one,
)
from study.runs import KEEPERS, Run, Runs
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
    assert runs.needs(Run("gan_quality", 2)) == {
        Run("gan", 2): "gan",
        Run("judge", None): "judge",
        Run("real", 2): "control",
    }
    seed = ["--seed", "2"]
    assert steps(runs, "judge") == [["train_cnn.py", "--role", "judge", "--resume"]]
    assert steps(runs, "gan_2") == [["train_gan.py", "--snapshots", *seed, "--resume"]]
    few, many, network, evaluation = steps(runs, "gan_quality_2")
    assert few == ["train_gan.py", "--sample-only", "--samples", "1000", *seed]
    cas = runs.work / "gan_quality_2/outputs/cas"
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
    own = {"2": "0", str(cas): str(cas).replace("gan_quality_2", "dcgan_0")}
    own |= {f"{k}/hmnist_28_28_RGB.csv": f"{v}/hmnist_28_28_RGB.csv" for k, v in own.items()}
    assert rest == [[own.get(w, w) for w in c] for c in (few, many, network, evaluation)]
    assert runs.needs(Run("dcgan", 0)) == {Run("judge", None): "judge", Run("real", 0): "control"}


def test_the_clinical_network_differs_from_its_neighbour_by_its_inputs_alone(runs):
    alone, told, evaluation = steps(runs, "clinical_3")
    assert alone == ["train_cnn.py", "--synthetic", "none", "--seed", "3", "--resume"]
    assert told == [alone[0], "--clinical", *alone[1:]]
    assert evaluation == ["evaluate.py", "--predictions-only", "--seed", "3"]


def test_the_published_networks_are_read_where_they_lie(runs):
    draw, evaluation = runs.commands(runs.find("published"))
    # As many as are measured of every GAN.
    assert draw[draw.index("--samples") + 1] == "1000"
    for command in (draw, evaluation):
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


def test_every_record_lies_where_it_is_looked_for(runs):
    assert set(run_one.KEEP) == set(KEEPERS)
    names = dict.fromkeys(r.name for r in runs.kept())
    places = {n: str(runs.record(runs.of(n)[-1]).relative_to(runs.results)) for n in names}
    arms = {n: f"arms/{n}_4" for n in set(collect_arms.ARMS) & set(names)}
    assert len(arms) == 6
    assert places == arms | {
        "gan_quality": "gan/seed_2.json",
        "dcgan": "gan/baseline.json",
        "published": "gan/published.json",
        "image": "classifier/image_split_4.json",
        "leak": "classifier/leak_split_4.json",
        "lesion": "classifier/lesion_split_4.json",
        "clinical": "classifier/clinical_4",
        "alone": "classifier/alone.json",
    }
    # Every committed record is of a run that is listed.
    assert {r.id for r in runs.left()} <= {f"clinical_{seed}" for seed in range(5)}


def test_every_arm_is_called_what_its_flags_do(runs):
    flag = {
        "no augmentation": "--augment none",
        "class-balanced": "--sampler balanced",
        "1000 repeated": "--repeat-real 1000",
        "of weight 1,": "--synthetic-weight 1",
        "synthetic alone": "--real none",
    }
    for arm in set(collect_arms.ARMS) - {collect_arms.BASE, collect_arms.DEFAULT}:
        command, _ = steps(runs, f"{arm}_0")
        for words, given in flag.items():
            assert (words in collect_arms.ARMS[arm]) == (given in " ".join(command)), (arm, words)
        assert ("synthetic" in collect_arms.ARMS[arm]) == ("hmnist" in " ".join(command)), arm


def test_a_run_is_done_if_its_record_is_there(tmp_path):
    runs = Runs(write_list(tmp_path))
    assert [r.id for r in runs.left()] == [r.id for r in runs.kept() if r.id != "alone"]
    done = {"gan/seed_1.json", "arms/plain_2/context.json"}
    for name in done:
        writing.write_text(runs.results / name, "{}")
    writing.write_text(runs.results / "arms/plain_3/predictions.csv.gz", "")
    left = {r.id for r in runs.left()}
    assert {r.id for r in runs.kept()} - left == {"gan_quality_1", "plain_2", "alone"}
    # One that is measured with nothing beside it is no part of the whole.
    assert not runs.is_done(runs.find("alone"))
    assert "; not gan_quality_0, gan_quality_2, " in runs.progress()
    # The networks that a run needs may be of other flags or another table by now.
    marked = ("gan_quality_1", "plain_3", "gan_quality_2", "judge", "real_1", "real_2")
    for name in marked:
        writing.write_text(runs.mark(runs.find(name)), "{}")
    runs.drop_stale_marks()
    there = {name for name in marked if runs.mark(runs.find(name)).exists()}
    assert there == {"gan_quality_1", "real_1"}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"steps": "train_cnn.py"}, "steps"),
        ({"steps": [], "seed": [1]}, "unknown entry seed"),
        ({"steps": [], "keep": "gan"}, "both keep and record"),
        ({"steps": [], "keep": "all", "record": "a"}, "keep is none of cost, gan"),
        ({"steps": [], "keep": "gan", "record": "{seeds}"}, r"its record names \{seeds\}"),
        ({"steps": [], "keep": "gan", "record": "{seed.x}"}, r"its record names \{seed.x\}"),
        ({"steps": [], "keep": "gan", "record": "../a.json"}, "is not in"),
        ({"steps": [], "keep": "gan", "record": "/a.json"}, "is not in"),
        ({"steps": [], "seeds": [0, 1], "keep": "gan", "record": "a"}, "two runs leave the record"),
        ({"steps": [], "with": {"nobody": None}}, "has no run nobody"),
        ({"steps": [], "with": {"mine": None}}, "the run mine: needs itself"),
        ({"steps": [], "with": {"kept": None}}, "needs kept, which leaves a record"),
        ({"steps": [["train_cnn.py", "{nobody}/x"]]}, r"a step names \{nobody\}"),
        ({"steps": [["train_cnn.py", "{here.parent}"]]}, r"a step names \{here.parent\}"),
        ({"steps": [], "seeds": [0, "x"]}, "seeds"),
        ({"steps": [], "seeds": [0, 0]}, "mine_0 is there twice"),
        ({"steps": [], "seeds": [True]}, "seeds needs whole numbers"),
        ({"steps": [], "seeds": []}, "seeds needs whole numbers"),
        ({"steps": [{"only": [0]}]}, "a step needs"),
        ({"steps": [[]]}, "a step needs"),
        ({"steps": [["rm", "-r"]]}, "rm is no script of ours"),
        ({"steps": [["evaluate.py"]]}, "needs a `why`"),
        ({"steps": [["train_cnn.py"]], "why": "x"}, "needs a `why`"),
    ],
)
def test_a_list_that_is_wrong_is_refused_in_one_line(tmp_path, entry, words):
    kept = {"steps": [], "keep": "gan", "record": "kept.json"}
    path = write_list(tmp_path, runs={"kept": kept, "mine": entry})
    with pytest.raises(InputError, match=words) as e:
        Runs(path)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


def test_published_networks_draw_without_a_table_and_are_scored_with_one(tmp_path):
    runs = Runs(write_list(tmp_path, data="mine.csv", metadata="mine_metadata.csv"))
    drawn, scored = runs.commands(runs.find("published"))
    assert not {"--data", "--metadata"} & set(drawn)
    train_gan.parse_args(drawn[1:])
    assert scored[scored.index("--data") + 1] == "mine.csv"


def test_runs_that_need_each_other_are_refused(tmp_path):
    made = {"steps": [], "with": {"second": None}}
    again = {"steps": [], "with": {"first": None}}
    with pytest.raises(InputError, match="needs itself"):
        Runs(write_list(tmp_path, runs={"first": made, "second": again}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is no readable list of runs"),
        ("- 1", "runs.yaml"),
        ("", "runs.yaml"),
        ("data: null", "is missing"),
        ("data: null\ndata: x", "data is named twice"),
        ("{runs}  1: {{steps: []}}", "needs a name of letters"),
        ("{runs}  here: {{steps: []}}", "needs a name of letters"),
        ("{runs}  ../a: {{steps: []}}", "needs a name of letters"),
        ("{runs}  a: {{steps: &a [[x, *a]]}}", "a list holds itself|is no readable"),
        ("{runs}  a: {{steps: [], seeds: [0]}}\n  a_0: {{steps: []}}", "a_0 is there twice"),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_one_line(tmp_path, text, words):
    whole = yaml.safe_load(write_list(tmp_path).read_text()) | {"runs": {}}
    head = yaml.safe_dump(whole, sort_keys=False).replace("runs: {}\n", "") + "runs:\n"
    path = tmp_path / "runs.yaml"
    path.write_text(text.format(runs=head) if "{runs}" in text else text)
    with pytest.raises(InputError, match=words) as e:
        Runs(path)
    assert "\n" not in str(e.value)


def test_an_unknown_entry_is_refused(tmp_path):
    with pytest.raises(InputError, match="unknown entry extra"):
        Runs(write_list(tmp_path, extra=1))
