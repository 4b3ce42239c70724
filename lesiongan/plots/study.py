"""What the study in results/ found at other sizes of the training set, for the report."""

from lesiongan import ROOT
from lesiongan.files import records
from lesiongan.files.errors import InputError

FOLDER = ROOT / "results"
SHAPE = {
    "data": {"sha256": str},
    "base": str,
    "lead": str,
    "cells": int,
    "cells_planned": int,
    "answers": [{"sentence": str}],
}
CAPTION = (
    "What is gained over own images alone, by the number of lesions one owns, with 95 % intervals; "
    "on the right the AUC itself, to read off how many real lesions alone reach the same. Marks of "
    "one number of lesions stand side by side; hollow ones are of fewer than three seeds. The "
    "uncertainty of the curve on the right is left out (make study)."
)


def find_files(data):
    """Return the files of the study, if there is one and it is of this table; else [].

    data: as Inputs has it.
    """
    path = FOLDER / "study.json"
    if not path.is_file():
        return []
    try:
        found = records.read_json(path, "make study", SHAPE)
    except InputError:
        # A study that cannot be read is none of this run's business.
        return []
    drawn = FOLDER / "study_map.png"
    is_ours = found["data"]["sha256"] == data["sha256"]
    return [path, drawn] if is_ours and drawn.is_file() else []


def read(data):
    """Return {lead, sentences, base, cells, cells_planned, picture} of its study, or None."""
    from lesiongan.plots import pictures

    files = find_files(data)
    if not files:
        return None
    found = records.read_json(files[0], "make study", SHAPE)
    sentences = [answer["sentence"] for answer in found["answers"]]
    alt = (
        "Three panels: gains of AUC and of balanced accuracy with intervals, and AUC itself. The "
        "sentences above have their numbers."
    )
    return {
        "sentences": sentences,
        "picture": pictures.show("study_map", CAPTION, alt, files[1].read_bytes()),
        **{name: found[name] for name in ("lead", "base", "cells", "cells_planned")},
    }
