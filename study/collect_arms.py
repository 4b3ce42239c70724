"""Does the GAN help? Compare training sets (arms) at equal training steps, into results/arms.json.

Each arm is compared with real images under classic augmentation. Every arm of a seed shares its
synthetic images. Differences are means over the seeds that both arms have. Their intervals and
p-values come from one bootstrap over lesions and seeds (paired: the same draw for both arms). The
p-values are adjusted for all comparisons tested (Holm 1979). A p-value is twice the smaller share
of draws at or beyond zero. Arms of fewer than three seeds, whose interval is over lesions nearly
alone, have none.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates
from lesiongan.measures.contrasts import adjust, compare, draw_measures
from lesiongan.measures.predictions import find_file, read_lesions, read_predictions

# The arms' labels, in the order of the table. The run `lesion` of records.yaml trains two of them,
# its control and its classifier, and runs of their own names the others.
ARMS = {
    "classic": "real, classic augmentation",
    "plain": "real, no augmentation",
    "balanced": "real, classic, class-balanced batches",
    "repeated": "real + 1000 repeated real, classic",
    "plain_synthetic": "real + 1000 synthetic of weight .25, no augmentation",
    "classic_synthetic": "real + 1000 synthetic of weight .25, classic: the default",
    "full_weight": "real + 1000 synthetic of weight 1, classic",
    "synthetic_only": "1000 synthetic alone, classic",
}
BASE, DEFAULT = "classic", "classic_synthetic"
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


def find_arms(runs):
    """Return {arm: {seed: (predictions.csv, context.json, name of the model in it)}}.

    Arms and seeds are those whose records are there.
    """
    found: dict[str, dict[int, tuple[Path, Path, str]]] = {arm: {} for arm in ARMS}
    for folder in sorted((runs.results / "classifier").glob("lesion_split_*/")):
        if not (number := folder.name.rpartition("_")[2]).isdigit():
            continue
        seed = int(number)
        for arm, model, file in (
            (DEFAULT, "classifier", "predictions.csv"),
            (BASE, "control", "predictions_control.csv"),
        ):
            if path := find_file(folder / file):
                found[arm][seed] = (path, folder / "context.json", model)
    for folder in sorted((runs.results / "arms").glob("*_*/")):
        arm, _, seed = folder.name.rpartition("_")
        if arm in ARMS and arm not in (BASE, DEFAULT) and seed.isdigit():
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
    for arm, label in ARMS.items():
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


def collect(runs):
    """Write arms.json from the predictions of every arm and seed; InputError without the base."""
    found = find_arms(runs)
    if not found[BASE]:
        raise InputError(f"{runs.results}: no arm `{BASE}`, which the run lesion_0 trains")
    split = runs.split_file(of_images=False)
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
    writing.write_json(runs.results / "arms.json", out)
