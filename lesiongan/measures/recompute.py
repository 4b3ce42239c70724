"""Recomputing every estimate from a predictions.csv and a split.csv, without table or network."""

from pathlib import Path

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.files import checksums, errors, locks, records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates
from lesiongan.measures.predictions import find_file, read_lesions, read_predictions
from lesiongan.run import machine

MODELS = ("classifier", "control", "malignancy", "malignancy_control")
# These models give so many probabilities; all others give those of the seven diagnoses.
COLUMNS = {"malignancy": 2, "malignancy_control": 2}


def from_predictions(path, split, outputs_dir):
    """Recompute metrics.json, per_class.csv and confusion.csv from files alone.

    A context.json beside the predictions is used if it is there.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.name.removesuffix(".gz") in [f"predictions_{name}.csv" for name in MODELS]:
        raise InputError(
            f"{path}: is of another model than the classifier; name the predictions.csv beside it, "
            "with which it is scored too"
        )
    check_unchanged(path)
    rows, labels, p = read_predictions(path)
    if p.shape[1] != len(CLASSES):
        raise InputError(f"{path}: has p_malignant; expected the seven-class predictions.csv")
    predictions = {"classifier": (rows, labels, p)}
    sources = [path, Path(split)]
    for name in MODELS[1:]:
        other = find_file(path.with_name(f"predictions_{name}.csv"))
        if other:
            sources.append(other)
            predictions[name] = read_predictions(other)
            if predictions[name][2].shape[1] != COLUMNS.get(name, len(CLASSES)):
                raise InputError(
                    f"{other}: has the probabilities of another task than its name says"
                )
            if not np.array_equal(predictions[name][0], rows) or not np.array_equal(
                predictions[name][1], labels
            ):
                raise InputError(
                    f"{other}: rows or labels differ from {path}'s; they are not of one evaluation"
                )
    lesions, leaky = read_lesions(split, rows)
    protocol = f"split file {errors.printable(Path(split).name)}" + (", leaky" if leaky else "")
    context = {"protocol": protocol, "data": None, "views": None, "points": {}, "arms": {}}
    if path.with_name("context.json").is_file():
        context = records.read_json(
            path.with_name("context.json"), "evaluate.py", estimates.CONTEXT
        )
        if leaky and "leaky" not in context["protocol"]:
            context["protocol"] += ", leaky"
    # The estimates go beside the run's own, never over them.
    folder = outputs_dir / "evaluation" / "from_predictions"
    locks.lock_folder(folder)
    (folder / "options.json").unlink(missing_ok=True)
    estimates.write(folder, predictions, lesions, context)
    sources += filter(Path.is_file, [path.with_name("context.json")])
    hashes = {errors.printable(source.name): checksums.file_sha256(source) for source in sources}
    record = {"script": "evaluate", "inputs": hashes, "environment": machine.environment()}
    writing.write_json(folder / "options.json", record)
    estimates.print_summary(folder)
    print(f"evaluate: estimates of {path} -> {folder}/")


def check_unchanged(path):
    """Raise InputError unless predictions.csv and what lies beside it are of one evaluation.

    The options.json beside them tells; without one nothing is checked.
    """
    options = path.with_name("options.json")
    if not options.is_file():
        return
    record = records.read_json(options, "evaluate.py", {"outputs": {...: str}})
    for name in ("predictions.csv", "context.json", *(f"predictions_{n}.csv" for n in MODELS[1:])):
        beside = path.with_name(name)
        if beside.is_file() and record["outputs"].get(name) != checksums.file_sha256(beside):
            raise InputError(
                f"{beside}: is not the file {options} describes; run evaluate.py again, or move it "
                "elsewhere"
            )
