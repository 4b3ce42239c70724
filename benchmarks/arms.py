"""Does the GAN help? Compare training sets (arms) at equal training steps.

Each arm is compared with real images under classic augmentation, into results/arms.json:

    python -m benchmarks.classifier_bars lesion 0  # first: two of the arms of a seed
    python -m benchmarks.arms repeated 0           # one more arm of that seed: ten minutes
    python -m benchmarks.arms collect              # the table, from the predictions in results/

Every arm of a seed shares its synthetic images. Differences are means over the seeds that both arms
have. Their intervals and p-values come from one bootstrap over lesions and seeds (paired: the same
draw for both arms). The p-values are adjusted for all comparisons tested (Holm 1979). A p-value is
twice the smaller share of draws at or beyond zero. Arms of fewer than three seeds, whose interval
is over lesions nearly alone, have none.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workplace import pack, parse_args
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates
from lesiongan.measures.contrasts import adjust, compare, draw_measures
from lesiongan.measures.predictions import find_file, read_lesions, read_predictions
from lesiongan.run import script

NONE = ["--synthetic", "none"]
# Each arm has a label and the flags of train_cnn.py; classifier_bars.py trains those without flags.
ARMS = {
    "classic": ("real, classic augmentation", None),
    "plain": ("real, no augmentation", [*NONE, "--augment", "none"]),
    "balanced": ("real, classic, class-balanced batches", [*NONE, "--sampler", "balanced"]),
    "repeated": ("real + 1000 repeated real, classic", [*NONE, "--repeat-real", 1000]),
    "plain_synthetic": (
        "real + 1000 synthetic of weight .25, no augmentation",
        ["--augment", "none"],
    ),
    "classic_synthetic": ("real + 1000 synthetic of weight .25, classic: the default", None),
    "full_weight": ("real + 1000 synthetic of weight 1, classic", ["--synthetic-weight", 1]),
    "synthetic_only": ("1000 synthetic alone, classic", ["--real", "none"]),
}
BASE = "classic"
# Accuracy is measured at the balanced point too, since it may pay for what balanced accuracy gains.
MEASURES = {
    "acc": "argmax.accuracy",
    "balanced_accuracy": "balanced.balanced_accuracy",
    "acc_balanced": "balanced.accuracy",
    "auc": "auc",
}
DRAWS = 2000
# Arms of one seed may differ in these options, besides their data, since they are what is compared.
VARIED = ("augment", "clinical", "middle", "sampler")


def measure_arm(place, arm, seed):
    """Train and evaluate one arm of one seed, and put its predictions into results/arms/."""
    flags = ARMS[arm][1]
    if flags is None:
        raise InputError(f"arm {arm}: run `classifier_bars.py lesion {seed}`, which trains it")
    if "--synthetic" not in flags:
        flags = [*flags, "--synthetic", place.synthetic(seed)]
    name = f"arm_{arm}_{seed}"
    place.call("train_cnn.py", name, "--seed", seed, *flags, "--resume")
    place.evaluate(name, f"the arm `{arm}` under the lesion split", "--seed", seed)
    evaluation, folder = place.outputs(name) / "evaluation", place.results / f"{arm}_{seed}"
    pack(evaluation / "predictions.csv", folder / "predictions.csv.gz")
    writing.write_text(folder / "context.json", (evaluation / "context.json").read_text())
    pack(place.outputs(name) / "split.csv", place.split_file("lesion_split"))


def find_arms(place):
    """Return {arm: {seed: (predictions.csv, context.json, name of the model in it)}}.

    Arms and seeds are those that have been measured.
    """
    found: dict[str, dict[int, tuple[Path, Path, str]]] = {arm: {} for arm in ARMS}
    classifier = place.results.parent / "classifier" if place.real else place.results
    for folder in sorted(classifier.glob("lesion_split_[0-9]*/")):
        seed = int(folder.name.rpartition("_")[2])
        for arm, model, file in (
            ("classic_synthetic", "classifier", "predictions.csv"),
            (BASE, "control", "predictions_control.csv"),
        ):
            if path := find_file(folder / file):
                found[arm][seed] = (path, folder / "context.json", model)
    for folder in sorted(place.results.glob("*_[0-9]*/")):
        arm, _, seed = folder.name.rpartition("_")
        if ARMS.get(arm, (None, None))[1]:
            path = find_file(folder / "predictions.csv") or folder / "predictions.csv.gz"
            found[arm][int(seed)] = (path, folder / "context.json", "classifier")
    return found


def build_measures(found, split, named=MEASURES):
    """Return the measures of each arm and seed, lesions (n,), protocol and training steps.

    The measures are {(arm, seed): function of image weights (d, n) to {measure: (d,)}}, as `named`
    is {measure: its name in metrics.json}. InputError
    unless all are of the same test images and recipe, and those of one seed of the same synthetic
    images.
    """
    out, made_by = {}, set()
    first: Any = None
    drawn: dict[int, str] = {}
    for arm, seeds in found.items():
        for seed, (path, context_path, model) in seeds.items():
            rows, labels, p = read_predictions(path)
            context = records.read_json(context_path, "evaluate.py", estimates.CONTEXT)
            trained = context["arms"][model]
            same = {k: v for k, v in trained["same"].items() if k not in (*VARIED, "seed")}
            now = (rows.tolist(), labels.tolist(), context["protocol"], same)
            first = first or now
            if now != first:
                raise InputError(
                    f"{path}: of other images, another protocol or another recipe than the arms "
                    "before"
                )
            images = trained.get("synthetic_sha256")
            if images and drawn.setdefault(seed, images) != images:
                raise InputError(
                    f"{path}: of other synthetic images than the arms of seed {seed} before; run "
                    "it again"
                )
            made_by |= {json.dumps(trained["trained_by"])} if "trained_by" in trained else set()
            whole = estimates.build_measure(labels, p, context["points"][model])

            def measure(w, whole=whole):
                measured = whole(w)
                return {name: measured[key] for name, key in named.items()}

            out[arm, seed] = measure
    protocol = first[2] + (
        "; TRAINED BY DIFFERENT CODE, PACKAGES OR ACCELERATOR" if len(made_by) > 1 else ""
    )
    return out, read_lesions(split, np.array(first[0]))[0], protocol, first[3]["steps"]


def build_rows(found, values, drawn):
    """Return {arm: its label, seeds, means over them and differences from real images}.

    found: as from find_arms. values, drawn: as from draw_measures.
    """
    rows: dict[str, dict[str, Any]] = {}
    for arm, (label, _) in ARMS.items():
        if not found[arm]:
            continue
        seeds = sorted(found[arm])
        rows[arm] = {"label": label, "seeds": seeds}
        for name in MEASURES:
            each = [values[arm, seed][name] for seed in seeds]
            rows[arm] |= {
                name: float(np.mean(each)),
                f"{name}_std": float(np.std(each, ddof=1)) if len(each) > 1 else None,
            }
        both = [seed for seed in seeds if seed in found[BASE]]
        if arm != BASE and both:
            rows[arm]["compared_seeds"] = both
            rows[arm]["less_classic"] = {
                name: compare(
                    np.array([values[arm, s][name] - values[BASE, s][name] for s in both]),
                    np.stack([drawn[arm, s][name] - drawn[BASE, s][name] for s in both]),
                )
                for name in MEASURES
            }
    return rows


def collect(place):
    """Write results/arms.json from the predictions of every arm and seed."""
    found = find_arms(place)
    if not found[BASE]:
        raise InputError(
            f"{place.results}: no arm `{BASE}`; run `classifier_bars.py lesion 0` first"
        )
    split = place.split_file("lesion_split")
    measures, lesions, protocol, steps = build_measures(found, split)
    values, drawn = draw_measures(measures, MEASURES, lesions, DRAWS)
    rows = build_rows(found, values, drawn)
    compared = [
        row["less_classic"][name]
        for row in rows.values()
        for name in MEASURES
        if "less_classic" in row
    ]
    compared = [c for c in compared if c["p"] is not None]
    for comparison, p in zip(compared, adjust([c["p"] for c in compared]), strict=True):
        comparison["p_holm"] = float(p)
    out = {
        "protocol": protocol,
        "steps": steps,
        "images": len(lesions),
        "draws": DRAWS,
        "comparisons": len(compared),
        "interval": "95 %, percentile bootstrap over lesions and seeds (of one seed, lesions), "
        "paired",
        "arms": rows,
    }
    writing.write_json(place.results.parent / "arms.json", out)
    print(json.dumps(out, indent=1))


def main(argv=None):
    what, seed, place = parse_args(
        __doc__, "arms", [*(a for a, (_, flags) in ARMS.items() if flags), "collect"], argv
    )
    collect(place) if what == "collect" else measure_arm(place, what, seed)


if __name__ == "__main__":
    script.script_main(main)
