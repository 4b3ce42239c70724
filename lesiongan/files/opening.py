"""The one door through which files are read: it asks what a thing is before it reads any of it."""

import io
import os
import stat
from pathlib import Path

from lesiongan.files.errors import InputError


def open_regular(path: Path | str) -> io.BufferedReader:
    """Return a binary stream of a regular file.

    Raises InputError for a folder, a pipe or a device, which could be waited on for ever or have no
    end, and OSError as open does.
    """
    # Without O_NONBLOCK, opening a pipe waits for whoever writes to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{path}: is no file, but a folder, a pipe or a device")
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_input(path: Path | str, otherwise: str) -> io.BufferedReader:
    """Return open_regular of a file that the user named; InputError if it cannot be opened.

    otherwise: what to do if there is no such file, for the message.
    """
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {otherwise}") from None
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror})") from None
