"""What a split is called in every output, and whether it is leaky.

A split is leaky if photographs of a test lesion stand in train. Only this file decides that; what
reads a protocol later asks is_leaky.
"""

from pathlib import Path

from lesiongan.data.classes import PARTS
from lesiongan.data.split import leakage_share
from lesiongan.data.tables import Table
from lesiongan.files import errors
from lesiongan.files.errors import InputError

SPLITS = ("lesion", "image", "official")
LEAKY = ", leaky"

# The numbers of train, val and test images of MedMNIST's dermamnist.npz. It was split by image, and
# photographs of 641 lesions are in train and in test (Abhishek, Jain and Hamarneh, Scientific Data
# 2025, doi:10.1038/s41597-025-04382-5). Near-duplicate images alone show few of them.
DERMAMNIST = (7007, 1003, 2005)


def name_split(table: Table, kind: str) -> str:
    """Return what every output says of the split `kind` of a whole table, before any subset.

    An official split is leaky if the table's lesions show it, or if it is that of DermaMNIST. The
    share of test images that leak is told as far as lesions are known. Raises InputError if the
    table has no official split.
    """
    if kind != "official":
        return "lesion split" if kind == "lesion" else f"image split{LEAKY}"
    if table.own_parts is None:
        raise InputError(
            f"{table.path}: has no split of its own; --split official takes an npz such as "
            "dermamnist.npz (leave it out for a CSV)"
        )
    sizes = tuple(int((table.own_parts == part).sum()) for part in PARTS)
    if not all(sizes):
        raise InputError(
            f"{table.path}: has no {PARTS[sizes.index(0)]} images; --split official needs train, "
            "val and test (leave it out for a file of fewer parts)"
        )
    share, _ = leakage_share(table.labels, table.lesions, table.own_parts)
    text = f"official split of {errors.printable(Path(table.path).name)}"
    if share or sizes == DERMAMNIST:
        text += LEAKY
    if share:
        # Without lesion ids only near-duplicates are known to show one lesion.
        least = "at least " if table.metadata is None else ""
        text += f": {least}{100 * share:.3g}% of its test images show a lesion of its train part"
    return text


def is_leaky(protocol: str) -> bool:
    """Return True if a protocol, as name_split begins it, says that its split is leaky."""
    return LEAKY in protocol


def warn_of(protocol: str) -> str:
    """Return what stands under every figure of a leaky split, or ''."""
    return f"LEAKY {protocol.partition(LEAKY)[0]}" if is_leaky(protocol) else ""


def leave_name_out(protocol: str, name: str) -> str:
    """Return a protocol without the file's name, which an official split is called by."""
    return protocol.replace(f"official split of {name}", "official split", 1)
