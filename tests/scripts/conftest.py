"""The photographs that evaluate.py --image is asked about, and the networks that answer."""

import contextlib
import io
import shutil

import numpy as np
import pytest
from PIL import Image

import evaluate
from lesiongan.measures import answers
from tests import oracles


def save(path, image):
    """Write uint8 (h, w, 3) as PNG; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


class Photographs:
    """PNGs of phantoms, named by their row, and of noise."""

    def __init__(self, parts, folder):
        self.folder, self.parts = folder, parts
        rows = {"test": parts.rows("test"), "train": parts.rows("train")[::10]}
        self.files = {
            part: [save(folder / part / f"{row:04d}.png", parts.images[row]) for row in rows[part]]
            for part in rows
        }
        rng = np.random.default_rng(0)
        self.files["noise"] = [
            save(folder / "noise" / f"{i}.png", rng.integers(0, 256, (28, 28, 3), np.uint8))
            for i in range(5)
        ]


class Place:
    """The networks of the shared run, and folders of our own to write to."""

    def __init__(self, pipeline, folder):
        self.models, self.outputs = pipeline.models, folder / "outputs"
        (self.outputs / "evaluation").mkdir(parents=True)
        index = pipeline.outputs / "evaluation/nearest.npz"
        shutil.copyfile(index, self.outputs / "evaluation/nearest.npz")

    def ask(self, *words, **dirs):
        """(exit code, lines of output) of evaluate.py --image with these words."""
        found = {"models": self.models, "outputs": self.outputs} | dirs
        flags = [w for name, path in found.items() for w in (f"--{name}-dir", str(path))]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = evaluate.main([*flags, "--image", *map(str, words)])
        return code, out.getvalue().splitlines()


@pytest.fixture(scope="module")
def photographs(pipeline, tmp_path_factory):
    return Photographs(oracles.Parts(pipeline), tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def place(pipeline, tmp_path_factory):
    return Place(pipeline, tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def loaded(place):
    """The networks, loaded once for all tests that are not about loading them."""
    return answers.load(evaluate.parse_args(["--image", "x", *place_flags(place)]))


def place_flags(place):
    return ["--models-dir", str(place.models), "--outputs-dir", str(place.outputs)]


@pytest.fixture
def quick(place, loaded, monkeypatch, tmp_path):
    """A place whose networks are loaded already, with outputs of this test alone."""
    monkeypatch.setattr(answers, "load", lambda _: loaded)
    other = Place.__new__(Place)
    other.models, other.outputs = place.models, tmp_path / "outputs"
    return other
