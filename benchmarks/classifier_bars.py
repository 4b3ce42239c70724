"""Measure the classifier over seeds, by the ordinary scripts, into results/classifier.json.

    python -m benchmarks.classifier_bars image 0   # the leaky image split: twenty minutes
    python -m benchmarks.classifier_bars leak 0    # the same by the lesion split's recipe: nine
    python -m benchmarks.classifier_bars lesion 0  # the lesion split's networks: half an hour
    python -m benchmarks.classifier_bars clinical 0  # with age, sex and site: a quarter of an hour
    python -m benchmarks.classifier_bars alone 0   # the cost of one training alone: nine minutes
    python -m benchmarks.resnet18_baseline         # what a step costs beside MedMNIST's ResNet-18
    python -m benchmarks.classifier_bars collect   # -> results/classifier.json

Each of the first four leaves a folder of predictions in results/classifier/, from which
`evaluate.py --from-predictions` gives every estimate again, and a small file. Each can be repeated
after an interruption.

The image split is the leaky 70/10/20 protocol of older work. `image` trains by the recipe that was
best on folds of its train and val part (90 epochs at 4e-3, results/LOG.md, try 47). So what leakage
alone is worth is measured by the lesion split's recipe, `leak`. Under the lesion split, real plus
synthetic images, drawn anew for each seed from one GAN (gan_bars.py seed 0), are compared with real
images alone at equal steps. `clinical` compares a network told age, sex and site with one that
sees the image alone (`lesion_split_clinical`, see clinical_bars.py). Malignancy is told by summed
probabilities and, of seed 0, by a binary network. `collect` also scores the average of the seeds'
predictions (`ensemble`).

To try the commands on a small table: `classifier_bars.py lesion 0 --folder bars/try --data
table.csv --epochs 2`, after `gan_bars.py seed 0` with the same flags.
"""

import json
import shutil
import sys

import numpy as np

import evaluate
from benchmarks.clinical_bars import compare_clinical, measure_clinical
from benchmarks.workplace import mean_and_std, pack, parse_args
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates
from lesiongan.measures.predictions import find_file, read_predictions, write_predictions
from lesiongan.run import script

WANTED = {
    "acc": ("argmax", "accuracy"),
    "balanced_accuracy_argmax": ("argmax", "balanced_accuracy"),
    "balanced_accuracy": ("balanced", "balanced_accuracy"),
    "acc_balanced": ("balanced", "accuracy"),
    "macro_precision": ("argmax", "macro_precision"),
    "macro_recall": ("argmax", "macro_recall"),
    "macro_f1": ("argmax", "macro_f1"),
    "weighted_f1": ("argmax", "weighted_f1"),
    "auc": ("auc",),
    "auc_malignant": ("auc_malignant",),
    "average_precision_mel": ("average_precision_mel",),
    "ece": ("ece",),
    "ece_if_perfect": ("ece_if_perfect",),
    **{
        f"malignancy_{m}": ("argmax", f"malignancy_{m}")
        for m in ("accuracy", "sensitivity", "specificity")
    },
}
WANTED |= {
    f"{what}_{end}": (f"{what}_{end}",)
    for what in ("melanoma", "malignant")
    for at in (90, 95)
    for end in (
        f"sensitivity_at_{at}_specificity",
        f"sensitivity_at_val_threshold_{at}",
        f"specificity_at_val_threshold_{at}",
    )
}
RECIPE = (
    "epochs",
    "batch",
    "optimizer",
    "learning_rate",
    "weight_decay",
    "stem",
    "width",
    "sampler",
    "augment",
    "colour_gain",
    "sharpness",
    "keep",
    "middle",
    "synthetic_weight",
)
IMAGE_RECIPE = ["--epochs", 90, "--learning-rate", 4e-3]
DIFFERENCES = [name for name in WANTED if not name.startswith("ece")]


def pick(block, names=WANTED):
    """Return {short name: value} of one model's block of metrics.json.

    What the block does not have is left out.
    """
    out = {}
    for short in names:
        value = block
        for key in WANTED[short]:
            value = value.get(key, {})
        if value.get("value") is not None:
            out[short] = value["value"]
    return out


def training_minutes(folder, options):
    """Return the minutes of train_cnn.py, or of its epochs alone after an interruption."""
    epochs = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)["seconds"].sum()
    return float(max(epochs, options["wall_seconds"]) / 60)


def read_rows(models, outputs):
    """Return {model: {name: value}} and the paired differences, from metrics.json."""
    found = records.read_json(outputs / "evaluation" / "metrics.json", "evaluate.py")
    rows = {name: pick(block) for name, block in found["models"].items()}
    options = records.read_json(models / "cnn" / "options.json", "train_cnn.py")
    rows["classifier"] |= {
        "minutes": training_minutes(models / "cnn", options),
        "peak_gib": options["peak_gib"],
    }
    difference = found.get("classifier_minus_control")
    if difference:
        rows["classifier_minus_control"] = pick(difference, DIFFERENCES)
    if "auc_malignant" in found.get("sum_minus_binary", {}):
        rows["sum_minus_binary"] = found["sum_minus_binary"]["auc_malignant"]
    return rows | {"protocol": found["protocol"]}


def measure_image(place, seed, what="image", recipe=IMAGE_RECIPE):
    """Train and evaluate one seed under the image split."""
    name, flags = f"{what}_{seed}", ["--seed", seed, "--split", "image"]
    place.call("train_cnn.py", name, *recipe, *flags, "--synthetic", "none", "--resume")
    place.evaluate(name, "the classifier under the image split", *flags)
    write_row(place, f"{what}_split", name, seed)


def measure_leak(place, seed):
    """Train and evaluate one seed under the image split by the recipe of the lesion split.

    Its difference from that split's real images alone is leakage alone.
    """
    measure_image(place, seed, "leak", ())


def measure_lesion(place, seed):
    """Train and evaluate one seed under the lesion split.

    Its networks are one with the GAN's images, one without, and of seed 0 one for benign or
    malignant.
    """
    name, flags = f"lesion_{seed}", ["--seed", seed]
    gan = place.models("seed_0") / "gan"
    if not gan.is_dir():
        raise InputError(f"{gan}: no GAN; run gan_bars.py seed 0 first")
    shutil.copytree(
        gan,
        place.models(name) / "gan",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(".lock", "snapshots"),
    )
    place.call("train_gan.py", name, *flags, "--sample-only", "--no-png")
    arms = [["--role", "control"], []]
    # One binary network will do: a paired interval tells it from the sum.
    for arm in [["--task", "malignancy"], *arms] if seed == 0 else arms:
        place.call("train_cnn.py", name, *flags, *arm, "--resume")
    place.evaluate(
        name,
        f"classifier, control{' and malignancy' * (seed == 0)} under the lesion split",
        *flags,
    )
    write_row(place, "lesion_split", name, seed)


def measure_alone(place, seed):
    """Write the minutes and memory of one seed's classifier, trained with nothing beside it."""
    name = f"alone_{seed}"
    place.call("train_cnn.py", name, "--seed", seed, "--synthetic", place.synthetic(seed))
    folder = place.models(name) / "cnn"
    found = records.read_json(folder / "options.json", "train_cnn.py")
    writing.write_json(
        place.results / "alone.json",
        {
            "minutes": training_minutes(folder, found),
            "peak_gib": found["peak_gib"],
            "seed": seed,
            "model_sha256": found["model_sha256"],
            "environment": found["environment"],
        },
    )


def write_row(place, split, name, seed):
    """Write results/classifier/<split>_<seed>.json, a folder of its predictions, and the split.

    The split file is the same for every seed.
    """
    models, outputs = place.models(name), place.outputs(name)
    options = records.read_json(models / "cnn" / "options.json", "train_cnn.py")
    recipe = {key: options["options"][key] for key in RECIPE} | {
        "synthetic_images": options["synthetic_images"]
    }
    row = {
        "seed": seed,
        "recipe": recipe,
        "environment": options["environment"],
        **read_rows(models, outputs),
    }
    # The folder is made anew, so that no arm stays in it whose network is no longer there.
    shutil.rmtree(place.results / f"{split}_{seed}", ignore_errors=True)
    evaluation, folder = outputs / "evaluation", place.results / f"{split}_{seed}"
    for path in evaluation.glob("predictions*.csv"):
        pack(path, folder / f"{path.name}.gz")
    writing.write_text(folder / "context.json", (evaluation / "context.json").read_text())
    pack(outputs / "split.csv", place.split_file(split))
    writing.write_json(place.results / f"{split}_{seed}.json", row)


def score_ensemble(place, split, rows, name="classifier"):
    """Return {name: value} of the average of the seeds' predicted probabilities.

    It is decided at the average of their operating points. The entry half_widths has {name: half
    the width of the 95 % interval} of accuracy and AUC.
    """
    folders = [place.results / f"{split}_{r['seed']}" for r in rows]
    file = "predictions.csv" if name == "classifier" else f"predictions_{name}.csv"
    parts = [read_predictions(find_file(folder / file) or folder / file) for folder in folders]
    for folder, (rows_read, labels, _) in zip(folders, parts, strict=True):
        if not np.array_equal(rows_read, parts[0][0]) or not np.array_equal(labels, parts[0][1]):
            raise InputError(
                f"{folder / file}: of other images than {folders[0].name}'s; run that seed again"
            )
    contexts = [
        records.read_json(folder / "context.json", "evaluate.py", estimates.CONTEXT)
        for folder in folders
    ]
    points = [c["points"][name] for c in contexts]
    average = {name: np.mean([p[name] for p in points], axis=0) for name in points[0]}
    folder = place.bars / "ensemble" / f"{split}_{name}"
    write_predictions(
        folder / "predictions.csv", *parts[0][:2], np.mean([p for _, _, p in parts], axis=0)
    )
    writing.write_json(
        folder / "context.json",
        {
            "protocol": f"{rows[0]['protocol']}; average of {len(rows)} seeds",
            "data": None,
            "views": 8,
            "points": {"classifier": average},
            "arms": {"classifier": {"trained_on": "", "same": {}}},
        },
    )
    files = ["--from-predictions", folder / "predictions.csv", "--split", place.split_file(split)]
    evaluate.main([*map(str, files), "--outputs-dir", str(folder)])
    found = records.read_json(
        folder / "evaluation" / "from_predictions" / "metrics.json", "evaluate.py"
    )
    block = found["models"]["classifier"]
    ends = {"acc": block["argmax"]["accuracy"], "auc": block["auc"]}
    return pick(block) | {"half_widths": {k: (v["high"] - v["low"]) / 2 for k, v in ends.items()}}


def read_seeds(place, split):
    """Return the rows of one split's seeds; InputError if there are none, or of several recipes."""
    rows = [json.loads(p.read_text()) for p in sorted(place.results.glob(f"{split}_*.json"))]
    if not rows:
        raise InputError(
            f"{place.results}: has no {split}_*.json; run `classifier_bars.py "
            f"{split.split('_')[0]} 0` first"
        )
    if any(r["recipe"] != rows[0]["recipe"] for r in rows):
        raise InputError(
            f"{place.results}: the seeds of the {split} were not trained by one recipe; run the "
            "older again"
        )
    return rows


def collect_split(place, split):
    """Return means and standard deviations over the seeds of one split, and their ensemble."""
    rows = read_seeds(place, split)

    def over_seeds(model):
        found = [r[model] for r in rows if model in r]
        return {k: v for name in found[0] for k, v in mean_and_std(found, name).items()}

    out = {
        "protocol": rows[0]["protocol"],
        "seeds": [r["seed"] for r in rows],
        "recipe": rows[0]["recipe"],
        "environments": [r["environment"] for r in rows],
        **over_seeds("classifier"),
    }
    out["peak_gib"] = max(r["classifier"]["peak_gib"] for r in rows)
    for model in ("control", "classifier_minus_control", "malignancy"):
        if any(model in r for r in rows):
            out[model] = over_seeds(model) | {"seeds": [r["seed"] for r in rows if model in r]}
    if "classifier_minus_control" in out:
        found = [r["classifier_minus_control"] for r in rows if "classifier_minus_control" in r]
        for word, sign in (("better", 1), ("worse", -1)):
            out["classifier_minus_control"][f"{word}_in_every_seed"] = [
                n for n in DIFFERENCES if all(sign * f.get(n, 0) > 0 for f in found)
            ]
    if "malignancy" in out:
        out["malignancy"]["sum_minus_binary"] = next(
            r["sum_minus_binary"] for r in rows if "malignancy" in r
        )
    out["ensemble"] = score_ensemble(place, split, rows)
    if "control" in out:
        out["control"]["ensemble"] = score_ensemble(
            place, split, [r for r in rows if "control" in r], "control"
        )
    return out


def price_leakage(place, leak, lesion):
    """Return what leakage is worth, or None where the difference would not be leakage alone.

    It is the difference between the image split and the lesion split of the average of the seeds
    that both have, trained on real images alone.
    """
    other = [
        k
        for k in leak["recipe"]
        if leak["recipe"][k] != lesion["recipe"].get(k) and "synthetic" not in k
    ]
    both = sorted(set(leak["seeds"]) & set(lesion.get("control", {}).get("seeds", ())))
    made_by = {
        json.dumps([e["backend"], e["packages"], e.get("accelerators") or []])
        for split in (leak, lesion)
        for e in split["environments"]
    }
    if other or not both or len(made_by) > 1:
        print(
            "no price of leakage: the two splits must share seeds, recipe, packages and "
            "accelerator",
            file=sys.stderr,
        )
        return None
    (ours, theirs) = (
        score_ensemble(
            place, split, [r for r in read_seeds(place, split) if r["seed"] in both], name
        )
        for split, name in (("leak_split", "classifier"), ("lesion_split", "control"))
    )
    price = {k: ours[k] - theirs[k] for k in ("acc", "auc", "balanced_accuracy")}
    price |= {
        f"{k}_half_width": float(np.hypot(w, theirs["half_widths"][k]))
        for k, w in ours["half_widths"].items()
    }
    return price | {"seeds": both}


def collect(place):
    """Write classifier.json from whatever the folder of results holds."""
    splits = [
        name
        for name in ("image_split", "leak_split", "lesion_split")
        if name != "leak_split" or list(place.results.glob("leak_split_*.json"))
    ]
    out = {"views": 8, **{name: collect_split(place, name) for name in splits}}
    lesion = out["lesion_split"]
    if told := compare_clinical(place):
        out["lesion_split_clinical"] = told
    if "leak_split" in out and (price := price_leakage(place, out["leak_split"], lesion)):
        lesion["price_of_leakage"] = price
    out |= {name: lesion[name] for name in ("minutes", "minutes_std")}
    out["peak_gib"] = max(out[name]["peak_gib"] for name in splits)
    for name in ("alone", "cost"):
        path = place.results / f"{name}.json"
        if path.is_file():
            out[name] = json.loads(path.read_text())
    # The seeds may have been trained side by side, so their own minutes say less.
    if "alone" in out:
        out |= {"minutes": out["alone"]["minutes"], "minutes_std": None}
    writing.write_json(place.results.parent / "classifier.json", out)
    print(json.dumps(out, indent=1))


def main(argv=None):
    what, seed, place = parse_args(
        __doc__, "classifier", ("image", "leak", "lesion", "clinical", "alone", "collect"), argv
    )
    if what == "collect":
        collect(place)
    else:
        {
            "image": measure_image,
            "leak": measure_leak,
            "lesion": measure_lesion,
            "clinical": measure_clinical,
            "alone": measure_alone,
        }[what](place, seed)


if __name__ == "__main__":
    script.script_main(main)
