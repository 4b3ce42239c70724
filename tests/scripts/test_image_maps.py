"""evaluate.py --image --map: a picture of what in a photograph speaks for the diagnosis."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesiongan.files.errors import InputError
from lesiongan.nets import maps
from tests import oracles
from tests.scripts.conftest import save

NOTE = "not for clinical use"


@pytest.fixture
def seen(monkeypatch):
    """What is drawn: [(title of the axes, array)] in order, and the titles of the figures."""
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    shown, titles = [], []
    imshow, suptitle = Axes.imshow, Figure.suptitle

    def note_image(self, x, *words, **options):
        shown.append((self, np.array(x)))
        return imshow(self, x, *words, **options)

    def note_title(self, text, *words, **options):
        titles.append(text)
        return suptitle(self, text, *words, **options)

    monkeypatch.setattr(Axes, "imshow", note_image)
    monkeypatch.setattr(Figure, "suptitle", note_title)
    return shown, titles


@pytest.mark.parametrize("kind", ["occlusion", "gradcam"])
def test_a_map_is_drawn_for_the_diagnosis_beside_the_photograph(
    quick, photographs, loaded, seen, tmp_path, kind
):
    file, other = photographs.files["test"][4], photographs.files["noise"][1]
    words = (file, other) if kind == "occlusion" else (file,)
    code, lines = quick.ask(*words, "--map", kind, "--json", tmp_path / "a.json")
    assert code == 0
    found = oracles.read(tmp_path / "a.json")["images"]
    shown, titles = seen
    for said, path, title in zip(found, words, titles, strict=True):
        assert Path(said["map"]).parent == quick.outputs / "predictions"
        with Image.open(said["map"]) as picture:
            assert picture.format == "PNG"
            assert picture.size[0] > 200
        assert NOTE in title
        assert path.name in title
        assert said["diagnosis"] in title
        assert f"malignant: {said['malignant']['probability']:.2f}" in title
        assert ("UNLIKE" in title) == said["unlike_training_data"]
    image = np.asarray(Image.open(file))
    # Without the table the photograph is shown twice, the map lies over the second.
    arrays = [x for _, x in shown[:3]]
    np.testing.assert_array_equal(arrays[0], image)
    np.testing.assert_array_equal(arrays[1], image)
    assert shown[1][0] is shown[2][0]
    code = oracles.CLASSES.index(found[0]["diagnosis"])
    expected = maps.draw(kind, loaded.classifier, image, code)
    np.testing.assert_allclose(arrays[2], expected, atol=1e-6)
    assert np.ptp(expected) > 0
    assert any(f"{len(words)} maps ->" in line for line in lines)


def lay_flat(monkeypatch):
    """Maps that take no time to compute."""
    monkeypatch.setattr(maps, "draw", lambda *_: np.zeros((28, 28)))


def test_the_nearest_lesions_are_shown_where_their_table_is_there(
    quick, pipeline, photographs, seen, monkeypatch, tmp_path
):
    lay_flat(monkeypatch)
    file = photographs.files["test"][3]
    words = (file, "--map", "gradcam", "--json", tmp_path / "a.json")
    quick.ask(*words, "--data", pipeline.table)
    (said,) = oracles.read(tmp_path / "a.json")["images"]
    rows = [n["row"] for n in said["nearest_training_lesions"]]
    pictures = [(ax.get_title(), x) for ax, x in seen[0] if ax.get_title().startswith("row ")]
    assert len(pictures) == 5
    for row, near, (title, picture) in zip(
        rows, said["nearest_training_lesions"], pictures, strict=True
    ):
        assert title == f"row {row}, {near['class']}"
        np.testing.assert_array_equal(picture, photographs.parts.images[row])
    # Another table has other lesions in these rows.
    from lesiongan.phantom import write_phantom

    del seen[0][:]
    other = write_phantom(tmp_path / "other", 90, seed=7)
    quick.ask(*words, "--data", other)
    assert len(seen[0]) == 3
    with pytest.raises(InputError, match="no such file"):
        quick.ask(*words, "--data", tmp_path / "none.csv")


def test_maps_have_names_of_their_own_and_replace_those_of_before_alone(
    quick, photographs, monkeypatch, tmp_path
):
    lay_flat(monkeypatch)
    source = photographs.files["test"]
    names = ("a/x.png", "b/x.png", "b/x.bmp", "b/ö é.png", "b/ä è.png")
    for i, name in enumerate(names):
        path = save(tmp_path / name, np.asarray(Image.open(source[i])))
        assert path.is_file()
    mine = quick.outputs / "predictions" / "mine.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    words = ("--map", "occlusion", "--json", tmp_path / "a.json")
    quick.ask(*(tmp_path / name for name in names), *words)
    first = {said["map"] for said in oracles.read(tmp_path / "a.json")["images"]}
    assert len(first) == 5
    found = {str(p) for p in mine.parent.iterdir() if p.suffix == ".png"}
    assert found == first | {str(mine)}
    assert all(Path(path).name.isascii() for path in first)
    quick.ask(tmp_path / names[0], "--map", "gradcam", "--json", tmp_path / "a.json")
    (second,) = (said["map"] for said in oracles.read(tmp_path / "a.json")["images"])
    assert "gradcam" in second
    found = {str(p) for p in mine.parent.iterdir() if p.suffix == ".png"}
    assert found == {second, str(mine)}
    assert mine.read_text() == "mine"
    # A file of somebody else's that has the name of a map is not replaced.
    Path(second).unlink()
    (mine.parent / ".files.json").unlink()
    Path(second).write_text("mine too")
    with pytest.raises(InputError, match="was not written by a run on record"):
        quick.ask(tmp_path / names[0], "--map", "gradcam")
    assert Path(second).read_text() == "mine too"
