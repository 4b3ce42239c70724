"""Photographs of lesions: found in folders, and read as Kaggle's table holds them, 28 x 28 pixels.

Files are untrusted: their size, their format and the number of their pixels are asked for before
anything is decoded. Photographs are always decoded in full. JPEG's quicker decoding at half size
(Pillow's draft) saves half of three milliseconds, and moves the 28 x 28 picture of a 600 x 450
photograph by 0.13 grey levels on average but by up to 4 in places.
"""

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np

from lesiongan.files import telling
from lesiongan.files.errors import InputError, first_line
from lesiongan.files.opening import open_input

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
READ = "JPEG, PNG, TIFF, BMP or WebP"
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp")
CROPS = ("full", "centre")
# Larger files and pictures are refused; those of dermatoscopes and phones are far smaller.
MAX_BYTES = 200_000_000
MAX_PIXELS = 100_000_000
ORIENTATION = 0x0112


def read_photograph(path: Path | str, crop: str = "full", size: int = 28) -> np.ndarray:
    """Return a photograph as uint8 (size, size, 3), in RGB.

    It is turned as its EXIF data says, cropped (see crop_box) and resampled by Lanczos' filter. A
    picture of size x size pixels is not resampled. Transparent parts become white, as programs show
    them: what colour stands beneath is left to chance. Of 16 bits a channel the upper 8 are kept.
    Colour profiles are not applied. Of a file of several pages the first is read.

    crop: one of CROPS. Raises InputError if the file is missing, larger than MAX_BYTES or
    MAX_PIXELS, damaged, or of another format than FORMATS.
    """
    otherwise = f"name a photograph ({READ})"
    with open_input(path, otherwise) as stream, pillow_is_quiet():
        length = os.fstat(stream.fileno()).st_size
        if not length:
            raise InputError(f"{path}: is empty; copy the photograph again")
        if length > MAX_BYTES:
            raise InputError(
                f"{path}: has {length / 1e6:.0f} MB, and photographs of over {MAX_BYTES / 1e6:.0f} "
                "MB are not read; save it with fewer pixels"
            )
        picture = open_picture(path, stream)
        try:
            picture = decode(picture, path)
        except InputError:
            raise
        # Pillow raises many kinds of error for a damaged picture.
        except Exception as e:
            raise InputError(
                f"{path}: a damaged picture ({first_line(e)}); copy or export it again"
            ) from None
    return shrink(picture, crop, size)


def open_picture(path: Path | str, stream: IO[bytes]) -> "Image.Image":
    """Return Pillow's picture of a stream, its pixels not yet decoded, their number checked."""
    from PIL import Image

    too_large = "save it with fewer pixels"
    try:
        picture = Image.open(stream, formats=FORMATS)
    except Image.DecompressionBombError:
        raise InputError(
            f"{path}: has over {MAX_PIXELS / 1e6:.0f} million pixels; {too_large}"
        ) from None
    except Exception:
        raise InputError(
            f"{path}: no readable {READ} picture: of another kind, or damaged; export it again as "
            "one of these"
        ) from None
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: has {width} x {height} pixels, over {MAX_PIXELS / 1e6:.0f} million; "
            f"{too_large}"
        )
    return picture


def decode(picture: "Image.Image", path: Path | str) -> "Image.Image":
    """Return a picture as Pillow's RGB picture, turned upright and without transparency."""
    from PIL import Image

    # The TIFF reader turns pictures itself while it loads them, and then knows of no turn.
    # libtiff writes past Python. One thread at a time can be kept quiet, so TIFF files are read one
    # by one.
    with telling.stderr_to_nowhere() if picture.format == "TIFF" else contextlib.nullcontext():
        picture.load()
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(read_orientation(picture))
    if picture.mode in ("I", "F"):
        raise InputError(
            f"{path}: has grey values of 32 bits, whose range is not known; export it with 8 or 16"
        )
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        picture = Image.new("RGB", above.size, "white")
        picture.paste(above, mask=above.getchannel("A"))
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    return picture if turn is None else picture.transpose(turn)


def read_orientation(picture: "Image.Image") -> int:
    """Return the EXIF orientation of a picture, 1 to 8; 1 without EXIF data or if it is damaged."""
    try:
        return picture.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1


def shrink(picture: "Image.Image", crop: str, size: int) -> np.ndarray:
    """Return the cropped RGB picture as uint8 (size, size, 3)."""
    from PIL import Image

    box = crop_box(picture.width, picture.height, crop)
    # The box of Pillow's resize() would let what lies outside colour the border.
    if box != (0, 0, *picture.size):
        picture = picture.crop(box)
    return np.array(picture.resize((size, size), Image.Resampling.LANCZOS))


def crop_box(width: int, height: int, crop: str = "full") -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the part of a photograph that is used, in whole pixels.

    crop: 'full' for the largest centred rectangle of 4 : 3 (of upright photographs 3 : 4) or 1 : 1,
    whichever leaves less out. It is then squeezed into a square, as Kaggle's table was made from
    photographs of 600 x 450. 'centre' for the largest centred square, which is not squeezed.
    """
    if crop not in CROPS:
        raise ValueError(crop)
    short, long = sorted((width, height))
    wide = min(long, short * 4 / 3)
    narrow = wide * 3 / 4
    if crop == "centre" or short * short >= wide * narrow:
        wide = narrow = short
    # A picture of a single row of pixels has a narrow side of less than one.
    w, h = max(1, round(wide)), max(1, round(narrow))
    if width < height:
        w, h = h, w
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def find_photographs(paths: Iterable[Path | str]) -> list[Path]:
    """Return the photographs that `paths` name, a list of Paths without repeats.

    Files are taken as they are named. Folders are searched with their subfolders, in the order of
    the names, for files whose name ends in one of SUFFIXES in any case. Hidden files and folders,
    and links that lead out of the folder or to a folder, are left out. Raises InputError for a path
    that is not there, and for a folder that cannot be read or holds no photograph.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = search_folder(path)
            if not inside:
                raise InputError(f"{path}: no photograph in this folder; expected files of {READ}")
            found += inside
        elif os.path.lexists(path):
            found.append(path)
        else:
            raise InputError(f"{path}: no such file or folder; name photographs, or folders")
    return list(dict.fromkeys(found))


def search_folder(top: Path) -> list[Path]:
    """Return the photographs below one folder, see find_photographs."""

    def stop(error: OSError) -> NoReturn:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None

    found, inside = [], top.resolve()
    for folder, subfolders, names in os.walk(top, onerror=stop):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                continue
            if path.is_file():
                found.append(path)
    return found


# How many threads are within pillow_is_quiet, and the filters of warnings from before the first.
QUIET: dict[str, Any] = {"within": 0, "before": None}
QUIET_LOCK = threading.Lock()


@contextlib.contextmanager
def pillow_is_quiet() -> Iterator[None]:
    """Ignore Pillow's warnings within: what is wrong with a picture is said in one line, or is not.

    The filters of warnings belong to all threads of the process, so the first thread to enter
    changes them and the last to leave puts them back.
    """
    logger = logging.getLogger("PIL")
    with QUIET_LOCK:
        if not QUIET["within"]:
            QUIET["before"] = warnings.catch_warnings()
            QUIET["before"].__enter__()
            warnings.filterwarnings("ignore", module="PIL")
            if not logger.handlers:
                logger.addHandler(logging.NullHandler())
        QUIET["within"] += 1
    try:
        yield
    finally:
        with QUIET_LOCK:
            QUIET["within"] -= 1
            if not QUIET["within"]:
                QUIET["before"].__exit__(None, None, None)
