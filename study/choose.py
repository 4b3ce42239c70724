"""Choose how a closed GAN's images are used, on lesions of others and by the val part alone.

    python -m study.choose study/config.yaml

The entry `choice` of the grid names a fraction, an amount and recipes. A GAN and the classifiers of
every recipe learn from as many lesions as the fraction has, none of which is the researcher's own:
what `others` holds beside the rest. Test is not read. The figures go to the grid's
results_choice.json, as results/study_choice.json; what is chosen is written into the grid by hand,
before a closed cell is scored on test. A training that was interrupted goes on from its last epoch.
"""

from pathlib import Path

import numpy as np

import train_cnn
import train_gan
from lesiongan.data.classes import TABLE_NAME
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import metrics
from lesiongan.nets import inference, saved_models
from lesiongan.run import flags, inputs, machine, script
from study.grid import Grid, is_count

MEASURES = ("auc", "balanced_accuracy", "accuracy", "log_loss")


def read_choice(grid):
    """Return the entry `choice` of a grid; InputError if there is none, or it cannot be made."""
    choice = grid.values.get("choice")
    if choice is None:
        raise InputError(f"{grid.path}: has no choice; see study/config.yaml")
    if choice["fraction"] not in grid.fractions or choice["fraction"] > 50:
        raise InputError(
            f"{grid.path}: choice needs a fraction of the grid's, 50 % at most: as many lesions "
            "must be left beside it"
        )
    if not choice["seeds"] or not choice["recipes"] or not is_count(choice["amount"]):
        raise InputError(f"{grid.path}: choice needs a seed, a recipe and an amount from 1")
    return choice


def share_flags(grid, fraction):
    """Return the flags of as many lesions as the fraction has, without one of them.

    Fractions are nested, so what is beside the rest, 100 - fraction, is beside the fraction, too.
    """
    return grid.share_flags(100 - fraction, "others")


def train_gan_of_others(grid, choice, folder, places):
    """Train the GAN, draw its set, and return the path of its table."""
    flags = [*share_flags(grid, choice["fraction"]), *grid.fractions[choice["fraction"]]["closed"]]
    seed = choice["seeds"][0]
    drawn = ["--samples", choice["amount"], *grid.values["drawing"], "--out", folder / "set"]
    made = [*places, *flags, "--seed", seed, *drawn, "--no-png", "--resume", "--if-stale"]
    train_gan.main([str(f) for f in made])
    return folder / "set" / TABLE_NAME


def score_on_val(args, network):
    """Return {measure: value} of a network on val, AUC over the classes that val has."""
    images, labels = inputs.load_inputs(args).part("val")
    p = inference.predict_views(saved_models.load_classifier(network), images)
    whole = np.ones((1, len(labels)))
    each = [metrics.Ranking(labels == i, p[:, i]).auc(whole)[0] for i in range(7) if i in labels]
    counts = metrics.summarise(metrics.confusion(labels, p.argmax(axis=1), 7))
    found = {"auc": np.mean(each), "log_loss": metrics.log_loss(labels, p), **counts}
    return {name: float(found[name]) for name in MEASURES}


def try_recipe(grid, choice, name, table, folder, places):
    """Train a recipe's classifiers, and return [{measure: value}], one for each seed."""
    found = []
    for seed in choice["seeds"]:
        own = folder / f"{name}_c{seed}"
        folders = ["--models-dir", own / "models", "--outputs-dir", own / "outputs"]
        steps = ["--steps", grid.fractions[choice["fraction"]]["steps"], "--seed", seed]
        share = share_flags(grid, choice["fraction"])
        recipe = [*share, *grid.values.get("cnn", []), *steps]
        # A recipe's own --synthetic none comes after the table, and so holds.
        recipe += ["--synthetic", table, *choice["recipes"][name]]
        flags = [str(f) for f in [*places, *folders, *recipe]]
        train_cnn.main([*flags, "--quiet", "--resume", "--if-stale"])
        scores = score_on_val(train_cnn.parse_args(flags), own / "models/cnn/classifier.keras")
        print(name, seed, " ".join(f"{k} {v:.3f}" for k, v in scores.items()), flush=True)
        found.append({"seed": seed, **scores})
    return found


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("grid", type=Path)
    grid = Grid(p.parse_args(argv).grid)
    choice = read_choice(grid)
    inputs.keep_tables()
    folder, places = grid.work / "choice", grid.places()
    gan_folders = ["--models-dir", folder / "models", "--outputs-dir", folder / "outputs"]
    table = train_gan_of_others(grid, choice, folder, [*places, *gan_folders])
    recipes = {
        name: try_recipe(grid, choice, name, table, folder, places) for name in choice["recipes"]
    }
    made = records.read_json(folder / "models/gan/options.json", "train_gan.py", {"split": dict})
    result = {
        "part": "val",
        "choice": choice,
        "split": made["split"],
        "gan_seconds": made["training_seconds"],
        "recipes": recipes,
        "mean": {
            name: {m: float(np.mean([r[m] for r in rows])) for m in MEASURES}
            for name, rows in recipes.items()
        },
        "environment": machine.environment(),
    }
    writing.write_json(grid.beside("_choice.json"), result)
    print(f"val figures of {len(recipes)} recipes -> {grid.beside('_choice.json')}")


if __name__ == "__main__":
    script.script_main(main)
