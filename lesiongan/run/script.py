"""Running a script: its exit code, the one line of an error, and its progress bar."""

import sys
from pathlib import Path

from lesiongan.files.errors import InputError, first_line


def script_main(main):
    """Run a script's `main`; bad input becomes one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # File names may be in any encoding.
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main())
    except InputError as e:
        print(f"{Path(sys.argv[0]).name}: error: {e}", file=sys.stderr)
        sys.exit(2)
    # A folder where a file should be, a folder closed to us, a full disk under the output.
    except OSError as e:
        # What could not be printed is not tried again.
        sys.stdout = None
        print(
            f"{Path(sys.argv[0]).name}: error: {e.filename or 'output'}: {e.strerror or e}",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{Path(sys.argv[0]).name}: stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as e:
        # TensorFlow's.
        if (
            not isinstance(e, (MemoryError, OverflowError))
            and type(e).__name__ != "ResourceExhaustedError"
        ):
            raise
        # An option, or a table, too large for this machine.
        print(
            f"{Path(sys.argv[0]).name}: error: more than this machine can hold ({first_line(e)}); "
            "ask for less, or use a smaller table or --subset",
            file=sys.stderr,
        )
        sys.exit(2)


def progress(total, initial, what):
    """A tqdm bar with time left; on a log file one line every half minute instead of a flood."""
    from tqdm import tqdm

    interval = 0.5 if sys.stderr.isatty() else 30
    return tqdm(
        total=total,
        initial=initial,
        desc=what,
        unit="epoch",
        mininterval=interval,
        maxinterval=interval * 2,
        dynamic_ncols=sys.stderr.isatty(),
    )
