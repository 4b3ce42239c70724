"""Reading tables of images from MedMNIST's dermamnist.npz."""

import zipfile
from pathlib import Path

import numpy as np

from lesiongan.data.classes import CLASSES, IMAGE_SHAPE, PARTS
from lesiongan.files import archives
from lesiongan.files.compressed import Bounded
from lesiongan.files.errors import InputError, first_line
from lesiongan.files.opening import open_regular


def read_npz(path: Path) -> tuple[str, np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Return (layout, images, codes int32 (n,), notes, own_parts) of MedMNIST's dermamnist.npz.

    The parts of the file are joined in the order of PARTS, and one part is enough. own_parts: str
    (n,), which of them each image is in. Raises InputError if the file is malformed.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            there = set(archive.namelist())
            size = sum(i.file_size for i in archive.infolist())
        parts = [p for p in PARTS if {f"{p}_images.npy", f"{p}_labels.npy"} & there]
        names = [f"{part}_{kind}" for part in parts or PARTS for kind in ("images", "labels")]
        missing = [n for n in names if f"{n}.npy" not in there]
        if missing:
            raise InputError(f"{path}: no array {missing[0]!r}; expected MedMNIST's dermamnist.npz")
        # The larger files of MedMNIST need not be unpacked to be told.
        shape, _ = archives.read_shape(path, f"{parts[0]}_images")
        if len(shape) == 4 and shape[1:3] != IMAGE_SHAPE[:2] and shape[1] == shape[2]:
            raise InputError(
                f"{path}: its images are {shape[1]} x {shape[2]} pixels; get dermamnist.npz from "
                "MedMNIST, the file of 28 x 28 pixels without a size in its name"
            )
        if size > Bounded.EXPANSION * path.stat().st_size:
            raise InputError(
                f"{path}: unpacks to over {Bounded.EXPANSION} times its size; not dermamnist.npz"
            )
        arrays = archives.read_arrays(path, names, Bounded.EXPANSION * path.stat().st_size)
    except InputError:
        raise
    # For a damaged file zipfile, zlib and NumPy raise many kinds of error.
    except Exception as e:
        raise InputError(
            f"{path}: not a readable .npz ({first_line(e)}); fetch dermamnist.npz again"
        ) from None
    for part in parts:
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.shape[1:] != IMAGE_SHAPE or images.dtype != np.uint8:
            raise InputError(
                f"{path}: {part}_images is {images.dtype} {images.shape}; expected uint8 (n, 28, "
                "28, 3) (the 28-pixel file)"
            )
        if labels.shape not in ((len(images),), (len(images), 1)) or labels.dtype.kind not in "iu":
            raise InputError(
                f"{path}: {part}_labels is {labels.dtype} {labels.shape}; expected one integer an "
                "image"
            )
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(CLASSES):
            raise InputError(f"{path}: {part}_labels has values outside 0 to {len(CLASSES) - 1}")
    images = np.concatenate([arrays[f"{p}_images"] for p in parts])
    labels = np.concatenate([arrays[f"{p}_labels"].reshape(-1) for p in parts])
    if not len(labels):
        raise InputError(f"{path}: holds no images")
    own_parts = np.repeat(parts, [len(arrays[f"{p}_images"]) for p in parts])
    return "hmnist_28_28_RGB", images, labels.astype(np.int32), [], own_parts
