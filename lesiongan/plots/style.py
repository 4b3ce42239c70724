"""Figure style, in one place: class colours and order, sizes, saving as PNG and PDF, image grids.

Import it after argument parsing: it loads matplotlib and seaborn.
"""

import io
import textwrap

import numpy as np

from lesiongan.data.classes import CLASSES, MALIGNANT
from lesiongan.files import errors, writing
from lesiongan.plots.headless import matplotlib, subplots
from lesiongan.plots.headless import seaborn as sns
from lesiongan.plots.pages import PAPER

# Okabe and Ito's palette is safe for the common colour-vision deficiencies. Malignant classes get
# its warm half.
COLOURS = dict(
    zip(
        CLASSES,
        ("#E69F00", "#D55E00", "#56B4E9", "#009E73", "#0072B2", "#999999", "#CC79A7"),
        strict=True,
    )
)
REAL, SYNTHETIC, SHARED = "#0072B2", "#D55E00", "#009E73"


def settings(page):
    """Return Matplotlib's settings for a Page. Sizes in words, such as 'small', follow its font."""
    thin = page.line / 2
    return {
        "figure.dpi": 100,
        "savefig.dpi": page.dpi,
        "font.size": page.font,
        "axes.titlesize": "medium",
        "axes.labelsize": "medium",
        "figure.titlesize": "medium",
        "xtick.labelsize": "small",
        "ytick.labelsize": "small",
        "legend.fontsize": "small",
        "legend.title_fontsize": "small",
        "legend.frameon": False,
        "lines.linewidth": page.line,
        "lines.markersize": 2.5 * page.line,
        "patch.linewidth": thin,
        "axes.linewidth": thin,
        "grid.linewidth": thin,
        "axes.spines.top": False,
        "axes.spines.right": False,
        # Fonts of type 42 are TrueType's own, embedded; publishers refuse type 3.
        "pdf.fonttype": 42,
        "figure.constrained_layout.use": True,
    }


sns.set_theme(context="paper", style="whitegrid")
matplotlib.rcParams.update(settings(PAPER))


def use(page):
    """Return a context in which figures are drawn and saved for a Page; elsewhere for a paper."""
    return matplotlib.rc_context(settings(page))


def panels(page, count, height, own="two", **options):
    """Return (figure, [axes]) of `count` panels side by side, or one above another in one column.

    height: of one panel in inches on a paper; own: the figure's own width, 'one' or 'two'; options:
    those of Matplotlib's subplots.
    """
    across = count if page.columns(own) == "two" else 1
    down = count // across
    size = (page.inches(own), page.scale(height) * down)
    fig, axes = subplots(down, across, figsize=size, squeeze=False, **options)
    return fig, list(axes.flat)


def mark_single_points(axes):
    """Give lines of one point a dot, since a line through one point shows nothing."""
    for ax in axes:
        for line in ax.lines:
            if len(line.get_xdata()) == 1:
                line.set_marker(".")


def legend_above(ax, columns=1, title=None):
    """Put the legend above the axes, where it hides nothing; a long title is broken into lines."""
    return ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        title=title and wrap(title, 0.8 * ax.figure.get_figwidth(), 0.83),
        alignment="left",
    )


def wrap(text, inches, size=1.0):
    """Break a text into lines that fit into a width in inches.

    size: of its letters, over that of the figure's words.
    """
    # The letters of a sentence in DejaVu Sans are .53 of its size wide on average.
    letters = int(inches * 72 / (matplotlib.rcParams["font.size"] * size * 0.53))
    return "\n".join(textwrap.wrap(text, max(letters, 20)))


def tick(name):
    """Return the axis label of a class; malignant ones carry an asterisk."""
    return name + ("*" if MALIGNANT[CLASSES.index(name)] else "")


TICKS = [tick(c) for c in CLASSES]


def class_ticks(ax, inches):
    """Write the classes below an axis that is `inches` wide, upright where they would collide."""
    widest = max(map(len, TICKS)) * 0.62 * matplotlib.rcParams["font.size"] * 0.83 / 72
    turn = 0 if inches / len(TICKS) > widest else 90
    ax.set_xticks(range(len(CLASSES)), TICKS, rotation=turn)
    ax.grid(axis="x", visible=False)


def plain(text, most=40):
    """Return words of a table in a form that Matplotlib shows letter by letter.

    A dollar sign is escaped, because it would start a formula. A text of more than `most` letters
    is cut, because a long cell would make the picture as wide as itself.
    """
    text = errors.printable(str(text))
    return (text if len(text) <= most else text[: most - 1] + "…").replace("$", r"\$")


def add_note(fig, note):
    """Put a note under a figure; it has the lower edge for itself, so legends stand above."""
    # The note may hold a file's name, and a dollar sign in it would start a formula.
    wrapped = wrap(note.replace("$", r"\$"), 0.95 * fig.get_figwidth())
    return fig.supxlabel(wrapped, fontsize="medium", color="#B00020")


def save(fig, folder, name, note=""):
    """Write folder/name.png and .pdf, and return the path of the PNG.

    `note` stands under the figure: phantom or leaky runs say so there.
    """
    if note:
        add_note(fig, note)
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        # The figure is drawn in memory, because Matplotlib's PDF writer raises an error of its own
        # if the disk fills up under it.
        drawn = io.BytesIO()
        fig.savefig(drawn, format=suffix[1:], metadata=metadata)
        # Everything has its place now. To find it again for the PDF would take as long.
        fig.set_layout_engine("none")
        with writing.atomic(folder / (name + suffix)) as t:
            t.write_bytes(drawn.getvalue())
    return folder / f"{name}.png"


def show_image(ax, image):
    """Show one image of shape (h, w, 3) or (h, w, 1), values in [0, 255], without axes."""
    image = np.asarray(image)
    ax.imshow(
        image[..., 0] if image.shape[-1] == 1 else image.astype(np.uint8),
        cmap="gray",
        vmin=0,
        vmax=255,
    )
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def mosaic(images, columns):
    """Lay out images (n, h, w, c) in rows of `columns` with white lines between them, as uint8."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1, c), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        sheet[y * (h + 1) : y * (h + 1) + h, x * (w + 1) : x * (w + 1) + w] = image
    return sheet


def image_axes(page, count, block=1, words=0.45):
    """Return (figure, axes (block, count)) for blocks of images: a row of ten, or two of five.

    block: images of a column that belong together; words: inches on a paper that their words need.
    """
    across = count if page.columns("two") == "two" else -(-count // 2)
    lines = -(-count // across)
    width = page.inches("two")
    size = width / max(across, 5)
    height = lines * (block * size + page.scale(words))
    fig, grid = subplots(block * lines, across, figsize=(width, height), squeeze=False)
    columns = [grid[b * block : (b + 1) * block, i] for b in range(lines) for i in range(across)]
    for spare in columns[count:]:
        for ax in spare:
            ax.set_axis_off()
    return fig, np.array(columns[:count]).T


def class_rows(page, groups, columns, titles=("",), own="two"):
    """Return a figure with a row of images for each class and a block of columns for each group.

    groups: dicts of class to images. In one column of a page the groups stand one above another.
    """
    stacked = page.columns(own) == "one"
    across = 1 if stacked else len(groups)
    down = len(groups) // across
    width = page.inches(own)
    size = (width - page.scale(0.5)) / (columns * across)
    height = down * (size * len(CLASSES) + page.scale(0.3))
    fig, axes = subplots(down * len(CLASSES), across, figsize=(width, height), squeeze=False)
    fig.set_layout_engine("compressed", w_pad=0.02, h_pad=0.01, wspace=0.01, hspace=0)
    for j, group in enumerate(groups):
        for i, name in enumerate(CLASSES):
            ax = axes[j * len(CLASSES) + i, 0] if stacked else axes[i, j]
            images = group.get(name, [])
            if len(images):
                blank = np.full((columns, *np.shape(images[0])), 255, np.uint8)
                blank[: len(images[:columns])] = images[:columns]
                show_image(ax, mosaic(blank, columns))
            else:
                ax.set_axis_off()
                ax.text(0.5, 0.5, "none", ha="center", transform=ax.transAxes)
            if j == 0 or stacked:
                ax.set_ylabel(tick(name), rotation=0, ha="right", va="center", fontsize="small")
            if i == 0:
                ax.set_title(titles[j])
    return fig
