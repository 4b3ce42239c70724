"""Tables of images: reading, checking and writing them.

HAM10000 (Tschandl et al., Scientific Data 2018, doi:10.1038/sdata.2018.161) at 28 x 28 comes as
Kaggle's `hmnist_28_28_RGB.csv`: 2352 pixel columns in row-major (height, width, channel) order and
`label`.

lesions.py says which images show one lesion, and split.py says which part of the split each is in.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from lesiongan.data import label_order
from lesiongan.data.classes import CLASSES, TABLE_NAME, has_phantom_mark
from lesiongan.data.csv_tables import read_csv
from lesiongan.data.npz_tables import read_npz
from lesiongan.files.errors import InputError, first_line
from lesiongan.files.opening import open_input
from lesiongan.files.writing import atomic

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Table:
    """A checked table of images.

    images: uint8 (n, h, w, c) in [0, 255]; labels: int32 (n,) positions in CLASSES; rows: int64
    (n,) row numbers in the file (0 is the first after the header); lesions: str (n,) name of the
    lesion each image shows; grouping: how the lesions are known; metadata: DataFrame with one row
    an image, or None; sha256: of pixels and labels, so the same for .csv, .csv.gz and .npz of one
    table; notes: what every run says of it; order: the class names by the codes of the file;
    order_note: what the protocol says of the metadata's row order, '' if it was confirmed;
    own_parts: str (n,), the part of the file's own split (train / val / test) that each image is
    in, or None for a file without one, which a CSV is.
    """

    path: str
    layout: str
    images: np.ndarray
    labels: np.ndarray
    sha256: str
    # Tables that are read have both; one that is made in memory to be measured may leave them out.
    rows: np.ndarray = None  # type: ignore[assignment]
    lesions: np.ndarray = None  # type: ignore[assignment]
    grouping: str = "none"
    metadata: "pd.DataFrame | None" = None
    notes: list = field(default_factory=list)
    order: tuple = CLASSES
    order_note: str = ""
    own_parts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray | list[int]) -> "Table":
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
            self.order,
            self.order_note,
            None if self.own_parts is None else self.own_parts[index],
        )

    @property
    def metadata_sha256(self) -> str:
        """The hex SHA-256 of the metadata, or '' without metadata."""
        return (
            ""
            if self.metadata is None
            else hashlib.sha256(self.metadata.to_csv(index=False).encode()).hexdigest()
        )

    @property
    def is_phantom(self) -> bool:
        """True if the images carry the mark of phantom lesions.

        A photograph carries it only with probability 2^-56.
        """
        return bool(
            len(self) and self.layout == "hmnist_28_28_RGB" and has_phantom_mark(self.images[:100])
        )


def holds_arrays(stream: IO[bytes], path: Path | str) -> bool:
    """Return True for a zip archive that holds arrays, and no text."""
    if stream.read(4) != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(stream) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    # zipfile raises many kinds of error for a damaged archive.
    except Exception as e:
        raise InputError(f"{path}: not a readable zip ({first_line(e)}); fetch it again") from None


def hash_rows(images: np.ndarray, labels: np.ndarray) -> str:
    """Return the hex SHA-256 of pixels uint8 (n, h, w, c) and labels int32 (n,)."""
    digest = hashlib.sha256(repr(images.shape).encode())
    # An array is a buffer, which NumPy's types say from Python 3.12 on.
    digest.update(np.ascontiguousarray(images))  # type: ignore[arg-type]
    digest.update(labels.astype("<i4").tobytes())
    return digest.hexdigest()


def read_table(path: Path | str, order: str = "auto") -> Table:
    """Read and check the table of any supported file; each image is a lesion of its own here.

    order: what its class codes stand for, see label_order.parse_order.
    """
    path, known = Path(path), label_order.parse_order(order)
    kinds = f"name a table like {TABLE_NAME} (.gz, .xz, .zst, .zip) or dermamnist.npz"
    with open_input(path, kinds) as f:
        npz = holds_arrays(f, path)
    layout, images, codes, notes, own_parts = read_npz(path) if npz else (*read_csv(path), None)
    if known is None:
        known, note = label_order.find_order(codes, "alphabetical" if npz else "kaggle")
        if note:
            notes.append(note)
    labels = label_order.convert(codes, known)
    rows = np.arange(len(labels))
    return Table(
        str(path),
        layout,
        images,
        labels,
        hash_rows(images, labels),
        rows,
        rows.astype(str),
        "each image alone",
        notes=notes,
        order=known,
        own_parts=own_parts,
    )


def write_table(
    path: Path | str, chunks: Iterable[tuple[np.ndarray, np.ndarray]], pixels: int = 2352
) -> None:
    """Write (images uint8 (k, h, w, c), labels (k,)) chunks as a CSV in Kaggle's exact layout.

    pixels: values of an image, h w c: 2352 for images of 28 x 28, 192 for 8 x 8.
    """
    with atomic(path) as t, open(t, "w", encoding="ascii", newline="\n") as f:
        f.write(",".join(f"pixel{i:04d}" for i in range(pixels)) + ",label\n")
        for images, labels in chunks:
            values = np.concatenate(
                [images.reshape(len(labels), pixels), np.asarray(labels)[:, None]], axis=1
            )
            f.writelines(",".join(map(str, row)) + "\n" for row in values.tolist())
