"""Matplotlib and seaborn without a window and without pyplot, whatever backend is asked for.

Matplotlib stops at a backend that it does not know, such as that of a notebook whose kernel lives
in another environment. None is needed to draw into files, and a kernel's own stays as it was.
"""

import contextlib
import logging
import os
import sys

# This keeps dates out of PDFs, so that figures repeat byte for byte.
os.environ.setdefault("SOURCE_DATE_EPOCH", "0")

# Matplotlib logs that a folder of settings cannot be written, or that a user's settings are faulty.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

# Where a kernel has loaded Matplotlib before, its backend is in use, and is not set again: that
# would close its figures.
_loaded = "matplotlib" in sys.modules
_wanted = os.environ.get("MPLBACKEND")
os.environ["MPLBACKEND"] = "agg"
try:
    import matplotlib
    import seaborn
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
finally:
    os.environ.pop("MPLBACKEND")
    if _wanted is not None:
        os.environ["MPLBACKEND"] = _wanted
if _wanted is not None and not _loaded:
    with contextlib.suppress(ValueError):
        matplotlib.rcParams["backend"] = _wanted


def subplots(*grid, squeeze=True, sharex=False, sharey=False, height_ratios=None, **options):
    """Return (figure, axes) as Matplotlib's pyplot.subplots does, without pyplot.

    pyplot would show the figure in a notebook, keep it for ever, and load a window's backend.
    """
    fig = Figure(**options)
    FigureCanvasAgg(fig)
    shared = {"sharex": sharex, "sharey": sharey}
    return fig, fig.subplots(*grid, squeeze=squeeze, height_ratios=height_ratios, **shared)


__all__ = ["matplotlib", "seaborn", "subplots"]
