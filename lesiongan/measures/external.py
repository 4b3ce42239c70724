"""Scoring a table that no network learned from, without the images that it shares with training."""

from pathlib import Path

import numpy as np

from lesiongan.data import clinical
from lesiongan.data.lesions import group_lesions
from lesiongan.data.near_duplicates import NEAR_DUPLICATE_DISTANCE
from lesiongan.data.tables import read_table
from lesiongan.files import errors, writing
from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.measures import estimates, likeness, memorisation, networks, recompute
from lesiongan.measures.predictions import (
    list_ids,
    read_predictions,
    write_isic,
    write_predictions,
)
from lesiongan.nets import inference, saved_models
from lesiongan.run import published
from lesiongan.run.folders import ResultFolder

WRITTEN = (
    *map(networks.name_file, ("classifier", "clinical", recompute.UNKNOWN)),
    "context.json",
    *recompute.WRITTEN,
)


def find_copies(run, images):
    """Return (bool (n,): which images are copies of images the networks have seen, how it is told).

    With the table that the networks were trained on, its train and val pixels are compared; without
    it, the published judge's features of its train part.
    """
    if run.inputs.split_text is not None:
        seen = run.inputs.table.images[run.inputs.parts != "test"]
        distance, _ = memorisation.nearest(images, seen)
        return distance < NEAR_DUPLICATE_DISTANCE, f"nearer than {NEAR_DUPLICATE_DISTANCE:g}"
    known = likeness.read(published.FOLDER / published.NEAREST)
    judge = saved_models.load_classifier(published.FOLDER / published.NETWORKS["judge"])
    features = inference.predict_views(likeness.feature_network(judge), images)
    return known.measure(features, 1)[0] < known.copy, "by the judge's features, without pixels"


def evaluate(run, models, order="auto"):
    """Score another table; raise InputError if it is mostly training images.

    order: what its class codes stand for, as --label-order.
    """
    args = run.args
    table = group_lesions(read_table(args.external, order), args.external_metadata, external=True)
    if table.layout != "hmnist_28_28_RGB":
        raise InputError(f"{table.path}: is {table.layout}; the classifier needs hmnist_28_28_RGB")
    copies, how = find_copies(run, table.images)
    keep, dropped = ~copies, int(copies.sum())
    if dropped * 2 > len(table):
        raise InputError(
            f"{table.path}: {dropped} of {len(table)} images are training images ({how}); this is "
            "no external table (DermaMNIST's npz is HAM10000 itself)"
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
        say(f"  note: {note}")
    # Without age, sex or site the clinical network has nothing to be told.
    told = "clinical" in models and clinical.is_known(table.metadata)
    found, made_by = {}, {}
    scored = ("classifier", "clinical") if told else ("classifier",)
    for network in scored:
        for label, p in networks.predict(run, network, table, args.views).items():
            found[label], made_by[label] = p, models[network]
    # The submission has every image, as the challenge wants, near-duplicates too.
    if args.isic_submission:
        write_isic(Path(args.isic_submission), list_ids(table), found["classifier"])
    table, predictions = table.take(np.flatnonzero(keep)), {}
    for label, p in found.items():
        path = folder / networks.name_file(label)
        write_predictions(path, table.rows, table.labels, p[keep])
        predictions[label] = read_predictions(path)
    searched = " (the --real table not searched)" if added else ""
    order = f", {table.order_note}" if table.order_note else ""
    protocol = (
        f"external table {name}, {dropped} of {dropped + len(table)} images dropped as "
        f"near-duplicates of training images{searched}, grouped by {table.grouping}{order}; "
        f"classifier of {run.inputs.data['name']}, "
        + networks.name_protocol(run, args.views, {n: models[n] for n in scored})
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
        "points": {label: made["operating_points"] for label, made in made_by.items()},
        "arms": {label: networks.describe_arm(made) for label, made in made_by.items()},
        "networks": networks.identify(run),
    }
    writing.write_json(folder / "context.json", context)
    estimates.write(folder, predictions, table.lesions, context)
    estimates.print_summary(folder)
    place.finish([folder / name for name in WRITTEN if (folder / name).is_file()])
