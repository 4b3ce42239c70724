"""What the class codes of a table stand for: Kaggle's order, the alphabetical one, or another.

Kaggle's CSV numbers the classes as CLASSES does. DermaMNIST (MedMNIST v2), and whoever encodes the
names with a label encoder, number them alphabetically: 4 is mel, 5 nv, 6 vasc.
"""

import numpy as np

from lesiongan.data.classes import CLASSES, HAM10000_COUNTS, class_counts
from lesiongan.files.errors import InputError

ORDERS = {"kaggle": CLASSES, "alphabetical": tuple(sorted(CLASSES))}


def parse_order(text: str) -> tuple[str, ...] | None:
    """Return the tuple of class names that `text` stands for, or None for `auto`.

    text: auto, a name in ORDERS, or the seven class names in the order of their codes. Raises
    InputError for anything else.
    """
    if text == "auto":
        return None
    order = ORDERS.get(text, tuple(name.strip() for name in text.split(",")))
    if sorted(order) != sorted(CLASSES):
        raise InputError(
            f"--label-order {text[:60]!r}: expected kaggle, alphabetical, or the seven names "
            f"{','.join(CLASSES)} in the order of their codes"
        )
    return order


def name_order(order: tuple[str, ...]) -> str:
    """Return an order's name, or the class names joined by commas, as --label-order takes it."""
    return next((name for name, known in ORDERS.items() if known == order), ",".join(order))


def find_order(codes: np.ndarray, default: str) -> tuple[tuple[str, ...], str | None]:
    """Return (order, note or None) of class codes by their counts.

    HAM10000's seven counts all differ, so that a table with exactly these tells the order of its
    codes. For other tables the order is `default`, a name in ORDERS, and a note says where the
    counts look like the other one's.
    """
    counts, usual = class_counts(codes), ORDERS[default]
    if sorted(counts.tolist()) == sorted(HAM10000_COUNTS):
        order = tuple(CLASSES[HAM10000_COUNTS.index(n)] for n in counts.tolist())
        note = f"its counts are HAM10000's with class codes in the order {','.join(order)}: read so"
        return order, None if order == usual else note
    # Two thirds of HAM10000, and most of any clinic's lesions, are nevi.
    commonest = int(counts.argmax())
    other = next(order for order in ORDERS.values() if order != usual)
    if counts[commonest] > len(codes) / 2 and usual[commonest] != "nv" and other[commonest] == "nv":
        share = 100 * counts[commonest] / len(codes)
        return usual, (
            f"{share:.0f} % of its images are read as {usual[commonest]}, which is unlikely: if "
            f"the class codes are in the order {','.join(other)}, pass --label-order "
            f"{name_order(other)} (for the table of --data, or with --weights published that of "
            "--external; renumber the codes of any other)"
        )
    return usual, None


def convert(codes: np.ndarray, order: tuple[str, ...]) -> np.ndarray:
    """Return int32 (n,): positions in CLASSES of codes (n,) in the given order."""
    return np.array([CLASSES.index(name) for name in order], dtype=np.int32)[codes]


def fit_order(order: tuple[str, ...], labels: np.ndarray, dx: np.ndarray) -> tuple[str, ...] | None:
    """Return the order in which the codes would agree with the metadata, or None.

    order: that in which they were read; labels: positions in CLASSES (n,); dx: str (n,). There is
    one if every class of the table has one diagnosis in the metadata, and no two the same.
    """
    fitted: dict[int, str] = {}
    for code, name in enumerate(order):
        found = set(dx[labels == CLASSES.index(name)].tolist())
        if len(found) > 1 or not found <= set(CLASSES) - set(fitted.values()):
            return None
        if found:
            fitted[code] = found.pop()
    # Classes without images may stand anywhere: a known order comes first.
    for known in ORDERS.values():
        if all(known[code] == name for code, name in fitted.items()):
            return known
    rest = [name for name in CLASSES if name not in fitted.values()]
    return tuple(fitted[code] if code in fitted else rest.pop(0) for code in range(len(CLASSES)))
