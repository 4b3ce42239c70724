"""A folder of pictures is the table of its pixels, in the same order on every system."""

import numpy as np
import pytest
from PIL import Image

from lesiongan.data import tables
from lesiongan.data.picture_folders import read_pictures
from lesiongan.files.errors import InputError
from tests.oracles import CLASSES


@pytest.fixture
def pictures(tmp_path):
    """Pictures (folder, name, image) of two classes, written as PNG below images/."""
    rng = np.random.default_rng(0)
    made = []
    for code, names in (("nv", ("b", "a", "10", "9")), ("akiec", ("z", "deep/a"))):
        for name in names:
            image = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
            path = tmp_path / "images" / code / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            made.append((code, f"{name}.png", image))
    return tmp_path, made


def test_pictures_are_read_as_they_are_in_the_order_of_class_and_name(pictures, tmp_path):
    folder, made = pictures
    made = sorted(made, key=lambda picture: picture[:2])
    images = np.stack([image for *_, image in made])
    labels = np.array([CLASSES.index(code) for code, *_ in made])
    tables.write_table(tmp_path / "same.csv", [(images, labels)])
    same = tables.read_table(tmp_path / "same.csv", "kaggle")
    # The folder above the folders of the classes may be named, and the one above images/.
    for named in (folder, folder / "images"):
        table = read_pictures(named)
        np.testing.assert_array_equal(table.images, images)
        np.testing.assert_array_equal(table.labels, labels)
        assert table.sha256 == same.sha256
        assert table.layout == same.layout == "hmnist_28_28_RGB"


def test_larger_pictures_are_reduced_and_smaller_ones_refused(pictures):
    folder, _ = pictures
    big = np.kron(np.arange(28).reshape(1, 28, 1), np.ones((56, 2, 3))) * 9
    Image.fromarray(big.astype(np.uint8)).save(folder / "images/nv/b.png")
    table = read_pictures(folder)
    nearly = np.broadcast_to(np.arange(28)[None, :, None] * 9, (28, 28, 3))
    assert np.abs(table.images[-1].astype(int) - nearly)[:, 2:-2].max() <= 3
    Image.fromarray(np.zeros((27, 40, 3), np.uint8)).save(folder / "images/nv/b.png")
    with pytest.raises(InputError, match=r"b\.png: has 40 x 27 pixels; expected at least 28 x 28"):
        read_pictures(folder)


def test_a_folder_of_no_class_is_named_and_hidden_or_empty_ones_are_left_out(pictures):
    folder, made = pictures
    for name in (".cache", "thumbnails"):
        (folder / "images" / name).mkdir()
    (folder / "images/mel").mkdir()
    Image.fromarray(made[0][2]).save(folder / "images/.cache/a.png")
    assert len(read_pictures(folder)) == 6
    Image.fromarray(made[0][2]).save(folder / "images/thumbnails/a.png")
    with pytest.raises(InputError, match="thumbnails: its name is no class; expected folders"):
        read_pictures(folder)


def test_a_folder_without_pictures_or_classes_is_refused(tmp_path):
    with pytest.raises(InputError, match="no folder of a class; expected folders named akiec"):
        read_pictures(tmp_path)
    (tmp_path / "mel").mkdir()
    (tmp_path / "mel" / "notes.txt").write_text("none")
    with pytest.raises(InputError, match="has no pictures"):
        read_pictures(tmp_path)
    (tmp_path / "mel" / "a.jpg").write_bytes(b"\xff\xd8 cut off")
    with pytest.raises(InputError, match=r"a\.jpg: no readable"):
        read_pictures(tmp_path)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("images/loose.PNG", r"loose\.PNG: lies in no folder of a class"),
        ("mel/1.png", r"has pictures both in images/ and beside it"),
    ],
)
def test_a_picture_that_would_be_left_out_is_named(pictures, place, words):
    folder, _ = pictures
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.zeros((28, 28, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match=words):
        read_pictures(folder)
    # What lies beside images/ and belongs to no class is nobody's business: a preview, say.
    path.rename(folder / "preview.png")
    assert len(read_pictures(folder)) == 6
