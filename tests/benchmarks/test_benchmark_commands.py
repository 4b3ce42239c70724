"""benchmarks/: the commands that they would run have the right seed, split and images."""

import json

import pytest

from benchmarks.workplace import Workplace
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.run import classifier_flags
from tests.conftest import load_benchmark


def test_the_image_split_has_its_recipe_and_leakage_that_of_the_lesion_split(tmp_path, monkeypatch):
    bars, calls = load_benchmark("classifier_bars"), []
    place = Workplace("classifier", tmp_path)
    monkeypatch.setattr(place, "call", lambda *flags: calls.append([*map(str, flags)]))
    monkeypatch.setattr(
        place, "evaluate", lambda name, why, *flags: calls.append([name, *map(str, flags)])
    )
    monkeypatch.setattr(bars, "write_row", lambda place, *what: calls.append([*map(str, what)]))
    bars.measure_image(place, 3)
    bars.measure_leak(place, 3)
    (image, *image_rest), (leak, *leak_rest) = calls[:3], calls[3:]
    flags = ["--seed", "3", "--split", "image"]
    assert image == [
        "train_cnn.py",
        "image_3",
        "--epochs",
        "90",
        "--learning-rate",
        "0.004",
        *flags,
        *image[-3:],
    ]
    assert leak == ["train_cnn.py", "leak_3", *flags, *leak[-3:]]
    assert image[-3:] == leak[-3:] == ["--synthetic", "none", "--resume"]
    assert image_rest == [["image_3", *flags], ["image_split", "image_3", "3"]]
    assert leak_rest == [["leak_3", *flags], ["leak_split", "leak_3", "3"]]
    assert "--deterministic" in place.flags("leak_3")


def test_a_reading_of_test_is_noted_once(tmp_path, monkeypatch):
    from benchmarks import workplace

    monkeypatch.setattr(workplace, "ROOT", tmp_path)
    log = tmp_path / "results/TEST_LOG.md"
    log.parent.mkdir()
    log.write_text("")
    place = Workplace("gan")
    record = place.outputs("x") / "evaluation/options.json"
    record.parent.mkdir(parents=True)
    # These are the record's commits after each call; the second call had nothing to do.
    commits = iter(["a", "a", "b", "c"])
    rows = iter([10015, 10015, 10015, 600])

    def call(*_):
        data = {"name": "t.csv", "phantom": False, "rows": next(rows)}
        environment = {"commit": next(commits)}
        record.write_text(
            json.dumps({"date": "2026-01-02 03:04:05", "data": data, "environment": environment})
        )

    monkeypatch.setattr(place, "call", call)
    for lines in (1, 1, 2):
        place.evaluate("x", "why")
        assert log.read_text().count("x: why") == lines
    with pytest.raises(InputError, match=r"t\.csv: is not HAM10000"):
        place.evaluate("x", "why")
    assert log.read_text().count("x: why") == 2


def test_the_arms_of_a_seed_learn_from_that_seeds_synthetic_images(tmp_path):
    place = Workplace("arms", tmp_path)
    for seed in (0, 3):
        path = place.outputs(f"lesion_{seed}") / "synthetic/hmnist_28_28_RGB.csv"
        writing.write_text(path, str(seed))
        assert place.synthetic(seed) == path
    with pytest.raises(InputError, match="lesion 1"):
        place.synthetic(1)


class Calls:
    """A Workplace that notes the commands it is asked for instead of running them."""

    def __init__(self, folder):
        self.place, self.made = Workplace("x", folder), []
        self.place.call = lambda script, name, *flags: self.made.append(
            [script, name, *map(str, flags)]
        )
        self.place.evaluate = lambda name, why, *flags: self.made.append(
            ["evaluate.py", name, *map(str, flags)]
        )


def test_every_arm_is_trained_with_its_own_flags_on_its_own_seeds_images(tmp_path, monkeypatch):
    arms = load_benchmark("arms")
    calls = Calls(tmp_path)
    synthetic = calls.place.outputs("lesion_3") / "synthetic/hmnist_28_28_RGB.csv"
    writing.write_text(synthetic, "")
    monkeypatch.setattr(writing, "write_text", lambda *a: None)
    monkeypatch.setattr(type(tmp_path), "read_text", lambda self: "")
    packed = []
    monkeypatch.setattr(arms, "pack", lambda source, target: packed.append((source, target)))
    own = {
        "plain": ["--synthetic", "none", "--augment", "none"],
        "balanced": ["--synthetic", "none", "--sampler", "balanced"],
        "repeated": ["--synthetic", "none", "--repeat-real", "1000"],
        "plain_synthetic": ["--augment", "none", "--synthetic", str(synthetic)],
        "full_weight": ["--synthetic-weight", "1", "--synthetic", str(synthetic)],
        "synthetic_only": ["--real", "none", "--synthetic", str(synthetic)],
    }
    for arm, flags in own.items():
        calls.made.clear()
        arms.measure_arm(calls.place, arm, 3)
        assert calls.made == [
            ["train_cnn.py", f"arm_{arm}_3", "--seed", "3", *flags, "--resume"],
            ["evaluate.py", f"arm_{arm}_3", "--seed", "3"],
        ]
        outputs = calls.place.outputs(f"arm_{arm}_3")
        assert packed[-2:] == [
            (
                outputs / "evaluation/predictions.csv",
                calls.place.results / f"{arm}_3/predictions.csv.gz",
            ),
            (outputs / "split.csv", calls.place.results / "splits/lesion_split.csv.gz"),
        ]
    assert {a for a, (_, flags) in arms.ARMS.items() if flags is None} == {
        "classic",
        "classic_synthetic",
    }
    with pytest.raises(InputError, match="which trains it"):
        arms.measure_arm(calls.place, "classic", 3)


def test_a_gan_is_measured_by_one_judge_and_by_networks_of_its_own_seed(
    bars, tmp_path, monkeypatch
):
    calls = Calls(tmp_path)
    monkeypatch.setattr(
        bars.shutil,
        "copytree",
        lambda source, target, **k: calls.made.append([str(source), str(target)]),
    )
    monkeypatch.setattr(bars, "read_row", lambda models, outputs: (models, outputs))
    place = calls.place
    assert bars.evaluate_gan(place, "seed_2", 2) == (
        place.models("seed_2"),
        place.outputs("seed_2"),
    )
    by_script = [c for c in calls.made if c[0].endswith(".py")]
    judge, real, few, many, synthetic, evaluation = by_script
    assert judge == ["train_cnn.py", "judge", "--role", "judge", "--resume"]
    assert real[:6] == ["train_cnn.py", "real_2", "--seed", "2", "--role", "control"]
    assert few == ["train_gan.py", "seed_2", "--seed", "2", "--sample-only", "--samples", "1000"]
    table = place.outputs("seed_2") / "cas"
    assert many == [*few[:-1], "20000", "--no-png", "--out", str(table)]
    path = str(table / "hmnist_28_28_RGB.csv")
    assert synthetic[:8] == [
        "train_cnn.py",
        "seed_2",
        "--seed",
        "2",
        "--real",
        "none",
        "--synthetic",
        path,
    ]
    # The two networks are alike but for what they learn from.
    for network in (real, synthetic):
        assert {
            "--sampler=balanced",
            "--synthetic-weight=1.0",
            "--optimizer=adamw",
            "--stem=1",
        } <= set(network)
        assert network[network.index("--keep") : network.index("--keep") + 2] == ["--keep", "last"]
        assert network[-2:] == ["--epochs", "20"]
    assert evaluation == ["evaluate.py", "seed_2", "--seed", "2"]
    copied = [c for c in calls.made if not c[0].endswith(".py")]
    folders = [(place.models("judge"), "judge"), (place.models("real_2"), "control")]
    assert copied == [
        [str(source / role), str(place.models("seed_2") / role)] for source, role in folders
    ]


def test_the_arms_of_the_main_result_draw_their_images_with_their_own_seed(tmp_path, monkeypatch):
    classifier = load_benchmark("classifier_bars")
    calls, place = Calls(tmp_path), None
    place = calls.place
    monkeypatch.setattr(
        classifier, "write_row", lambda place, *what: calls.made.append([*map(str, what)])
    )
    with pytest.raises(InputError, match="no GAN"):
        classifier.measure_lesion(place, 2)
    writing.write_text(place.models("seed_0") / "gan/generator.keras", "")
    classifier.measure_lesion(place, 2)
    assert (place.models("lesion_2") / "gan/generator.keras").is_file()
    seed = ["lesion_2", "--seed", "2"]
    assert calls.made == [
        ["train_gan.py", *seed, "--sample-only", "--no-png"],
        ["train_cnn.py", *seed, "--role", "control", "--resume"],
        ["train_cnn.py", *seed, "--resume"],
        ["evaluate.py", *seed],
        ["lesion_split", "lesion_2", "2"],
    ]


def test_every_gan_is_trained_with_its_own_seed(bars, tmp_path, monkeypatch):
    calls = Calls(tmp_path)
    for name in ("evaluate_gan", "score_snapshots"):
        monkeypatch.setattr(
            bars, name, lambda *a, name=name: {"made": name} if name == "evaluate_gan" else [a[1]]
        )
    bars.measure(calls.place, "seed", 3)
    bars.measure(calls.place, "baseline", 3)
    assert calls.made == [
        ["train_gan.py", "seed_3", "--seed", "3", "--snapshots", "--resume"],
        ["benchmarks/gan_baseline.py", "baseline", "--resume"],
    ]
    assert records.read_json(calls.place.results / "seed_3.json", "") == {
        "made": "evaluate_gan",
        "curve": ["seed_3"],
    }


def test_a_recipe_on_file_is_every_choice_of_the_training():

    classifier = load_benchmark("classifier_bars")
    choices = set(classifier_flags.RECIPE) | {
        "learning_rate",
        "weight_decay",
        "width",
        "batch",
        "augment",
    }
    assert choices <= set(classifier.RECIPE)


def test_the_clinical_network_differs_from_its_neighbour_by_its_inputs_alone(tmp_path, monkeypatch):
    from benchmarks import clinical_bars

    calls = Calls(tmp_path)
    place, name = calls.place, "clinical_3"
    evaluation = place.outputs(name) / "evaluation"
    for file in clinical_bars.FILES.values():
        writing.write_text(evaluation / file, f"of {file}")
    writing.write_text(evaluation / "context.json", "{}")
    writing.write_text(place.outputs(name) / "split.csv", "row,lesion,part\n")
    made = {"wall_seconds": 120, "environment": {"commit": "a"}}
    writing.write_json(place.models(name) / "clinical/options.json", made)
    clinical_bars.measure_clinical(place, 3)
    alone = ["train_cnn.py", name, "--seed", "3", "--synthetic", "none", "--resume"]
    assert calls.made == [
        alone,
        [*alone[:4], "--clinical", *alone[4:]],
        ["evaluate.py", name, "--seed", "3", "--predictions-only"],
    ]
    packed = {p.name for p in (place.results / name).glob("*.gz")}
    assert packed == {f"{file}.gz" for file in clinical_bars.FILES.values()}
    row = records.read_json(place.results / f"{name}.json", "")
    assert row == {"seed": 3, "minutes": 2.0, "environment": {"commit": "a"}}
