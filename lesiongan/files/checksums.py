"""SHA-256 of files."""

import hashlib
from pathlib import Path

from lesiongan.files.errors import InputError


def file_sha256(path):
    """Return the hex SHA-256 of a file's bytes; raise InputError if there is no such file."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            # A device, for example, has no end.
            raise InputError(f"{path}: is no file")
        with open(path, "rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror})") from None
