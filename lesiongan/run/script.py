"""Running a script: its exit code, the one line of an error, and its progress bar."""

import sys
from pathlib import Path

from lesiongan.files.errors import InputError, first_line


def script_main(main):
    """Run a script's `main`; bad input becomes one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # File names may be in any encoding, and printing one must not fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main())
    except InputError as e:
        print(f"{Path(sys.argv[0]).name}: error: {e}", file=sys.stderr)
        sys.exit(2)
    # A folder may stand where a file should be, or be closed to us, or the disk may be full.
    except OSError as e:
        # Without stdout, what could not be printed is not tried again at the exit.
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
        # ResourceExhaustedError is TensorFlow's; it is known by name, so nothing is imported here.
        if (
            not isinstance(e, (MemoryError, OverflowError))
            and type(e).__name__ != "ResourceExhaustedError"
        ):
            raise
        # An option or a table is too large for this machine.
        print(
            f"{Path(sys.argv[0]).name}: error: more than this machine can hold ({first_line(e)}); "
            "ask for less, or use a smaller table or --subset",
            file=sys.stderr,
        )
        sys.exit(2)


def progress(total, initial, what):
    """Return a tqdm bar with the time left; into a log file it writes every half minute only."""
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
