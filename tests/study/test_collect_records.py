"""study/collect_*.py: the values that they gather are those of the scripts' files.

The files are read by NumPy and scikit-learn.
"""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from lesiongan.data.classes import CLASSES
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.run import machine
from study.gather import pack
from tests import oracles
from tests.conftest import load_fresh


@pytest.fixture
def bars():
    return load_fresh("study.collect_gan")


def test_a_row_is_what_the_files_say(bars, pipeline):
    row = bars.read_row(pipeline.models, pipeline.outputs)
    quality = json.loads((pipeline.outputs / "evaluation/synthetic_quality.json").read_text())
    d = quality["distances"]
    assert row["frechet_ratio"] == d["frechet_ratio"]["value"]
    # The ratio of means is not the mean of the draws' ratios, but it is near.
    assert row["frechet"] / row["frechet_floor"] == pytest.approx(row["frechet_ratio"], rel=0.2)
    assert row["swd_ratio"] == quality["patches"]["swd_ratio"]["value"]
    measured = {c: f["to_train"] for c, f in quality["spectrum"].items() if "to_train" in f}
    assert row["spectrum_least"] == {c: min(f) for c, f in measured.items()}
    assert row["spectrum_most"] == {c: max(f) for c, f in measured.items()}
    assert list(row["label_agreement"]) == list(row["diversity_ratio"]) == list(CLASSES)
    ends = []
    for folder, name in (("cnn", "predictions"), ("control", "predictions_control")):
        options = json.loads((pipeline.models / folder / "options.json").read_text())
        found = pd.read_csv(pipeline.outputs / f"evaluation/{name}.csv")
        odds = (
            found[[f"p_{c}" for c in CLASSES]] ** options["temperature"]
            / options["operating_points"]["train_prior"]
        )
        ends.append(balanced_accuracy_score(found["label"], odds.to_numpy().argmax(axis=1)))
    assert [row["cas_synthetic"], row["cas_real"], row["cas"]] == pytest.approx(
        [*ends, ends[0] / ends[1]]
    )
    assert set(row["commits"]) == {"gan", "judge", "cas_real", "cas_synthetic", "evaluation"}
    history = np.genfromtxt(pipeline.models / "gan/history.csv", delimiter=",", names=True)
    assert row["training_minutes"] == pytest.approx(history["seconds"].sum() / 60, abs=0.01)


def test_the_published_generator_is_measured_without_training_and_shown(bars, pipeline, place):
    from study.pages import gan as pages_gan

    run = place.find("published")
    place.work.mkdir()
    place.folder(run).symlink_to(pipeline.models.parent)
    bars.keep_quality(place, run)
    outputs = pipeline.outputs / "evaluation"
    row = json.loads((place.results / "gan/published.json").read_text())
    patches = json.loads((outputs / "synthetic_quality.json").read_text())["patches"]
    assert row["swd_14_control"] == patches["swd_14_control"]["value"]
    shown = pages_gan.describe_published({"published": row})
    assert shown["distance"] == (
        f"{patches['swd_28_ratio']['value']:.1f} at 28 pixels and "
        f"{patches['swd_14_ratio']['value']:.1f} at 14 pixels"
    )
    assert shown["least"].startswith(f"{min(row['spectrum_least'].values()):.2f} (")
    assert shown["most"].startswith(f"{max(row['spectrum_most'].values()):.2f} (")
    assert pages_gan.describe_published({}) is None


def test_collect_takes_means_over_seeds_of_one_judge(bars, pipeline, place, tmp_path):
    row = bars.read_row(pipeline.models, pipeline.outputs)
    with pytest.raises(InputError, match=r"seed_\*\.json"):
        bars.collect(place)
    folder = writing.ensure_folder(place.results / "gan")

    def write(name, **changes):
        curve = [{"epoch": e, "minutes": e / 2, "frechet_ratio": 9 - e} for e in (1, 2)]
        (folder / f"{name}.json").write_text(json.dumps(row | {"curve": curve} | changes))

    for seed, ratio in enumerate((2.0, 3.0, 7.0)):
        write(
            f"seed_{seed}",
            seed=seed,
            frechet_ratio=ratio,
            memorisation_by_class=dict.fromkeys(CLASSES, ratio / 100),
            diversity_ratio=dict.fromkeys(CLASSES, ratio / 10),
        )
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
    (folder / "speed.json").write_text(
        json.dumps(
            {
                "minutes_200_epochs": 50,
                "minutes_200_epochs_dcgan": 100,
                "train_images_per_second": 8.0,
                "train_images_per_second_dcgan": 4.0,
                "sample_images_per_second": 9.0,
                "environment": {},
            }
        )
    )
    bars.collect(place)
    timed = pd.read_csv(tmp_path / "gan_curve.csv").groupby("gan")["minutes"].unique()
    assert timed["ours"].tolist() == [0.25, 0.5]
    assert timed["dcgan"].tolist() == [0.5, 1.0]
    pages = load_fresh("study.pages.build")
    pages.RUN = tmp_path / "run"
    section = pages.build_gan_section()
    assert "| Fréchet distance over the floor (1 = real images) | 4.00 ± 2.65 | 40.00 |" in section
    assert "0.04 (akiec)" in section
    assert "its own floor: 0.250 for the DCGAN" in section
    assert "Other trainings" not in section
    writing.write_json(pages.RUN / "synthetic_quality.json", {"judge_sha256": "of another run"})
    assert "These are other trainings than the GAN of the run above" in pages.build_gan_section()
    write("seed_2", judge_sha256="another", diversity_ratio=dict.fromkeys(CLASSES, 0.5))
    with pytest.raises(InputError, match="same judge"):
        bars.collect(place)


def test_rows_of_a_classifier_and_of_an_average_are_those_of_their_files(
    pipeline, place, tmp_path, capsys
):
    classifier = load_fresh("study.collect_classifier")
    row = classifier.read_scores(pipeline.models, pipeline.outputs)
    found = json.loads((pipeline.outputs / "evaluation/metrics.json").read_text())
    assert row["classifier"]["acc"] == found["models"]["classifier"]["argmax"]["accuracy"]["value"]
    assert (
        row["control"]["balanced_accuracy"]
        == found["models"]["control"]["balanced"]["balanced_accuracy"]["value"]
    )
    assert row["classifier_minus_control"]["acc"] == pytest.approx(
        row["classifier"]["acc"] - row["control"]["acc"]
    )
    results = writing.ensure_folder(place.results / "classifier")

    def write(split, seed, epochs=2, keep="last", **more):
        recipe = {
            "epochs": epochs,
            "learning_rate": 0.006,
            "keep": keep,
            "synthetic_images": 70,
            "synthetic_weight": 0.25,
        }
        whole = {
            "seed": seed,
            "recipe": recipe,
            "environment": machine.environment(),
            **row,
            **more,
        }
        (results / f"{split}_{seed}.json").write_text(json.dumps(whole))
        (results / f"{split}_{seed}").mkdir(exist_ok=True)
        evaluation = pipeline.outputs / "evaluation"
        for path in [*evaluation.glob("predictions*.csv"), evaluation / "context.json"]:
            (results / f"{split}_{seed}" / path.name).write_bytes(path.read_bytes())
        # Other predictions than those of the leak, or the one could stand for the other.
        if split == "image_split":
            control = (evaluation / "predictions_control.csv").read_bytes()
            (results / f"{split}_{seed}/predictions.csv").write_bytes(control)
        pack(pipeline.outputs / "split.csv", place.split_file(split != "lesion_split"))

    for seed in (0, 1):
        write("image_split", seed, epochs=5)
        write("leak_split", seed)
        write(
            "lesion_split",
            seed,
            malignancy=row["classifier"],
            sum_minus_binary={"value": 0.1, "low": -0.1, "high": 0.2},
        )
    classifier.collect(place)
    out = json.loads((tmp_path / "classifier.json").read_text())
    assert out["lesion_split"]["acc"] == row["classifier"]["acc"]
    assert out["lesion_split"]["acc_std"] == 0
    # an ensemble of equals decides as each of them
    assert out["leak_split"]["ensemble"]["acc"] == row["classifier"]["acc"]
    assert out["leak_split"]["ensemble"]["auc"] == pytest.approx(row["classifier"]["auc"])
    assert out["image_split"]["ensemble"]["auc"] == pytest.approx(row["control"]["auc"])
    assert row["classifier"]["auc"] != pytest.approx(row["control"]["auc"])
    # The control's average is of the controls.
    for name in ("acc", "auc", "balanced_accuracy"):
        assert out["lesion_split"]["control"]["ensemble"][name] == pytest.approx(
            row["control"][name]
        )
    gain = out["lesion_split"]["classifier_minus_control"]
    assert ("acc" in gain["better_in_every_seed"]) == (row["classifier_minus_control"]["acc"] > 0)
    assert ("acc" in gain["worse_in_every_seed"]) == (row["classifier_minus_control"]["acc"] < 0)
    price = out["lesion_split"]["price_of_leakage"]
    ends = [found["models"][name]["argmax"]["accuracy"] for name in ("classifier", "control")]
    assert price["acc_half_width"] == pytest.approx(
        np.hypot(*((e["high"] - e["low"]) / 2 for e in ends))
    )
    ends = [found["models"][name]["auc"] for name in ("classifier", "control")]
    assert price["auc_half_width"] == pytest.approx(
        np.hypot(*((e["high"] - e["low"]) / 2 for e in ends))
    )
    for name in ("acc", "auc"):
        assert price[name] == pytest.approx(row["classifier"][name] - row["control"][name])
    assert price["seeds"] == [0, 1]
    assert out["minutes"] == row["classifier"]["minutes"]
    assert 0.2 < out["peak_gib"] < 8
    pages = load_fresh("study.pages.build")
    pages.RUN = tmp_path / "run"
    section = pages.build_classifier_section()
    # The two AUCs differ, as the accuracies of networks this small need not.
    auc = [
        "{:.3f} ± 0.000".format(row[arm]["auc"]) for arm in ("classifier", "control", "classifier")
    ]
    assert len(set(auc)) == 2
    assert "| macro AUC, one against the rest | " + " | ".join(auc) + " |" in section
    assert "with KERAS_BACKEND=tensorflow at " in section
    assert pages.beside_leak(out).startswith(
        "5 epochs, learning rate 0.006: see Limits; by the lesion split's recipe"
    )
    gpu = {
        "accelerators": ["NVIDIA H200", "NVIDIA H200"],
        "backend": "jax",
        "commit": "4fa3fd6e0b64-dirty",
    }
    assert pages.cores(gpu) == "2 NVIDIA H200 (jax)"
    assert pages.name_commit(gpu) == "`4fa3fd6-dirty`"
    assert "The price of leakage" in section
    assert "70 synthetic images of weight 0.25, drawn anew" in section
    assert "less binary +0.100 (-0.100 to +0.200): no difference shown" in section
    better = section.split("Better in each of the 2 seeds: ")[1].split(". Worse in each")[0]
    # Names that hold a comma themselves go first, so that the rest can be told apart by theirs.
    for name in ("balanced accuracy, balanced point", "accuracy, balanced point"):
        better = better.replace(name, "")
    assert ("accuracy" in better.split(", ")) == ("acc" in gain["better_in_every_seed"])
    # An average of three beside one of two would be no fair price.
    write("lesion_split", 2)
    classifier.collect(place)
    assert json.loads((tmp_path / "classifier.json").read_text())["lesion_split"][
        "price_of_leakage"
    ]["seeds"] == [0, 1]
    assert "probabilities (2, 3, 3 of them)" in pages.build_classifier_section()
    other = machine.environment() | {"accelerators": ["another GPU"]}
    for seed in (0, 1):
        write("leak_split", seed, environment=other)
    capsys.readouterr()
    # On another accelerator: the difference would not be of leakage alone.
    classifier.collect(place)
    assert "no price of leakage" in capsys.readouterr().err
    for seed in (0, 1):
        write("leak_split", seed)
    write("leak_split", 0, keep="best")
    with pytest.raises(InputError, match="one recipe"):
        classifier.collect(place)
    write("leak_split", 1, keep="best")
    capsys.readouterr()
    # No split mixes recipes now, but the two splits are not comparable.
    classifier.collect(place)
    assert "no price of leakage" in capsys.readouterr().err
    assert (
        "price_of_leakage"
        not in json.loads((tmp_path / "classifier.json").read_text())["lesion_split"]
    )
    assert "The price of leakage" not in pages.build_classifier_section()
    for seed in (0, 1):
        (results / f"leak_split_{seed}.json").unlink()
    classifier.collect(place)
    out = json.loads((tmp_path / "classifier.json").read_text())
    assert "leak_split" not in out
    assert "price_of_leakage" not in out["lesion_split"]


def test_a_measure_is_better_in_every_seed_only_if_it_is_so_in_all(place, monkeypatch):
    bars = load_fresh("study.collect_classifier")
    monkeypatch.setattr(bars, "score_ensemble", lambda *a: {})
    results = writing.ensure_folder(place.results / "classifier")
    for seed, (acc, auc, recall) in enumerate(((0.1, 0.1, -0.1), (-0.1, 0.2, -0.2))):
        model = {"acc": 0.5, "auc": 0.5, "minutes": 1.0, "peak_gib": 1.0}
        row = {
            "seed": seed,
            "recipe": {},
            "environment": {},
            "protocol": "p",
            "classifier": model,
            "control": model,
            "classifier_minus_control": {"acc": acc, "auc": auc, "balanced_accuracy": recall},
        }
        (results / f"lesion_split_{seed}.json").write_text(json.dumps(row))
    found = bars.collect_split(place, "lesion_split")["classifier_minus_control"]
    assert found["better_in_every_seed"] == ["auc"]
    assert found["worse_in_every_seed"] == ["balanced_accuracy"]


def test_an_average_of_networks_is_decided_at_the_average_of_their_own_points(pipeline, place):
    bars = load_fresh("study.collect_classifier")
    evaluation = pipeline.outputs / "evaluation"
    context = json.loads((evaluation / "context.json").read_text())
    shifts = {0: {"classifier": 3.0, "control": -1.0}, 1: {"classifier": 3.0, "control": -2.0}}
    tables = {}
    for seed, source in ((0, "predictions.csv"), (1, "predictions_control.csv")):
        folder = writing.ensure_folder(place.results / f"classifier/lesion_split_{seed}")
        for name in ("predictions.csv", "predictions_control.csv"):
            (folder / name).write_bytes((evaluation / source).read_bytes())
        tables[seed] = pd.read_csv(evaluation / source)
        points = {
            m: context["points"][m] | {"balanced_shift": np.linspace(-s, s, 7).tolist()}
            for m, s in shifts[seed].items()
        }
        (folder / "context.json").write_text(json.dumps(context | {"points": points}))
    pack(pipeline.outputs / "split.csv", place.split_file(of_images=False))
    p = np.mean([t.filter(like="p_").to_numpy() for t in tables.values()], axis=0)
    y = tables[0].label
    for name, shift in (("classifier", 3.0), ("control", -1.5)):
        rows = [{"seed": seed, "protocol": "p"} for seed in (0, 1)]
        found = bars.score_ensemble(place, "lesion_split", rows, name)
        decided = (np.log(p) + np.linspace(-shift, shift, 7)).argmax(axis=1)
        assert found["acc"] == pytest.approx((p.argmax(axis=1) == y).mean())
        assert found["balanced_accuracy"] == pytest.approx(
            np.mean([(decided[y == c] == c).mean() for c in np.unique(y)])
        ), name


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
    from lesiongan.plots import style

    saved = []
    monkeypatch.setattr(style, "save", lambda fig, folder, name: saved.append(fig))
    bars.draw_curve(
        [("ours", 0, 1, 2.0, 9.0), ("ours", 0, 2, 4.0, 5.0), ("dcgan", 0, 1, 7.0, 80.0)], tmp_path
    )
    lines = {
        line.get_label(): [list(map(float, d)) for d in line.get_data()]
        for line in saved[0].axes[0].lines
    }
    assert lines["this GAN, seed 0"] == [[2, 4], [9, 5]]
    assert lines["textbook DCGAN, seed 0"] == [[7], [80]]


def test_each_measure_of_a_row_is_the_one_of_its_name(pipeline, tmp_path):
    classifier = load_fresh("study.collect_classifier")
    unlike = oracles.make_unlike(oracles.read(pipeline.outputs / "evaluation/metrics.json"))
    writing.write_json(tmp_path / "evaluation/metrics.json", unlike)
    row = classifier.read_scores(pipeline.models, tmp_path)["classifier"]
    found = unlike["models"]["classifier"]
    for name, value in row.items():
        if name in ("minutes", "peak_gib"):
            continue
        point, short = "argmax", name
        if name in ("balanced_accuracy", "acc_balanced"):
            point, short = "balanced", name.removesuffix("_balanced")
        short = {"acc": "accuracy"}.get(
            short.removesuffix("_argmax"), short.removesuffix("_argmax")
        )
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
    for c, found in quality["distances_by_class"].items():
        for name in ("coverage_ratio", "density_ratio"):
            assert row[f"{name}_by_class"][c] == found[name]["value"], (c, name)
    for c in CLASSES:
        agreement = quality["label_agreement"][c]
        assert row["label_agreement"][c] == agreement["value"]
        assert row["agreement_se"][c] == agreement["se_of_difference"]
        assert row["real_recall"][c] == agreement["real_recall"]["value"]
        assert row["real_recall_se"][c] == agreement["real_recall"]["se"]
        assert row["diversity_ratio"][c] == quality["diversity"][c]["value"]
        assert row["memorisation_by_class"][c] == quality["memorisation"]["by_class"][c]["value"]
    assert row["memorisation"] == quality["memorisation"]["value"]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.03, "the sum is better"),
        (-0.03, -0.01, "the binary network is better"),
        (-0.01, 0.02, "no difference shown"),
    ],
)
def test_the_better_of_two_ways_to_malignancy_is_the_one_that_is_named(low, high, words):
    pages = load_fresh("study.pages.classifier")
    apart = {"value": (low + high) / 2, "low": low, "high": high}
    found = {"malignancy": {"auc_malignant": 0.9, "sum_minus_binary": apart, "seeds": [0]}}
    assert pages.beside_binary(found).endswith(f": {words}")


@pytest.mark.parametrize(
    ("acc", "auc", "unclear"),
    [(0.01, 0.01, True), (0.05, 0.01, False), (0.01, 0.05, False), (-0.05, 0.05, False)],
)
def test_a_price_of_leakage_is_unclear_only_if_neither_measure_shows_it(acc, auc, unclear):
    pages = load_fresh("study.pages.classifier")
    price = {"acc": acc, "auc": auc, "acc_half_width": 0.02, "auc_half_width": 0.02, "seeds": [0]}
    leak = {"recipe": {"epochs": 9}, "acc": 0.8, "acc_std": 0.0, "auc": 0.9, "auc_std": 0.0}
    found = pages.describe_price({"lesion_split": {"price_of_leakage": price}, "leak_split": leak})
    assert found["unclear"] is unclear


def test_the_curve_over_training_time_is_measured_against_val_by_the_halves_judge(
    bars, pipeline, place, monkeypatch
):
    """The judge measures half B against val; test is read once a run, and not for the curve."""
    from lesiongan.measures import synthetic_quality
    from tests import oracles

    place.values["data"] = pipeline.flags[pipeline.flags.index("--data") + 1]
    monkeypatch.setattr(place, "models", lambda run: pipeline.models)
    snapshots = writing.ensure_folder(pipeline.models / "gan/snapshots")
    kept = [snapshots / f"epoch_000{epoch}.keras" for epoch in (1, 2)]
    for path in kept:
        path.write_bytes((pipeline.models / "gan/generator.keras").read_bytes())
    given = []

    def measure(run, synthetic, judge, generator, fake, held_out, by_class):
        given.append((judge, held_out))
        return 1, {"frechet_ratio": {"value": 3.0}}, {}

    monkeypatch.setattr(synthetic_quality, "measure_distances", measure)
    first, row = bars.score_snapshots(place, place.find("gan_quality_0"))
    for path in kept:
        path.unlink()
    parts = oracles.Parts(pipeline)
    (judge, held_out), _ = given
    np.testing.assert_allclose(held_out, judge.features(parts.of("val")[0]))
    assert judge.held_out == "val"
    np.testing.assert_array_equal(np.flatnonzero(judge.floor), parts.halves()[1])
    seconds = pd.read_csv(pipeline.models / "gan/history.csv").seconds
    assert first["minutes"] == pytest.approx(seconds[0] / 60)
    assert row == {"epoch": 2, "minutes": pytest.approx(seconds.sum() / 60), "frechet_ratio": 3.0}
