"""What study/collect_gan.py gathers is what the scripts' files say."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from lesiongan.data.classes import CLASSES
from lesiongan.files import checksums, writing
from lesiongan.files.errors import InputError
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
    network = checksums.file_sha256(pipeline.models / "gan/generator.keras")
    assert row["generator_sha256"] == network
    quality = json.loads((outputs / "synthetic_quality.json").read_text())
    pages = load_fresh("study.pages.build")
    assert not pages.is_outdated(row, quality)
    assert pages.is_outdated(row | {"generator_sha256": "0" * 64}, quality)
    assert pages.is_outdated(row | {"judge_sha256": "0" * 64}, quality)
    patches = json.loads((outputs / "synthetic_quality.json").read_text())["patches"]
    assert row["swd_14_control"] == patches["swd_14_control"]["value"]
    gans = pages_gan.list_gans({"published": row, "frechet_ratio_dcgan": 9.5})
    assert gans["the GAN of `weights/`"] == row
    rows = {label: cells for label, *cells in pages_gan.build_rows(gans, pages_gan.QUALITY, "-")}
    (distance,) = [cells for label, cells in rows.items() if label.startswith("patch distance")]
    values = [patches[f"swd_{n}_{of}"]["value"] for n in (28, 14) for of in ("ratio", "control")]
    assert distance == ["-", "{:.1f} ({:.1f}) and {:.1f} ({:.1f})".format(*values), "-"]
    (power,) = [cells[1] for label, cells in rows.items() if label.startswith("power")]
    assert power.startswith(f"{min(row['spectrum_least'].values()):.2f} (")
    assert f"{max(row['spectrum_most'].values()):.2f} (" in power
    (frechet,) = [cells for label, cells in rows.items() if label.startswith("Fréchet")]
    assert frechet == ["-", f"{row['frechet_ratio']:.2f}", "9.50"]
    # Nothing on record has classification scores.
    assert not [label for label in rows if label.startswith("CAS")]


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
    assert "of other trainings than the run above" not in section
    # What was timed of the DCGAN stands beside what was timed here.
    assert "| minutes for 200 epochs, by alternating blocks of steps | 50 | 100 |" in section
    writing.write_json(pages.RUN / "synthetic_quality.json", {"judge_sha256": "of another run"})
    assert '"This GAN" is of other trainings than the run above.' in pages.build_gan_section()
    write("seed_2", judge_sha256="another", diversity_ratio=dict.fromkeys(CLASSES, 0.5))
    with pytest.raises(InputError, match="same judge"):
        bars.collect(place)


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


def test_the_curve_over_training_time_is_measured_against_val_by_the_halves_judge(
    bars, pipeline, place, monkeypatch
):
    """The judge measures half B against val; test is read once a run, and not for the curve."""
    from lesiongan.measures import synthetic_quality

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
