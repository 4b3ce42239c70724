"""Tables of images: reading, checking and writing them.

HAM10000 (Tschandl et al., Scientific Data 2018, doi:10.1038/sdata.2018.161) at 28 x 28 comes as
Kaggle's `hmnist_28_28_RGB.csv`: 2352 pixel columns in row-major (height, width, channel) order and
`label`.

lesions.py says which images show one lesion, and split.py says which part of the split each is in.
"""

import codecs
import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lesiongan.data.classes import (
    CLASSES,
    DERMAMNIST_TO_HAM,
    IMAGE_SHAPE,
    LAYOUTS,
    PARTS,
    has_phantom_mark,
)
from lesiongan.files import archives
from lesiongan.files.compressed import Bounded, open_table
from lesiongan.files.errors import InputError, first_line
from lesiongan.files.writing import atomic

# These are about 12 GB of pixels; a larger table is refused rather than left to swap.
MAX_ROWS = 5_000_000


@dataclass
class Table:
    """A checked table of images.

    images: uint8 (n, h, w, c) in [0, 255]; labels: int32 (n,) positions in CLASSES; rows: int64
    (n,) row numbers in the file (0 is the first after the header); lesions: str (n,) name of the
    lesion each image shows; grouping: how the lesions are known; metadata: DataFrame with one row
    an image, or None; sha256: of pixels and labels, so the same for .csv, .csv.gz and .npz of one
    table.
    """

    path: str
    layout: str
    images: np.ndarray
    labels: np.ndarray
    sha256: str
    rows: np.ndarray = None
    lesions: np.ndarray = None
    grouping: str = "none"
    metadata: object = None
    notes: list = field(default_factory=list)

    def __len__(self):
        return len(self.labels)

    def take(self, index):
        """Return the same table restricted to the positions `index`, in that order."""
        index = np.asarray(index)
        meta = None if self.metadata is None else self.metadata.iloc[index].reset_index(drop=True)
        return Table(
            self.path,
            self.layout,
            self.images[index],
            self.labels[index],
            self.sha256,
            self.rows[index],
            self.lesions[index],
            self.grouping,
            meta,
            self.notes,
        )

    @property
    def metadata_sha256(self):
        """The hex SHA-256 of the metadata, or '' without metadata."""
        return (
            ""
            if self.metadata is None
            else hashlib.sha256(self.metadata.to_csv(index=False).encode()).hexdigest()
        )

    @property
    def is_phantom(self):
        """True if the images carry the mark of phantom lesions.

        A photograph carries it only with probability 2^-56.
        """
        return bool(
            len(self) and self.layout == "hmnist_28_28_RGB" and has_phantom_mark(self.images[:100])
        )


def read_layout(path, header):
    """Return (layout name, image shape, column names) of a header line.

    Raises InputError, which says how the line is wrong.
    """
    try:
        # Spreadsheets put a byte order mark at the start.
        text = header.removeprefix(codecs.BOM_UTF8).decode("ascii").strip()
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: line 1 is not text; expected the header of Kaggle's hmnist_28_28_RGB.csv"
        ) from None
    if not text:
        raise InputError(f"{path}: the file is empty; expected Kaggle's hmnist_28_28_RGB.csv")
    columns = [c.strip('"') for c in text.split(",")]
    if len(columns) == 1:
        for name, mark in (("semicolon", ";"), ("tab", "\t"), ("space", " ")):
            if mark in text:
                raise InputError(f"{path}: line 1 is separated by {name}s; expected commas")
    n = len(columns) - 1
    if n not in LAYOUTS:
        raise InputError(
            f"{path}: line 1 has {len(columns)} columns; expected 2353 (pixel0000 to pixel2351, "
            "label) as in Kaggle's hmnist_28_28_RGB.csv"
        )
    for i, (found, wanted) in enumerate(
        zip(columns, [f"pixel{i:04d}" for i in range(n)] + ["label"], strict=True)
    ):
        if found != wanted:
            raise InputError(
                f"{path}: line 1, column {i + 1} is {found[:40]!r}; expected {wanted!r}"
            )
    return (*LAYOUTS[n], columns)


def locate_fault(path, columns, good=0):
    """Return the first fault of a CSV body in words, found line by line.

    The search is slow, so it runs only once reading has failed, and only after the first `good`
    rows, which have been read.
    """
    width = len(columns)
    with open_table(path) as f:
        f.readline(1 << 20)
        for number, line in enumerate(iter(lambda: f.readline(1 << 20), b""), start=2):
            if number < 2 + good or not line.strip():
                continue
            cells = line.rstrip(b"\r\n").split(b",")
            where = f"{path}: line {number}"
            if cells[0].strip(b'"') == columns[0].encode():
                return (
                    f"{where} repeats the header; expected pixel values (was the file joined "
                    "from two?)"
                )
            if len(cells) != width:
                return f"{where} has {len(cells)} values; expected {width} (is the file truncated?)"
            for name, cell in zip(columns, cells, strict=True):
                cell = cell.strip(b'"')
                shown = cell[:20].decode("ascii", "replace")
                top = len(CLASSES) - 1 if name == "label" else 255
                try:
                    value = float(cell)
                except ValueError:
                    return f"{where}, column {name}: {shown!r} is not a number"
                if (
                    not (value == int(value) if abs(value) < 1e9 else False)
                    or not 0 <= value <= top
                ):
                    return f"{where}, column {name}: {shown} is not a whole number from 0 to {top}"
    return f"{path}: not readable as a table of whole numbers"


def describe_fault(path, columns, error, good):
    """Return one line that says what made reading fail.

    Either the body does not parse, or the file cannot be read to its end. Every decompressor raises
    its own kinds of error, so the second pass of locate_fault decides which it was.
    """
    try:
        if columns is not None and not isinstance(error, OSError | EOFError):
            return locate_fault(path, columns, good)
    except InputError as e:
        return str(e)
    except Exception as e:
        error = e
    return f"{path}: cannot be read to its end ({first_line(error)}); fetch the file again"


def read_csv(path):
    """Return (layout, images uint8 (n, h, w, c), labels int32 (n,)) of a CSV in Kaggle's layout.

    The file may be plain or compressed. Raises InputError if it is malformed.
    """
    import pandas as pd

    pixels, labels, n = [], [], 0
    columns = None
    try:
        with open_table(path) as f:
            layout, shape, columns = read_layout(path, f.readline(1 << 20))
            first = f.readline(1 << 20)
            if not first.strip():
                raise InputError(f"{path}: has a header and no rows")
            if first.count(b",") + 1 != len(columns):
                raise InputError(locate_fault(path, columns))
        # An infinity becomes a number far out of range, which the check below refuses.
        with open_table(path) as f, np.errstate(invalid="ignore"):
            # The values are read as int64 and then checked, because pandas wraps 256 to 0 when
            # asked for uint8 directly.
            for chunk in pd.read_csv(f, dtype="int64", chunksize=4096):
                values = chunk.to_numpy()
                if values.min() < 0 or values.max() > 255 or values[:, -1].max() >= len(CLASSES):
                    raise InputError(locate_fault(path, columns, n))
                n += len(values)
                if n > MAX_ROWS:
                    raise InputError(
                        f"{path}: more than {MAX_ROWS} rows; split the table into smaller files"
                    )
                pixels.append(values[:, :-1].astype(np.uint8))
                labels.append(values[:, -1].astype(np.int32))
    except InputError:
        raise
    except Exception as e:
        raise InputError(describe_fault(path, columns, e, n)) from None
    return layout, np.concatenate(pixels).reshape(-1, *shape), np.concatenate(labels)


def read_npz(path):
    """Return (layout, images, labels) of MedMNIST's dermamnist.npz, with the labels of CLASSES.

    The parts of the file are joined, and one part is enough. Raises InputError if it is malformed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            there = set(archive.namelist())
            if (
                sum(i.file_size for i in archive.infolist())
                > Bounded.EXPANSION * path.stat().st_size
            ):
                raise InputError(
                    f"{path}: unpacks to over {Bounded.EXPANSION} times its size; not "
                    "dermamnist.npz"
                )
        parts = [p for p in PARTS if {f"{p}_images.npy", f"{p}_labels.npy"} & there]
        names = [f"{part}_{kind}" for part in parts or PARTS for kind in ("images", "labels")]
        missing = [n for n in names if f"{n}.npy" not in there]
        if missing:
            raise InputError(f"{path}: no array {missing[0]!r}; expected MedMNIST's dermamnist.npz")
        arrays = archives.read_arrays(path, names, Bounded.EXPANSION * path.stat().st_size)
    except InputError:
        raise
    # For a damaged file zipfile, zlib and NumPy raise many kinds of error.
    except Exception as e:
        raise InputError(
            f"{path}: not a readable .npz ({first_line(e)}); fetch dermamnist.npz again"
        ) from None
    for part in parts:
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.shape[1:] != IMAGE_SHAPE or images.dtype != np.uint8:
            raise InputError(
                f"{path}: {part}_images is {images.dtype} {images.shape}; expected uint8 (n, 28, "
                "28, 3) (the 28-pixel file)"
            )
        if labels.shape not in ((len(images),), (len(images), 1)) or labels.dtype.kind not in "iu":
            raise InputError(
                f"{path}: {part}_labels is {labels.dtype} {labels.shape}; expected one integer an "
                "image"
            )
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(CLASSES):
            raise InputError(f"{path}: {part}_labels has values outside 0 to {len(CLASSES) - 1}")
    images = np.concatenate([arrays[f"{p}_images"] for p in parts])
    labels = np.concatenate([arrays[f"{p}_labels"].reshape(-1) for p in parts])
    if not len(labels):
        raise InputError(f"{path}: holds no images")
    return "hmnist_28_28_RGB", images, DERMAMNIST_TO_HAM[labels].astype(np.int32)


def read_table(path):
    """Read and check the table of any supported file; each image is a lesion of its own here."""
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; name a table like hmnist_28_28_RGB.csv (.gz, .xz, .zst) or "
            "dermamnist.npz"
        )
    try:
        with open(path, "rb") as f:
            is_zip = f.read(4) == b"PK\x03\x04"
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror})") from None
    layout, images, labels = (read_npz if is_zip else read_csv)(path)
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images))
    digest.update(labels.astype("<i4").tobytes())
    rows = np.arange(len(labels))
    return Table(
        str(path),
        layout,
        images,
        labels,
        digest.hexdigest(),
        rows,
        rows.astype(str),
        "each image alone",
    )


def write_table(path, chunks):
    """Write (images uint8 (k, 28, 28, 3), labels (k,)) chunks as a CSV in Kaggle's exact layout."""
    with atomic(path) as t, open(t, "w", encoding="ascii", newline="\n") as f:
        f.write(",".join(f"pixel{i:04d}" for i in range(2352)) + ",label\n")
        for images, labels in chunks:
            values = np.concatenate(
                [images.reshape(len(labels), -1), np.asarray(labels)[:, None]], axis=1
            )
            f.writelines(",".join(map(str, row)) + "\n" for row in values.tolist())
