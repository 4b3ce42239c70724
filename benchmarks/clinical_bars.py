"""The network that takes age, sex and site beside the one that sees the image alone, over seeds.

classifier_bars.py calls it for results/classifier.json.
"""

import numpy as np

from benchmarks.arms import DRAWS, MEASURES, build_measures
from lesiongan.measures.contrasts import compare, draw_measures
from lesiongan.measures.predictions import find_file
from lesiongan.measures.recompute import UNKNOWN

FILES = {
    "classifier": "predictions.csv",
    "clinical": "predictions_clinical.csv",
    UNKNOWN: f"predictions_{UNKNOWN}.csv",
}


def compare_clinical(place, rows):
    """Return what age, sex and site bring under the lesion split, or None if no seed has them.

    rows: those of the seeds. Each measure is a mean over the seeds that have a clinical network;
    `difference` is that network less the image-only one, paired over lesions and seeds, and
    `unknown` the same if nothing is known but the image. auc_difference, low and high are those of
    the AUC.
    """
    seeds = [r["seed"] for r in rows if "clinical" in r]
    if not seeds:
        return None
    folders = {seed: place.results / f"lesion_split_{seed}" for seed in seeds}
    found = {
        model: {
            seed: (find_file(folder / name) or folder / name, folder / "context.json", model)
            for seed, folder in folders.items()
        }
        for model, name in FILES.items()
    }
    split = place.split_file("lesion_split")
    measures, lesions, protocol, _ = build_measures(found, split)
    values, drawn = draw_measures(measures, MEASURES, lesions, DRAWS)

    def subtract(model):
        """Return {measure: the model less the image-only network}."""
        return {
            name: compare(
                np.array([values[model, s][name] - values["classifier", s][name] for s in seeds]),
                np.stack([drawn[model, s][name] - drawn["classifier", s][name] for s in seeds]),
            )
            for name in MEASURES
        }

    def average(model):
        """Return {measure: mean over the seeds}, with the calibration error."""
        own = [r[model] for r in rows if r["seed"] in seeds]
        means = {name: np.mean([values[model, s][name] for s in seeds]) for name in MEASURES}
        return {k: float(v) for k, v in means.items()} | {
            "ece": float(np.mean([r["ece"] for r in own]))
        }

    difference = subtract("clinical")
    return {
        "protocol": protocol,
        "seeds": seeds,
        **average("clinical"),
        "auc_difference": difference["auc"]["value"],
        "low": difference["auc"]["low"],
        "high": difference["auc"]["high"],
        "difference": difference,
        "image_alone": average("classifier"),
        "unknown": average(UNKNOWN) | {"difference": subtract(UNKNOWN)},
    }
