"""benchmarks/: that the figures they gather are those of the scripts' files, against NumPy and
scikit-learn. (What they cost is measured by hand.)
"""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import load_benchmark
from sklearn.metrics import balanced_accuracy_score
from workplace import Workplace

import artifacts
import machine
import saved_models
from ham10000 import CLASSES, InputError


@pytest.fixture(scope="module")
def bars():
    return load_benchmark("gan_bars")


def test_a_row_is_what_the_files_say(bars, pipeline):
    row = bars.read_row(pipeline.models, pipeline.outputs)
    quality = json.loads((pipeline.outputs / "evaluation/synthetic_quality.json").read_text())
    d = quality["distances"]
    assert row["frechet_ratio"] == d["frechet_ratio"]["value"]
    assert row["frechet"] / row["frechet_floor"] == pytest.approx(row["frechet_ratio"], rel=0.2)  # ratio of means, of draws
    assert list(row["label_agreement"]) == list(row["diversity_ratio"]) == list(CLASSES)
    ends = []
    for folder, name in (("cnn", "predictions"), ("control", "predictions_control")):
        options = json.loads((pipeline.models / folder / "options.json").read_text())
        found = pd.read_csv(pipeline.outputs / f"evaluation/{name}.csv")
        odds = found[[f"p_{c}" for c in CLASSES]] ** options["temperature"] / options["operating_points"]["train_prior"]
        ends.append(balanced_accuracy_score(found["label"], odds.to_numpy().argmax(axis=1)))
    assert [row["cas_synthetic"], row["cas_real"], row["cas"]] == pytest.approx([*ends, ends[0] / ends[1]])
    assert set(row["commits"]) == {"gan", "judge", "cas_real", "cas_synthetic", "evaluation"}
    history = np.genfromtxt(pipeline.models / "gan/history.csv", delimiter=",", names=True)
    assert row["training_minutes"] == pytest.approx(history["seconds"].sum() / 60, abs=0.01)


def test_collect_takes_means_over_seeds_of_one_judge(bars, pipeline, tmp_path, capsys):
    row = bars.read_row(pipeline.models, pipeline.outputs)
    place = Workplace("gan", tmp_path)
    with pytest.raises(InputError, match=r"seed_\*\.json"):
        bars.collect(place)
    place.results.mkdir()

    def write(name, **changes):
        curve = [{"epoch": e, "minutes": e / 2, "frechet_ratio": 9 - e} for e in (1, 2)]
        (place.results / f"{name}.json").write_text(json.dumps(row | {"curve": curve} | changes))

    for seed, ratio in enumerate((2.0, 3.0, 7.0)):
        write(f"seed_{seed}", seed=seed, frechet_ratio=ratio, memorisation_by_class=dict.fromkeys(CLASSES, ratio / 100),
              diversity_ratio=dict.fromkeys(CLASSES, ratio / 10))  # fmt: skip
    write("baseline", frechet_ratio=40.0, judge_sha256="of another machine", frechet_floor=0.25)
    bars.collect(place)
    found = json.loads((tmp_path / "gan.json").read_text())
    assert found["seeds"] == [0, 1, 2]
    assert found["frechet_ratio"] == pytest.approx(4)
    assert found["frechet_ratio_std"] == pytest.approx(np.std([2, 3, 7], ddof=1))
    assert found["memorisation_by_class"]["df"] == pytest.approx(0.04)
    assert (found["diversity_ratio_min"]["df"], found["diversity_ratio_max"]["df"]) == (0.2, 0.7)
    assert found["frechet_ratio_dcgan"] == 40
    curve = (tmp_path / "gan_curve.csv").read_text().splitlines()
    assert curve[0] == "gan,seed,epoch,minutes,frechet_ratio"
    assert len(curve) == 1 + 4 * 2
    assert (tmp_path / "gan_curve.png").stat().st_size > 1000
    (place.results / "speed.json").write_text(json.dumps({
        "minutes_200_epochs": 50, "minutes_200_epochs_dcgan": 100, "train_images_per_second": 8.0,
        "train_images_per_second_dcgan": 4.0, "sample_images_per_second": 9.0, "environment": {}}))  # fmt: skip
    bars.collect(place)
    timed = pd.read_csv(tmp_path / "gan_curve.csv").groupby("gan")["minutes"].unique()
    assert timed["ours"].tolist() == [0.25, 0.5]
    assert timed["dcgan"].tolist() == [0.5, 1.0]
    pages = load_benchmark("pages")
    pages.RUN = tmp_path / "run"
    section = pages.build_gan_section()
    assert "| Fréchet distance over the floor (1 = real images) | 4.00 ± 2.65 | 40.00 |" in section
    assert "0.04 (akiec)" in section
    assert "its own floor: 0.250 for the DCGAN" in section
    assert "Other trainings" not in section
    artifacts.write_json(pages.RUN / "synthetic_quality.json", {"judge_sha256": "of another run"})
    assert "Other trainings than the GAN of the run above" in pages.build_gan_section()
    write("seed_2", judge_sha256="another", diversity_ratio=dict.fromkeys(CLASSES, 0.5))
    with pytest.raises(InputError, match="same judge"):
        bars.collect(place)


def test_the_image_split_has_its_recipe_and_leakage_that_of_the_lesion_split(tmp_path, monkeypatch):
    bars, calls = load_benchmark("classifier_bars"), []
    place = Workplace("classifier", tmp_path)
    monkeypatch.setattr(place, "call", lambda *flags: calls.append([*map(str, flags)]))
    monkeypatch.setattr(place, "evaluate", lambda name, why, *flags: calls.append([name, *map(str, flags)]))
    monkeypatch.setattr(bars, "write_row", lambda place, *what: calls.append([*map(str, what)]))
    bars.measure_image(place, 3)
    bars.measure_leak(place, 3)
    (image, *image_rest), (leak, *leak_rest) = calls[:3], calls[3:]
    flags = ["--seed", "3", "--split", "image"]
    assert image == ["train_cnn.py", "image_3", "--epochs", "90", "--learning-rate", "0.004", *flags, *image[-3:]]
    assert leak == ["train_cnn.py", "leak_3", *flags, *leak[-3:]]
    assert image[-3:] == leak[-3:] == ["--synthetic", "none", "--resume"]
    assert image_rest == [["image_3", *flags], ["image_split", "image_3", "3"]]
    assert leak_rest == [["leak_3", *flags], ["leak_split", "leak_3", "3"]]
    assert "--deterministic" in place.flags("leak_3")


def test_rows_of_a_classifier_and_of_an_average_are_those_of_their_files(pipeline, tmp_path, capsys):
    classifier = load_benchmark("classifier_bars")
    row = classifier.read_rows(pipeline.models, pipeline.outputs)
    found = json.loads((pipeline.outputs / "evaluation/metrics.json").read_text())
    assert row["classifier"]["acc"] == found["models"]["classifier"]["argmax"]["accuracy"]["value"]
    assert row["control"]["balanced_accuracy"] == found["models"]["control"]["balanced"]["balanced_accuracy"]["value"]
    assert row["classifier_minus_control"]["acc"] == pytest.approx(row["classifier"]["acc"] - row["control"]["acc"])
    place = Workplace("classifier", tmp_path)
    place.results.mkdir()

    def write(split, seed, epochs=2, keep="last", **more):
        recipe = {"epochs": epochs, "learning_rate": 0.006, "keep": keep, "synthetic_images": 70, "synthetic_weight": 0.25}
        whole = {"seed": seed, "recipe": recipe, "environment": machine.environment(), **row, **more}
        (place.results / f"{split}_{seed}.json").write_text(json.dumps(whole))
        (place.results / f"{split}_{seed}").mkdir(exist_ok=True)
        evaluation = pipeline.outputs / "evaluation"
        for path in [*evaluation.glob("predictions*.csv"), evaluation / "context.json"]:
            (place.results / f"{split}_{seed}" / path.name).write_bytes(path.read_bytes())
        if split == "image_split":  # other predictions than those of the leak, or the one could stand for the other
            control = (evaluation / "predictions_control.csv").read_bytes()
            (place.results / f"{split}_{seed}/predictions.csv").write_bytes(control)
        (place.results / f"{split}_split.csv").write_text((pipeline.outputs / "split.csv").read_text())

    for seed in (0, 1):
        write("image_split", seed, epochs=5)
        write("leak_split", seed)
        write("lesion_split", seed, malignancy=row["classifier"], sum_minus_binary={"value": 0.1, "low": -0.1, "high": 0.2})
    classifier.collect(place)
    out = json.loads((tmp_path / "classifier.json").read_text())
    assert out["lesion_split"]["acc"] == row["classifier"]["acc"]
    assert out["lesion_split"]["acc_std"] == 0
    # an ensemble of equals decides as each of them
    assert out["leak_split"]["ensemble"]["acc"] == row["classifier"]["acc"]
    assert out["leak_split"]["ensemble"]["auc"] == pytest.approx(row["classifier"]["auc"])
    assert out["image_split"]["ensemble"]["auc"] == pytest.approx(row["control"]["auc"])
    assert row["classifier"]["auc"] != pytest.approx(row["control"]["auc"])
    for name in ("acc", "auc", "balanced_accuracy"):  # the control's average is of the controls
        assert out["lesion_split"]["control"]["ensemble"][name] == pytest.approx(row["control"][name])
    gain = out["lesion_split"]["classifier_minus_control"]
    assert ("acc" in gain["better_in_every_seed"]) == (row["classifier_minus_control"]["acc"] > 0)
    assert ("acc" in gain["worse_in_every_seed"]) == (row["classifier_minus_control"]["acc"] < 0)
    price = out["lesion_split"]["price_of_leakage"]
    ends = [found["models"][name]["argmax"]["accuracy"] for name in ("classifier", "control")]
    assert price["acc_half_width"] == pytest.approx(np.hypot(*((e["high"] - e["low"]) / 2 for e in ends)))
    ends = [found["models"][name]["auc"] for name in ("classifier", "control")]
    assert price["auc_half_width"] == pytest.approx(np.hypot(*((e["high"] - e["low"]) / 2 for e in ends)))
    for name in ("acc", "auc"):
        assert price[name] == pytest.approx(row["classifier"][name] - row["control"][name])
    assert price["seeds"] == [0, 1]
    assert out["minutes"] == row["classifier"]["minutes"]
    assert 0.2 < out["peak_gib"] < 8
    pages = load_benchmark("pages")
    pages.RUN = tmp_path / "run"
    section = pages.build_classifier_section()
    acc = ["{:.3f} ± 0.000".format(row[arm]["acc"]) for arm in ("classifier", "control", "classifier")]
    assert "| accuracy | " + " | ".join(acc) + " |" in section
    assert "with KERAS_BACKEND=tensorflow at " in section
    assert pages.beside_leak(out).startswith("5 epochs, learning rate 0.006: see Limits; by the lesion split's recipe")
    gpu = {"accelerators": ["NVIDIA H200", "NVIDIA H200"], "backend": "jax", "commit": "4fa3fd6e0b64-dirty"}
    assert pages.cores(gpu) == "2 NVIDIA H200 (jax)"
    assert pages.name_commit(gpu) == "`4fa3fd6-dirty`"
    assert "The price of leakage" in section
    assert "70 synthetic images of weight 0.25, drawn anew" in section
    assert "less binary +0.100 (-0.100 to +0.200): no difference shown" in section
    better = section.split("seeds with both: ")[1].split("; worse")[0].replace("accuracy, balanced point", "")
    assert ("accuracy, " in better) == ("acc" in gain["better_in_every_seed"])
    write("lesion_split", 2)  # an average of three beside one of two would be no fair price
    classifier.collect(place)
    assert json.loads((tmp_path / "classifier.json").read_text())["lesion_split"]["price_of_leakage"]["seeds"] == [0, 1]
    assert "probabilities (2, 3, 3 of them)" in pages.build_classifier_section()
    other = machine.environment() | {"accelerators": ["another GPU"]}
    for seed in (0, 1):
        write("leak_split", seed, environment=other)
    capsys.readouterr()
    classifier.collect(place)  # on another accelerator: the difference would not be of leakage alone
    assert "no price of leakage" in capsys.readouterr().err
    for seed in (0, 1):
        write("leak_split", seed)
    write("leak_split", 0, keep="best")
    with pytest.raises(InputError, match="one recipe"):
        classifier.collect(place)
    write("leak_split", 1, keep="best")
    capsys.readouterr()
    classifier.collect(place)  # no split mixes recipes now, but the two splits are not comparable
    assert "no price of leakage" in capsys.readouterr().err
    assert "price_of_leakage" not in json.loads((tmp_path / "classifier.json").read_text())["lesion_split"]
    assert "The price of leakage" not in pages.build_classifier_section()
    for seed in (0, 1):
        (place.results / f"leak_split_{seed}.json").unlink()
    classifier.collect(place)
    out = json.loads((tmp_path / "classifier.json").read_text())
    assert "leak_split" not in out
    assert "price_of_leakage" not in out["lesion_split"]


def test_a_reading_of_test_is_noted_once(tmp_path, monkeypatch):
    import workplace

    monkeypatch.setattr(workplace, "ROOT", tmp_path)
    log = tmp_path / "results/TEST_LOG.md"
    log.parent.mkdir()
    log.write_text("")
    place = Workplace("gan")
    record = place.outputs("x") / "evaluation/options.json"
    record.parent.mkdir(parents=True)
    commits = iter(["a", "a", "b", "c"])  # of the record after each call: the second had nothing to do
    rows = iter([10015, 10015, 10015, 600])

    def call(*_):
        data = {"name": "t.csv", "phantom": False, "rows": next(rows)}
        environment = {"commit": next(commits)}
        record.write_text(json.dumps({"date": "2026-01-02 03:04:05", "data": data, "environment": environment}))

    monkeypatch.setattr(place, "call", call)
    for lines in (1, 1, 2):
        place.evaluate("x", "why")
        assert log.read_text().count("x: why") == lines
    with pytest.raises(InputError, match=r"t\.csv: is not HAM10000"):
        place.evaluate("x", "why")
    assert log.read_text().count("x: why") == 2


def test_the_baseline_resumes_where_it_stopped(scratch, monkeypatch):
    import artifacts

    baseline, real = load_benchmark("gan_baseline"), artifacts.save_state

    def stop(*a, **k):
        real(*a, **k)
        raise KeyboardInterrupt

    def weights():
        return saved_models.load_generator(scratch.models / "gan/generator.keras").get_weights()

    flags = [*scratch.flags, "--epochs", "2"]
    baseline.main(flags)
    whole = weights()
    (scratch.models / "gan/options.json").unlink()
    monkeypatch.setattr(artifacts, "save_state", stop)
    with pytest.raises(KeyboardInterrupt):
        baseline.main(flags)
    monkeypatch.setattr(artifacts, "save_state", real)
    baseline.main([*flags, "--resume"])
    # Not to the last bit: oneDNN's order of addition in this graph varies from step to step, even within one process, and
    # Adam makes a whole step of a gradient that is all rounding. A forgotten slot or another order of the images moves
    # most weights by about a step, 2e-4.
    for a, b in zip(whole, weights(), strict=True):
        assert np.mean(np.abs(a - b)) < 1e-7


def test_a_measure_is_better_in_every_seed_only_if_it_is_so_in_all(tmp_path, monkeypatch):
    bars = load_benchmark("classifier_bars")
    monkeypatch.setattr(bars, "score_ensemble", lambda *a: {})
    place = Workplace("classifier", tmp_path)
    place.results.mkdir()
    for seed, (acc, auc, recall) in enumerate(((0.1, 0.1, -0.1), (-0.1, 0.2, -0.2))):
        model = {"acc": 0.5, "peak_gib": 1.0}
        row = {"seed": seed, "recipe": {}, "environment": {}, "protocol": "p", "classifier": model, "control": model,
               "classifier_minus_control": {"acc": acc, "auc": auc, "balanced_accuracy": recall}}  # fmt: skip
        (place.results / f"lesion_split_{seed}.json").write_text(json.dumps(row))
    found = bars.collect_split(place, "lesion_split")["classifier_minus_control"]
    assert found["better_in_every_seed"] == ["auc"]
    assert found["worse_in_every_seed"] == ["balanced_accuracy"]


def test_an_average_of_networks_is_decided_at_the_average_of_their_own_points(pipeline, tmp_path, capsys):
    bars = load_benchmark("classifier_bars")
    place = Workplace("classifier", tmp_path)
    evaluation = pipeline.outputs / "evaluation"
    context = json.loads((evaluation / "context.json").read_text())
    shifts = {0: {"classifier": 3.0, "control": -1.0}, 1: {"classifier": 3.0, "control": -2.0}}
    tables = {}
    for seed, source in ((0, "predictions.csv"), (1, "predictions_control.csv")):
        folder = artifacts.ensure_folder(place.results / f"lesion_split_{seed}")
        for name in ("predictions.csv", "predictions_control.csv"):
            (folder / name).write_bytes((evaluation / source).read_bytes())
        tables[seed] = pd.read_csv(evaluation / source)
        points = {m: context["points"][m] | {"balanced_shift": np.linspace(-s, s, 7).tolist()} for m, s in
                  shifts[seed].items()}  # fmt: skip
        (folder / "context.json").write_text(json.dumps(context | {"points": points}))
    (place.results / "lesion_split_split.csv").write_bytes((pipeline.outputs / "split.csv").read_bytes())
    p = np.mean([t.filter(like="p_").to_numpy() for t in tables.values()], axis=0)
    y = tables[0].label
    for name, shift in (("classifier", 3.0), ("control", -1.5)):
        rows = [{"seed": seed, "protocol": "p"} for seed in (0, 1)]
        found = bars.score_ensemble(place, "lesion_split", rows, name)
        decided = (np.log(p) + np.linspace(-shift, shift, 7)).argmax(axis=1)
        assert found["acc"] == pytest.approx((p.argmax(axis=1) == y).mean())
        assert found["balanced_accuracy"] == pytest.approx(
            np.mean([(decided[y == c] == c).mean() for c in np.unique(y)])), name  # fmt: skip


def test_the_curve_over_training_time_is_measured_against_val_by_the_halves_judge(bars, pipeline, monkeypatch):
    """The judge measures half B against val; test is read once a run, and not for the curve."""
    import oracles

    import synthetic_quality

    place = Workplace("gan", pipeline.models.parent)
    monkeypatch.setattr(place, "models", lambda name: pipeline.models)
    monkeypatch.setattr(place, "flags", lambda name: pipeline.flags)
    snapshots = artifacts.ensure_folder(pipeline.models / "gan/snapshots")
    (snapshots / "epoch_0002.keras").write_bytes((pipeline.models / "gan/generator.keras").read_bytes())
    given = []

    def measure(run, synthetic, judge, generator, fake, held_out, by_class):
        given.append((judge, held_out))
        return 1, {"frechet_ratio": {"value": 3.0}}, {}

    monkeypatch.setattr(synthetic_quality, "measure_distances", measure)
    (row,) = bars.score_snapshots(place, "seed_0")
    (snapshots / "epoch_0002.keras").unlink()
    parts = oracles.Parts(pipeline)
    ((judge, held_out),) = given
    np.testing.assert_allclose(held_out, judge.features(parts.of("val")[0]))
    assert judge.held_out == "val"
    np.testing.assert_array_equal(np.flatnonzero(judge.floor), parts.halves()[1])
    seconds = pd.read_csv(pipeline.models / "gan/history.csv").seconds
    assert row == {"epoch": 2, "minutes": pytest.approx(seconds.sum() / 60), "frechet_ratio": 3.0}


def test_the_error_of_the_judges_recall_is_not_divided_by_the_seeds(bars):
    """Synthetic images are drawn anew for each seed, judge and test images are not."""
    rows = [{"real_recall_se": {"mel": 0.03, "df": None}, "agreement_se": {"mel": 0.05}}] * 4
    means = {"label_agreement": {"mel": 0.7}, "real_recall": {"mel": 0.6}}
    found = bars.compare_agreement(rows, means)
    assert found["agreement_se"]["mel"] == pytest.approx(np.sqrt(0.03**2 + (0.05**2 - 0.03**2) / 4))
    assert (found["over_typical"], found["under_recall"]) == (["mel"], [])
    means["label_agreement"]["mel"] = 0.5
    assert bars.compare_agreement(rows, means)["under_recall"] == ["mel"]
    means["label_agreement"]["mel"] = 0.6 + 1.9 * found["agreement_se"]["mel"]
    assert bars.compare_agreement(rows, means)["over_typical"] == []


def test_the_curves_of_two_gans_stand_under_their_own_names(bars, tmp_path, monkeypatch):
    import figures

    saved = []
    monkeypatch.setattr(figures, "save", lambda fig, folder, name: saved.append(fig))
    bars.draw_curve([("ours", 0, 1, 2.0, 9.0), ("ours", 0, 2, 4.0, 5.0), ("dcgan", 0, 1, 7.0, 80.0)], tmp_path)
    lines = {line.get_label(): [list(map(float, d)) for d in line.get_data()] for line in saved[0].axes[0].lines}
    figures.plt.close("all")
    assert lines["this GAN, seed 0"] == [[2, 4], [9, 5]]
    assert lines["textbook DCGAN, seed 0"] == [[7], [80]]


def test_the_arms_of_a_seed_learn_from_that_seeds_synthetic_images(tmp_path):
    place = Workplace("arms", tmp_path)
    for seed in (0, 3):
        path = place.outputs(f"lesion_{seed}") / "synthetic/hmnist_28_28_RGB.csv"
        artifacts.write_text(path, str(seed))
        assert place.synthetic(seed) == path
    with pytest.raises(InputError, match="lesion 1"):
        place.synthetic(1)


class Calls:
    """A Workplace that notes the commands it is asked for instead of running them."""

    def __init__(self, folder):
        self.place, self.made = Workplace("x", folder), []
        self.place.call = lambda script, name, *flags: self.made.append([script, name, *map(str, flags)])
        self.place.evaluate = lambda name, why, *flags: self.made.append(["evaluate.py", name, *map(str, flags)])


def test_every_arm_is_trained_with_its_own_flags_on_its_own_seeds_images(tmp_path, monkeypatch):
    arms = load_benchmark("arms")
    calls = Calls(tmp_path)
    synthetic = calls.place.outputs("lesion_3") / "synthetic/hmnist_28_28_RGB.csv"
    artifacts.write_text(synthetic, "")
    monkeypatch.setattr(artifacts, "write_text", lambda *a: None)
    monkeypatch.setattr(type(tmp_path), "read_text", lambda self: "")
    own = {"plain": ["--synthetic", "none", "--augment", "none"],
           "balanced": ["--synthetic", "none", "--sampler", "balanced"],
           "repeated": ["--synthetic", "none", "--repeat-real", "1000"],
           "plain_synthetic": ["--augment", "none", "--synthetic", str(synthetic)],
           "full_weight": ["--synthetic-weight", "1", "--synthetic", str(synthetic)],
           "synthetic_only": ["--real", "none", "--synthetic", str(synthetic)]}  # fmt: skip
    for arm, flags in own.items():
        calls.made.clear()
        arms.measure_arm(calls.place, arm, 3)
        assert calls.made == [["train_cnn.py", f"arm_{arm}_3", "--seed", "3", *flags, "--resume"],
                              ["evaluate.py", f"arm_{arm}_3", "--seed", "3"]]  # fmt: skip
    assert {a for a, (_, flags) in arms.ARMS.items() if flags is None} == {"classic", "classic_synthetic"}
    with pytest.raises(InputError, match="which trains it"):
        arms.measure_arm(calls.place, "classic", 3)


def test_a_gan_is_measured_by_one_judge_and_by_networks_of_its_own_seed(bars, tmp_path, monkeypatch):
    calls = Calls(tmp_path)
    monkeypatch.setattr(bars.shutil, "copytree", lambda source, target, **k: calls.made.append([str(source), str(target)]))
    monkeypatch.setattr(bars, "read_row", lambda models, outputs: (models, outputs))
    place = calls.place
    assert bars.evaluate_gan(place, "seed_2", 2) == (place.models("seed_2"), place.outputs("seed_2"))
    by_script = [c for c in calls.made if c[0].endswith(".py")]
    judge, real, few, many, synthetic, evaluation = by_script
    assert judge == ["train_cnn.py", "judge", "--role", "judge", "--resume"]
    assert real[:6] == ["train_cnn.py", "real_2", "--seed", "2", "--role", "control"]
    assert few == ["train_gan.py", "seed_2", "--seed", "2", "--sample-only", "--samples", "1000"]
    table = place.outputs("seed_2") / "cas"
    assert many == [*few[:-1], "20000", "--no-png", "--out", str(table)]
    path = str(table / "hmnist_28_28_RGB.csv")
    assert synthetic[:8] == ["train_cnn.py", "seed_2", "--seed", "2", "--real", "none", "--synthetic", path]
    for network in (real, synthetic):  # alike but for what they learn from
        assert {"--sampler=balanced", "--synthetic-weight=1.0", "--optimizer=adamw", "--stem=1"} <= set(network)
        assert network[network.index("--keep") : network.index("--keep") + 2] == ["--keep", "last"]
        assert network[-2:] == ["--epochs", "20"]
    assert evaluation == ["evaluate.py", "seed_2", "--seed", "2"]
    copied = [c for c in calls.made if not c[0].endswith(".py")]
    folders = [(place.models("judge"), "judge"), (place.models("real_2"), "control")]
    assert copied == [[str(source / role), str(place.models("seed_2") / role)] for source, role in folders]


def test_the_arms_of_the_main_result_draw_their_images_with_their_own_seed(tmp_path, monkeypatch):
    classifier = load_benchmark("classifier_bars")
    calls, place = Calls(tmp_path), None
    place = calls.place
    monkeypatch.setattr(classifier, "write_row", lambda place, *what: calls.made.append([*map(str, what)]))
    with pytest.raises(InputError, match="no GAN"):
        classifier.measure_lesion(place, 2)
    artifacts.write_text(place.models("seed_0") / "gan/generator.keras", "")
    classifier.measure_lesion(place, 2)
    assert (place.models("lesion_2") / "gan/generator.keras").is_file()
    seed = ["lesion_2", "--seed", "2"]
    assert calls.made == [
        ["train_gan.py", *seed, "--sample-only", "--no-png"], ["train_cnn.py", *seed, "--role", "control", "--resume"],
        ["train_cnn.py", *seed, "--resume"], ["evaluate.py", *seed], ["lesion_split", "lesion_2", "2"]]  # fmt: skip


def test_every_gan_is_trained_with_its_own_seed(bars, tmp_path, monkeypatch):
    calls = Calls(tmp_path)
    for name in ("evaluate_gan", "score_snapshots"):
        monkeypatch.setattr(bars, name, lambda *a, name=name: {"made": name} if name == "evaluate_gan" else [a[1]])
    bars.measure(calls.place, "seed", 3)
    bars.measure(calls.place, "baseline", 3)
    assert calls.made == [["train_gan.py", "seed_3", "--seed", "3", "--snapshots", "--resume"],
                          ["benchmarks/gan_baseline.py", "baseline", "--resume"]]  # fmt: skip
    assert artifacts.read_json(calls.place.results / "seed_3.json", "") == {"made": "evaluate_gan", "curve": ["seed_3"]}


def test_a_recipe_on_file_is_every_choice_of_the_training():
    import train_cnn

    classifier = load_benchmark("classifier_bars")
    choices = set(train_cnn.RECIPE) | {"learning_rate", "weight_decay", "width", "batch", "augment"}
    assert choices <= set(classifier.RECIPE)


def test_each_measure_of_a_row_is_the_one_of_its_name(pipeline):
    classifier = load_benchmark("classifier_bars")
    row = classifier.read_rows(pipeline.models, pipeline.outputs)["classifier"]
    found = json.loads((pipeline.outputs / "evaluation/metrics.json").read_text())["models"]["classifier"]
    for name, value in row.items():
        if name in ("minutes", "peak_gib"):
            continue
        point, short = "argmax", name
        if name in ("balanced_accuracy", "acc_balanced"):
            point, short = "balanced", name.removesuffix("_balanced")
        short = {"acc": "accuracy"}.get(short.removesuffix("_argmax"), short.removesuffix("_argmax"))
        block = found[point] if short in found[point] else found
        assert value == block[short]["value"], name


def test_each_entry_of_a_gans_row_is_the_one_of_its_name(bars, pipeline):
    row = bars.read_row(pipeline.models, pipeline.outputs)
    quality = json.loads((pipeline.outputs / "evaluation/synthetic_quality.json").read_text())
    for name in (
        "frechet",
        "frechet_floor",
        "kid",
        "kid_floor",
        "precision",
        "recall",
        "coverage",
        "density",
        "coverage_ratio",
    ):
        assert row[name] == quality["distances"][name]["value"], name
    for c in CLASSES:
        agreement = quality["label_agreement"][c]
        assert row["label_agreement"][c] == agreement["value"]
        assert row["agreement_se"][c] == agreement["se_of_difference"]
        assert row["real_recall"][c] == agreement["real_recall"]["value"]
        assert row["real_recall_se"][c] == agreement["real_recall"]["se"]
        assert row["diversity_ratio"][c] == quality["diversity"][c]["value"]
        assert row["memorisation_by_class"][c] == quality["memorisation"]["by_class"][c]["value"]
    assert row["memorisation"] == quality["memorisation"]["value"]


def test_the_baselines_players_want_opposite_things_of_images_under_their_labels(table_path):
    """One step: the critic's loss is of real against generated, the generator's of passing for real (Goodfellow 2014)."""
    import tensorflow as tf

    from ham10000 import read_table

    baseline = load_benchmark("gan_baseline")
    table = read_table(table_path)
    order = np.random.default_rng(1).permutation(len(table))
    images, labels, latents = baseline.batch_of(table.images, table.labels, 0, 0, 0, order)
    label_of = {np.sort(i.astype(np.float32).ravel()).tobytes(): c for i, c in zip(table.images, table.labels, strict=True)}
    assert [label_of[np.sort(i.ravel()).tobytes()] for i in images] == labels.tolist()
    assert latents.shape == (2, len(labels), baseline.LATENT)

    class Half:
        """A player with one weight w: the critic scores w times the mean, the generator paints w everywhere."""

        def __init__(self, value, paint=False):
            self.w, self.paint = tf.Variable(float(value)), paint
            self.trainable_variables = self.variables = [self.w]

        def __call__(self, inputs, training):
            if self.paint:
                return self.w * tf.ones((len(inputs[1]), 28, 28, 3))
            return self.w * tf.reshape(tf.reduce_mean(inputs[0], axis=(1, 2, 3)), (-1, 1))

    gan = baseline.Dcgan()
    gan.critic, gan.generator = Half(0.5), Half(3.0, paint=True)
    moves = []

    class Optimizer:
        def apply(self, gradients, variables):
            moves.append(float(gradients[0]))

    gan.optimizers = [Optimizer(), Optimizer()]
    bright = np.full((4, 28, 28, 3), 6.0, np.float32)
    critic_loss, generator_loss = gan._step(bright, np.zeros(4, np.int32), np.zeros((2, 4, 100), np.float32))
    real, fake = 0.5 * 6, 0.5 * 3
    assert float(critic_loss) == pytest.approx(np.log1p(np.exp(-real)) + np.log1p(np.exp(fake)), rel=1e-5)
    assert float(generator_loss) == pytest.approx(np.log1p(np.exp(-fake)), rel=1e-5)
    assert moves[1] < 0  # a brighter picture scores higher: the generator goes there


def test_the_probe_learns_from_half_b_and_measures_against_half_a(table_path, tmp_path, monkeypatch):
    """The judge's counterpart with the halves swapped, so that what is tuned by it is not tuned to the judge."""
    import oracles
    from conftest import Pipeline
    from teacher import Teacher

    import runlog
    import train_cnn

    probe = load_benchmark("gan_probe")
    place = Pipeline(table_path, tmp_path)
    args = train_cnn.parse_args([*place.flags, "--role", "judge", "--if-stale"])
    args.seed, args.resume = probe.PROBE_SEED, False
    run, seen = runlog.Run(args, "gan_probe"), []

    def teach(run, folder, pool, val, shift):
        seen.extend([pool, val])
        artifacts.save_state(folder / "checkpoint.npz", [])
        return Teacher(*pool[:2], 7).build_network(), []

    monkeypatch.setattr(train_cnn, "train", teach)
    judge = probe.build_probe(run)
    a, b = oracles.Parts(place).halves()
    parts = oracles.Parts(place)
    np.testing.assert_array_equal(seen[0][0], parts.images[b])
    np.testing.assert_array_equal(seen[1][0], parts.of("val")[0])
    np.testing.assert_array_equal(np.flatnonzero(judge.floor), a)
    assert judge.held_out == "val"


def test_only_a_whole_run_of_the_lesion_split_is_published(pipeline, tmp_path, monkeypatch):
    publish = load_benchmark("publish_run")
    monkeypatch.setattr(publish, "RUN", tmp_path / "published" / "run")
    copy = pipeline.copy(tmp_path)
    path = copy.outputs / "evaluation/options.json"
    record = json.loads(path.read_text())
    whole = {
        "data": record["data"] | {"phantom": False},
        "split": record["split"] | {"images": {"all": publish.HAM10000_COUNTS}},
    }

    def offer(**change):
        new = record | whole
        for key, value in change.items():
            new = new | {key: new[key] | value}
        path.write_text(json.dumps(new))
        try:
            publish.copy_run(copy.models, copy.outputs)
        except InputError as e:
            return str(e)
        return "published"

    only = "only full runs on HAM10000 are published"
    artifacts.ensure_folder(publish.RUN.parent)
    assert offer() == "published"
    predictions = publish.RUN / "predictions.csv"
    assert predictions.read_bytes() == (copy.outputs / "evaluation/predictions.csv").read_bytes()
    assert only in offer(split={"protocol": "image split, leaky"})
    assert only in offer(split={"split_seed": 1})
    assert only in offer(data={"phantom": True})
    assert only in offer(split={"images": {"all": [1] * 7}})
