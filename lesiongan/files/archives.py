"""Zip archives, read as untrusted files.

.npz and .keras files are both zips, and the sizes that a zip declares may be false.
"""

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from lesiongan.files.opening import open_regular

PIECE = 1 << 16
# bzip2 and LZMA are left out, because zipfile unpacks their blocks whole, however large they are.
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return the bytes of one member of a ZipFile, read piece by piece.

    Raises ValueError if they are more than `most`.
    """
    pieces, size = [], 0
    with open_member(archive, name) as f:
        while piece := f.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise ValueError(f"{name} unpacks to over {most} bytes")
    return b"".join(pieces)


def open_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Return a stream of a ZipFile's member that gives no more bytes than the member declares.

    It gives no more than it is asked for at once either. Raises ValueError for another compression
    than those in READABLE.
    """
    info = archive.getinfo(name)
    if info.compress_type not in READABLE:
        raise ValueError(f"{name} is compressed in a way that no file of this project is")
    return archive.open(info)


def read_arrays(path: Path | str, names: Iterable[str], most: int) -> dict[str, np.ndarray]:
    """Return {name: array} of an .npz whose headers and sizes agree on at most `most` bytes in all.

    Raises ValueError, KeyError or whatever zipfile and NumPy raise for any other file. Nothing is
    unpickled.
    """
    found = {}
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        for name in names:
            declared = archive.getinfo(f"{name}.npy").file_size
            most -= declared
            if most < 0:
                raise ValueError(f"{name} unpacks to more than there can be")
            with open_member(archive, f"{name}.npy") as f:
                shape, dtype = read_header(f)
            if math.prod(shape) * dtype.itemsize > declared:
                raise ValueError(f"{name} says that it is larger than it is")
            with open_member(archive, f"{name}.npy") as f:
                found[name] = np.lib.format.read_array(f, allow_pickle=False)
    return found


def read_shape(path: Path | str, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return the (shape, dtype) that one array of an .npz declares; errors as in read_arrays."""
    with (
        open_regular(path) as file,
        zipfile.ZipFile(file) as archive,
        open_member(archive, f"{name}.npy") as f,
    ):
        return read_header(f)


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Return the (shape, dtype) that the start of a .npy stream declares."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    return shape, dtype
