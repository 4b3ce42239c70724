"""The GAN over seeds: from the records in results/gan/ to gan.json and gan_curve.csv.

CAS (classification accuracy score, Ravuri and Vinyals 2019) is the test balanced accuracy of the
classifier trained on 20 000 synthetic images alone, over that of the one trained on the real train
part. Both have class-balanced batches, classic augmentation, equal steps and their last weights
(val log-loss would keep a hardly trained network: one taught by synthetic images is soon too sure
of real ones), and both are decided under the uniform prior that they were taught. The curve of the
Frechet ratio over time is measured against val: test is read once a run, and noted in
results/TEST_LOG.md. How long a step takes is measured apart (`python -m benchmarks.gan_speed`).
"""

import numpy as np

import train_gan
from lesiongan.data.classes import CLASSES
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import metrics, synthetic_quality
from lesiongan.measures.judge import Judge
from lesiongan.measures.predictions import read_predictions
from lesiongan.nets import saved_models
from lesiongan.run import keras_setup
from lesiongan.run.inputs import load_inputs
from study.gather import mean_and_std, read_record, read_rows

SWD_ENDS = ("ratio", "control")
DISTANCES = (
    "frechet_ratio",
    "frechet",
    "frechet_floor",
    "kid",
    "kid_floor",
    "precision",
    "recall",
    "coverage",
    "density",
    "coverage_ratio",
    "density_ratio",
)
CURVE = [{"epoch": int, "minutes": records.NUMBER, "frechet_ratio": records.NUMBER}]
ROW = {
    **dict.fromkeys((*DISTANCES, "cas", "training_minutes"), records.NUMBER),
    **dict.fromkeys(("label_agreement", "real_recall", "diversity_ratio", "commits"), dict),
    **{name: {...: (*records.NUMBER, type(None))} for name in ("agreement_se", "real_recall_se")},
    **{"seed": int, "protocol": str, "judge_sha256": str, "environment": dict, "curve": CURVE},
}
"""What is read of a record seed_<seed>.json, as a shape for records.find_fault."""
SPEED = dict.fromkeys(("minutes_200_epochs", "minutes_200_epochs_dcgan"), records.NUMBER)
NOT_AVERAGED = ("environment", "commits", "agreement_se")
# A judge trained anew on another machine differs in its last digits and so in its hash. So the
# baseline carries its own floor and recall, and is read against those.
OF_BASELINE = (
    "frechet_ratio",
    "swd_ratio",
    *(f"swd_{n}_{end}" for n in (28, 14) for end in SWD_ENDS),
    "spectrum_least",
    "spectrum_most",
    "frechet",
    "kid",
    "cas",
    "label_agreement",
    "agreement_se",
    "diversity_ratio",
    "coverage_ratio",
    "coverage_ratio_by_class",
    "density_ratio",
    "density_ratio_by_class",
    "memorisation",
    "memorisation_by_class",
    "frechet_floor",
    "kid_floor",
    "real_recall",
    "cas_synthetic",
    "cas_real",
    "training_minutes",
    "judge_sha256",
    "environment",
)


def keep_gan(runs, run):
    """Keep the row of one seed's GAN, or of the DCGAN, with its curve over training."""
    keras_setup.quiet_tensorflow(deterministic=True)
    row = read_row(runs.models(run), runs.outputs(run))
    writing.write_json(runs.record(run), row | {"curve": score_snapshots(runs, run)})


def keep_quality(runs, run):
    """Keep the measures of a set that no network of this run was trained for."""
    folder = runs.outputs(run)
    made = records.read_json(folder / "evaluation/options.json", "evaluate.py")
    row = {"environment": made["environment"], **read_quality(folder)}
    row["generator_sha256"] = made["inputs"].get("generator")
    writing.write_json(runs.record(run), row)


def read_quality(outputs):
    """Return what synthetic_quality.json says of a generator's images, as numbers by name."""
    quality = records.read_json(outputs / "evaluation" / "synthetic_quality.json", "evaluate.py")
    d, by_class = quality["distances"], quality["distances_by_class"]
    patches, spectrum = quality["patches"], quality["spectrum"]
    agreement, memorisation = quality["label_agreement"], quality["memorisation"]
    recall = {c: f.get("real_recall", {}) for c, f in agreement.items()}
    return {
        **{name: d[name]["value"] for name in DISTANCES},
        **{
            k: patches.get(k, {}).get("value")
            for k in ("swd_ratio", *(f"swd_{n}_{of}" for n in (28, 14) for of in SWD_ENDS))
        },
        **{
            f"spectrum_{name}": {
                c: float(end(f["to_train"])) for c, f in spectrum.items() if "to_train" in f
            }
            for name, end in (("least", min), ("most", max))
        },
        "coverage_ratio_by_class": {c: f["coverage_ratio"]["value"] for c, f in by_class.items()},
        "density_ratio_by_class": {c: f["density_ratio"]["value"] for c, f in by_class.items()},
        "label_agreement": {c: f["value"] for c, f in agreement.items()},
        "real_recall": {c: f.get("value") for c, f in recall.items()},
        "real_recall_se": {c: f.get("se") for c, f in recall.items()},
        "agreement_se": {c: f.get("se_of_difference") for c, f in agreement.items()},
        "diversity_ratio": {c: f["value"] for c, f in quality["diversity"].items()},
        "memorisation": memorisation["value"],
        "memorisation_by_class": {c: f["value"] for c, f in memorisation["by_class"].items()},
        "judge_sha256": quality["judge_sha256"],
        "protocol": quality["protocol"],
    }


def read_row(models, outputs):
    """Return the row of one seed from the files of the scripts."""
    options = records.read_json(models / "gan" / "options.json", "train_gan.py")
    cas = {
        "synthetic": decide_uniform(models / "cnn", outputs / "evaluation" / "predictions.csv"),
        "real": decide_uniform(
            models / "control", outputs / "evaluation" / "predictions_control.csv"
        ),
    }
    return {
        **read_quality(outputs),
        "cas_synthetic": cas["synthetic"],
        "cas_real": cas["real"],
        "cas": cas["synthetic"] / cas["real"],
        "training_minutes": options["training_seconds"] / 60,
        "seed": options["options"]["seed"],
        "commits": {
            name: records.read_json(path, "make records")["environment"]["commit"]
            for name, path in (
                ("gan", models / "gan/options.json"),
                ("judge", models / "judge/options.json"),
                ("cas_real", models / "control/options.json"),
                ("cas_synthetic", models / "cnn/options.json"),
                ("evaluation", outputs / "evaluation/options.json"),
            )
        },
        "environment": options["environment"],
    }


def decide_uniform(folder, predictions):
    """Return the balanced accuracy of a network's test predictions under the uniform prior.

    The predictions themselves are under the train part's prior.
    """
    options = records.read_json(folder / "options.json", "train_cnn.py")
    _, y, p = read_predictions(predictions)
    # The probabilities are softmax((logits + log prior) / T), so this shift takes the prior away.
    shift = (
        -np.log(np.maximum(options["operating_points"]["train_prior"], 1e-6))
        / options["temperature"]
    )
    matrix = metrics.confusion(y, metrics.balanced_decision(p, shift), len(CLASSES))
    return float(metrics.summarise(matrix)["balanced_accuracy"])


def score_snapshots(runs, run):
    """Return [{epoch, minutes, frechet_ratio}] of the generators kept during training.

    The judge measures them on val.
    """
    models = runs.models(run)
    inputs = load_inputs(train_gan.parse_args([*runs.places(), *map(str, runs.values["flags"])]))
    path = models / "judge" / "classifier.keras"
    judge = Judge(saved_models.load_classifier(path), inputs, held_out="val")
    held_out = judge.features(inputs.part("val")[0])
    seconds = np.cumsum(
        np.genfromtxt(models / "gan" / "history.csv", delimiter=",", names=True)["seconds"]
    )
    rows = []
    for path in sorted((models / "gan" / "snapshots").glob("*.keras")):
        epoch = int(path.stem.split("_")[1])
        generator = saved_models.load_generator(path)
        _, found, _ = synthetic_quality.measure_distances(
            inputs, None, judge, generator, None, held_out, by_class=False
        )
        rows.append(
            {
                "epoch": epoch,
                "minutes": seconds[epoch - 1] / 60,
                "frechet_ratio": found["frechet_ratio"]["value"],
            }
        )
    if not rows:
        print(f"{models / 'gan'} was trained without --snapshots: no curve for it")
    return rows


def read_seeds(folder):
    """Return the rows of all seeds; InputError if there are none, or of several judges."""
    rows = read_rows(folder, "seed", ROW)
    if not rows:
        raise InputError(f"{folder}: has no seed_*.json, which the run gan_quality_0 makes")
    if len({r["judge_sha256"] for r in rows}) > 1:
        raise InputError(f"{folder}: not all seeds were measured by the same judge")
    return rows


def average_seeds(rows):
    """Return means and standard deviations over the seeds, and what all of them have in common."""
    out = {
        "seeds": [r["seed"] for r in rows],
        "protocol": rows[0]["protocol"],
        "commits": [r["commits"] for r in rows],
    }
    for name in (
        k for k, v in rows[0].items() if isinstance(v, float | dict) and k not in NOT_AVERAGED
    ):
        out |= mean_and_std(rows, name)
    out |= compare_agreement(rows, out)
    # The extremes over seeds are kept too, because a mean would hide a seed that collapsed.
    for end, extreme in (("min", min), ("max", max)):
        out[f"diversity_ratio_{end}"] = {
            c: extreme(r["diversity_ratio"][c] for r in rows)
            for c in CLASSES
            if rows[0]["diversity_ratio"][c] is not None
        }
    return out


def collect(runs):
    """Write gan.json, gan_curve.csv and gan_curve.png from what the folder of results holds."""
    folder = runs.results / "gan"
    rows = read_seeds(folder)
    out = average_seeds(rows)
    baseline, speed, published = (
        folder / f"{name}.json" for name in ("baseline", "speed", "published")
    )
    if speed.is_file():
        out |= {
            k + "_speed" * (k == "environment"): v
            for k, v in records.read_json(speed, "benchmarks.gan_speed", SPEED).items()
        }
    curve = [
        ("ours", r["seed"], *point)
        for r in rows
        for point in curve_points(r["curve"], out.get("minutes_200_epochs"))
    ]
    if baseline.is_file():
        dcgan = read_record(baseline, {"frechet_ratio": records.NUMBER, "curve": CURVE})
        # A baseline that was measured before a measure was there lacks that one.
        out |= {f"{k}_dcgan": dcgan[k] for k in OF_BASELINE if k in dcgan}
        curve += [
            ("dcgan", 0, *point)
            for point in curve_points(dcgan["curve"], out.get("minutes_200_epochs_dcgan"))
        ]
    if published.is_file():
        out["published"] = read_record(published, {"swd_ratio": records.NUMBER})
    out |= {"judge_sha256": rows[0]["judge_sha256"], "environment": rows[0]["environment"]}
    writing.write_json(runs.results / "gan.json", out)
    if curve:
        names = ("gan", "seed", "epoch", "minutes", "frechet_ratio")
        writing.write_csv(
            runs.results / "gan_curve.csv",
            dict(zip(names, zip(*curve, strict=True), strict=True)),
        )
        draw_curve(curve, runs.results)


def curve_points(curve, minutes_200_epochs):
    """Return (epoch, minutes, frechet_ratio) of each point.

    Where the alternating blocks have been timed, the minutes follow from them: runs of other days
    and machines are then drawn on one axis.
    """
    return [
        (
            p["epoch"],
            p["epoch"] / 200 * minutes_200_epochs if minutes_200_epochs else p["minutes"],
            p["frechet_ratio"],
        )
        for p in curve
    ]


def compare_agreement(rows, means):
    """Return agreement_se of the mean over seeds, and the classes that deviate by two of them.

    These classes lie above the judge's recall (over_typical) or below it (under_recall). Between
    seeds the synthetic images differ, while judge and test images, and so their share of the error,
    do not.
    """
    se: dict[str, float] = {}
    above: list[str] = []
    below: list[str] = []
    for c, recall_se in rows[0]["real_recall_se"].items():
        if recall_se is None:
            continue
        of_synthetic = np.mean([r["agreement_se"][c] ** 2 - recall_se**2 for r in rows]) / len(rows)
        se[c] = float(np.sqrt(recall_se**2 + of_synthetic))
        gap = means["label_agreement"][c] - means["real_recall"][c]
        if abs(gap) > 2 * se[c]:
            (above if gap > 0 else below).append(c)
    return {"agreement_se": se, "over_typical": above, "under_recall": below}


def draw_curve(curve, folder):
    """Draw gan_curve.png: the Frechet ratio on val over minutes of training, both GANs."""
    from lesiongan.plots import pages, style

    fig, (ax,) = style.panels(pages.PAPER, 1, height=3, own="one")
    for gan, colour in (("ours", style.SYNTHETIC), ("dcgan", style.REAL)):
        for i, seed in enumerate(sorted({row[1] for row in curve if row[0] == gan})):
            _, _, _, minutes, ratio = zip(
                *(row for row in curve if row[:2] == (gan, seed)), strict=True
            )
            label = {"ours": "this GAN", "dcgan": "textbook DCGAN"}[gan] + f", seed {seed}"
            ax.plot(
                minutes,
                ratio,
                marker=".",
                color=colour,
                lw=1,
                ls=("-", "--", ":")[i % 3],
                label=label,
            )
    ax.axhline(1, color="#999999", lw=0.8, ls="--")
    ax.text(0, 1, " real images", va="bottom", fontsize="small", color="#666666")
    ax.set(
        yscale="log",
        xlabel="minutes of training, by the time of a step",
        ylabel="Fréchet distance over the floor",
    )
    style.legend_above(ax, 2)
    style.save(fig, folder, "gan_curve")
