"""The map: what synthetic images add, over the number of lesions that a researcher owns."""

from lesiongan.files import writing


def draw(found, grid):
    """Draw the map of AUC and balanced accuracy beside study.json, as PNG and PDF."""
    from lesiongan.plots import pages, style

    names = {"auc": "AUC", "balanced_accuracy": "balanced accuracy"}
    with style.use(pages.PAPER):
        fig, axes = style.panels(pages.PAPER, 2, height=3.2)
        for ax, (measure, label) in zip(axes, names.items(), strict=True):
            draw_panel(ax, found, grid, measure)
            ax.set_ylabel(f"gain of {label}")
        style.legend_above(axes[0])
        note = "PHANTOM DATA: drawn by code, no medical meaning" * found["data"]["phantom"]
        path = grid.beside("_map")
        style.save(fig, writing.ensure_folder(path.parent), path.name, note)


def draw_panel(ax, found, grid, measure):
    """Draw one measure: a line of intervals for each arm with synthetic images, and real ones."""
    from lesiongan.plots import style

    # One line is of one backend: that of the most cells.
    most = max(found["arms"], key=lambda a: a["cells"])["backend"]
    rows = [c for c in found["contrasts"] if (c["measure"], c["backend"]) == (measure, most)]
    shown = [a for a in grid.values["family"]["arms"] if any(c["arm"] == a for c in rows)]
    extra = [a for a in grid.arms if a == "all_real" and any(c["arm"] == a for c in rows)]
    marks = {
        "closed": ("o", style.SYNTHETIC),
        "shared": ("s", style.SHARED),
        None: ("^", style.REAL),
    }
    ax.axhline(0, color="0.4", linewidth=0.8)
    for i, arm in enumerate([*extra, *shown]):
        mine = sorted((c for c in rows if c["arm"] == arm), key=lambda c: c["lesions"])
        mark, colour = marks[mine[0]["source"]]
        # Arms of one number of lesions stand a little apart, so that no interval hides another.
        x = [c["lesions"] * 1.05 ** (i - 1) for c in mine]
        y = [c["value"] for c in mine]
        spans = [[v - c["low"] for v, c in zip(y, mine, strict=True)]]
        spans.append([c["high"] - v for v, c in zip(y, mine, strict=True)])
        ax.errorbar(
            x, y, yerr=spans, fmt=f"{mark}-", color=colour, capsize=2, label=mine[0]["label"]
        )
    ax.set_xscale("log")
    owned = sorted({c["lesions"] for c in rows})
    ax.set_xticks(owned, [str(n) for n in owned])
    ax.minorticks_off()
    ax.set_xlabel("own lesions")
