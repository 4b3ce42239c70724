"""The networks that evaluate.py scores: found, checked, and described as arms of a comparison."""

from lesiongan.data import clinical
from lesiongan.data.classes import CLASSES
from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.measures import estimates, recompute
from lesiongan.nets import inference, saved_models
from lesiongan.run import published

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
    "clinical",
    "real",
    "repeat_real",
    "synthetic_weight",
    "soft_labels",
    "soft_of",
    "least_agreement",
    "finish_real",
    "epochs",
    "steps",
    "least_steps",
)


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
                say(f"  left out: {folder}: its training is unfinished")
            continue
        made_by = f"train_cnn.py (for {folder})"
        try:
            options = run.inputs.check_made_from(folder / "options.json", made_by, TRAINED)
            check_share(run, folder, options)
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


def check_share(run, folder, options):
    """Raise InputError if a network was trained on the other share of the train lesions."""
    theirs, ours = (s.get("train_share") for s in (options["split"], run.inputs.split))
    if theirs != ours:
        raise InputError(
            f"{folder}: was trained with --train-share {theirs}, and this run has {ours}; give "
            f"--train-share {theirs}, or train it again"
        )


def load_model(run, name):
    """Return the keras model of find_models' entry `name`.

    Raises InputError if its file has been replaced since.
    """
    path = run.args.models_dir / FOLDERS.get(name, name) / "classifier.keras"
    k = recompute.COLUMNS.get(name, len(CLASSES))
    model = saved_models.load_classifier(path, k, takes_clinical=name == "clinical")
    run.check_not_replaced(name, path)
    return model


def describe_arm(options):
    """Return what a network was trained on and how, as far as it decides how arms compare."""
    real, synthetic = options["real_images"], options["synthetic_images"]
    elsewhere = options.get("synthetic_origin")
    made = f"{synthetic} synthetic" + (f" ({elsewhere})" if elsewhere else "")
    words = [f"{real} real"] * bool(real) + [made] * bool(synthetic)
    shared = {k: v for k, v in options["options"].items() if k not in DATA_OPTIONS}
    shared |= {"steps": options["steps"], "extra_real_sha256": options["inputs"].get("real")}
    weight = options["options"].get("synthetic_weight") if synthetic else None
    # Their mean is what is learned, in whatever order they are named.
    teachers = sorted(v for k, v in options["inputs"].items() if k.startswith("teacher"))
    asked = ("soft_of", "least_agreement") if teachers else ()
    taught = {k: options["options"].get(k) for k in asked}
    taught |= {"teachers": teachers, "finish_real": options["options"].get("finish_real") or 0}
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
        "taught": taught,
        "same": shared,
        "trained_by": trained_by,
    }


def name_protocol(run, views, models):
    """Return what every estimate says of its protocol.

    That is the split's, with a warning if a network learned from synthetic images of a generator
    that may have seen the test part, and with the views if the calibration is for other views.
    models: {name: its options.json}.
    """
    words = [run.inputs.split["protocol"]]
    for name, options in models.items():
        origin = str(options.get("synthetic_origin"))
        if origin.startswith("LEAKY"):
            of = "" if name == "classifier" else f" of the {name} network:"
            words.append(f"synthetic images{of} {origin}")
    if views == 1:
        words.append("1 view (calibrated for the average of 8)")
    return "; ".join(words)


def identify(run):
    """Return {name: {"sha256", "published"}} of the networks that a run has read."""
    names = (*recompute.MODELS, "judge", "generator")
    return published.identify_networks({n: run.files[n] for n in names if n in run.files})


def predict(run, name, table, views):
    """Return {name of a set of predictions: float64 (n, k)} of one network for a Table.

    The clinical network gives two sets: told what the metadata knows, and told nothing.
    """
    model = load_model(run, name)
    if name != "clinical":
        return {name: inference.predict_views(model, table.images, views)}
    n = len(table.images)
    told = {name: clinical.encode(table.metadata, n), recompute.UNKNOWN: clinical.unknown(n)}
    return {
        label: inference.predict_views(model, table.images, views, values)
        for label, values in told.items()
    }


def name_file(label):
    """Return the name of the file of a set of predictions."""
    return "predictions.csv" if label == "classifier" else f"predictions_{label}.csv"
