"""Reading tables of images as text: Kaggle's CSV, and what common tools make of it.

A table has one row an image, with pixel columns in row-major (height, width, channel) order and
`label`. Besides Kaggle's own files these are read, because their meaning is certain: files with
semicolons or tabs, with the index column that pandas adds, with the label first, or without header.
"""

import codecs
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lesiongan.data.classes import CLASSES, LAYOUTS
from lesiongan.files.compressed import SEPARATORS, find_separator, open_table
from lesiongan.files.errors import InputError, first_line
from lesiongan.files.interrupts import interrupts_held

if TYPE_CHECKING:
    import pandas as pd

# A table of more rows, with about 12 GB of pixels, is refused rather than left to swap.
MAX_ROWS = 5_000_000

INDEX_NAMES = ("", "Unnamed: 0", "index")


@dataclass(frozen=True)
class Header:
    """What line 1 of a table says.

    layout: a name in LAYOUTS; shape: of an image; columns: the names of all columns; order: the
    positions of the pixels, then of the label, among them; separator: a key of SEPARATORS;
    is_there: False if line 1 is the first row already; notes: what differs from Kaggle's file.
    """

    layout: str
    shape: tuple
    columns: list
    order: list
    separator: bytes
    is_there: bool
    notes: list


def read_header(path: Path | str, line: bytes) -> Header:
    """Return the Header of a table's first line (bytes); InputError says how it is wrong."""
    try:
        # Spreadsheets put a byte-order mark there.
        text = line.removeprefix(codecs.BOM_UTF8).decode("ascii").strip("\r\n ")
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: line 1 is not text in UTF-8; expected the header of Kaggle's "
            "hmnist_28_28_RGB.csv"
        ) from None
    if not text.strip():
        what = "line 1 is blank" if line else "the file is empty"
        raise InputError(f"{path}: {what}; expected Kaggle's hmnist_28_28_RGB.csv")
    separator = find_separator(line)
    found = [c.strip().strip('"') for c in text.split(separator.decode())]
    notes = [f"separated by {SEPARATORS[separator]}"] * (separator != b",")
    is_there = not all(c.isdigit() for c in found)
    has_index = is_there and found[0] in INDEX_NAMES
    pixels = len(found) - 1 - has_index
    if pixels not in LAYOUTS:
        if len(found) == 1 and " " in text:
            raise InputError(f"{path}: line 1 is separated by spaces; expected commas")
        raise InputError(
            f"{path}: line 1 has {len(found)} columns; expected 2353 (pixel0000 to pixel2351, "
            "label) as in Kaggle's hmnist_28_28_RGB.csv"
        )
    wanted = [f"pixel{i:04d}" for i in range(pixels)] + ["label"]
    start = int(has_index)
    order = list(range(start, len(found)))
    if not is_there:
        found = wanted
        notes.append("no header: read as Kaggle's columns, the label last")
    elif found[start] == "label":
        wanted = ["label", *wanted[:-1]]
        order = [*order[1:], start]
        notes.append("the label stands first")
    if has_index:
        notes.append(f"its first column, {found[0]!r}, is an index: left out")
    for i, (name, right) in enumerate(zip(found[start:], wanted, strict=True), start=start):
        if name != right:
            raise InputError(f"{path}: line 1, column {i + 1} is {name[:40]!r}; expected {right!r}")
    return Header(*LAYOUTS[pixels], found, order, separator, is_there, notes)


def locate_fault(path: Path | str, header: Header, good: int = 0) -> str:
    """Return the first fault of a CSV body in words.

    It is found line by line, which is slow: so only once reading has failed, and only after the
    first `good` rows, which have been read.
    """
    separator, width = header.separator, len(header.columns)
    index = set(range(width)) - set(header.order)
    first = 1 + header.is_there
    with open_table(path) as f:
        if header.is_there:
            f.readline(1 << 20)
        for number, line in enumerate(iter(lambda: f.readline(1 << 20), b""), start=first):
            if number < first + good or not line.strip():
                continue
            cells = line.rstrip(b"\r\n").split(separator)
            where = f"{path}: line {number}"
            if b"pixel0000" in line[:40]:
                return (
                    f"{where} repeats the header; expected pixel values (was the file joined "
                    "from two?)"
                )
            if len(cells) != width:
                return f"{where} has {len(cells)} values; expected {width} (is the file truncated?)"
            for at, (name, cell) in enumerate(zip(header.columns, cells, strict=True)):
                if at not in index and (fault := find_cell_fault(name, cell)):
                    return f"{where}, column {name}: {fault}"
    return f"{path}: not readable as a table of whole numbers"


def find_cell_fault(name: str, cell: bytes) -> str | None:
    """Return what is wrong with one cell (bytes) of the column `name`, or None."""
    cell = cell.strip().strip(b'"')
    shown = cell[:20].decode("ascii", "replace")
    top = len(CLASSES) - 1 if name == "label" else 255
    try:
        value = float(cell)
    except ValueError:
        return f"{shown!r} is not a number"
    if abs(value) < 1e9 and value == int(value) and 0 <= value <= top:
        return None
    scaled = 0 < value < 1 and name != "label"
    hint = " (are the pixels divided by 255? Multiply them again)" if scaled else ""
    return f"{shown} is not a whole number from 0 to {top}{hint}"


def describe_fault(path: Path | str, header: Header | None, error: Exception, good: int) -> str:
    """Return one line for whatever made reading fail.

    That is a body that does not parse, or a file that cannot be read to its end. Every decompressor
    raises its own kinds of error, so the second pass of locate_fault decides which it was.
    """
    try:
        if header is not None and not isinstance(error, OSError | EOFError):
            return locate_fault(path, header, good)
    except InputError as e:
        return str(e)
    except Exception as e:
        error = e
    return f"{path}: cannot be read to its end ({first_line(error)}); fetch the file again"


def next_chunk(chunks: Iterator["pd.DataFrame"]) -> "pd.DataFrame | None":
    """Return the next chunk of a table, or None at its end."""
    with interrupts_held():
        return next(chunks, None)


def read_csv(path: Path | str) -> tuple[str, np.ndarray, np.ndarray, list[str]]:
    """Return (layout, images uint8 (n, h, w, c), codes int32 (n,), notes) of a table as text.

    It may be compressed. Raises InputError if it is malformed.
    """
    import pandas as pd

    pixels, codes, n, header = [], [], 0, None
    try:
        with open_table(path) as f:
            header = read_header(path, f.readline(1 << 20))
            if header.is_there:
                # pandas passes over blank lines.
                first = next(
                    (row for row in iter(lambda: f.readline(1 << 20), b"") if row.strip()), b""
                )
                if not first:
                    raise InputError(f"{path}: has a header and no rows")
                if first.count(header.separator) + 1 != len(header.columns):
                    raise InputError(locate_fault(path, header))
        # An infinity becomes a number far out of range, which the check below refuses.
        with open_table(path) as f, np.errstate(invalid="ignore"):
            # An index may be of words. pandas calls a column without a name so.
            kinds = defaultdict(lambda: "int64")
            if 0 not in header.order:
                kinds[header.columns[0] or "Unnamed: 0"] = "str"
            # Values are read as int64 and their range is checked, because pandas wraps 256 to 0
            # when it is asked for uint8 directly.
            chunks = pd.read_csv(
                f,
                dtype=kinds,
                chunksize=4096,
                sep=header.separator.decode(),
                header=0 if header.is_there else None,
            )
            while (chunk := next_chunk(chunks)) is not None:
                values = chunk.iloc[:, header.order].to_numpy()
                if values.min() < 0 or values.max() > 255 or values[:, -1].max() >= len(CLASSES):
                    raise InputError(locate_fault(path, header, n))
                n += len(values)
                if n > MAX_ROWS:
                    raise InputError(
                        f"{path}: more than {MAX_ROWS} rows; split the table into smaller files"
                    )
                pixels.append(values[:, :-1].astype(np.uint8))
                codes.append(values[:, -1].astype(np.int32))
    except InputError:
        raise
    except Exception as e:
        raise InputError(describe_fault(path, header, e, n)) from None
    images = np.concatenate(pixels).reshape(-1, *header.shape)
    return header.layout, images, np.concatenate(codes), header.notes
