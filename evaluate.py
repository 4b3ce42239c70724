"""Evaluate the trained classifier on the test part, and the synthetic images against held-out ones.

    python evaluate.py                                             # -> outputs/evaluation/
    python evaluate.py --external OTHER.csv                        # score another table
    python evaluate.py --image PHOTOGRAPHS --weights published     # what do these show?
    python evaluate.py --synthetic A.csv B/                        # measure sets of any generator
    python evaluate.py --from-predictions P.csv --split SPLIT.csv  # without table or model

The script writes predictions.csv first (one line for each test image) and derives every estimate
from it: metrics.json, per_class.csv, confusion.csv. Then it writes synthetic_quality.json. Models
beside the classifier (control, malignancy) are scored too when they are there. Each estimate has
its n, its 95 % interval (bootstrap over lesions) and the name of its protocol. The script takes
two to four minutes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lesiongan.data import classes, metadata
from lesiongan.data.tables import Table, read_table
from lesiongan.files import checksums, telling, writing
from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.measures import (
    answers,
    copies,
    estimates,
    external,
    likeness,
    medmnist,
    networks,
    recompute,
    subgroups,
)
from lesiongan.measures.predictions import (
    check_isic,
    list_ids,
    read_predictions,
    write_isic,
    write_predictions,
)
from lesiongan.nets import saved_models, set_sources, synthetic_set
from lesiongan.run import evaluate_flags, published, runs, script
from lesiongan.run.folders import ResultFolder
from lesiongan.run.inputs import find_table

WRITTEN = (
    "predictions.csv",
    *(f"predictions_{name}.csv" for name in recompute.MODELS[1:]),
    "context.json",
    *recompute.WRITTEN,
    "synthetic_quality.json",
    "nearest.csv",
    likeness.FILE,
    subgroups.FILE,
)


def parse_args(argv=None):
    return evaluate_flags.parse(__doc__, argv)


# ---------------------------------------------------------------- the test part


def evaluate_test(run, models, synthetic):
    """Write the predictions, then everything derived from them, then the synthetic quality."""
    folder = run.args.outputs_dir / "evaluation"
    predictions, context, test = predict_test(run, models)
    if run.args.predictions_only:
        return
    estimates.write(folder, predictions, test.lesions, context)
    if test.metadata is not None:
        _, y, p = predictions["classifier"]
        found = subgroups.compute(
            y, p, context["points"]["classifier"], test.lesions, test.metadata, context["protocol"]
        )
        writing.write_json(folder / subgroups.FILE, found)
    quality = evaluate_synthetic(run, models, synthetic)
    writing.write_json(folder / "synthetic_quality.json", quality)
    estimates.print_summary(folder)
    print_quality(quality)


def predict_test(run, models):
    """Write the predictions of every network and context.json.

    Return ({name: (rows, labels, p)}, the context, the Table of the test part).
    """
    args = run.args
    folder = args.outputs_dir / "evaluation"
    test = test_part(run)
    context = {
        "protocol": networks.name_protocol(run, args.views, models),
        "data": {**run.inputs.data, "note": run.inputs.data_note},
        "views": args.views,
        "points": {},
        "arms": {},
        "networks": networks.identify(run),
    }
    predictions = {}
    for name in (n for n in recompute.MODELS if n in models):
        for label, p in networks.predict(run, name, test, args.views).items():
            path = folder / networks.name_file(label)
            write_predictions(path, test.rows, test.labels, p)
            # They are read as written, so that --from-predictions agrees to the last digit.
            predictions[label] = read_predictions(path)
            context["points"][label] = models[name]["operating_points"]
            context["arms"][label] = networks.describe_arm(models[name])
    writing.write_json(folder / "context.json", context)
    return predictions, context, test


def print_quality(quality):
    """Print how near the synthetic images are to real ones, or why that was not measured."""
    new = quality.get("passes_as_new")
    if new and not new["passes"]:
        say(f"  note: the synthetic set does not pass as new: {new['reason']}")
    if (patches := quality.get("patches", {}).get("swd_ratio", {})).get("value"):
        say(
            f"  synthetic images: patch distance {patches['value']:.1f} times that of as many real "
            f"images (measured without a network, at {patches['level']} pixels a side)"
        )
    if "distances" not in quality:
        say(f"  synthetic images: {quality['reason']}")
        return
    judge, ratio = quality["judge_balanced_accuracy"], quality["distances"]["frechet_ratio"]
    say(
        f"  synthetic images: Fréchet distance {ratio['value']:.1f} times that of real images "
        f"(judge: balanced accuracy {judge['value']:.2f} on held-out real images)"
    )


def test_part(run):
    """Return the Table of the test part."""
    return run.inputs.table.take(np.flatnonzero(run.inputs.parts == "test"))


@dataclass(frozen=True)
class Drawn:
    """A synthetic set, and what drew it as far as that is known.

    table: its Table; generator: path of the generator, None if the set was made elsewhere or the
    generator is gone; share: own or others, the share of the train lesions that it learned from,
    None without a --train-fraction; drawing: how its images were drawn.
    """

    table: Table
    generator: Path | None = None
    share: str | None = None
    drawing: synthetic_set.Drawing = field(default_factory=synthetic_set.Drawing)


def evaluate_synthetic(run, models, synthetic):
    """Return the content of synthetic_quality.json, or the reason why there is none.

    synthetic: Drawn or None.
    """
    from lesiongan.measures import synthetic_quality
    from lesiongan.measures.judge import Judge

    judge = None
    if "judge" in models:
        # nearest.npz, by which --image warns of unlike photographs, needs no synthetic set.
        network = networks.load_model(run, "judge")
        judge = Judge(network, run.inputs)
        found = likeness.build(network, run.inputs, judge.sha256)
        likeness.write(run.args.outputs_dir / "evaluation" / likeness.FILE, found)
    if synthetic is None:
        return {
            "value": None,
            "reason": "no synthetic set: run train_gan.py, or give one by --synthetic",
        }
    seen = run.inputs.of_share(synthetic.share)
    generator = None
    if synthetic.generator is not None:
        network = saved_models.load_generator(synthetic.generator)
        run.check_not_replaced("generator", synthetic.generator)
        # Fresh images are measured beside those of the set, and must be drawn alike.
        generator = synthetic.drawing.apply(network, seen, run.args.weights)
    nearest_path = run.args.outputs_dir / "evaluation" / "nearest.csv"
    found = synthetic_quality.measure(
        run.inputs, synthetic.table, judge, generator, nearest_path, seen=seen
    )
    found |= {"networks": networks.identify(run)}
    elsewhere = run.origins.get("synthetic")
    return {"synthetic_origin": elsewhere, **found} if elsewhere else found


def read_synthetic(run):
    """Return the Drawn of the run's synthetic set, None if there is no set.

    Raises InputError if the set is of other data or of another generator.
    """
    path = run.args.outputs_dir / "synthetic" / classes.TABLE_NAME
    generator = run.args.models_dir / "gan" / "generator.keras"
    if not path.is_file():
        return None
    made = set_sources.read_set(run, "synthetic", path)
    table = made.table
    if made.origin != set_sources.OURS:
        copies.refuse_held_out(run.inputs, "synthetic set", path, table.images)
        return Drawn(table)
    share = made.provenance["split"].get("train_share")
    if not generator.is_file():
        return Drawn(table, None, share, made.drawing)
    if run.hash_file("generator", generator) != made.provenance.get("generator_sha256"):
        again = "train_gan.py --sample-only" + " --weights published" * bool(run.args.weights)
        raise InputError(f"{path}: was drawn from another generator than {generator}; run {again}")
    return Drawn(table, generator, share, made.drawing)


def refuse_ignored(args, path):
    """Raise InputError for flags that would say nothing of a table that is scored as a whole.

    path: of the table that --data names, or None.
    """
    if args.predictions_only:
        raise InputError(
            "--predictions-only: is of the test part, and the published networks score every row "
            "of another table than their own; leave it out"
        )
    whole = {
        "subset": None,
        "split": "lesion",
        "split_seed": 0,
        "train_fraction": 1.0,
        "train_share": "own",
        "trust_row_order": False,
    }
    for name, default in whole.items():
        if getattr(args, name) != default:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(
                f"{flag}: the published networks score every row of another table than their own; "
                f"leave {flag} out"
            )
    if path is None and args.metadata != "auto":
        raise InputError("--metadata: the table of --external takes --external-metadata instead")
    if path is not None and args.external_metadata != "none":
        raise InputError("--external-metadata: the table of --data takes --metadata instead")


def begin(args):
    """Return (Run, the --label-order of an external table) of a command line.

    The published networks have seen one table under one split. Its test part is scored under that
    split alone; any other table is an external one, and --data then becomes --external.
    """
    if not args.weights:
        return runs.Run(args, "evaluate"), "auto"
    origin, path = published.read_origin(), None
    if args.data or not args.external:
        path = find_table(args.data)
    order = "auto"
    if path is None or read_table(path, args.label_order).sha256 != origin.data["sha256"]:
        if path is not None and args.external:
            raise InputError(
                f"--data {path}: is not the table that the published networks were trained on; "
                "leave it out, and name the table to score by --external alone"
            )
        if args.synthetic:
            raise InputError(
                "--synthetic measures sets against the table that the networks were trained on; "
                "name HAM10000's by --data, or train your own networks"
            )
        refuse_ignored(args, path)
        if path is not None:
            args.external, order = str(path), args.label_order
            args.external_metadata = args.metadata
            if args.metadata == "auto":
                args.external_metadata = str(metadata.find_beside(path))
        elif args.external:
            order = args.label_order
        return runs.Run(args, "evaluate", origin), order
    run = runs.Run(args, "evaluate")
    if run.inputs.split["sha256"] != origin.split["sha256"]:
        raise InputError(
            f"{path}: the published networks were trained under another split of it "
            f"({origin.split['protocol']}, --split-seed 0, lesions by HAM10000_metadata.csv), and "
            "have seen test images of this one; score them under theirs, or train your own"
        )
    return run, order


def main(argv=None):
    args = parse_args(argv)
    if args.from_predictions:
        telling.start("evaluate", args.quiet, args.log_json)
        if args.dry_run:
            for path in (args.from_predictions, args.split):
                checksums.file_sha256(path)
            say(f"evaluate: estimates of {args.from_predictions} with the lesions of {args.split}")
        else:
            recompute.from_predictions(args.from_predictions, args.split, args.outputs_dir)
        return 0
    if args.image:
        draw: Callable | None = None
        if args.map != "none":
            from lesiongan.plots.photograph_maps import draw_all as draw
        return answers.answer(args, draw)
    run, order = begin(args)
    if not args.external:
        run.inputs.require_rgb28("evaluate")
    if not run.announce():
        return 0
    if args.isic_submission:
        inputs = (args.data, args.metadata, args.external, args.external_metadata)
        written = [args.outputs_dir / "evaluation" / name for name in (*WRITTEN, "options.json")]
        written += [args.outputs_dir / name for name in ("split.csv", "split.json")]
        check_isic(Path(args.isic_submission), inputs, written)
    if args.medmnist_csv:
        writing.ensure_folder(args.medmnist_csv)
    if args.synthetic:
        from lesiongan.measures import synthetic_sets

        models = networks.find_models(run, ("judge",))
        judge = (lambda: networks.load_model(run, "judge")) if models else None
        synthetic_sets.evaluate(run, judge)
        return 0
    measured = () if args.predictions_only else ("judge",)
    models = networks.find_models(
        run, ("classifier", "clinical") if args.external else (*recompute.MODELS, *measured)
    )
    if args.external:
        run.start_keras()
        external.evaluate(run, models, order)
        return 0
    synthetic = None if args.predictions_only else read_synthetic(run)
    learned = models["classifier"]["inputs"].get("synthetic")
    if learned and synthetic is not None and learned != run.files["synthetic"]:
        say(
            "  note: the classifier learned from another synthetic set than the one measured; "
            "train_cnn.py trains it again"
        )
    # The scores by age, sex and site depend on it, and so does what the clinical network is told.
    if run.inputs.table.metadata is not None:
        run.files["metadata"] = run.inputs.table.metadata_sha256
    folder = args.outputs_dir / "evaluation"
    # Records of whole evaluations do not name the flag, so that those of before it stay current.
    unnamed = () if args.predictions_only else ("predictions_only",)
    place = ResultFolder(run, folder / "options.json", run.identify(unnamed))
    if place.is_current():
        say("  up to date")
    else:
        run.start_keras()
        place.begin(WRITTEN, stale=WRITTEN)
        evaluate_test(run, models, synthetic)
        place.finish([folder / name for name in WRITTEN if (folder / name).is_file()])
    if args.isic_submission:
        write_isic(
            Path(args.isic_submission),
            list_ids(test_part(run)),
            read_predictions(folder / "predictions.csv")[2],
        )
    if args.medmnist_csv:
        p = read_predictions(folder / "predictions.csv")[2]
        name = f"seed{models['classifier']['options'].get('seed')}"
        medmnist.write(args.medmnist_csv, test_part(run), p, name)
    return 0


if __name__ == "__main__":
    script.script_main(main)
