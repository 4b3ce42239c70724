"""Progress bars of long work."""

import sys
from typing import Any

from lesiongan.files.telling import TELLER

# The bars that are open: an error must not stand at the end of their line.
BARS: list[Any] = []


def progress(total: int, initial: int, what: str, unit: str = "epoch", shown: bool = True) -> Any:
    """Return a tqdm bar with the time left; into a log file it writes every half minute only."""
    from tqdm import tqdm

    interval = 0.5 if sys.stderr.isatty() else 30
    bar = tqdm(
        total=total,
        initial=initial,
        desc=what,
        unit=unit,
        disable=not shown or TELLER.quiet,
        mininterval=interval,
        maxinterval=interval * 2,
        dynamic_ncols=sys.stderr.isatty(),
    )
    BARS.append(bar)
    return bar


def end_bars() -> None:
    """Close the bars that an error or Ctrl-C left open, so that the next line begins anew."""
    while BARS:
        BARS.pop().close()
