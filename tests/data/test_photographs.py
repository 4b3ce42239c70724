"""Photographs are read as a viewer shows them, whatever file they are in, and refused in a line."""

import os
import struct
import threading
import warnings
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageOps

from lesiongan import photographs as photographs_command
from lesiongan.data import photograph_reading, photographs
from lesiongan.data.photographs import crop_box, find_photographs, read_photograph
from lesiongan.data.tables import read_table
from lesiongan.files.errors import InputError
from lesiongan.phantom import draw_table

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def lesion(table_path):
    """One phantom lesion, uint8 (28, 28, 3)."""
    return read_table(table_path).images[40]


def save(path, array, **options):
    """Write uint8 (h, w, 3) as the picture that the suffix of `path` names; return `path`."""
    Image.fromarray(array).save(path, **options)
    return path


def four_colours(width, height, depth=255):
    """A picture whose corners differ in colour, so that no turn or flip looks like another."""
    y, x = np.mgrid[:height, :width]
    colours = np.array([[0, 0, 0], [depth, 0, 0], [0, depth, 0], [0, 0, depth]], dtype=np.uint8)
    return colours[2 * (y * 2 // height) + x * 2 // width]


@pytest.mark.parametrize("crop", photographs.CROPS)
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "TIFF"])
def test_a_picture_of_28_x_28_comes_back_bit_for_bit(lesion, tmp_path, suffix, crop):
    path = save(tmp_path / f"a.{suffix}", lesion)
    got = read_photograph(path, crop)
    assert (got.dtype, got.shape) == (np.uint8, (28, 28, 3))
    np.testing.assert_array_equal(got, lesion)


def test_jpeg_and_webp_of_28_x_28_are_what_pillow_decodes(lesion, tmp_path):
    for suffix, options in (("jpg", {"quality": 95}), ("webp", {"lossless": True})):
        path = save(tmp_path / f"a.{suffix}", lesion, **options)
        with Image.open(path) as picture:
            np.testing.assert_array_equal(read_photograph(path), np.asarray(picture))
    np.testing.assert_array_equal(read_photograph(path), lesion)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_turned_file_is_read_like_the_upright_one(tmp_path, suffix):
    upright = Image.fromarray(four_colours(64, 48))
    expected = read_photograph(save(tmp_path / f"upright.{suffix}", np.asarray(upright)))
    # What a camera stores for each orientation is what Pillow's own reading of the tag undoes.
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    for orientation, method in undo.items():
        stored = upright if method is None else upright.transpose(Image.Transpose(method))
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        path = tmp_path / f"{orientation}.{suffix}"
        stored.save(path, exif=exif, **({"quality": 100} if suffix == "jpg" else {}))
        with Image.open(path) as picture:
            theirs = np.asarray(ImageOps.exif_transpose(picture).convert("RGB")).astype(int)
        assert theirs.shape == (48, 64, 3)
        got = read_photograph(path).astype(int)
        # Quarters of one colour each, in their places; JPEG and the filter blur the borders.
        for corner in ((4, 4), (4, 23), (23, 4), (23, 23)):
            assert np.abs(got[corner] - expected[corner]).max() <= 6, (orientation, corner)


def test_damaged_exif_data_hides_no_picture(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(four_colours(64, 48)).save(path, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    plain = save(tmp_path / "b.jpg", four_colours(64, 48))
    np.testing.assert_array_equal(read_photograph(path), read_photograph(plain))


def test_transparent_parts_are_white_and_opaque_ones_unchanged(lesion, tmp_path):
    alpha = np.full((28, 28, 1), 255, dtype=np.uint8)
    path = save(tmp_path / "opaque.png", np.concatenate([lesion, alpha], axis=2))
    np.testing.assert_array_equal(read_photograph(path), lesion)
    alpha[:14], alpha[14:18] = 0, 128
    path = save(tmp_path / "half.png", np.concatenate([lesion, alpha], axis=2))
    got = read_photograph(path).astype(float)
    assert (got[:14] == 255).all()
    shown = 255 + (lesion[14:18].astype(float) - 255) * 128 / 255
    np.testing.assert_allclose(got[14:18], shown, atol=1)
    np.testing.assert_array_equal(got[18:], lesion[18:])
    # A palette may have a transparent colour too.
    picture = Image.new("P", (28, 28), 1)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((3, 5), 0)
    picture.save(tmp_path / "palette.png", transparency=0)
    got = read_photograph(tmp_path / "palette.png")
    assert got[5, 3].tolist() == [255, 255, 255]
    assert got[6, 3].tolist() == [200, 100, 50]


def test_palettes_grey_black_and_white_and_print_colours_become_rgb(tmp_path):
    grey = np.arange(28 * 28, dtype=np.uint16).reshape(28, 28)
    expected = np.repeat((grey // 4).astype(np.uint8)[..., None], 3, axis=2)
    for suffix in ("png", "tif", "bmp"):
        path = save(tmp_path / f"grey.{suffix}", (grey // 4).astype(np.uint8))
        np.testing.assert_array_equal(read_photograph(path), expected)
    # A 16-bit file holds 257 times the value of 8 bits; its lower bits are left out.
    for suffix in ("png", "tif"):
        path = save(tmp_path / f"deep.{suffix}", (grey // 4 * 257).astype(np.uint16))
        np.testing.assert_array_equal(read_photograph(path), expected)
    bits = Image.fromarray((grey % 3 == 0).astype(np.uint8) * 255).convert("1")
    bits.save(tmp_path / "bits.png")
    assert sorted(set(read_photograph(tmp_path / "bits.png").ravel())) == [0, 255]
    colours = Image.fromarray(four_colours(28, 28)).convert("P", palette=Image.Palette.ADAPTIVE)
    colours.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(
        read_photograph(tmp_path / "palette.png"), np.asarray(colours.convert("RGB"))
    )
    Image.new("CMYK", (28, 28), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    red = read_photograph(tmp_path / "print.jpg")
    assert red[..., 0].min() > 245
    assert red[..., 1:].max() < 10


def test_grey_values_without_a_known_range_are_refused(tmp_path):
    Image.new("F", (28, 28), 0.5).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="32 bits"):
        read_photograph(tmp_path / "a.tif")


def test_the_first_page_is_read(lesion, tmp_path):
    first, second = Image.fromarray(lesion), Image.new("RGB", (40, 40), "red")
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_photograph(tmp_path / "a.tif"), lesion)


@pytest.mark.parametrize(
    ("size", "crop", "kept"),
    [
        # 4 : 3 already, upright too.
        ((600, 450), "full", (0, 0, 600, 450)),
        ((450, 600), "full", (0, 0, 450, 600)),
        ((600, 450), "centre", (75, 0, 525, 450)),
        ((450, 600), "centre", (0, 75, 450, 525)),
        # 3 : 2 loses its sides to 4 : 3, and 1 : 1 loses nothing.
        ((600, 400), "full", (33, 0, 567, 400)),
        ((400, 600), "full", (0, 33, 400, 567)),
        ((500, 500), "full", (0, 0, 500, 500)),
        # 1.1 : 1 keeps 91 % as a square and 83 % as 4 : 3; 1.25 : 1 keeps 80 % and 94 %.
        ((550, 500), "full", (25, 0, 525, 500)),
        ((500, 400), "full", (0, 12, 500, 388)),
    ],
)
def test_the_crop_keeps_the_marked_part(tmp_path, size, crop, kept):
    left, top, right, bottom = kept
    picture = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    picture[top:bottom, left:right] = (40, 160, 220)
    np.testing.assert_allclose(crop_box(*size, crop), kept, atol=1)
    got = read_photograph(save(tmp_path / "a.png", picture), crop).astype(int)
    # All that is kept is marked, but for a fraction of a pixel at the border.
    assert np.abs(got[1:-1, 1:-1] - (40, 160, 220)).max() <= 2
    assert np.abs(got - (40, 160, 220)).max() <= 20
    # A frame just inside the marked part is seen at all four sides: nothing of it is lost.
    picture[top:bottom, left:right] = 0
    picture[top + 12 : bottom - 12, left + 12 : right - 12] = 255
    got = read_photograph(save(tmp_path / "b.png", picture), crop).astype(int)
    assert max(got[0].max(), got[-1].max(), got[:, 0].max(), got[:, -1].max()) < 150
    assert got[3:-3, 3:-3].min() > 200


def test_a_photograph_of_600_x_450_is_squeezed_and_resampled_by_lanczos(lesion, tmp_path):
    big = Image.fromarray(lesion).resize((600, 450), Image.Resampling.BICUBIC)
    path = save(tmp_path / "a.png", np.asarray(big))
    got = read_photograph(path).astype(int)
    # An oracle in floats: weights of sinc(x) sinc(x / 3), a row and a column at a time.
    values = np.asarray(big).astype(float)
    for axis, n in ((0, 450), (1, 600)):
        scale = n / 28
        centres = (np.arange(28) + 0.5) * scale
        x = (np.arange(n)[None] + 0.5 - centres[:, None]) / scale
        weights = np.sinc(x) * np.sinc(x / 3) * (np.abs(x) < 3)
        weights /= weights.sum(axis=1, keepdims=True)
        values = np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
    assert np.abs(got - values).max() <= 1.5
    assert read_photograph(path, size=8).shape == (8, 8, 3)


def png_of(width, height):
    """A PNG of a few bytes that says it has this many pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def faults(folder):
    """Files that are no readable photograph, with a word of what must be said of each."""
    good = folder / "good.jpg"
    save(good, four_colours(300, 200), quality=90)
    data = good.read_bytes()
    tiff = save(folder / "good.tif", four_colours(300, 200)).read_bytes()
    Image.fromarray(four_colours(300, 200)).save(folder / "lzw.tif", compression="tiff_lzw")
    lzw = bytearray((folder / "lzw.tif").read_bytes())
    lzw[20:200] = b"\xff" * 180
    return {
        "empty.jpg": (b"", "is empty"),
        "text.jpg": (b"image,label\nISIC_1,nv\n" * 9, "no readable JPEG"),
        "gif.jpg": (b"GIF89a\x01\x00\x01\x00\x80\x00\x00", "no readable JPEG"),
        "cut.jpg": (data[: len(data) // 2], "damaged picture"),
        "head.jpg": (data[:200], "no readable JPEG"),
        "cut.png": (png_of(300, 200), "damaged picture"),
        "cut.tif": (tiff[: len(tiff) // 2], "no readable JPEG|damaged picture"),
        "lzw.tif": (bytes(lzw), "damaged picture"),
        "bomb.png": (png_of(11_000, 10_000), "over 100 million"),
        "larger.png": (png_of(60_000, 60_000), "over 100 million"),
    }


def test_what_is_no_photograph_is_refused_in_one_line_and_in_silence(tmp_path, capfd):
    for name, (content, words) in faults(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=words) as caught:
            read_photograph(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value).splitlines()) == 1
    assert capfd.readouterr() == ("", "")


def test_files_that_are_too_large_or_no_files_are_not_read(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", four_colours(60, 40))
    monkeypatch.setattr(photographs, "MAX_BYTES", path.stat().st_size)
    assert read_photograph(path).shape == (28, 28, 3)
    monkeypatch.setattr(photographs, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(InputError, match="MB are not read"):
        read_photograph(path)
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, words in (("pipe.jpg", "is no file"), (".", "is no file"), ("no.jpg", "no such")):
        with pytest.raises(InputError, match=words):
            read_photograph(tmp_path / name)


def test_pixels_are_counted_before_they_are_decoded(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", four_colours(60, 40))
    monkeypatch.setattr(photographs, "MAX_PIXELS", 60 * 40 - 1)
    monkeypatch.setattr(photographs, "decode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(InputError, match="60 x 40 pixels"):
        read_photograph(path)


def test_threads_read_the_same_and_leave_the_filters_of_warnings_as_they_were(tmp_path):
    paths = []
    for i in range(12):
        picture = Image.new("P", (40 + i, 30), i)
        picture.putpalette([(7 * k) % 256 for k in range(768)])
        # Pillow warns of a transparency of this kind when it converts the picture.
        picture.save(tmp_path / f"{i}.png", transparency=bytes(range(200)))
        paths.append(tmp_path / f"{i}.png")
    alone = [read_photograph(path) for path in paths]
    before = list(warnings.filters)
    got = {}

    def work(turn):
        for i in range(turn, len(paths), 3):
            got[i] = read_photograph(paths[i])

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
    assert len(got) == len(paths)
    for i, image in enumerate(alone):
        np.testing.assert_array_equal(got[i], image)


def test_folders_are_searched_and_files_taken_as_named(tmp_path):
    names = ["b/2.JPG", "b/10.jpeg", "a/x.Png", "c/deep/er/y.TIFF", "0.webp", "9.bmp"]
    others = [".hidden.jpg", ".folder/z.jpg", "b/notes.txt", "b/x.csv", "jpg", "__MACOSX/._0.jpg"]
    for name in names + others:
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).write_bytes(b"x")
    top = tmp_path / "top"
    (tmp_path / "outside.jpg").write_bytes(b"x")
    (top / "b" / "out.jpg").symlink_to(tmp_path / "outside.jpg")
    (top / "b" / "broken.jpg").symlink_to(top / "nothing.jpg")
    (top / "b" / "in.jpg").symlink_to(top / "0.webp")
    (top / "c" / "loop").symlink_to(top)
    os.mkfifo(top / "b" / "pipe.jpg")
    found = [p.relative_to(top).as_posix() for p in find_photographs([top])]
    assert found == [
        "0.webp",
        "9.bmp",
        "a/x.Png",
        "b/10.jpeg",
        "b/2.JPG",
        "b/in.jpg",
        "c/deep/er/y.TIFF",
    ]
    named = [top / "b" / "notes.txt", top / "a", top / "a" / "x.Png"]
    assert find_photographs(named) == [top / "b" / "notes.txt", top / "a" / "x.Png"]


def test_folders_without_photographs_and_missing_paths_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"empty: no photograph in this folder"):
        find_photographs([tmp_path / "empty"])
    with pytest.raises(InputError, match=r"gone: no such file or folder"):
        find_photographs([tmp_path / "gone"])


def test_a_block_of_which_nothing_is_kept_is_left_out(tmp_path):
    """One damaged photograph may be the last block."""
    records = np.arange(6 * 193, dtype=np.int64).astype(np.uint8).reshape(6, 193)
    journal = SimpleNamespace(
        blocks=lambda: [(0, records[:4]), (4, records[4:5]), (5, records[5:])]
    )
    keep = np.array([True, False, True, True, False, True])
    found = list(photograph_reading.picture_blocks(journal, keep, 8))
    assert [at.tolist() for at, _ in found] == [[0, 2, 3], [5]]
    np.testing.assert_array_equal(found[1][1].ravel(), records[5, 1:])


class Blocks:
    """A journal of records in blocks of four, read or not."""

    def __init__(self, records):
        self.records = records

    def blocks(self):
        for start in range(0, len(self.records), 4):
            yield start, self.records[start : start + 4]


def test_a_photograph_that_cannot_be_read_is_left_out_in_whatever_block_it_is():
    records = np.full((10, 1 + 3 * 28 * 28), ord("a"), np.uint8)
    records[:, 0] = photograph_reading.READ
    for i in (5, 9):
        records[i, 0] = photograph_reading.UNREADABLE
        records[i, 1:] = 0
        records[i, 1:3] = np.frombuffer(b"no", np.uint8)
    paths = [f"p{i}" for i in range(10)]
    keep, reasons = photograph_reading.find_unreadable(Blocks(records), paths)
    assert np.flatnonzero(~keep).tolist() == [5, 9]
    assert reasons == ["p5: no", "p9: no"]


def test_known_photographs_are_dropped_behind_unreadable_ones_and_in_every_block():
    images = draw_table(84, seed=2)[0][:10]
    known = SimpleNamespace(images=images[[3, 8]], path="t.csv")
    records = np.zeros((10, 1 + 3 * 28 * 28), np.uint8)
    records[:, 0], records[:, 1:] = photograph_reading.READ, images.reshape(10, -1)
    keep = np.ones(10, bool)
    keep[[0, 5]] = False
    new = photographs_command.drop_known(Blocks(records), keep, known, [])
    assert np.flatnonzero(new).tolist() == [1, 2, 4, 6, 7, 9]
