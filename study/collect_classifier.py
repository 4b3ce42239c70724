"""The classifier over seeds: from the records in results/classifier/ to classifier.json.

The image split is the leaky 70/10/20 protocol of older work. `image` is trained by the recipe
that was best on folds of its train and val part (90 epochs at 4e-3, results/LOG.md, try 47). So
what leakage alone is worth is measured by the lesion split's recipe, `leak`. Under the lesion
split, real plus synthetic images, drawn anew for each seed from one GAN, are compared with real
images alone at equal steps, and a network told age, sex and site with one that sees the image
alone (collect_clinical.py). Malignancy is told by summed probabilities and, of seed 0, by a
network of two classes. The average of the seeds' predictions is scored too (`ensemble`).
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

import evaluate
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates
from lesiongan.measures.predictions import find_file, read_predictions, write_predictions
from study.collect_clinical import compare_clinical
from study.gather import find_rows, keep_predictions, mean_and_std, read_record, read_rows

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
NUMBERS = {...: records.NUMBER}
ROW = {
    "seed": int,
    "protocol": str,
    "recipe": dict,
    "environment": dict,
    "classifier": NUMBERS | dict.fromkeys(("acc", "auc", "minutes", "peak_gib"), records.NUMBER),
}
"""What is read of a record <split>_<seed>.json, as a shape for records.find_fault."""
SPLITS = ("image_split", "leak_split", "lesion_split")
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


def read_scores(models, outputs):
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


def keep_cost(runs, run):
    """Keep what one training took, minutes and memory, with nothing beside it."""
    folder = runs.models(run) / "cnn"
    found = records.read_json(folder / "options.json", "train_cnn.py")
    writing.write_json(
        runs.record(run),
        {
            "minutes": training_minutes(folder, found),
            "peak_gib": found["peak_gib"],
            "seed": found["options"]["seed"],
            "model_sha256": found["model_sha256"],
            "environment": found["environment"],
        },
    )


def keep_scores(runs, run):
    """Keep a seed's scores as <record>.json, and its predictions in a folder of the same name."""
    models, path = runs.models(run), runs.record(run)
    options = records.read_json(models / "cnn" / "options.json", "train_cnn.py")
    recipe = {key: options["options"][key] for key in RECIPE} | {
        "synthetic_images": options["synthetic_images"]
    }
    row = {
        "seed": run.seed,
        "recipe": recipe,
        "environment": options["environment"],
        **read_scores(models, runs.outputs(run)),
    }
    keep_predictions(runs, run, path.with_suffix(""))
    writing.write_json(path, row)


def score_ensemble(runs, split, rows, name="classifier"):
    """Return {name: value} of the average of the seeds' predicted probabilities.

    It is decided at the average of their operating points. The entry half_widths has {name: half
    the width of the 95 % interval} of accuracy and AUC.
    """
    folders = [runs.results / "classifier" / f"{split}_{r['seed']}" for r in rows]
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
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        mean = folder / "predictions.csv"
        write_predictions(mean, *parts[0][:2], np.mean([p for _, _, p in parts], axis=0))
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
        files = ["--from-predictions", mean, "--split", runs.split_file(split != "lesion_split")]
        evaluate.main([*map(str, files), "--outputs-dir", where, "--quiet"])
        found = records.read_json(
            folder / "evaluation" / "from_predictions" / "metrics.json", "evaluate.py"
        )
    block = found["models"]["classifier"]
    ends = {"acc": block["argmax"]["accuracy"], "auc": block["auc"]}
    return pick(block) | {"half_widths": {k: (v["high"] - v["low"]) / 2 for k, v in ends.items()}}


def read_seeds(runs, split):
    """Return the rows of one split's seeds; InputError if they are of several recipes."""
    folder = runs.results / "classifier"
    rows = read_rows(folder, split, ROW)
    if any(r["recipe"] != rows[0]["recipe"] for r in rows):
        raise InputError(
            f"{folder}: the seeds of the {split} were not trained by one recipe; remove the older "
            "records, and make them again"
        )
    return rows


def collect_split(runs, split):
    """Return means and standard deviations over the seeds of one split, and their ensemble."""
    rows = read_seeds(runs, split)

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
    out["ensemble"] = score_ensemble(runs, split, rows)
    if "control" in out:
        out["control"]["ensemble"] = score_ensemble(
            runs, split, [r for r in rows if "control" in r], "control"
        )
    return out


def price_leakage(runs, leak, lesion):
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
        score_ensemble(runs, split, [r for r in read_seeds(runs, split) if r["seed"] in both], name)
        for split, name in (("leak_split", "classifier"), ("lesion_split", "control"))
    )
    price = {k: ours[k] - theirs[k] for k in ("acc", "auc", "balanced_accuracy")}
    price |= {
        f"{k}_half_width": float(np.hypot(w, theirs["half_widths"][k]))
        for k, w in ours["half_widths"].items()
    }
    return price | {"seeds": both}


def collect(runs):
    """Write classifier.json from whatever the folder of results holds.

    InputError without a seed of the lesion split, or of the image split.
    """
    folder = runs.results / "classifier"
    splits = [s for s in SPLITS if find_rows(folder, s)]
    for name in ("lesion_split", "image_split"):
        if name not in splits:
            run = name.removesuffix("_split")
            raise InputError(f"{folder}: has no {name}_*.json, which the run {run}_0 makes")
    out = {"views": 8, **{name: collect_split(runs, name) for name in splits}}
    lesion = out["lesion_split"]
    if told := compare_clinical(runs):
        out["lesion_split_clinical"] = told
    if "leak_split" in out and (price := price_leakage(runs, out["leak_split"], lesion)):
        lesion["price_of_leakage"] = price
    out |= {name: lesion[name] for name in ("minutes", "minutes_std")}
    out["peak_gib"] = max(out[name]["peak_gib"] for name in splits)
    for name in ("alone", "cost"):
        path = folder / f"{name}.json"
        if path.is_file():
            out[name] = read_record(path, {"minutes": records.NUMBER} if name == "alone" else {})
    # The seeds may have been trained side by side, so their own minutes say less.
    if "alone" in out:
        out |= {"minutes": out["alone"]["minutes"], "minutes_std": None}
    writing.write_json(runs.results / "classifier.json", out)
