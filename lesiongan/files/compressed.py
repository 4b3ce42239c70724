"""Compressed text, read as untrusted files: unpacked piece by piece and never without bounds."""

import gzip
import io
import lzma
from pathlib import Path

from lesiongan.files.errors import InputError


class Bounded(io.RawIOBase):
    """A table's decompressed text, cut off with an InputError where it grows out of bounds.

    There are two bounds: EXPANSION times the file's own size, because a few megabytes of gzip can
    unpack to the whole disk, and lines of MAX_LINE bytes, because a reader of lines keeps a whole
    line in memory. Kaggle's table expands threefold.
    """

    EXPANSION, MAX_LINE = 100, 1 << 18

    def __init__(self, path, stream):
        self.path, self.stream, self.since_line = path, stream, 0
        self.left = self.EXPANSION * Path(path).stat().st_size + (1 << 20)

    def readable(self):
        return True

    def readinto(self, buffer):
        n = self.stream.readinto(buffer)
        self.left -= n
        text = bytes(buffer[:n])
        # A byte of value 0 is refused because pandas would end a cell there.
        if b"\0" in text:
            raise InputError(f"{self.path}: holds a byte of value 0; expected text")
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

    def close(self):
        self.stream.close()
        super().close()


def open_zstandard(path, mode):
    """Open a .zst file; reading raises EOFError where the file ends within a frame."""
    try:
        # The standard library has zstd from Python 3.14 on.
        from compression import zstd
    except ImportError:
        from backports import zstd

    return zstd.open(path, mode)


def open_table(path):
    """Return a binary stream of the table's text, decompressed if it is gzip, xz or zstd.

    The content decides which it is, whatever the name says.
    """
    if Path(path).exists() and not Path(path).is_file():
        # A pipe, for example, could be waited on for ever.
        raise InputError(f"{path}: is no file")
    with open(path, "rb") as f:
        magic = f.read(6)
    if magic[:2] == b"\x1f\x8b":
        unpack = gzip.open
    elif magic == b"\xfd7zXZ\x00":
        unpack = lzma.open
    elif magic[:4] == b"\x28\xb5\x2f\xfd":
        unpack = open_zstandard
    else:
        unpack = open
    stream = unpack(path, "rb")
    return io.BufferedReader(Bounded(path, stream), 1 << 16)


def open_narrow(path, most=64):
    """Open a table of fewer than `most` columns like open_table, and refuse any other.

    pandas takes minutes to tell a hundred thousand columns of one name apart.
    """
    with open_table(path) as f:
        lines = [f.readline(Bounded.MAX_LINE), f.readline(Bounded.MAX_LINE)]
        # pandas would skip a blank first line, and read on from one with an open quote.
        if lines[0] and (not lines[0].strip() or lines[0].count(b'"') % 2):
            raise InputError(f"{path}: line 1 is not the names of columns")
        if max(line.count(b",") for line in lines) >= most:
            raise InputError(f"{path}: has over {most} columns; no such file of this project has")
    return open_table(path)
