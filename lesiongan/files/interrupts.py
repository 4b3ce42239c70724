"""Holding Ctrl-C back while a library runs that would lose it or call it something else."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while the body runs, and raise KeyboardInterrupt after it.

    Packages turn an interrupt of their import into errors of their own, or lose it; pandas calls an
    interrupted table a damaged one.
    """
    before = signal.getsignal(signal.SIGINT)
    theirs = before is None or before == signal.SIG_IGN
    if threading.current_thread() is not threading.main_thread() or theirs:
        # Signals belong to the main thread, and to whoever else has taken this one; a job in the
        # background ignores it.
        yield
        return
    held = []
    signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            raise KeyboardInterrupt
