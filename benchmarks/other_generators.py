"""Sets of other generators beside this GAN's, by the ordinary scripts, into results/.

    python -m benchmarks.gan_baseline --epochs 30     # the textbook DCGAN: half an hour
    python -m benchmarks.other_generators make        # -> bars/others/NAME.csv: a minute
    python evaluate.py --synthetic outputs/synthetic/hmnist_28_28_RGB.csv bars/others/*.csv
    python -m benchmarks.other_generators cas NAME    # its CAS on val: minutes
    python -m benchmarks.other_generators collect     # -> results/other_generators.json

Each set has 1000 images, equally many of each class: drawn by the DCGAN; mixed from a training
image and one of its 5 nearest of the class; copies of training images with noise of 2, 5 or 10 grey
levels. Only train images go into them, and everything is measured on val.

CAS is here the accuracy and the balanced accuracy on val of the classifier trained on the set alone
for 400 steps. NAME may be `ours`, the set in outputs/synthetic, or `real`: as many
training images.
"""

from pathlib import Path

import numpy as np

import train_cnn
from benchmarks.copies import mix, to_pixels
from lesiongan import ROOT
from lesiongan.data import classes, tables
from lesiongan.data.classes import CLASSES
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import synthetic_sets
from lesiongan.nets import drawing, saved_models, synthetic_set
from lesiongan.run import flags, keras_setup, machine, script
from lesiongan.run.inputs import load_inputs

IMAGES, STEPS = 1000, 400
NOISE = (2, 5, 10)
WORDS = {
    "ours": "this GAN",
    "dcgan": "textbook DCGAN, 30 epochs",
    "mixup": "training images mixed with a neighbour",
    **{f"noise_{sd}": f"copies of training images, noise {sd}" for sd in NOISE},
}
KEPT = ("sha256", "origin", "images", "passes_as_new", "judge_sha256", "protocol")


def draw_train(inputs, rng):
    """Return (images, labels) of IMAGES train images, as many of each class as can be.

    Of a class that runs short, images are drawn repeatedly.
    """
    images, labels = inputs.part("train")
    wanted = synthetic_set.class_mix("balanced", IMAGES, classes.class_counts(labels))
    at = [
        rng.choice(np.flatnonzero(labels == c), n, replace=n > (labels == c).sum())
        for c, n in enumerate(classes.class_counts(wanted))
        if n
    ]
    drawn = np.concatenate(at)
    return images[drawn], labels[drawn]


def make(inputs, folder, generator, seed):
    """Write the sets to folder/NAME.csv; the DCGAN's only if its generator is there."""
    rng = np.random.default_rng([1, seed])
    images, labels = draw_train(inputs, rng)
    pool, pool_labels = inputs.part("train")
    made = {"mixup": mix(images, labels, pool, pool_labels, rng, 5), "real": images}
    made |= {f"noise_{sd}": to_pixels(images + rng.normal(0, sd, images.shape)) for sd in NOISE}
    chunks = {name: [(x, labels)] for name, x in made.items()}
    if generator.is_file():
        keras_setup.quiet_tensorflow()
        wanted = synthetic_set.class_mix("balanced", IMAGES, classes.class_counts(pool_labels))
        network = saved_models.load_generator(generator)
        chunks["dcgan"] = drawing.generate_in_chunks(network, wanted, seed)
    else:
        print(f"  no {generator}: without the DCGAN")
    for name, rows in chunks.items():
        tables.write_table(folder / f"{name}.csv", rows)
        print(f"  {folder / name}.csv")


def find_set(args, name):
    """Return the path of a set by its name."""
    if name == "ours":
        return args.outputs_dir / "synthetic" / classes.TABLE_NAME
    return args.folder / f"{name}.csv"


def measure_cas(args, name):
    """Train the classifier on one set alone, and write its accuracy on val to folder/cas_NAME.json.

    Training images are labelled `real`, because nothing was generated there.
    """
    place = args.folder / f"cas_{name}"
    given = ["--data", args.data] if args.data else []
    given += ["--metadata", args.metadata, "--models-dir", place, "--outputs-dir", place]
    given += ["--split", args.split, "--split-seed", args.split_seed]
    given += ["--label-order", args.label_order, "--train-fraction", args.train_fraction]
    given += ["--train-share", args.train_share]
    given += ["--subset", args.subset] if args.subset else []
    given += ["--real", "none", "--synthetic", find_set(args, name), "--steps", STEPS]
    train_cnn.main([str(g) for g in [*given, "--seed", args.seed, "--if-stale", "--resume"]])
    options = records.read_json(place / "cnn" / "options.json", "train_cnn.py")
    found = {key: options["val"][key] for key in ("accuracy", "balanced_accuracy")}
    found["set"] = tables.read_table(find_set(args, name)).sha256
    writing.write_json(args.folder / f"cas_{name}.json", found)
    print(f"  CAS of {name} on val: {found}")


def collect(args, out):
    """Write results/other_generators.json from synthetic_sets.json and the CAS of the sets."""
    path = args.outputs_dir / "evaluation" / synthetic_sets.NAME
    found = records.read_json(path, "evaluate.py --synthetic", synthetic_sets.SHAPE)
    stems = {Path(classes.TABLE_NAME).stem: "ours"}
    sets, shown = {}, []
    for each in found["sets"]:
        stem = Path(each["name"]).stem
        name = stems.get(stem, stem)
        if name not in WORDS:
            raise InputError(f"{path}: {stem} is none of {', '.join(WORDS)}; see --help")
        cas = args.folder / f"cas_{name}.json"
        measured = records.read_json(cas, "cas") if cas.is_file() else None
        if measured and measured.pop("set", each["sha256"]) != each["sha256"]:
            raise InputError(
                f"{cas}: is of another set than {each['name']}; run `cas {name}` again"
            )
        sets[name] = {key: each[key] for key in KEPT if key in each} | {
            "label": WORDS[name],
            "cas_on_val": measured,
        }
        shown.append(each | {"name": WORDS[name]})
    head, rows = synthetic_sets.tabulate(shown)
    cas_of_all = [sets[n]["cas_on_val"] for n in sets]
    real = args.folder / "cas_real.json"
    cas_of_all.append(records.read_json(real, "cas") if real.is_file() else None)
    for key in ("accuracy", "balanced_accuracy"):
        label = f"CAS on val, {key.replace('_', ' ')}"
        rows.append((label, *(f"{a[key]:.3f}" if a else "-" for a in cas_of_all)))
    record = {
        "command": "python -m benchmarks.other_generators collect",
        "seed": args.seed,
        "steps_of_cas": STEPS,
        "data": found["data"],
        "classes": list(CLASSES),
        "sets": sets,
        "head": head,
        "rows": rows,
        "environment": machine.environment(),
    }
    writing.write_json(out, record)
    print(out.read_text())


def main(argv=None):
    p = flags.parser(__doc__)
    p.add_argument("what", choices=("make", "cas", "collect"))
    p.add_argument("name", nargs="?", choices=("real", *WORDS), help="the set of `cas`")
    p.add_argument("--folder", type=Path, default=ROOT / "bars" / "others", help="where sets lie")
    p.add_argument(
        "--generator",
        type=Path,
        default=ROOT / "bars" / "baseline" / "models" / "gan" / "generator.keras",
        help="the DCGAN's, of gan_baseline",
    )
    p.add_argument("--out", type=Path, default=ROOT / "results" / "other_generators.json")
    args = p.parse_args(argv)
    if (args.what == "cas") != (args.name is not None):
        p.error("`cas` takes the name of a set, and nothing else does")
    if args.what == "collect":
        collect(args, args.out)
    elif args.what == "cas":
        measure_cas(args, args.name)
    else:
        inputs = load_inputs(args)
        inputs.require_rgb28("other_generators")
        make(inputs, args.folder, args.generator, args.seed)


if __name__ == "__main__":
    script.script_main(main)
