"""How classifiers do when val lesions are framed more closely and lit by another lamp.

    python -m benchmarks.framing models/cnn models/clinical [--data TABLE]

Photographs from elsewhere are framed and lit in their own ways, and a recipe that scores well on
photographs of its own table may lose that there. Each val image is seen as it is (`whole`), with
its middle 22 x 22 pixels enlarged to 28 x 28 (`enlarged`), and so with its channels multiplied by
1.06, 1 and .9, less 8 grey levels (`enlarged and tinted`). A clinical network is scored with all
of age, sex and site, and with nothing known. Writes results/framing.csv: a row a network and view;
measures as evaluate.py's, the balanced accuracy at the balanced point. Test is never read.
"""

from pathlib import Path

import numpy as np
import pandas as pd

import train_cnn
from lesiongan import ROOT
from lesiongan.data import clinical
from lesiongan.data.classes import CLASSES
from lesiongan.files import writing
from lesiongan.measures import estimates, metrics
from lesiongan.measures.networks import TRAINED
from lesiongan.nets import inference, saved_models
from lesiongan.run import flags, keras_setup, script
from lesiongan.run.inputs import load_inputs

MIDDLE = 22
LAMP = (1.06, 1.0, 0.9)
DARKER = 8
MEASURES = {
    "accuracy": "argmax.accuracy",
    "balanced_accuracy": "balanced.balanced_accuracy",
    "auc": "auc",
}


def enlarge(images, middle=MIDDLE):
    """Return uint8 (n, s, s, 3): the middle of images (n, s, s, 3), enlarged bilinearly."""
    from PIL import Image

    side = images.shape[1]
    at = (side - middle) / 2
    box = (at, at, at + middle, at + middle)
    resized = [
        Image.fromarray(i).resize((side, side), Image.Resampling.BILINEAR, box=box) for i in images
    ]
    return np.stack([np.asarray(i) for i in resized])


def tint(images):
    """Return uint8 (n, s, s, 3): images under a warmer and weaker lamp."""
    return np.clip(np.rint(images * np.array(LAMP) - DARKER), 0, 255).astype(np.uint8)


def score(labels, p, points):
    """Return {measure: number} of probabilities (n, 7) at a network's operating points."""
    found = estimates.build_measure(labels, p, points)(np.ones((1, len(labels))))
    measures = {name: float(found[key][0]) for name, key in MEASURES.items()}
    return measures | {"log_loss": float(metrics.log_loss(labels, p))}


def score_folder(folder, inputs, views):
    """Return the rows of one network's folder, a dict each: one a view and way of asking it."""
    options = inputs.check_made_from(
        folder / "options.json", f"train_cnn.py (for {folder})", TRAINED
    )
    takes_clinical = bool(options["options"].get("clinical"))
    path = folder / "classifier.keras"
    model = saved_models.load_classifier(path, len(CLASSES), takes_clinical=takes_clinical)
    labels = inputs.part("val")[1]
    told: dict[str, dict | None] = {"image alone": None}
    if takes_clinical:
        table = inputs.table
        clinical.require(table.metadata, table.path)
        known = clinical.encode(table.metadata, len(table))
        told = {
            "all known": clinical.take(known, np.flatnonzero(inputs.parts == "val")),
            "nothing known": clinical.unknown(len(labels)),
        }
    return [
        {"network": folder.name, "seed": options["options"]["seed"], "told": name, "view": view}
        | score(
            labels,
            inference.predict_views(model, images, clinical=values),
            options["operating_points"],
        )
        for name, values in told.items()
        for view, images in views.items()
    ]


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("folders", type=Path, nargs="+", help="folders of networks, as models/cnn")
    p.add_argument("--data", help="table (default: the one in data/)")
    p.add_argument("--metadata", default="auto", help="its metadata (default: beside the table)")
    p.add_argument("--out", type=Path, default=ROOT / "results/framing.csv")
    args = p.parse_args(argv)
    shared = ["--metadata", args.metadata, *(["--data", args.data] if args.data else [])]
    inputs = load_inputs(train_cnn.parse_args(shared))
    keras_setup.quiet_tensorflow()
    whole = inputs.part("val")[0]
    near = enlarge(whole)
    views = {"whole": whole, "enlarged": near, "enlarged and tinted": tint(near)}
    rows: list[dict] = []
    for folder in args.folders:
        rows += score_folder(folder, inputs, views)
        print(f"{folder}: scored", flush=True)
    found = pd.DataFrame(rows)
    writing.write_csv(args.out, {str(c): found[c].tolist() for c in found})
    groups = found.groupby(["network", "told", "view"], sort=False)
    print(groups[[*MEASURES, "log_loss"]].mean().round(3).to_string())
    print(f"means over {groups.size().max()} seeds; each in {args.out}")


if __name__ == "__main__":
    script.script_main(main)
