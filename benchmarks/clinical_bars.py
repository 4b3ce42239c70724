"""The network that takes age, sex and site beside the one that sees the image alone, over seeds.

    python -m benchmarks.classifier_bars clinical 0  # about a quarter of an hour

Both learn from real images alone, on one machine, in equally many steps, so that nothing but the
inputs differs.
"""

import numpy as np

from benchmarks.arms import DRAWS, MEASURES, build_measures
from benchmarks.workplace import pack
from lesiongan.files import records, writing
from lesiongan.measures.contrasts import compare, draw_measures
from lesiongan.measures.networks import name_file
from lesiongan.measures.predictions import find_file
from lesiongan.measures.recompute import UNKNOWN

TOLD, ALONE = "clinical", "classifier"
FILES = {name: name_file(name) for name in (ALONE, TOLD, UNKNOWN)}
# No difference is made of the calibration error: its interval would be wrong (see estimates.py).
TABLED = MEASURES | {"ece": "ece"}


def measure_clinical(place, seed):
    """Train one seed's two networks, and put their test predictions into clinical_<seed>/.

    The clinical network gives two sets: told what the metadata knows, and told nothing.
    """
    name, flags = f"clinical_{seed}", ["--seed", seed]
    for inputs in ([], ["--clinical"]):
        place.call("train_cnn.py", name, *flags, *inputs, "--synthetic", "none", "--resume")
    what = "the clinical network and its image-only one under the lesion split"
    place.evaluate(name, what, *flags, "--predictions-only")
    evaluation, folder = place.outputs(name) / "evaluation", place.results / name
    for file in FILES.values():
        pack(evaluation / file, folder / f"{file}.gz")
    writing.write_text(folder / "context.json", (evaluation / "context.json").read_text())
    pack(place.outputs(name) / "split.csv", place.split_file("lesion_split"))
    made = records.read_json(place.models(name) / "clinical/options.json", "train_cnn.py")
    row = {"seed": seed, "minutes": made["wall_seconds"] / 60, "environment": made["environment"]}
    writing.write_json(place.results / f"{name}.json", row)


def find_predictions(place):
    """Return {network: {seed: (predictions, context.json, name in it)}}."""
    rows = [path.with_suffix("") for path in sorted(place.results.glob("clinical_[0-9]*.json"))]
    folders = {int(folder.name.rpartition("_")[2]): folder for folder in rows}
    return {
        name: {
            seed: (find_file(folder / file) or folder / file, folder / "context.json", name)
            for seed, folder in folders.items()
        }
        for name, file in FILES.items()
    }


def compare_clinical(place):
    """Return what age, sex and site bring under the lesion split, or None without a seed.

    Each measure is a mean over the seeds; `difference` is the clinical network less the image-only
    one, paired over lesions and seeds, and `unknown` the same if nothing is known but the image.
    auc_difference, low and high are those of the AUC. ece is the expected calibration error.
    """
    found = find_predictions(place)
    seeds = sorted(found[TOLD])
    if not seeds:
        return None
    split = place.split_file("lesion_split")
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
            records.read_json(place.results / f"clinical_{seed}.json", "classifier_bars.py")[
                "environment"
            ]
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
