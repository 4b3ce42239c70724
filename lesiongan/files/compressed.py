"""Compressed text, read as untrusted files: unpacked piece by piece and never without bounds."""

import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from lesiongan.files import archives
from lesiongan.files.errors import InputError
from lesiongan.files.opening import open_regular

# Which separator a table uses is seen by their number in its first line.
SEPARATORS = {b",": "commas", b";": "semicolons", b"\t": "tabs"}


def find_separator(line: bytes) -> bytes:
    """Return the key of SEPARATORS that stands most often in a line (bytes)."""
    return max(SEPARATORS, key=line.count)


class Bounded(io.RawIOBase):
    """A table's decompressed text, cut off with an InputError where it grows out of bounds.

    There are two bounds: EXPANSION times the file's own size, because a few megabytes of gzip can
    unpack to the whole disk, and lines of MAX_LINE bytes, because a reader of lines keeps a whole
    line in memory. Kaggle's table expands threefold.
    """

    EXPANSION, MAX_LINE = 100, 1 << 18

    def __init__(self, path: Path | str, stream: Any, file: io.BufferedReader) -> None:
        self.path, self.stream, self.file, self.since_line = path, stream, file, 0
        self.left = self.EXPANSION * Path(path).stat().st_size + (1 << 20)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self.stream.readinto(buffer)
        self.left -= n
        text = bytes(buffer[:n])
        # A byte of value 0 is refused because pandas would end a cell there.
        if b"\0" in text:
            raise InputError(
                f"{self.path}: holds a byte of value 0; expected text in UTF-8 (a spreadsheet may "
                "have saved UTF-16)"
            )
        if self.left < 0:
            raise InputError(
                f"{self.path}: unpacks to over {self.EXPANSION} times its size; no table of "
                "photographs does"
            )
        end = text.rfind(b"\n")
        self.since_line = self.since_line + n if end < 0 else n - end
        if self.since_line > self.MAX_LINE:
            raise InputError(
                f"{self.path}: has a line of over {self.MAX_LINE} bytes; no table of this project "
                "has"
            )
        return n

    def close(self) -> None:
        self.stream.close()
        self.file.close()
        super().close()


def open_zstandard(stream: io.BufferedReader) -> IO[bytes]:
    """Open a .zst stream; reading raises EOFError where it ends within a frame."""
    try:
        # The standard library has zstd from Python 3.14 on.
        from compression import zstd
    except ImportError:
        from backports import zstd

    return zstd.open(stream, "rb")


def open_zip(stream: io.BufferedReader, path: Path | str) -> IO[bytes]:
    """Open the one table that a zip archive holds, whatever else lies beside it.

    Raises InputError if there is none, or if none of several bears the archive's name.
    """
    archive = zipfile.ZipFile(stream)
    names = [
        name
        for name in archive.namelist()
        if name.lower().endswith(TEXTS)
        and not name.startswith("__MACOSX/")
        and not Path(name).name.startswith(".")
    ]
    own = [name for name in names if Path(name).name == Path(path).name.removesuffix(".zip")]
    if len(names) != 1 and len(own) != 1:
        there = ", ".join(names[:5]) or "no CSV"
        raise InputError(f"{path}: is a zip archive with {there}; unpack the table that you mean")
    return archives.open_member(archive, (own if len(own) == 1 else names)[0])


TEXTS = (".csv", ".tab", ".tsv", ".txt")
UNPACK: dict[bytes, Callable[[io.BufferedReader, Path | str], Any]] = {
    b"\x1f\x8b": lambda stream, path: gzip.GzipFile(fileobj=stream),
    b"\xfd7zXZ\x00": lambda stream, path: lzma.LZMAFile(stream),  # noqa: SIM115
    b"\x28\xb5\x2f\xfd": lambda stream, path: open_zstandard(stream),
    b"PK\x03\x04": open_zip,
}


def open_table(path: Path | str) -> io.BufferedReader:
    """Return a binary stream of the table's text, decompressed if it is gzip, xz, zstd or zip.

    The content decides which it is, whatever the name says.
    """
    file = open_regular(path)
    try:
        magic = file.read(6)
        file.seek(0)
        kinds = (unpack for start, unpack in UNPACK.items() if magic.startswith(start))
        unpack = next(kinds, None)
        stream = unpack(file, path) if unpack else file
    except BaseException:
        file.close()
        raise
    return io.BufferedReader(Bounded(path, stream, file), 1 << 16)


def open_narrow(path: Path | str, most: int = 64) -> io.BufferedReader:
    """Open a table of fewer than `most` columns like open_table, and refuse any other.

    pandas takes minutes to tell a hundred thousand columns of one name apart.
    """
    with open_table(path) as f:
        lines = [f.readline(Bounded.MAX_LINE), f.readline(Bounded.MAX_LINE)]
        # pandas would skip a blank first line, and read on from one with an open quote.
        if lines[0] and (not lines[0].strip() or lines[0].count(b'"') % 2):
            raise InputError(f"{path}: line 1 is not the names of columns")
        if max(line.count(mark) for line in lines for mark in SEPARATORS) >= most:
            raise InputError(f"{path}: has over {most} columns; no such file of this project has")
    return open_table(path)
