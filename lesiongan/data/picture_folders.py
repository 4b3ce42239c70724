"""A table of images from a folder of pictures, sorted into one folder a class: images/nv/0001.png.

This is how most generators write what they draw. The pictures are reduced to 28 x 28 pixels as
photographs are.
"""

from pathlib import Path

import numpy as np

from lesiongan.data import photographs, tables
from lesiongan.data.classes import CLASSES, IMAGE_SHAPE
from lesiongan.files.errors import InputError, printable
from lesiongan.files.opening import open_input
from lesiongan.files.progress import progress

SHOW_PROGRESS_ABOVE = 2000


def find_classes(folder: Path | str) -> dict[str, Path]:
    """Return {class: folder of its pictures} of a folder, or of the folder images/ in it.

    Pictures anywhere else are an error, because their class would be a guess or they would be left
    out without a word; hidden folders are left out. Raises InputError if there is no folder of a
    class.
    """
    folder = Path(folder)
    inner = folder / "images"
    top = inner if inner.is_dir() else folder
    named = sorted(p for p in top.iterdir() if p.is_dir() and not p.name.startswith("."))
    expected = f"expected folders named {', '.join(CLASSES)}"
    others = [p for p in named if p.name not in CLASSES]
    for other in others:
        if photographs.search_folder(other):
            raise InputError(f"{other}: its name is no class; {expected}")
    loose = [p for p in top.iterdir() if p.is_file() and p.suffix.lower() in photographs.SUFFIXES]
    if loose:
        raise InputError(f"{min(loose)}: lies in no folder of a class; {expected}")
    beside = [folder / name for name in CLASSES if top != folder and (folder / name).is_dir()]
    if any(photographs.search_folder(p) for p in beside):
        raise InputError(f"{folder}: has pictures both in images/ and beside it; name one of them")
    found = {p.name: p for p in named if p.name in CLASSES}
    if not found:
        raise InputError(f"{top}: has no folder of a class; {expected}")
    return found


def list_pictures(folder: Path | str) -> list[tuple[Path, int]]:
    """Return [(path, position in CLASSES)] of all pictures, in the order of class and path.

    The order of the paths below the folder does not depend on the system. Raises InputError if
    there is no picture at all.
    """
    found = []
    for name, own in sorted(find_classes(folder).items()):
        paths = photographs.search_folder(own)
        paths.sort(key=lambda path: path.relative_to(own).as_posix())
        found += [(path, CLASSES.index(name)) for path in paths]
    if not found:
        raise InputError(f"{folder}: has no pictures; expected files of {photographs.READ}")
    return found


def read_pictures(folder: Path | str) -> tables.Table:
    """Return the Table of a folder of pictures; its sha256 is of pixels and labels.

    Pictures of more than 28 x 28 pixels are reduced by photographs.read_photograph. Raises
    InputError for a smaller one, and for one that cannot be read.
    """
    listed = list_pictures(folder)
    images = np.empty((len(listed), *IMAGE_SHAPE), np.uint8)
    shown = len(listed) > SHOW_PROGRESS_ABOVE
    bar = progress(len(listed), 0, "pictures", "picture", shown)
    for i, (path, _) in enumerate(listed):
        check_size(path)
        images[i] = photographs.read_photograph(path)
        bar.update()
    bar.close()
    labels = np.array([code for _, code in listed], dtype=np.int32)
    name, rows = printable(str(folder)), np.arange(len(labels))
    return tables.Table(
        name,
        "hmnist_28_28_RGB",
        images,
        labels,
        tables.hash_rows(images, labels),
        rows,
        rows.astype(str),
        "each image alone",
    )


def check_size(path: Path) -> None:
    """Raise InputError for a picture that would have to be enlarged."""
    with open_input(path, "name a picture") as stream, photographs.pillow_is_quiet():
        width, height = photographs.open_picture(path, stream).size
    if min(width, height) < IMAGE_SHAPE[0]:
        raise InputError(
            f"{path}: has {width} x {height} pixels; expected at least "
            f"{IMAGE_SHAPE[0]} x {IMAGE_SHAPE[1]}"
        )
