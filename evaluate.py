"""Evaluate the trained classifier on the test part, and the synthetic images against held-out ones.

    python evaluate.py                                             # -> outputs/evaluation/
    python evaluate.py --external OTHER.csv                        # score another table
    python evaluate.py --from-predictions P.csv --split SPLIT.csv  # without table or model

The script writes predictions.csv first (one line for each test image) and derives every estimate
from it: metrics.json, per_class.csv, confusion.csv. Then it writes synthetic_quality.json. Models
beside the classifier (control, malignancy) are scored too when they are there. Each estimate has
its n, its 95 % interval (bootstrap over lesions) and the name of its protocol. The script takes
about two minutes.
"""

from pathlib import Path

import numpy as np

from lesiongan.data import classes
from lesiongan.data.classes import CLASSES
from lesiongan.data.lesions import group_lesions
from lesiongan.data.near_duplicates import NEAR_DUPLICATE_DISTANCE
from lesiongan.data.tables import read_table
from lesiongan.files import checksums, errors, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates, memorisation, recompute
from lesiongan.measures.predictions import (
    check_isic,
    read_predictions,
    write_isic,
    write_predictions,
)
from lesiongan.nets import inference, saved_models
from lesiongan.run import flags, keras_setup, runs, script
from lesiongan.run.folders import ResultFolder

WRITTEN = (
    "predictions.csv",
    *(f"predictions_{name}.csv" for name in recompute.MODELS[1:]),
    "context.json",
    *recompute.WRITTEN,
    "synthetic_quality.json",
    "nearest.csv",
)
FOLDERS = {"classifier": "cnn"}
TRAINED = {
    "model_sha256": str,
    "operating_points": estimates.POINTS,
    "real_images": int,
    "synthetic_images": int,
    "steps": int,
    "options": dict,
    "inputs": dict,
    "environment": dict,
}
# Two arms that differ only in these options differ in their data alone. The number of steps that
# was taken is compared in place of `epochs` and `steps`.
DATA_OPTIONS = (
    "role",
    "task",
    "real",
    "repeat_real",
    "synthetic_weight",
    "epochs",
    "steps",
    "least_steps",
)


def parse_args(argv=None):
    p = flags.parser(__doc__, split_file=True)
    g = p.add_argument_group("evaluation")
    g.add_argument(
        "--views",
        type=int,
        choices=(1, 8),
        default=8,
        help="flips and turns averaged in each prediction",
    )
    g.add_argument("--external", metavar="TABLE", help="score this table instead of the test part")
    g.add_argument(
        "--external-metadata",
        metavar="CSV",
        default="none",
        help="its lesion and image ids, in the format of HAM10000_metadata.csv",
    )
    g.add_argument(
        "--isic-submission",
        metavar="FILE",
        help="also write the predictions in the ISIC challenge's format",
    )
    g.add_argument(
        "--from-predictions", metavar="CSV", help="recompute the estimates from a predictions.csv"
    )
    args = p.parse_args(argv)
    if "" in (args.external, args.isic_submission, args.from_predictions):
        p.error(
            "--external, --isic-submission and --from-predictions take the path of a file, not an "
            "empty one"
        )
    if args.from_predictions:
        if args.split in ("lesion", "image"):
            p.error(
                "--from-predictions needs --split PATH of the split.csv the predictions were made "
                "under"
            )
        if args.external or args.isic_submission:
            p.error(
                "--from-predictions computes from files alone: it takes no --external or "
                "--isic-submission"
            )
    elif args.split not in ("lesion", "image"):
        p.error("--split takes lesion or image (a split.csv only with --from-predictions)")
    return args


# ---------------------------------------------------------------- predictions


def find_models(run, names):
    """Return {name: options} of those networks in `names` that are of this data and split.

    Their hashes become inputs of the run. The classifier must be there and be trained; others are
    left out where they are absent or still being trained. Raises InputError if one is of other data
    or another split, or is not the model that its options.json describes.
    """
    found = {}
    for name in names:
        folder = run.args.models_dir / FOLDERS.get(name, name)
        path = folder / "classifier.keras"
        if name != "classifier" and not (folder / "options.json").is_file():
            if path.is_file():
                print(f"  left out: {folder}: its training is unfinished")
            continue
        made_by = f"train_cnn.py (for {folder})"
        try:
            options = run.inputs.check_made_from(folder / "options.json", made_by, TRAINED)
            if run.hash_file(name, path) != options["model_sha256"]:
                raise InputError(
                    f"{path}: is not the model its options.json describes; run {made_by} again"
                )
        except InputError as e:
            raise InputError(
                f"{e}{'' if name == 'classifier' else f', or remove {folder}'}"
            ) from None
        found[name] = options
    return found


def load_model(run, name):
    """Return the keras model of find_models' entry `name`.

    Raises InputError if its file has been replaced since.
    """
    path = run.args.models_dir / FOLDERS.get(name, name) / "classifier.keras"
    model = saved_models.load_classifier(path, recompute.COLUMNS.get(name, len(CLASSES)))
    run.check_not_replaced(name, path)
    return model


def describe_arm(options):
    """Return what a network was trained on and how, as far as it decides how arms compare."""
    real, synthetic = options["real_images"], options["synthetic_images"]
    words = [f"{real} real"] * bool(real) + [f"{synthetic} synthetic"] * bool(synthetic)
    shared = {k: v for k, v in options["options"].items() if k not in DATA_OPTIONS}
    shared |= {"steps": options["steps"], "extra_real_sha256": options["inputs"].get("real")}
    weight = options["options"].get("synthetic_weight") if synthetic else None
    environment = options["environment"]
    trained_by = [
        options.get("code_sha256"),
        *(environment.get(k) for k in ("packages", "backend")),
        environment.get("accelerators") or [],
    ]
    return {
        "trained_on": " + ".join(words),
        "synthetic_sha256": options["inputs"].get("synthetic"),
        "synthetic_weight": weight,
        "same": shared,
        "trained_by": trained_by,
    }


def name_protocol(run, views):
    """Return the split's protocol, with the views if the calibration is for other views."""
    return run.inputs.split["protocol"] + (
        "; 1 view (calibrated for the average of 8)" if views == 1 else ""
    )


# ---------------------------------------------------------------- the two uses of a network


def evaluate_external(run, models):
    """Score another table; raise InputError if it is mostly training images."""
    args = run.args
    table = group_lesions(read_table(args.external), args.external_metadata, external=True)
    if table.layout != "hmnist_28_28_RGB":
        raise InputError(f"{table.path}: is {table.layout}; the classifier needs hmnist_28_28_RGB")
    distance, _ = memorisation.nearest(
        table.images, run.inputs.table.images[run.inputs.parts != "test"]
    )
    keep = distance >= NEAR_DUPLICATE_DISTANCE
    dropped = int((~keep).sum())
    if dropped * 2 > len(table):
        raise InputError(
            f"{table.path}: {dropped} of {len(table)} images are training images (nearer than "
            f"{NEAR_DUPLICATE_DISTANCE:g}); this is no external table (DermaMNIST's npz is "
            "HAM10000 itself)"
        )
    added = models["classifier"]["inputs"].get("real")
    if added == table.sha256:
        raise InputError(
            f"{table.path}: the classifier was trained on it (--real); this is no external table"
        )
    name = errors.printable(Path(table.path).name)
    folder = args.outputs_dir / "evaluation" / f"external_{name.split('.')[0]}_{table.sha256[:8]}"
    run.files |= {"external": table.sha256, "external_metadata": table.metadata_sha256}
    place = ResultFolder(run, folder / "options.json", run.identify())
    place.begin(WRITTEN, stale=WRITTEN)
    for note in table.notes:
        print(f"  note: {note}")
    p = inference.predict_views(load_model(run, "classifier"), table.images, args.views)
    # The submission has every image, as the challenge wants, near-duplicates too.
    if args.isic_submission:
        write_isic(Path(args.isic_submission), table, p)
    table, p = table.take(np.flatnonzero(keep)), p[keep]
    write_predictions(folder / "predictions.csv", table.rows, table.labels, p)
    searched = " (the --real table not searched)" if added else ""
    protocol = (
        f"external table {name}, {dropped} of {dropped + len(table)} images dropped as "
        f"near-duplicates of training images{searched}, grouped by {table.grouping}; "
        f"classifier of {run.inputs.data['name']}, {name_protocol(run, args.views)}"
    )
    note = "; ".join(
        filter(
            None, [run.inputs.data_note, "external table: PHANTOM DATA" if table.is_phantom else ""]
        )
    )
    context = {
        "protocol": protocol,
        "data": {"name": name, "sha256": table.sha256, "note": note},
        "model_sha256": models["classifier"]["model_sha256"],
        "views": args.views,
        "points": {"classifier": models["classifier"]["operating_points"]},
        "arms": {"classifier": describe_arm(models["classifier"])},
    }
    writing.write_json(folder / "context.json", context)
    rows, labels, p = read_predictions(folder / "predictions.csv")
    estimates.write(folder, {"classifier": (rows, labels, p)}, table.lesions, context)
    estimates.print_summary(folder)
    place.finish([folder / name for name in WRITTEN if (folder / name).is_file()])


def evaluate_test(run, models, synthetic, generator_path):
    """Write the predictions, then everything derived from them, then the synthetic quality."""
    args = run.args
    folder = args.outputs_dir / "evaluation"
    test = test_part(run)
    context = {
        "protocol": name_protocol(run, args.views),
        "data": {**run.inputs.data, "note": run.inputs.data_note},
        "views": args.views,
        "points": {},
        "arms": {},
    }
    predictions = {}
    for name in (n for n in recompute.MODELS if n in models):
        path = folder / ("predictions.csv" if name == "classifier" else f"predictions_{name}.csv")
        p = inference.predict_views(load_model(run, name), test.images, args.views)
        write_predictions(path, test.rows, test.labels, p)
        # The predictions are read as written, so that --from-predictions agrees to the last digit.
        predictions[name] = read_predictions(path)
        context["points"][name] = models[name]["operating_points"]
        context["arms"][name] = describe_arm(models[name])
    writing.write_json(folder / "context.json", context)
    estimates.write(folder, predictions, test.lesions, context)
    quality = evaluate_synthetic(run, models, synthetic, generator_path)
    writing.write_json(folder / "synthetic_quality.json", quality)
    estimates.print_summary(folder)
    print_quality(quality)


def print_quality(quality):
    """Print how near the synthetic images are to real ones, or why that was not measured."""
    if "distances" not in quality:
        print(f"  synthetic images: {quality['reason']}")
        return
    judge, ratio = quality["judge_balanced_accuracy"], quality["distances"]["frechet_ratio"]
    print(
        f"  synthetic images: Fréchet distance {ratio['value']:.1f} times that of real images "
        f"(judge: balanced accuracy {judge['value']:.2f} on held-out real images)"
    )


def test_part(run):
    """Return the Table of the test part."""
    return run.inputs.table.take(np.flatnonzero(run.inputs.parts == "test"))


def evaluate_synthetic(run, models, synthetic, generator_path):
    """Return the content of synthetic_quality.json, or the reason why there is none."""
    from lesiongan.measures import synthetic_quality
    from lesiongan.measures.judge import Judge

    if synthetic is None:
        return {"value": None, "reason": "no synthetic set: run train_gan.py"}
    judge = None
    if "judge" in models:
        judge = Judge(load_model(run, "judge"), run.inputs)
    generator = None
    if generator_path is not None:
        generator = saved_models.load_generator(generator_path)
        run.check_not_replaced("generator", generator_path)
    nearest_path = run.args.outputs_dir / "evaluation" / "nearest.csv"
    return synthetic_quality.measure(run.inputs, synthetic, judge, generator, nearest_path)


def read_synthetic(run):
    """Return (Table, generator path) of the synthetic set and of what drew it.

    They are (None, None) without a synthetic set and (Table, None) without a generator. Raises
    InputError if the set is of other data or of another generator.
    """
    path = run.args.outputs_dir / "synthetic" / classes.TABLE_NAME
    generator = run.args.models_dir / "gan" / "generator.keras"
    if not path.is_file():
        return None, None
    provenance = run.inputs.check_made_from(path.with_name("provenance.json"), "train_gan.py")
    if run.hash_file("synthetic", path) != provenance.get("table_sha256"):
        raise InputError(
            f"{path}: is not the table its provenance.json describes; run train_gan.py again"
        )
    table = read_table(path)
    run.check_not_replaced("synthetic", path)
    if not generator.is_file():
        return table, None
    if run.hash_file("generator", generator) != provenance.get("generator_sha256"):
        raise InputError(
            f"{path}: was drawn from another generator than {generator}; run train_gan.py "
            "--sample-only"
        )
    return table, generator


def main(argv=None):
    args = parse_args(argv)
    if args.from_predictions:
        if args.dry_run:
            for path in (args.from_predictions, args.split):
                checksums.file_sha256(path)
            print(
                f"evaluate: estimates of {args.from_predictions} with the lesions of {args.split}"
            )
        else:
            recompute.from_predictions(args.from_predictions, args.split, args.outputs_dir)
        return 0
    run = runs.Run(args, "evaluate")
    run.inputs.require_rgb28("evaluate")
    if not run.announce():
        return 0
    if args.isic_submission:
        inputs = (run.inputs.table.path, args.metadata, args.external, args.external_metadata)
        check_isic(Path(args.isic_submission), inputs)
    models = find_models(run, ("classifier",) if args.external else (*recompute.MODELS, "judge"))
    if args.external:
        keras_setup.quiet_tensorflow(args.deterministic)
        evaluate_external(run, models)
        return 0
    synthetic, generator_path = read_synthetic(run)
    learned = models["classifier"]["inputs"].get("synthetic")
    if learned and synthetic is not None and learned != run.files["synthetic"]:
        print(
            "  note: the classifier learned from another synthetic set than the one measured; "
            "train_cnn.py trains it again"
        )
    folder = args.outputs_dir / "evaluation"
    place = ResultFolder(run, folder / "options.json", run.identify())
    if place.is_current():
        print("  up to date")
    else:
        keras_setup.quiet_tensorflow(args.deterministic)
        place.begin(WRITTEN, stale=WRITTEN)
        evaluate_test(run, models, synthetic, generator_path)
        place.finish([folder / name for name in WRITTEN if (folder / name).is_file()])
    if args.isic_submission:
        write_isic(
            Path(args.isic_submission),
            test_part(run),
            read_predictions(folder / "predictions.csv")[2],
        )
    return 0


if __name__ == "__main__":
    script.script_main(main)
