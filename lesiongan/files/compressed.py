"""Compressed text as untrusted files: unpacked a piece at a time, and never without bounds."""

import gzip
import io
import lzma
from pathlib import Path

from lesiongan.files.errors import InputError


class Bounded(io.RawIOBase):
    """A table's decompressed text, cut off with an InputError where it grows out of bounds.

    Two bounds: EXPANSION times the file's own size, because a few megabytes of gzip can unpack to the whole disk, and lines
    of MAX_LINE bytes, because a reader of lines keeps a whole one in memory. Kaggle's table expands threefold.
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
        if b"\0" in text:  # pandas would end a cell there
            raise InputError(f"{self.path}: holds a byte of value 0; expected text")
        if self.left < 0:
            raise InputError(f"{self.path}: unpacks to over {self.EXPANSION} times its size; no table of photographs does")
        end = text.rfind(b"\n")
        self.since_line = self.since_line + n if end < 0 else n - end
        if self.since_line > self.MAX_LINE:
            raise InputError(f"{self.path}: has a line of over {self.MAX_LINE} bytes; no table of this project has")
        return n

    def close(self):
        self.stream.close()
        super().close()


class Zstandard(io.RawIOBase):
    """A .zst file's content. Unlike zstandard's own reader it raises EOFError where the file ends within a frame."""

    PIECE = 1 << 10  # bytes of the file at a time: each can unpack to 30 000 times as many

    def __init__(self, path, mode):
        import zstandard

        self.file = open(path, mode)  # noqa: SIM115, closed by close()
        self.start = zstandard.ZstdDecompressor().decompressobj
        self.frame, self.begun, self.packed, self.text = self.start(), False, b"", b""

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self.text:
            if self.frame.eof:
                self.packed, self.frame, self.begun = self.frame.unused_data, self.start(), False
            fresh = self.packed or self.file.read(self.PIECE)
            self.packed = b""
            if not fresh:
                if self.begun:
                    raise EOFError("it ends in the middle")
                return 0
            self.begun, self.text = True, memoryview(self.frame.decompress(fresh))
        n = min(len(buffer), len(self.text))
        buffer[:n], self.text = self.text[:n], self.text[n:]
        return n

    def close(self):
        self.file.close()
        super().close()


def open_table(path):
    """A binary stream of the table's text, decompressed by content (gzip, xz, zstd) whatever the name says."""
    if Path(path).exists() and not Path(path).is_file():
        raise InputError(f"{path}: is no file")  # a pipe, say, on which one waits for ever
    with open(path, "rb") as f:
        magic = f.read(6)
    if magic[:2] == b"\x1f\x8b":
        unpack = gzip.open
    elif magic == b"\xfd7zXZ\x00":
        unpack = lzma.open
    elif magic[:4] == b"\x28\xb5\x2f\xfd":
        unpack = Zstandard
    else:
        unpack = open
    stream = unpack(path, "rb")
    return io.BufferedReader(Bounded(path, stream), 1 << 16)


def open_narrow(path, most=64):
    """open_table for a file of few columns: pandas takes minutes to tell a hundred thousand of one name apart."""
    with open_table(path) as f:
        lines = [f.readline(Bounded.MAX_LINE), f.readline(Bounded.MAX_LINE)]
        if lines[0] and (not lines[0].strip() or lines[0].count(b'"') % 2):  # which pandas would skip, or read on from
            raise InputError(f"{path}: line 1 is not the names of columns")
        if max(line.count(b",") for line in lines) >= most:
            raise InputError(f"{path}: has over {most} columns; no such file of this project has")
    return open_table(path)
