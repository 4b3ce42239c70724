"""What Matplotlib was told to draw, read back from its axes."""

import numpy as np

from tests.oracles import CLASSES, MALIGNANT

# The names of the classes are as axes write them.
NAMES = [c + "*" * bool(m) for c, m in zip(CLASSES, MALIGNANT, strict=True)]


def words(labels):
    return [label.get_text() for label in labels]


def picture(ax):
    (image,) = ax.images
    return np.asarray(image.get_array())


def tiles(ax, columns):
    """The pictures of a mosaic of one row."""
    sheet = picture(ax)
    return [sheet[:, i * 29 : i * 29 + 28] for i in range(columns)]


def lines_of(ax):
    return {line.get_label(): np.array(line.get_data(), dtype=float) for line in ax.lines}
