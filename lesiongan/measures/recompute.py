"""Recomputing every estimate from a predictions.csv and a split.csv, without table or network."""

import gzip
import hashlib
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lesiongan.data import protocols
from lesiongan.data.classes import CLASSES
from lesiongan.files import checksums, claims, errors, locks, records, writing
from lesiongan.files.compressed import open_table
from lesiongan.files.errors import InputError
from lesiongan.files.opening import open_input
from lesiongan.files.telling import say
from lesiongan.measures import estimates
from lesiongan.measures.predictions import find_file, read_lesions, read_predictions
from lesiongan.run import machine

MODELS = (
    "classifier",
    "control",
    "clinical",
    "clinical_unknown",
    "malignancy",
    "malignancy_control",
)
# The clinical network is scored a second time as if nothing were known but the image.
UNKNOWN = "clinical_unknown"
WRITTEN = ("metrics.json", "per_class.csv", "confusion.csv")
# These models give so many probabilities; all others give those of the seven diagnoses.
COLUMNS = {"malignancy": 2, "malignancy_control": 2}


def from_predictions(path, split, outputs_dir):
    """Recompute metrics.json, per_class.csv and confusion.csv from files alone.

    What the record and the context.json beside the predictions say is used as far as hashes prove
    it. What they merely state is marked so in the protocol of every estimate.
    """
    path = Path(path)
    if path.name.removesuffix(".gz") in [f"predictions_{name}.csv" for name in MODELS]:
        raise InputError(
            f"{path}: is of another model than the classifier; name the predictions.csv beside it, "
            "with which it is scored too"
        )
    open_input(path, "name a predictions.csv").close()
    record = read_record(path)
    predictions, sources = read_all(path)
    rows = predictions["classifier"][0]
    lesions, leaky = read_lesions(split, rows)
    sources.append(Path(split))
    proved = record is not None
    if proved and record["split"]["sha256"] != content_sha256(split):
        raise InputError(
            f"{split}: is not the split under which {path} was made (its record names another); "
            "name the split.csv of that run"
        )
    context: dict[str, Any] = {
        "protocol": "",
        "data": None,
        "views": None,
        "points": {},
        "arms": {},
    }
    context_path = path.with_name("context.json")
    if context_path.exists():
        context = records.read_json(context_path, "evaluate.py", estimates.CONTEXT)
        sources.append(context_path)
        proved = proved and "context.json" in record["outputs"]
    else:
        proved = False
    if not proved:
        stated = context["protocol"]
        context["protocol"] = derive_protocol(split, leaky)
        if stated:
            context["protocol"] += f"; as stated by context.json, not checked: {stated}"
    elif leaky and not protocols.is_leaky(context["protocol"]):
        context["protocol"] += protocols.LEAKY
    # The estimates go beside the run's own, never over them.
    folder = outputs_dir / "evaluation" / "from_predictions"
    locks.lock_folder(folder)
    claims.claim(folder, [*WRITTEN, "options.json"])
    (folder / "options.json").unlink(missing_ok=True)
    estimates.write(folder, predictions, lesions, context)
    hashes = {errors.printable(source.name): checksums.file_sha256(source) for source in sources}
    made = {"script": "evaluate", "inputs": hashes, "environment": machine.environment()}
    writing.write_json(folder / "options.json", made)
    estimates.print_summary(folder)
    say(f"evaluate: estimates of {path} -> {folder}/")


def derive_protocol(split, leaky):
    """Return what a split.csv itself says of the protocol, whoever made it.

    leaky: as read_lesions returns it.
    """
    words = {
        True: "leaky",
        False: "no test lesion in its train part",
        None: "leakage unknown: it has no train rows",
    }
    return f"split file {errors.printable(Path(split).name)}, {words[leaky]}"


def read_all(path):
    """Return ({model: (rows, labels, p)}, paths) of predictions.csv and those of models beside it.

    Raises InputError unless all are of the same images.
    """
    rows, labels, p = read_predictions(path)
    if p.shape[1] != len(CLASSES):
        raise InputError(f"{path}: has p_malignant; expected the seven-class predictions.csv")
    predictions, sources = {"classifier": (rows, labels, p)}, [path]
    for name in MODELS[1:]:
        other = find_file(path.with_name(f"predictions_{name}.csv"))
        if not other:
            continue
        sources.append(other)
        predictions[name] = read_predictions(other)
        if predictions[name][2].shape[1] != COLUMNS.get(name, len(CLASSES)):
            raise InputError(f"{other}: has the probabilities of another task than its name says")
        if not np.array_equal(predictions[name][0], rows) or not np.array_equal(
            predictions[name][1], labels
        ):
            raise InputError(
                f"{other}: rows or labels differ from {path}'s; they are not of one evaluation"
            )
    return predictions, sources


# The second is the name of the record among the committed results, which lie in one folder.
RECORD_NAMES = ("options.json", "evaluation_options.json")


def read_record(path):
    """Return the record of the evaluation beside predictions, or None without one of them.

    Raises InputError unless predictions.csv and what lies beside it are the files it names. A file
    of another name and content is none that it describes, so that the record proves nothing of it.
    """
    options = next((p for n in RECORD_NAMES if (p := path.with_name(n)).exists()), None)
    if options is None:
        return None
    shape = {"outputs": {...: str}, "split": {"sha256": str}}
    record = records.read_json(options, "evaluate.py", shape)
    for name in ("predictions.csv", "context.json", *(f"predictions_{n}.csv" for n in MODELS[1:])):
        beside = find_file(path.with_name(name))
        if beside and record["outputs"].get(name) != content_sha256(beside):
            raise InputError(
                f"{beside}: is not the file {options} describes; run evaluate.py again, or move it "
                "elsewhere"
            )
    if content_sha256(path) == record["outputs"].get("predictions.csv"):
        return record
    if path.name in ("predictions.csv", "predictions.csv.gz"):
        raise InputError(
            f"{path}: is not the file {options} describes; run evaluate.py again, or move it "
            "elsewhere"
        )
    return None


def content_sha256(path):
    """Return the hex SHA-256 of a text file's content, whether it is compressed or not.

    Raises InputError if it cannot be unpacked to its end.
    """
    digest = hashlib.sha256()
    try:
        with open_table(path) as f:
            while block := f.read(1 << 16):
                digest.update(block)
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile) as e:
        raise InputError(f"{path}: damaged, or not whole ({errors.first_line(e)})") from None
    return digest.hexdigest()
