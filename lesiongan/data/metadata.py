"""HAM10000_metadata.csv: read, and refused unless it describes the table row by row."""

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lesiongan.data import label_order, row_order
from lesiongan.data.classes import CLASSES
from lesiongan.data.tables import Table
from lesiongan.files.compressed import SEPARATORS, find_separator, open_narrow
from lesiongan.files.errors import InputError, first_line

if TYPE_CHECKING:
    import pandas as pd

# Kaggle's name first, then Dataverse's, which hands out text separated by tabs.
NAMES = (
    "HAM10000_metadata.csv",
    "HAM10000_metadata.csv.gz",
    "HAM10000_metadata.csv.zip",
    "HAM10000_metadata.tab",
    "HAM10000_metadata",
)


class OtherTableError(InputError):
    """The metadata describes other images than the table holds.

    same_rows: whether it has as many rows. fits_other_order: whether it describes the table, if
    only the table's class codes are read in another order.
    """

    def __init__(self, text: str, same_rows: bool, fits_other_order: bool = False) -> None:
        super().__init__(text)
        self.same_rows, self.fits_other_order = same_rows, fits_other_order


MISSING = ("NA", "N/A", "<NA>", "NAN", "NONE", "NULL")
"""What tools write, in capitals, where there is nothing."""


def find_beside(table_path: Path | str) -> Path | str:
    """Return the path of metadata beside a table, or 'none'."""
    beside = (Path(table_path).with_name(name) for name in NAMES)
    return next((path for path in beside if path.is_file()), "none")


def read_strings(path: Path | str, notes: list[str]) -> "pd.DataFrame":
    """Return the DataFrame of strings that a file of up to 64 columns holds, '' for empty cells.

    The columns may be separated by commas, semicolons or tabs; all but commas are added to `notes`.
    """
    import pandas as pd

    try:
        with open_narrow(path) as f:
            names = f.readline(1 << 20)
        separator = find_separator(names)
        # A line of more fields than the header would be cut off, and its columns shifted.
        with open_narrow(path) as f, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            found = pd.read_csv(
                f,
                dtype=str,
                keep_default_na=False,
                sep=separator.decode(),
                skipinitialspace=True,
                index_col=False,
            )
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except pd.errors.ParserWarning:
        raise InputError(
            f"{path}: some lines have more fields than the first line has names; put texts with a "
            "comma in quotes"
        ) from None
    except Exception as e:
        raise InputError(f"{path}: not a readable CSV ({first_line(e)})") from None
    if separator != b",":
        notes.append(f"{Path(path).name} is separated by {SEPARATORS[separator]}")
    return found


def read_frame(path: Path | str, notes: list[str]) -> "pd.DataFrame":
    """Return the DataFrame of strings that a metadata file holds, its ids and dx as HAM10000's.

    What had to be changed for that is added to `notes`.
    """
    meta = read_strings(path, notes)
    twice = [name for name in ("lesion_id", "image_id", "dx") if f"{name}.1" in meta]
    if twice:
        raise InputError(f"{path}: line 1 has two columns {twice[0]!r}; remove one")
    # pandas writes its index as a first column without a name.
    meta = meta.drop(columns=[n for n in meta.columns[:1] if n.startswith("Unnamed: 0")])
    if "dx" in meta:
        meta["dx"] = meta["dx"].str.strip().str.lower()
    if "image_id" in meta:
        plain = meta["image_id"].str.strip()
        plain = plain.str.replace(r"\.(jpe?g|png|tiff?|bmp)$", "", regex=True, flags=re.IGNORECASE)
        plain = plain.str.replace(r"^isic_", "ISIC_", regex=True, flags=re.IGNORECASE)
        changed = int((plain != meta["image_id"]).sum())
        if changed:
            notes.append(f"{changed} image ids of the metadata read as {plain[0]!r} is written")
        meta["image_id"] = plain
    return meta


def read_metadata(
    path: Path | str, table: Table, external: bool = False, trust: bool = False
) -> "pd.DataFrame":
    """Return the DataFrame of HAM10000_metadata.csv (lesion_id, image_id, dx, ...) for `table`.

    external: the table is another one, which is not split, so image_id alone will do, and lesions
    whose photographs do not look alike are noted instead of refused. trust: rows whose order the
    images contradict are noted too. Raises InputError unless the metadata describes the table row
    by row.
    """
    import pandas as pd

    meta = read_frame(path, table.notes)
    for name in ("lesion_id", "image_id", "dx"):
        if name not in meta and not (external and name != "image_id"):
            raise InputError(f"{path}: no column {name!r}; expected HAM10000_metadata.csv")
    if len(meta) != len(table):
        raise OtherTableError(
            f"{path}: {len(meta)} rows, but {table.path} has {len(table)}; they must describe the "
            "same images (--metadata none groups near-duplicate images instead)",
            same_rows=False,
        )
    if "dx" in meta:
        check_diagnoses(path, table, meta["dx"].to_numpy())
    for name in meta.columns.intersection(["lesion_id", "image_id"]):
        # R writes NA for what is missing. As an id it would make one lesion of all such images.
        empty = np.flatnonzero(meta[name].str.strip().str.upper().isin(["", *MISSING]).to_numpy())
        if len(empty):
            word = meta[name][empty[0]].strip()
            raise InputError(
                f"{path}: line {empty[0] + 2}, column {name} is {word or 'empty'}; every image "
                "needs an id there"
            )
        odd = np.flatnonzero(meta[name].str.contains(r"[^\w.:-]").to_numpy())
        if len(odd):
            raise InputError(
                f"{path}: line {odd[0] + 2}, column {name} is {meta[name][odd[0]][:20]!r}; "
                "expected letters, digits, _ . : -"
            )
    if "lesion_id" in meta:
        check_row_order(path, table, meta["lesion_id"].to_numpy().astype(str), external, trust)
    if "age" in meta:
        age = pd.to_numeric(meta["age"], errors="coerce")
        meta["age"] = age.where((age >= 0) & (age <= 130))
    return meta


def check_diagnoses(path: Path | str, table: Table, dx: np.ndarray) -> None:
    """Raise InputError unless each diagnosis of the metadata is its row's class in the table."""
    expected = np.array(CLASSES)[table.labels]
    wrong = np.flatnonzero(dx != expected)
    if not len(wrong):
        return
    fitted = label_order.fit_order(table.order, table.labels, dx)
    if fitted is not None and fitted != table.order:
        raise OtherTableError(
            f"{path}: all {len(dx)} diagnoses fit {table.path} if its class codes are in the order "
            f"{','.join(fitted)}; pass --label-order {label_order.name_order(fitted)}",
            same_rows=True,
            fits_other_order=True,
        )
    i = wrong[0]
    raise OtherTableError(
        f"{path}: line {i + 2}, column dx is {str(dx[i])[:20]!r}, but that row of {table.path} is "
        f"labelled {str(expected[i])!r} ({len(wrong)} rows disagree); the files are not in the "
        "same order",
        same_rows=True,
    )


def check_row_order(
    path: Path | str, table: Table, lesion_ids: np.ndarray, external: bool, trust: bool
) -> None:
    """Note what the images say of the rows' order; raise InputError if they contradict it."""
    found = row_order.measure(
        table.labels, lesion_ids, lambda rows: row_order.signatures_of(table.images, rows)
    )
    wrong = row_order.find_wrong(found)
    if wrong is None:
        pairs = found["all"].pairs
        if pairs < row_order.LEAST_PAIRS:
            table.order_note = f"row order of the metadata not testable: {pairs} same-lesion pairs"
        return
    name, order = wrong
    of = "" if name == "all" else f" of class {name}"
    fault = f"lesion ids do not fit the images{of}: {order}; the rows are in another order"
    if not (external or trust):
        raise InputError(
            f"{path}: {fault} (--metadata none groups near-duplicate images instead, "
            "--trust-row-order uses the ids all the same)"
        )
    table.notes.append(f"the metadata's {fault}")
    table.order_note = "row order of the metadata REFUTED by the images"
    if trust:
        table.order_note += ", trusted on request"
