"""Score generators on the val part, for choosing between GANs: never with the judge, never on test.

    python -m benchmarks.gan_probe models/gan/generator.keras [more.keras ...] [--json OUT]

The probe is the judge's counterpart: it has the same recipe with another seed and learns from half
B of the train lesions, the floor being half A. It is trained once (about 4 minutes) and kept in
bars/probe/. It prints one line a generator: Frechet distance over the floor, KID, precision,
recall, coverage and density over half A's, patch distances over half B's, the least and greatest
power over that of train images, diversity and label agreement by class.
"""

import json
from pathlib import Path

import numpy as np

import train_cnn
from lesiongan import ROOT
from lesiongan.data.classes import CLASSES
from lesiongan.data.split import half_a
from lesiongan.data.tables import Table
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.measures import calibration, synthetic_quality, texture
from lesiongan.measures.judge import Judge
from lesiongan.measures.synthetic_quality import IMAGES
from lesiongan.nets import saved_models
from lesiongan.nets.drawing import draw_latents, generate
from lesiongan.run import flags, keras_setup, runs, script
from lesiongan.run.folders import ResultFolder
from lesiongan.run.inputs import Inputs

PROBE_SEED = 5001


def build_probe(run):
    """Return the probe as a Judge of val, trained first if bars/probe/ has none of this split."""
    inputs: Inputs = run.inputs
    half = (inputs.parts == "train") & ~half_a(inputs.table, inputs.parts)
    place = ResultFolder(run, run.args.models_dir / "options.json", run.identify())
    path = place.path / "classifier.keras"
    if not place.is_current():
        place.begin([path.name])
        images, labels = inputs.table.images[half], inputs.table.labels[half]
        pool = images, labels, np.ones(len(labels), np.float32)
        # It is taught with balanced batches, but its epoch is chosen under the train prior: under
        # the uniform one, the few images that val has of the rare classes would decide.
        shift = np.log(calibration.prior_of(inputs.part("train")[1], len(CLASSES))) + np.log(
            len(CLASSES)
        )
        network, _ = train_cnn.train(place, pool, inputs.part("val"), shift)
        temperature = calibration.fit_temperature(network, *inputs.part("val"), shift)
        saved_models.save(
            path, calibration.with_calibration(network, temperature, np.zeros(len(CLASSES)))
        )
        place.finish([path])
    return Judge(saved_models.load_classifier(path), inputs, half, held_out="val")


def draw_set(generator, per_class=300):
    """Return a Table of `per_class` synthetic images of every class."""
    labels = np.repeat(np.arange(len(CLASSES), dtype=np.int32), per_class)
    images = generate(generator, draw_latents(generator, len(labels), 8), labels)
    return Table("drawn", "hmnist_28_28_RGB", images, labels, "", np.arange(len(labels)))


def probe(inputs, judge, path):
    """Return {name: value} of one generator."""
    generator = saved_models.load_generator(path)
    synthetic = draw_set(generator)
    held_images, held_labels = inputs.part("val")
    features, held = judge.features(synthetic.images), judge.features(held_images)
    _, found, by_class = synthetic_quality.measure_distances(
        inputs, synthetic, judge, generator, features, held
    )
    names = (
        "frechet_ratio",
        "frechet",
        "frechet_floor",
        "kid",
        "precision",
        "recall",
        "coverage_ratio",
        "density_ratio",
    )
    out = {k: round(found[k]["value"], 4) for k in names}
    out["coverage_by_class"] = {
        c: round(f["coverage_ratio"]["value"], 2) for c, f in by_class.items()
    }
    out["density_by_class"] = {
        c: round(f["density_ratio"]["value"], 2) for c, f in by_class.items()
    }
    patches = texture.measure_patches(inputs, None, generator, "val", IMAGES)
    out |= {k: round(patches[k]["value"], 2) for k in ("swd_28_ratio", "swd_14_ratio")}
    out["spectrum"] = {
        c: f"{min(f['to_train']):.2f} to {max(f['to_train']):.2f}"
        for c, f in texture.report_spectra(inputs, None, generator, "val").items()
        if "to_train" in f
    }
    lesions = inputs.lesions("val")
    spread = synthetic_quality.diversity(
        features, synthetic.labels, held, held_labels, lesions, "val", draws=2
    )
    out["diversity"] = {c: round(f["value"], 2) for c, f in spread.items()}
    agreement = synthetic_quality.label_agreement(
        judge, synthetic, held_images, held_labels, lesions, "val"
    )
    out["agreement"] = {
        c: f"{f['value']:.2f}/{f['real_recall']['value']:.2f}" for c, f in agreement.items()
    }
    return out


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("generators", type=Path, nargs="+")
    p.add_argument("--data", help="table (default: the one in data/)")
    p.add_argument(
        "--folder", type=Path, default=ROOT / "bars" / "probe", help="where the probe is kept"
    )
    p.add_argument("--json", type=Path, help="also write the numbers here")
    args = p.parse_args(argv)
    for path in args.generators:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    keras_setup.quiet_tensorflow()
    shared = [
        "--role",
        "judge",
        "--if-stale",
        "--models-dir",
        str(args.folder),
        "--outputs-dir",
        str(args.folder),
    ]
    shared += ["--data", args.data] if args.data else []
    probe_args = train_cnn.parse_args(shared)
    probe_args.seed, probe_args.resume = PROBE_SEED, False
    run = runs.Run(probe_args, "gan_probe")
    judge = build_probe(run)
    found = {}
    for path in args.generators:
        found[str(path)] = probe(run.inputs, judge, path)
        print(path, json.dumps(found[str(path)]), flush=True)
    if args.json:
        writing.write_json(args.json, found)


if __name__ == "__main__":
    script.script_main(main)
