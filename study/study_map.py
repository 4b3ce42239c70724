"""The map: what synthetic images add, over the number of lesions that a researcher owns."""

from lesiongan.files import writing
from study import answer
from study.grid import CEILING

NAMES = {"auc": "AUC", "balanced_accuracy": "balanced accuracy"}
# A line between fewer points would say more than has been measured.
FEWEST_ON_A_LINE = 3


def draw(found, grid):
    """Draw the map beside study.json, as PNG and PDF.

    Its panels are the gains of AUC and of balanced accuracy over own images alone, and AUC itself:
    there a set is worth the lesions at which the curve of real images is as high.
    """
    from lesiongan.plots import pages, style

    backend = choose_backend(found, grid.values["base"])
    with style.use(pages.PAPER):
        fig, axes = style.panels(pages.PAPER, len(NAMES) + 1, height=2.6)
        for ax, (measure, label) in zip(axes, NAMES.items(), strict=False):
            draw_gains(ax, found, grid, measure, backend)
            ax.set_ylabel(f"gain of {label}")
        draw_level(axes[-1], found, grid, backend)
        note = "PHANTOM DATA: drawn by code, no medical meaning" * found["data"]["phantom"]
        path = grid.beside("_map")
        style.save(fig, writing.ensure_folder(path.parent), path.name, note)


def choose_backend(found, base):
    """Return the backend that the map is of: that of the most cells among those with a base."""
    with_base = [a["backend"] for a in found["arms"] if a["arm"] == base]
    cells: dict[str, int] = {}
    for arm in found["arms"]:
        if arm["backend"] in with_base or not with_base:
            cells[arm["backend"]] = cells.get(arm["backend"], 0) + arm["cells"]
    return max(cells, key=lambda backend: cells[backend])


def choose_marks(grid):
    """Return {arm: (marker, colour)} of the arms that are drawn, each another pair.

    The colour is that of the source. The ceiling has that of real images, and other arms without
    synthetic images a grey one.
    """
    from lesiongan.plots import style

    colours = {"closed": style.SYNTHETIC, "shared": style.SHARED, None: "0.4"}
    markers = {"closed": "oXpd", "shared": "sPhH", None: "Dv<>"}
    found, used = {CEILING: ("^", style.REAL)}, dict.fromkeys(markers, 0)
    for arm in grid.values["family"]["arms"]:
        source = grid.arms[arm].get("source")
        found[arm] = markers[source][used[source] % len(markers[source])], colours[source]
        used[source] += 1
    return found


def style_of(mark, points):
    """Return Matplotlib's format and colour of an arm with so many points."""
    marker, colour = mark
    return f"{marker}-" if points >= FEWEST_ON_A_LINE else marker, colour


def draw_gains(ax, found, grid, measure, backend):
    """Draw the gains of one measure, by synthetic images and by real ones, with intervals."""
    from lesiongan.plots import style

    rows = [c for c in found["contrasts"] if (c["measure"], c["backend"]) == (measure, backend)]
    shown = [a for a in grid.values["family"]["arms"] if any(c["arm"] == a for c in rows)]
    extra = [a for a in grid.arms if a == CEILING and any(c["arm"] == a for c in rows)]
    marks = choose_marks(grid)
    ax.axhline(0, color="0.4", linewidth=0.8)
    for i, arm in enumerate([*extra, *shown]):
        mine = sorted((c for c in rows if c["arm"] == arm), key=lambda c: c["lesions"])
        form, colour = style_of(marks[arm], len(mine))
        # Arms of one number of lesions stand a little apart, so that no interval hides another.
        x = [c["lesions"] * 1.05 ** (i - 1) for c in mine]
        y = [c["value"] for c in mine]
        spans = [[v - c["low"] for v, c in zip(y, mine, strict=True)]]
        spans.append([c["high"] - v for v, c in zip(y, mine, strict=True)])
        ax.errorbar(
            x,
            y,
            yerr=spans,
            fmt=form,
            color=colour,
            capsize=2,
            label=mine[0]["label"].replace("$", r"\$"),
        )
        few = [(at, c["value"]) for at, c in zip(x, mine, strict=True) if answer.is_of_few(c)]
        hollow(ax, few, marks[arm])
    if rows and measure == next(iter(NAMES)):
        style.legend_above(ax)
    scale_lesions(ax, {c["lesions"] for c in rows}, "own lesions")


def hollow(ax, points, mark):
    """Draw the points of too few seeds as hollow ones: their intervals miss how seeds differ."""
    marker, colour = mark
    for x, y in points:
        ax.plot([x], [y], marker, color=colour, markerfacecolor="white", zorder=3)


def draw_level(ax, found, grid, backend):
    """Draw AUC over lesions: of real images alone, and of own images with synthetic ones."""
    from lesiongan.plots import style

    base, arms = grid.values["base"], found["arms"]
    mine = [a for a in arms if a["backend"] == backend]
    contrasts = [c for c in found["contrasts"] if c["backend"] == backend]
    owned = {a["fraction"]: a["lesions"] for a in mine if a["arm"] == base}
    curve = answer.list_real(arms, backend, "auc", base)
    marks = choose_marks(grid)
    mark, colour = marks[CEILING]
    line = "-" if len(curve) >= FEWEST_ON_A_LINE else ":"
    if curve:
        ax.plot(*zip(*curve, strict=True), "." + line, color=colour, label="real images alone")
        # All train lesions have their mark of the other panels.
        whole = [a["lesions"] for a in mine if a["arm"] == CEILING or a["fraction"] == 100]
        if curve[-1][0] in whole:
            ax.plot(*curve[-1], mark, color=colour)
        style.legend_above(ax)
    for name in grid.values["family"]["arms"]:
        points = sorted(
            (owned[a["fraction"]], a["auc"])
            for a in mine
            if a["arm"] == name and a["fraction"] in owned
        )
        if points:
            form, colour = style_of(marks[name], len(points))
            ax.plot(*zip(*points, strict=True), form, color=colour)
            few = {c["lesions"] for c in contrasts if c["arm"] == name and answer.is_of_few(c)}
            hollow(ax, [(x, y) for x, y in points if x in few], marks[name])
    ax.set_ylabel("AUC")
    scale_lesions(ax, dict(curve), "real lesions")


def scale_lesions(ax, numbers, label):
    """Give an axis the logarithm of lesions, with these numbers as its ticks."""
    ax.set_xscale("log")
    ticks = sorted(numbers)
    ax.set_xticks(ticks, [str(n) for n in ticks])
    ax.minorticks_off()
    if ticks:
        ax.set_xlim(ticks[0] / 1.4, ticks[-1] * 1.4)
    ax.set_xlabel(label)
