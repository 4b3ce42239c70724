"""The pictures of the documentation: which steps they are taken after, and what may be shown."""

import json

import numpy as np
import pytest
from PIL import Image

from lesiongan.files.errors import InputError
from website import screenshots


def write_records(outputs, **phantom):
    for name, value in phantom.items():
        (outputs / name).mkdir()
        (outputs / name / "options.json").write_text(json.dumps({"data": {"phantom": value}}))


@pytest.mark.parametrize("real", ["eda", "evaluation", "figures"])
def test_real_lesions_are_refused_before_anything_is_written(real, tmp_path):
    outputs, out = tmp_path / "outputs", tmp_path / "out"
    outputs.mkdir()
    write_records(outputs, **{n: n != real for n in ("eda", "evaluation", "figures")})
    with pytest.raises(InputError, match="shows real lesions"):
        screenshots.main(["--outputs-dir", str(outputs), "--out", str(out)])
    assert not out.exists()


def test_phantoms_are_accepted(tmp_path):
    write_records(tmp_path, eda=True, evaluation=True, figures=True)
    screenshots.check_phantoms(tmp_path)


def test_the_steps_are_those_of_the_tutorial_in_the_order_of_its_scripts():
    steps = screenshots.list_steps()
    names = [words[2] if words[1] == "-m" else words[1] for words in steps]
    training = ["train_gan.py", "train_cnn.py", "train_cnn.py", "train_cnn.py"]
    last = ["evaluate.py", "visualize_results.py"]
    assert names == ["lesiongan.phantom", "eda.py", *training, *last]


def test_a_picture_is_small_and_looks_like_what_it_was(tmp_path):
    ramp = np.linspace(0, 255, 200).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], 128), axis=-1).astype(np.uint8)
    path = tmp_path / "a.png"
    screenshots.save_small(Image.fromarray(pixels), path)
    with Image.open(path) as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    assert found.shape == pixels.shape
    assert np.abs(found - pixels).mean() < 8


def test_a_large_picture_is_refused_and_not_written(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3)).astype(np.uint8)
    with pytest.raises(InputError, match="bytes"):
        screenshots.save_small(Image.fromarray(noise), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_pictures_stand_beside_each_other_in_their_order():
    colours = [(255, 0, 0), (0, 0, 255)]
    whole = np.asarray(screenshots.put_beside([Image.new("RGB", (30, 20), c) for c in colours]))
    assert whole.shape == (20, 60 + screenshots.GAP, 3)
    assert (whole[:, :30] == colours[0]).all()
    assert (whole[:, -30:] == colours[1]).all()
    assert (whole[:, 30:-30] == 255).all()
