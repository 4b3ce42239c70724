"""The code of docs/extending.md runs as it is printed, in a process that has nothing of ours."""

import re
import subprocess
import sys

import numpy as np

from lesiongan import ROOT
from lesiongan.data.classes import CLASSES
from lesiongan.nets import drawing, saved_models
from tests import oracles
from tests.conftest import GAN, LEARNED

HEADING = "## Use a trained network in your own code"
STORE = """
import sys
assert not [name for name in sys.modules if name.startswith("lesiongan")]
names = ("images", "probabilities", "latents", "melanomas")
np.savez("found.npz", **{name: globals()[name] for name in names})
"""
# What the second block takes over from the first.
WITHOUT_KERAS = """
import sys
import numpy as np
sys.modules["keras"] = None
images, latents = (np.load("found.npz")[name] for name in ("images", "latents"))
"""


def read_blocks():
    """The Python blocks of the page's section: with Keras, and with ONNX."""
    page = (ROOT / "docs/extending.md").read_text()
    section = page.split(HEADING)[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.S)


def run_block(folder, block, before=""):
    """Run code in `folder`, after other code, and return {name: array} of what it computed."""
    code = before + block + STORE
    # An isolated Python looks for modules neither in its folder nor where PYTHONPATH says.
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(folder / "found.npz"))


def test_ten_lines_of_keras_classify_images_and_draw_a_class(networks, tmp_path):
    keras_code, _ = read_blocks()
    assert len([line for line in keras_code.splitlines() if line and "import" not in line]) <= 10
    ours = networks.copy(tmp_path)
    found = run_block(tmp_path, keras_code)
    images, labels = oracles.read_images(ours.outputs / "synthetic/hmnist_28_28_RGB.csv")
    # The pictures come in the order of their classes' names.
    order = sorted(range(len(labels)), key=lambda i: (CLASSES[labels[i]], i))
    assert (found["images"] == images[order]).all()
    classifier = saved_models.load_classifier(ours.models / "cnn/classifier.keras")
    expected = classifier.predict_on_batch(images[order].astype(np.float32))
    assert np.abs(found["probabilities"] - expected).max() < 1e-5
    generator = saved_models.load_generator(ours.models / "gan/generator.keras")
    latents = np.random.default_rng(0).standard_normal((8, 64), dtype=np.float32)
    expected = drawing.generate(generator, latents, np.full(8, CLASSES.index("mel")))
    assert np.abs(found["melanomas"] - expected).max() < 0.51


def test_the_same_with_onnx(networks, tmp_path):
    ours = networks.copy(tmp_path)
    keras_code, onnx_code = read_blocks()
    ours.run("train_cnn", *LEARNED, "--if-stale", "--export", "onnx")
    ours.run("train_gan", *GAN, "--if-stale", "--export", "onnx")
    expected = run_block(tmp_path, keras_code)
    found = run_block(tmp_path, onnx_code, WITHOUT_KERAS)
    for name, tolerance in (("probabilities", 1e-5), ("melanomas", 1e-3)):
        assert np.abs(found[name] - expected[name]).max() < tolerance
