"""Figure style, in one place: class colours and order, sizes, saving as PNG and PDF, image grids.

Import it after argument parsing: it loads matplotlib and seaborn.
"""

import io

import numpy as np

from lesiongan.data.classes import CLASSES, MALIGNANT
from lesiongan.files import errors, writing
from lesiongan.plots.headless import matplotlib, subplots
from lesiongan.plots.headless import seaborn as sns

# Okabe and Ito's palette is safe for the common colour-vision deficiencies. Malignant classes get
# its warm half.
COLOURS = dict(
    zip(
        CLASSES,
        ("#E69F00", "#D55E00", "#56B4E9", "#009E73", "#0072B2", "#999999", "#CC79A7"),
        strict=True,
    )
)
REAL, SYNTHETIC = "#0072B2", "#D55E00"

sns.set_theme(context="paper", style="whitegrid")
matplotlib.rcParams.update(
    {
        "figure.dpi": 100,
        "savefig.dpi": 160,
        "savefig.bbox": "tight",
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "pdf.fonttype": 42,
        "figure.constrained_layout.use": True,
    }
)


def tick(name):
    """Return the axis label of a class; malignant ones carry an asterisk."""
    return name + ("*" if MALIGNANT[CLASSES.index(name)] else "")


TICKS = [tick(c) for c in CLASSES]


def plain(text, most=40):
    """Return words of a table in a form that Matplotlib shows letter by letter.

    A dollar sign is escaped, because it would start a formula. A text of more than `most` letters
    is cut, because a long cell would make the picture as wide as itself.
    """
    text = errors.printable(str(text))
    return (text if len(text) <= most else text[: most - 1] + "…").replace("$", r"\$")


def save(fig, folder, name, note=""):
    """Write folder/name.png and .pdf, and return the path of the PNG.

    `note` stands under the figure: phantom or leaky runs say so there.
    """
    if note:
        fig.text(0.5, -0.02, note, ha="center", va="top", fontsize=8, color="#B00020")
    for suffix, metadata in ((".pdf", {"CreationDate": None}), (".png", {"Software": None})):
        # The figure is drawn in memory, because Matplotlib's PDF writer raises an error of its own
        # if the disk fills up under it.
        drawn = io.BytesIO()
        fig.savefig(drawn, format=suffix[1:], metadata=metadata)
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


def class_rows(groups, columns, titles=("",), size=0.42):
    """Return a figure with a row of images for each class and a column block for each group.

    groups: dicts of class to images.
    """
    fig, axes = subplots(
        len(CLASSES),
        len(groups),
        figsize=(size * columns * len(groups) + 0.8, size * len(CLASSES) + 0.5),
        squeeze=False,
    )
    for i, name in enumerate(CLASSES):
        for j, group in enumerate(groups):
            ax, images = axes[i, j], group.get(name, [])
            if len(images):
                blank = np.full((columns, *np.shape(images[0])), 255, np.uint8)
                blank[: len(images[:columns])] = images[:columns]
                show_image(ax, mosaic(blank, columns))
            else:
                ax.set_axis_off()
                ax.text(0.5, 0.5, "none", ha="center", transform=ax.transAxes)
            if j == 0:
                ax.set_ylabel(tick(name), rotation=0, ha="right", va="center")
            if i == 0:
                ax.set_title(titles[j])
    return fig
