"""predictions.csv, the file from which every estimate of a classifier follows.

It has one line for each image: its class and the probability of every class. evaluate.py writes it,
and whoever wants estimates reads it. The ISIC challenge's format of the same is here too.
"""

import os
from pathlib import Path

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.files import writing
from lesiongan.files.compressed import open_narrow
from lesiongan.files.errors import InputError, first_line
from lesiongan.files.opening import open_input
from lesiongan.files.telling import say

ISIC_ORDER = ("mel", "nv", "bcc", "akiec", "bkl", "df", "vasc")
ISIC_HEADER = ",".join(["image", *(name.upper() for name in ISIC_ORDER)])


def write_predictions(path, rows, labels, p):
    """Write predictions.csv: row, label, then p_<class> (seven classes) or p_malignant.

    The probabilities have nine significant digits.
    """
    names = [f"p_{c}" for c in CLASSES] if p.shape[1] == len(CLASSES) else ["p_malignant"]
    columns = p if p.shape[1] == len(CLASSES) else p[:, 1:]
    writing.write_csv(
        path, {"row": rows, "label": labels, **dict(zip(names, columns.T, strict=True))}
    )


def find_file(path):
    """Return `path`, or the same with `.gz` added (gzip), whichever is there; else None."""
    return next((p for p in (path, path.with_name(f"{path.name}.gz")) if p.is_file()), None)


def read_predictions(path: Path | str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read and check a predictions.csv: (rows int64, labels int64, p float64 (n, 7) or (n, 2))."""
    import pandas as pd

    try:
        with open_narrow(path) as f:
            frame = pd.read_csv(f)
    except InputError:
        raise
    except Exception as e:
        raise InputError(
            f"{path}: not readable as CSV ({first_line(e)}); run evaluate.py again"
        ) from None
    names = [f"p_{c}" for c in CLASSES] if "p_malignant" not in frame else ["p_malignant"]
    if frame.empty:
        raise InputError(f"{path}: has no predictions")
    for name in ("row", "label", *names):
        if name not in frame:
            raise InputError(f"{path}: no column {name!r}; expected row,label,{','.join(names)}")
        if frame[name].dtype.kind not in "iufc" or not np.isfinite(frame[name]).all():
            raise InputError(f"{path}: column {name} has values that are not numbers")
    p = frame[names].to_numpy(float)
    bad = np.flatnonzero(
        (p < 0).any(axis=1)
        | (p > 1).any(axis=1)
        | ((np.abs(p.sum(axis=1) - 1) > 1e-4) & (len(names) > 1))
    )
    if len(bad):
        raise InputError(f"{path}: line {bad[0] + 2}: probabilities are not in [0, 1] with sum 1")
    for name, top in (("row", 2**53), ("label", len(CLASSES) - 1)):
        if (frame[name] % 1 != 0).any() or frame[name].min() < 0 or frame[name].max() > top:
            raise InputError(
                f"{path}: column {name} has values that are not whole numbers from 0 to {top}"
            )
    if frame["row"].duplicated().any():
        raise InputError(
            f"{path}: row {frame['row'][frame['row'].duplicated()].iloc[0]} stands twice"
        )
    return (
        frame["row"].to_numpy(int),
        frame["label"].to_numpy(int),
        p if len(names) > 1 else np.column_stack([1 - p, p]),
    )


def read_lesions(path, rows):
    """Return (the lesion of each predicted row, whether one of them is in train too) by split.csv.

    The lesions are str (n,). The second is None if the file has no train rows, which cannot show a
    leak. Raises InputError unless the rows are exactly the test part.
    """
    import pandas as pd

    try:
        # An infinity becomes a row that is not there, which the check below refuses. No id counts
        # as missing, because an id may be "NA".
        with open_narrow(path) as f, np.errstate(invalid="ignore"):
            split = pd.read_csv(
                f, dtype={"row": "int64", "lesion": "str", "part": "str"}, keep_default_na=False
            )
            split = split[["row", "lesion", "part"]]
    except InputError:
        raise
    except Exception as e:
        raise InputError(f"{path}: not a split.csv ({first_line(e)})") from None
    test = split[split.part == "test"].set_index("row")["lesion"]
    if test.index.has_duplicates:
        raise InputError(f"{path}: row {test.index[test.index.duplicated()][0]} stands twice")
    if set(test.index) != set(rows):
        raise InputError(
            f"{path}: its test part is not the {len(rows)} predicted rows; the files do not belong "
            "together"
        )
    if (test.str.strip() == "").any():
        raise InputError(f"{path}: a test row has no lesion; every image needs one")
    train = split[split.part.isin(("train", "own", "others"))]["lesion"]
    leaky = bool(test.isin(train).any()) if len(train) else None
    return test.loc[rows].to_numpy(str), leaky


def check_isic(path, inputs, written=()):
    """Raise InputError if a submission written to `path` would replace anything else.

    inputs: paths of the files that the run reads; written: of those that it writes itself.
    """
    writing.check_target(path)
    if os.path.realpath(path) in map(os.path.realpath, written):
        raise InputError(
            f"--isic-submission {path}: is a file that this run writes itself; name another file"
        )
    if not os.path.lexists(path):
        return
    for other in inputs:
        if other is not None and os.path.exists(other) and os.path.samefile(path, other):
            raise InputError(
                f"--isic-submission {path}: is an input of this run; name another file"
            )
    with open_input(path, "remove the link") as f:
        if path.is_symlink() or f.readline(1 << 10).rstrip(b"\r\n") != ISIC_HEADER.encode():
            raise InputError(
                f"--isic-submission {path}: is there and is no submission; name another file"
            )


def list_ids(table):
    """Return the image ids of a table's metadata, or names made of its row numbers."""
    if table.metadata is None:
        return [f"row{r:07d}" for r in table.rows]
    return list(table.metadata["image_id"])


def write_isic(path, ids, p):
    """Write an ISIC 2018 task 3 submission: image, then the seven probabilities in its order.

    ids: name of each image (n,); p: float (n, 7) in the order of CLASSES. Raises InputError if two
    images have one name, for then nobody could tell whose a line is.
    """
    ids = list(ids)
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise InputError(
            f"--isic-submission {path}: {ids.count(twice)} images are called {twice}; a submission "
            "needs a name for each"
        )
    columns = {c.upper(): p[:, CLASSES.index(c)] for c in ISIC_ORDER}
    writing.write_csv(path, {"image": ids, **columns})
    say(f"  ISIC submission -> {path}")
