"""Running a script: its exit code and the one line of an error."""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lesiongan.files.errors import InputError, first_line, printable
from lesiongan.files.progress import end_bars
from lesiongan.files.telling import event

# Warnings of libraries that are no user's business, and why each is none.
LIBRARY_WARNINGS = (
    ("vert: bool was deprecated", "seaborn 0.13 calls Matplotlib 3.11 by a name that will go away"),
    (
        "__array__ implementation doesn't accept a copy",
        "Keras does not know NumPy 2's copy",
    ),
    ("Glyph .* missing from font", "a word of the metadata is in a script that the font lacks"),
    (
        "constrained_layout not applied",
        "a long word leaves no room; it is drawn all the same",
    ),
)


def script_main(main: Callable[[], int | None]) -> NoReturn:
    """Run a script's `main`; bad input becomes one line on stderr and exit code 2."""
    open_streams()
    for message, _ in LIBRARY_WARNINGS:
        warnings.filterwarnings("ignore", message)
    for stream in (sys.stdout, sys.stderr):
        # A notebook's streams, and those of a windowed program, cannot be told so.
        if hasattr(stream, "reconfigure"):
            # File names may be in any encoding, and printing one must not fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main())
    except InputError as e:
        stop(f"error: {e}", 2)
    # A folder may stand where a file should be, or be closed to us, or the disk may be full.
    except OSError as e:
        if sys.stdout is sys.__stdout__:
            # What could not be printed is not tried again at the exit. A notebook's stream stays.
            sys.stdout = None
        stop(f"error: {e.filename or 'output'}: {e.strerror or e}", 2)
    except KeyboardInterrupt:
        stop("stopped", 130)
    except Exception as e:
        # ResourceExhaustedError is TensorFlow's; it is known by name, so nothing is imported here.
        if (
            not isinstance(e, (MemoryError, OverflowError))
            and type(e).__name__ != "ResourceExhaustedError"
        ):
            raise
        # An option or a table is too large for this machine.
        stop(
            f"error: more than this machine can hold ({first_line(e)}); ask for less, or use a "
            "smaller table or --subset",
            2,
        )


def open_streams() -> None:
    """Give a process that was started without stderr one that leads nowhere.

    Otherwise the next file that is opened would take its number, and receive what libraries write.
    """
    if sys.stderr is None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != 2:
            os.dup2(nowhere, 2)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False))


def stop(text: str, code: int) -> NoReturn:
    """Write one line on stderr, after whatever progress bar is open, and exit."""
    end_bars()
    # The log may be on the disk that is full; what is wrong is said all the same.
    with contextlib.suppress(OSError):
        event("error", text=printable(text), exit_code=code)
    print(printable(f"{Path(sys.argv[0]).name}: {text}"), file=sys.stderr)
    sys.exit(code)
