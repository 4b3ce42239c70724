"""Label files of photographs: what HAM10000, the ISIC challenges and the ISIC archive hand out.

A file has one line an image. It names the diagnosis in a column (`dx`, `diagnosis`, or the
archive's `diagnosis_3`), or has a column of 0 and 1 for each diagnosis, as the challenges do.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lesiongan.data.classes import CLASS_NAMES, CLASSES
from lesiongan.data.metadata import MISSING, read_strings
from lesiongan.data.photographs import SUFFIXES
from lesiongan.files.errors import InputError, printable

if TYPE_CHECKING:
    import pandas as pd

# What each class is called in these files, in the form that plain() gives.
WORDS = {
    "akiec": (
        "ak",
        "actinic keratosis",
        "solar or actinic keratosis",
        "intraepithelial carcinoma",
        "bowens disease",
        "bowen disease",
        "squamous cell carcinoma in situ",
    ),
    "bcc": ("basal cell carcinoma",),
    "bkl": (
        "benign keratosis",
        "seborrheic keratosis",
        "seborrhoeic keratosis",
        "solar lentigo",
        "lichen planus like keratosis",
        "lichenoid keratosis",
        "pigmented benign keratosis",
    ),
    "df": (),
    "nv": ("nevus", "naevus", "melanocytic naevus"),
    "vasc": (
        "vascular lesions",
        "angioma",
        "hemangioma",
        "haemangioma",
        "angiokeratoma",
        "pyogenic granuloma",
        "benign soft tissue proliferations vascular",
    ),
    "mel": ("malignant melanoma", "melanoma nos", "melanoma in situ", "melanoma invasive"),
}
# Diagnoses of the challenges' columns that are none of the seven classes.
OTHER_COLUMNS = ("scc", "unk")
# The columns of HAM10000_metadata.csv, and what they are called elsewhere, the likeliest first.
NAMES = {
    "lesion_id": ("lesion_id",),
    "image_id": ("image_id", "isic_id", "image"),
    "dx": ("dx", "diagnosis", "diagnosis_3", "diagnosis_2"),
    "dx_type": ("dx_type", "diagnosis_confirm_type"),
    "age": ("age", "age_approx"),
    "sex": ("sex",),
    "localization": ("localization", "anatom_site_general"),
}
ABOUT = ("lesion_id", "dx_type", "age", "sex", "localization")
EXPECTED = (
    "expected image, image_id or isic_id, and dx, diagnosis, diagnosis_3 or the columns MEL, NV, "
    "BCC, AKIEC or AK, BKL, DF, VASC"
)
ALONE = "only_"
"""How the lesion id of an image begins that has none."""

FIRST_HAM10000, LAST_HAM10000 = 24306, 34320
"""The numbers of HAM10000's first and last image id: its 10015 images have all those between."""


def plain(name: str) -> str:
    """Return a diagnosis in small letters, with single spaces for underscores, dashes and marks."""
    return re.sub(r"[\W_]+", " ", re.sub(r"['’]", "", name.lower())).strip()


CODES = {
    plain(word): code
    for code, name in enumerate(CLASSES)
    for word in (name, CLASS_NAMES[name], *WORDS[name])
}


@dataclass
class Labels:
    """What a label file says, one entry an image, in the order of the file.

    ids: names of the images, str, no two alike; diagnoses: as they are written, '' where none is;
    codes: int (n,), positions in CLASSES, -1 for other diagnoses; about: {name in ABOUT: list of
    str, '' where nothing is known}.
    """

    ids: list
    diagnoses: list
    codes: np.ndarray
    about: dict


def read_labels(
    path: Path | str, mapping: dict[str, int] | None = None, notes: list[str] | None = None
) -> Labels:
    """Return the Labels of a label file.

    mapping: {plain name of a diagnosis: class code}, beside and above the names that are known;
    notes: a list, to which is added what every run should say. Raises InputError, which names the
    line, for a file that cannot be read or is of another kind, for an image that is listed twice,
    and for a diagnosis of the mapping that no image has.
    """
    mapping, notes = mapping or {}, [] if notes is None else notes
    frame = read_columns(path, notes)
    ids = read_ids(path, frame, EXPECTED)
    words = [frame[name] for name in NAMES["dx"] if name in frame]
    if words:
        # The archive's diagnosis_3 is empty where only the coarser diagnosis_2 is known.
        diagnoses = list(words[0].str.strip())
        for coarser in words[1:]:
            diagnoses = [d or c.strip() for d, c in zip(diagnoses, coarser, strict=True)]
    else:
        diagnoses = read_one_hot(path, frame, mapping)
    codes = np.array([(CODES | mapping).get(plain(d), -1) for d in diagnoses], dtype=np.int32)
    unused = sorted(set(mapping) - {plain(d) for d in diagnoses})
    if unused:
        raise InputError(f"{path}: --map names {unused[0]!r}, and no image has this diagnosis")
    return Labels(ids, diagnoses, codes, read_about(frame))


def read_columns(path: Path | str, notes: list[str]) -> "pd.DataFrame":
    """Return a file as a DataFrame of strings, its column names in small letters."""
    frame = read_strings(path, notes)
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    # pandas has renamed the second of two equal names, `dx`, to `dx.1`.
    names, read = list(frame.columns), {*sum(NAMES.values(), ()), *CLASSES, "ak", *OTHER_COLUMNS}
    twice = [n for n in names if names.count(n) > 1 or (n in read and f"{n}.1" in names)]
    if twice:
        raise InputError(f"{path}: line 1 has two columns {printable(twice[0])!r}; remove one")
    return frame


def read_ids(path: Path | str, frame: "pd.DataFrame", expected: str) -> list[str]:
    """Return the image ids of a file, in the form that name_image gives."""
    name = next((name for name in NAMES["image_id"] if name in frame), None)
    if name is None or not len(frame):
        what = "lists no image" if name else "no column of image ids"
        raise InputError(f"{path}: {what}; {expected}")
    ids = [name_image(text) for text in frame[name]]
    seen: dict[str, int] = {}
    for line, image in enumerate(ids, 2):
        if not image:
            raise InputError(f"{path}: line {line}, column {name} is empty; name the image")
        if image in seen:
            raise InputError(
                f"{path}: line {line}: {printable(image)} is listed in line {seen[image]} already; "
                "remove one"
            )
        seen[image] = line
    return ids


def name_image(text: str) -> str:
    """Return the image id of a file name or of a cell: no folder, no suffix of a picture.

    ISIC's prefix is in capitals.
    """
    name = re.split(r"[/\\]", text.strip())[-1]
    stem, dot, suffix = name.rpartition(".")
    if stem and (dot + suffix).lower() in SUFFIXES:
        name = stem
    return re.sub(r"^isic_", "ISIC_", name, flags=re.IGNORECASE)


def read_one_hot(path: Path | str, frame: "pd.DataFrame", mapping: dict[str, int]) -> list[str]:
    """Return the name of the column that holds the 1 of each row."""
    import pandas as pd

    known = {*CLASSES, "ak", *OTHER_COLUMNS, *mapping}
    names = [name for name in frame.columns if plain(name) in known]
    if len(names) < 2:
        raise InputError(f"{path}: no column of diagnoses; {EXPECTED}")
    values = frame[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    odd = np.argwhere((values != 0) & (values != 1))
    if len(odd):
        row, column = odd[0]
        cell = printable(frame[names[column]][row])[:20]
        raise InputError(
            f"{path}: line {row + 2}, column {names[column].upper()} is {cell!r}; expected 0 or 1"
        )
    sums = values.sum(axis=1).astype(int)
    wrong = np.flatnonzero(sums != 1)
    if len(wrong):
        raise InputError(
            f"{path}: line {wrong[0] + 2}: the columns {', '.join(names).upper()} sum to "
            f"{sums[wrong[0]]}; expected a single 1"
        )
    return [names[column].upper() for column in values.argmax(axis=1)]


def read_about(frame: "pd.DataFrame") -> dict[str, list[str]]:
    """Return {name in ABOUT: list of str}, '' where the file says nothing."""
    about = {}
    for name in ABOUT:
        column = next((n for n in NAMES[name] if n in frame), None)
        cells = [""] * len(frame) if column is None else map(printable, frame[column])
        about[name] = ["" if cell.strip().upper() in MISSING else cell for cell in cells]
    return about


def add_metadata(labels: Labels, path: Path | str, notes: list[str]) -> None:
    """Fill labels.about from a second file with the same image ids, such as ISIC 2019's metadata.

    What the label file says itself stays. Raises InputError if the file names none of the images.
    """
    frame = read_columns(path, notes)
    ids = read_ids(path, frame, "expected a column image, image_id or isic_id")
    row_of, about = {image: row for row, image in enumerate(ids)}, read_about(frame)
    rows = [row_of.get(image) for image in labels.ids]
    missing = rows.count(None)
    if missing == len(rows):
        raise InputError(f"{path}: names none of the {len(rows)} images of the label file")
    if missing:
        notes.append(f"{missing} of {len(rows)} images are not in {path}")
    for name, cells in labels.about.items():
        labels.about[name] = [
            cell or ("" if row is None else about[name][row])
            for cell, row in zip(cells, rows, strict=True)
        ]


def is_ham10000(image: str) -> bool:
    """Return True if an image id is one of HAM10000's, which ISIC 2018 and 2019 contain."""
    number = re.fullmatch(r"ISIC_(\d{7})", image)
    return number is not None and FIRST_HAM10000 <= int(number[1]) <= LAST_HAM10000


def describe(labels: Labels, rows: np.ndarray, notes: list[str]) -> dict[str, list[str]]:
    """Return HAM10000_metadata.csv's columns, {name: list of str}, for these rows of the labels.

    An image without a lesion id is a lesion of its own, under a name that no other lesion has; how
    many there are is added to `notes`. Characters that the scripts refuse in ids become _; raises
    InputError if two ids are the same then.
    """
    lesions = as_ids("lesion_id", [labels.about["lesion_id"][row] for row in rows])
    images, taken, alone = as_ids("image_id", [labels.ids[row] for row in rows]), set(lesions), 0
    for i, image in enumerate(images):
        if not lesions[i]:
            name = f"{ALONE}{image}"
            while name in taken:
                name += "_"
            lesions[i], alone = name, alone + 1
    if alone:
        notes.append(
            f"{alone} of {len(rows)} images have no lesion id: each counts as a lesion of its own, "
            "unless it is nearly the same as another"
        )

    def known(name: str) -> list[str]:
        return [labels.about[name][row] or "unknown" for row in rows]

    return {
        "lesion_id": lesions,
        "image_id": images,
        "dx": [CLASSES[labels.codes[row]] for row in rows],
        "dx_type": known("dx_type"),
        "age": [labels.about["age"][row] for row in rows],
        "sex": known("sex"),
        "localization": known("localization"),
    }


def as_ids(column: str, names: list[str]) -> list[str]:
    """Return names with _ for every character that metadata.read_metadata refuses in ids."""
    written = {name: re.sub(r"[^\w.:-]", "_", name) for name in names}
    by_id: dict[str, str] = {}
    for name, text in written.items():
        other = by_id.setdefault(text, name)
        if other != name:
            raise InputError(
                f"{column}s {printable(other)!r} and {printable(name)!r} would both be written as "
                f"{text!r}; rename one"
            )
    return [written[name] for name in names]
