"""The network that takes age, sex and site beside the one that sees the image alone, over seeds.

Both learn from real images alone, on one machine, in equally many steps, so that nothing but the
inputs differs.
"""

import numpy as np

from lesiongan.measures.contrasts import compare, draw_measures
from lesiongan.measures.networks import name_file
from lesiongan.measures.predictions import find_file
from lesiongan.measures.recompute import UNKNOWN
from study.collect_arms import DRAWS, MEASURES, build_measures
from study.gather import read_record

TOLD, ALONE = "clinical", "classifier"
FILES = {name: name_file(name) for name in (ALONE, TOLD, UNKNOWN)}
# No difference is made of the calibration error: its interval would be wrong (see estimates.py).
TABLED = MEASURES | {"ece": "ece"}


def find_predictions(folders):
    """Return {network: {seed: (predictions, context.json, name in it)}} of {seed: folder}."""
    return {
        name: {
            seed: (find_file(folder / file) or folder / file, folder / "context.json", name)
            for seed, folder in folders.items()
        }
        for name, file in FILES.items()
    }


def compare_clinical(runs):
    """Return what age, sex and site bring under the lesion split, or None without a seed.

    Each measure is a mean over the seeds; `difference` is the clinical network less the image-only
    one, paired over lesions and seeds, and `unknown` the same if nothing is known but the image.
    auc_difference, low and high are those of the AUC. ece is the expected calibration error.
    """
    kept = (runs.results / "classifier").glob("clinical_*/context.json")
    by_name = {path.parent.name.rpartition("_")[2]: path.parent for path in sorted(kept)}
    folders = {int(name): folder for name, folder in by_name.items() if name.isdigit()}
    if not folders:
        return None
    found, seeds = find_predictions(folders), sorted(folders)
    split = runs.split_file(of_images=False)
    measures, lesions, protocol, steps = build_measures(found, split, TABLED)
    values, drawn = draw_measures(measures, TABLED, lesions, DRAWS)

    def subtract(model):
        """Return {measure: the model less the image-only network}."""
        return {
            name: compare(
                np.array([values[model, s][name] - values[ALONE, s][name] for s in seeds]),
                np.stack([drawn[model, s][name] - drawn[ALONE, s][name] for s in seeds]),
            )
            for name in MEASURES
        }

    def average(model):
        """Return {measure: mean over the seeds}, with standard deviations."""
        each = {name: [values[model, s][name] for s in seeds] for name in TABLED}
        spread = {f"{n}_std": float(np.std(v, ddof=1)) for n, v in each.items() if len(v) > 1}
        return {name: float(np.mean(v)) for name, v in each.items()} | spread

    difference = subtract(TOLD)
    return {
        "protocol": protocol,
        "trained_on": "real images alone",
        "steps": steps,
        "seeds": seeds,
        "environments": [
            read_record(folders[seed] / "made.json", {"environment": dict})["environment"]
            for seed in seeds
        ],
        **average(TOLD),
        "auc_difference": difference["auc"]["value"],
        "low": difference["auc"]["low"],
        "high": difference["auc"]["high"],
        "difference": difference,
        "image_alone": average(ALONE),
        "unknown": average(UNKNOWN) | {"difference": subtract(UNKNOWN)},
    }
