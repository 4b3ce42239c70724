"""What a run tells while it works: lines on the screen, and events in a log for programs.

The log of --log-json has one JSON object a line: the time (UTC), the script, the kind of event and
its values. Kinds are start, message, epoch, finished and error.
"""

import contextlib
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lesiongan.files.errors import InputError


class Teller:
    """Where a run's words go.

    quiet: nothing is printed; log: the open log, or None; script: whose events these are.
    """

    def __init__(self) -> None:
        self.quiet, self.script = False, ""
        self.log: IO[str] | None = None


TELLER = Teller()
# Keras may be started while a thread reads a photograph, hence one lock for all.
STDERR_LOCK = threading.RLock()


def start(script: str, quiet: bool = False, path: Path | str | None = None) -> None:
    """Begin to tell what a script does; what an earlier run in this process asked for ends.

    quiet: print nothing; path: log to add events to, or None. Raises InputError if it cannot be
    written, or holds anything but events.
    """
    if TELLER.log:
        TELLER.log.close()
    TELLER.script, TELLER.quiet, TELLER.log = script, quiet, None
    TELLER.log = open_log(Path(path)) if path else None


def open_log(path: Path) -> IO[str]:
    """Return a log, opened at its end; raise InputError unless it is new, empty or of events."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as e:
        raise InputError(f"--log-json {path}: cannot be written ({e.strerror})") from None
    log = os.fdopen(descriptor, "a", encoding="utf-8", newline="\n")
    ours = stat.S_ISREG(os.fstat(descriptor).st_mode)
    if ours and os.fstat(descriptor).st_size:
        try:
            ours = "event" in json.loads(os.pread(descriptor, 1 << 16, 0).splitlines()[0])
        except (ValueError, TypeError, IndexError):
            ours = False
    if not ours:
        log.close()
        raise InputError(f"--log-json {path}: is no log of events; name another file")
    return log


def say(text: str = "") -> None:
    """Print a line, unless the run is quiet, and log it as a message."""
    if not TELLER.quiet:
        print(text)
    event("message", text=text.strip())


def event(kind: str, **values: Any) -> None:
    """Add an event to the log, if there is one; a value is a text, a number or a list of these."""
    if TELLER.log and not TELLER.log.closed:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"time": now, "script": TELLER.script, "event": kind} | values
        TELLER.log.write(json.dumps(line) + "\n")
        TELLER.log.flush()


@contextlib.contextmanager
def stderr_to_nowhere() -> Iterator[None]:
    """Within, nothing that is written to the stderr descriptor reaches the screen.

    Libraries write there past Python: TensorFlow its first messages, whatever its log level is, and
    libtiff what it finds. One thread is within at a time, others wait.
    """
    with STDERR_LOCK, contextlib.ExitStack() as undo:
        # A process that was started without stderr has nothing to be kept quiet, and its
        # descriptor 2 may be any file.
        if sys.__stderr__ is not None:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            with contextlib.suppress(OSError):
                lead_to_nowhere(undo)
        yield


def lead_to_nowhere(undo: contextlib.ExitStack) -> None:
    """Lead descriptor 2 nowhere until `undo` is closed; raise OSError if it is not open."""
    kept = os.dup(2)
    undo.callback(os.close, kept)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    undo.callback(os.close, nowhere)
    os.dup2(nowhere, 2)
    undo.callback(os.dup2, kept, 2)
