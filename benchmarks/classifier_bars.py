"""The classifier's figures of merit: results/classifier.json, from the ordinary scripts.

    python benchmarks/classifier_bars.py seed 0      # both splits, real + synthetic, control, malignancy: about an hour
    python benchmarks/resnet18_baseline.py           # what a step costs beside MedMNIST's ResNet-18
    python benchmarks/classifier_bars.py collect     # write results/classifier.json from results/classifier/

`seed N` needs the GAN of that seed (gan_bars.py seed N) and leaves one small file and the predictions in
results/classifier/; it can be repeated after an interruption. Image split: the leaky 70/10/20 protocol of older work, real
images alone. Lesion split: real plus 1000 synthetic images, beside real images alone at equal steps; malignancy by a binary
network and by summed probabilities. `collect` also scores the average of the seeds' predictions (`ensemble`).

To try the commands on a small table: `classifier_bars.py seed 0 --folder bars/try --data table.csv --epochs 2`, after
`gan_bars.py seed 0` with the same flags.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from workplace import mean_and_std, parse_args

import artifacts
import evaluate
import runlog
from ham10000 import InputError
from predictions import read_predictions, write_predictions

WANTED = {"acc": ("argmax", "accuracy"), "balanced_accuracy_argmax": ("argmax", "balanced_accuracy"),
          "balanced_accuracy": ("balanced", "balanced_accuracy"), "acc_balanced": ("balanced", "accuracy"),
          "macro_precision": ("argmax", "macro_precision"), "macro_recall": ("argmax", "macro_recall"),
          "macro_f1": ("argmax", "macro_f1"), "weighted_f1": ("argmax", "weighted_f1"), "auc": ("auc",),
          "auc_malignant": ("auc_malignant",), "average_precision_mel": ("average_precision_mel",), "ece": ("ece",),
          "ece_if_perfect": ("ece_if_perfect",),
          **{f"malignancy_{m}": ("argmax", f"malignancy_{m}")
             for m in ("accuracy", "sensitivity", "specificity")}}  # fmt: skip
WANTED |= {f"{what}_{end}": (f"{what}_{end}",) for what in ("melanoma", "malignant") for at in (90, 95)
           for end in (f"sensitivity_at_{at}_specificity", f"sensitivity_at_val_threshold_{at}",
                       f"specificity_at_val_threshold_{at}")}  # fmt: skip
DIFFERENCES = ("acc", "balanced_accuracy", "acc_balanced", "macro_f1", "auc")


def pick(block, names=WANTED):
    """{short name: value} of one model's block of metrics.json; what it does not have is left out."""
    out = {}
    for short in names:
        value = block
        for key in WANTED[short]:
            value = value.get(key, {})
        if value.get("value") is not None:
            out[short] = value["value"]
    return out


def training_minutes(folder, options):
    """Minutes of train_cnn.py from start to end; after an interruption, of its epochs alone."""
    epochs = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)["seconds"].sum()
    return float(max(epochs, options["wall_seconds"]) / 60)


def read_rows(models, outputs):
    """{model: {name: value}} and the paired differences, from metrics.json."""
    found = artifacts.read_json(outputs / "evaluation" / "metrics.json", "evaluate.py")
    rows = {name: pick(block) for name, block in found["models"].items()}
    options = artifacts.read_json(models / "cnn" / "options.json", "train_cnn.py")
    rows["classifier"] |= {"minutes": training_minutes(models / "cnn", options), "peak_gib": options["peak_gib"]}
    rows["operating_points"] = options["operating_points"]
    difference = found.get("classifier_minus_control")
    if difference:
        rows["classifier_minus_control"] = pick(difference, DIFFERENCES)
    return rows | {"protocol": found["protocol"]}


def measure(place, seed):
    """Train and evaluate one seed under both splits; results/classifier/seed_<seed>.json and its predictions."""
    image, lesion = f"image_{seed}", f"lesion_{seed}"
    same = ["--seed", seed]
    place.call("train_cnn.py", image, *same, "--split", "image", "--synthetic", "none", "--resume")
    place.evaluate(image, "the classifier under the image split", *same, "--split", "image")

    gan = place.models(f"seed_{seed}") / "gan"
    if not gan.is_dir():
        raise InputError(f"{gan}: no GAN of this seed; run gan_bars.py seed {seed} first")
    shutil.copytree(
        gan, place.models(lesion) / "gan", dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock", "snapshots")
    )
    place.call("train_gan.py", lesion, *same, "--sample-only", "--samples", 1000, "--no-png")
    for flags in (["--role", "control"], ["--task", "malignancy"], []):
        place.call("train_cnn.py", lesion, *same, *flags, "--resume")
    place.evaluate(lesion, "classifier, control and malignancy under the lesion split", *same)

    options = artifacts.read_json(place.models(lesion) / "cnn" / "options.json", "train_cnn.py")
    row = {"seed": seed, "commit": options["environment"]["commit"], "environment": options["environment"]}
    for split, name in (("image_split", image), ("lesion_split", lesion)):
        row[split] = read_rows(place.models(name), place.outputs(name))
        for kind in ("predictions.csv", "split.csv"):
            source = place.outputs(name) / ("evaluation" if kind == "predictions.csv" else "") / kind
            target = f"{split}_{kind}" if kind == "split.csv" else f"{split}_{seed}_{kind}"
            artifacts.write_text(place.results / target, source.read_text())
    artifacts.write_json(place.results / f"seed_{seed}.json", row)


def score_ensemble(place, split, rows):
    """{name: value} of the average of the seeds' predicted probabilities, at the average of their operating points."""
    parts = [read_predictions(place.results / f"{split}_{r['seed']}_predictions.csv") for r in rows]
    points = [r[split]["operating_points"] for r in rows]
    points = {name: np.mean([p[name] for p in points], axis=0) for name in points[0]}
    folder = place.bars / "ensemble" / split
    write_predictions(folder / "predictions.csv", *parts[0][:2], np.mean([p for _, _, p in parts], axis=0))
    artifacts.write_json(folder / "context.json", {
        "protocol": f"{rows[0][split]['protocol']}; average of {len(rows)} seeds", "data": None, "views": 8,
        "points": {"classifier": points}, "arms": {"classifier": {"trained_on": "", "same": {}}}})  # fmt: skip
    files = ["--from-predictions", folder / "predictions.csv", "--split", place.results / f"{split}_split.csv"]
    evaluate.main([*map(str, files), "--outputs-dir", str(folder)])
    found = artifacts.read_json(folder / "evaluation" / "from_predictions" / "metrics.json", "evaluate.py")
    return pick(found["models"]["classifier"])


def collect(place):
    """classifier.json from whatever the folder of results holds."""
    rows = [json.loads(p.read_text()) for p in sorted(place.results.glob("seed_*.json"))]
    if not rows:
        raise InputError(f"{place.results}: has no seed_*.json; run `classifier_bars.py seed 0` first")
    seeds = [r["seed"] for r in rows]
    out = {"seeds": seeds, "commits": [r["commit"] for r in rows], "views": 8}
    for split in ("image_split", "lesion_split"):

        def over_seeds(model, split=split):
            found = [r[split][model] for r in rows]
            return {k: v for name in found[0] for k, v in mean_and_std(found, name).items()}

        out[split] = {"protocol": rows[0][split]["protocol"], **over_seeds("classifier")}
        for model in ("control", "classifier_minus_control", "malignancy"):
            if model in rows[0][split]:
                out[split][model] = over_seeds(model)
        if len(rows) > 1:
            out[split]["ensemble"] = score_ensemble(place, split, rows)
    out["lesion_split"]["price_of_leakage"] = {
        k: out["image_split"][k] - out["lesion_split"]["control"][k] for k in ("acc", "auc", "balanced_accuracy")
    }
    out |= {"minutes": out["lesion_split"]["minutes"], "minutes_std": out["lesion_split"]["minutes_std"]}
    out["peak_gib"] = max(r[split]["classifier"]["peak_gib"] for r in rows for split in ("image_split", "lesion_split"))
    cost = place.results / "cost.json"
    if cost.is_file():
        out["cost"] = json.loads(cost.read_text())
    out["environment"] = rows[0]["environment"]
    artifacts.write_json(place.results.parent / "classifier.json", out)
    print(json.dumps(out, indent=1))


def main(argv=None):
    what, seed, place = parse_args(__doc__, "classifier", ("seed", "collect"), argv)
    if what == "collect":
        collect(place)
    else:
        measure(place, seed)


if __name__ == "__main__":
    runlog.script_main(main)
