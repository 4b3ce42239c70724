"""Journals: records of one length, appended while long work runs, from which it can go on.

A journal begins with the hash of the work that it is of. Each record carries a checksum, so that
what a killed process or a full disk left half-written is found and written again.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lesiongan.files.errors import InputError
from lesiongan.files.opening import open_regular

MARK = b"lesiongan journal 1\n"
CHECKSUM = 4
# So many records are read at once.
BLOCK = 1024


class Journal:
    """The journal at `path`, begun anew unless it is of this very work.

    key: hex SHA-256 of the work; length: bytes of a record. count: records that are whole;
    was_other: True if a journal of other work stood there. Raises InputError if it cannot be
    written.
    """

    def __init__(self, path: Path | str, key: str, length: int) -> None:
        self.path, self.length, self.count = Path(path), length, 0
        self.head = MARK + key.encode() + b"\n"
        # What is written through a link is written somewhere else.
        if self.path.is_symlink():
            self.path.unlink()
        self.was_other = self.path.exists() and not self.has_head()
        try:
            if self.path.exists() and not self.was_other:
                self.count = self.count_whole()
                os.truncate(self.path, self.find(self.count))
            else:
                self.path.write_bytes(self.head)
        except OSError as e:
            raise self.fault(e) from None

    def has_head(self) -> bool:
        """Return True if the file begins as a journal of this work does."""
        with open_regular(self.path) as f:
            return f.read(len(self.head)) == self.head

    def fault(self, error: OSError) -> InputError:
        """Return the InputError of an OSError."""
        return InputError(f"{self.path}: cannot be written ({error.strerror or error})")

    def find(self, i: int) -> int:
        """Return where record i begins in the file."""
        return len(self.head) + i * (self.length + CHECKSUM)

    def count_whole(self) -> int:
        """Return how many records stand before the first that is damaged or cut off."""
        whole = 0
        with open_regular(self.path) as f:
            f.seek(len(self.head))
            while len(record := f.read(self.length + CHECKSUM)) == self.length + CHECKSUM:
                if checksum(record[:-CHECKSUM]) != record[-CHECKSUM:]:
                    break
                whole += 1
        return whole

    def append(self, records: np.ndarray | list[np.ndarray]) -> None:
        """Append records, uint8 (k, length)."""
        content = b"".join(r + checksum(r) for r in map(bytes, records))
        try:
            with open(self.path, "ab") as f:
                f.write(content)
        except OSError as e:
            raise self.fault(e) from None
        self.count += len(records)

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (position of the first, records uint8 (k, length)) for all records, in order."""
        size = self.length + CHECKSUM
        with open_regular(self.path) as f:
            f.seek(len(self.head))
            for start in range(0, self.count, BLOCK):
                content = f.read(min(BLOCK, self.count - start) * size)
                yield start, np.frombuffer(content, np.uint8).reshape(-1, size)[:, :-CHECKSUM]


def checksum(record: bytes) -> bytes:
    """Return the CRC-32 of a record, 4 bytes."""
    return zlib.crc32(record).to_bytes(CHECKSUM, "little")
