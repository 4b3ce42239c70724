"""Reading many photographs, by all processors, so that an interrupted run goes on where it stopped.

What was read stands in a journal (lesiongan/files/journal.py), a record a photograph: a byte that
says whether it could be read, and its pixels, or else the reason.
"""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lesiongan.data.photographs import read_photograph
from lesiongan.files.errors import InputError, printable
from lesiongan.files.journal import Journal
from lesiongan.files.progress import progress

# So many photographs are read between two writes of the journal.
CHUNK = 128
UNREADABLE, READ = 0, 1


def read_all(
    paths: list[Path],
    place: Path | str,
    crop: str,
    size: int,
    workers: int | None,
    notes: list[str],
) -> Journal:
    """Return the Journal of these photographs, all of them read.

    place: path of the journal; crop, size: see read_photograph; workers: threads; notes: a list, to
    which is added what every run should say. Raises InputError if a file is not there, or if the
    journal cannot be written.
    """
    journal = Journal(place, name_work(paths, crop, size), 1 + 3 * size * size)
    if journal.was_other:
        notes.append("an unfinished run had other photographs or options: all are read anew")
    if journal.count:
        notes.append(f"{journal.count} of {len(paths)} photographs were read before")
    # Pillow decodes outside of Python's lock, so threads use all processors.
    with (
        progress(len(paths), journal.count, "photographs", "photo") as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        while journal.count < len(paths):
            chunk = paths[journal.count : journal.count + CHUNK]
            journal.append(list(pool.map(lambda path: read_record(path, crop, size), chunk)))
            bar.update(len(chunk))
    return journal


def name_work(paths: list[Path], crop: str, size: int) -> str:
    """Return the hex SHA-256 of what the pixels depend on: files by name, size and time, options.

    Raises InputError if a file is not there.
    """
    import PIL

    files = []
    for path in paths:
        try:
            found = path.stat()
        except OSError as e:
            raise InputError(f"{path}: cannot be read ({e.strerror})") from None
        files.append([str(path.absolute()), found.st_size, found.st_mtime_ns])
    return hashlib.sha256(json.dumps([PIL.__version__, crop, size, files]).encode()).hexdigest()


def read_record(path: Path, crop: str, size: int) -> np.ndarray:
    """Return a photograph as a record of the journal, uint8 (1 + 3 size size,)."""
    record = np.zeros(1 + 3 * size * size, dtype=np.uint8)
    try:
        record[1:] = read_photograph(path, crop, size).ravel()
        record[0] = READ
    except InputError as e:
        reason = printable(str(e).removeprefix(f"{path}: ")).encode()[: len(record) - 1]
        record[1 : 1 + len(reason)] = np.frombuffer(reason, np.uint8)
    return record


def find_unreadable(journal: Journal, paths: list[Path]) -> tuple[np.ndarray, list[str]]:
    """Return (bool (n,), False for photographs that could not be read; why not, a list of str)."""
    keep, reasons = np.ones(len(paths), dtype=bool), []
    for start, records in journal.blocks():
        for i in np.flatnonzero(records[:, 0] == UNREADABLE):
            keep[start + i] = False
            reason = records[i, 1:].tobytes().rstrip(b"\0").decode("utf-8", "replace")
            reasons.append(f"{paths[start + i]}: {reason}")
    return keep, reasons


def picture_blocks(
    journal: Journal, keep: np.ndarray, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (positions, images uint8 (k, size, size, 3)) of the photographs in the mask `keep`.

    k is at least 1: a block of which nothing is kept is left out.
    """
    for start, records in journal.blocks():
        own = np.flatnonzero(keep[start : start + len(records)])
        if not len(own):
            continue
        yield start + own, records[own, 1:].reshape(-1, size, size, 3)
