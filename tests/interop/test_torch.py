"""The same files under PyTorch: the scripts run, and every number is the one TensorFlow gives.

A network in plain PyTorch learns from the synthetic set's folder of pictures.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesiongan.data.classes import CLASSES
from lesiongan.measures.predictions import read_predictions
from lesiongan.nets import inference, saved_models
from tests import backends, oracles

torch = pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture(scope="module")
def beside(networks, tmp_path_factory):
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    return backends.Beside("torch", tmp_path_factory.mktemp("torch"), networks, hidden)


def test_networks_of_tensorflow_augmentation_and_training_steps_are_the_same_under_torch(beside):
    assert beside.here["probabilities"].std(axis=0).max() > 0.01
    assert not beside.differences(beside.here)


def test_networks_of_torch_are_the_same_under_tensorflow(beside):
    assert beside.own["images"].std() > 1
    assert not beside.differences(beside.own, "own_")


def test_the_scripts_train_resume_and_evaluate_under_torch(beside):
    for name in ("gan", "cnn"):
        assert list(pd.read_csv(beside.models / name / "history.csv")["epoch"]) == [1, 2]
        environment = json.loads((beside.models / name / "options.json").read_text())["environment"]
        assert (environment["backend"], environment["accelerators"]) == ("torch", [])
        assert environment["packages"]["torch"] == torch.__version__
    line = f"  backend: torch {torch.__version__} on the CPU\n"
    assert beside.done.stdout.count(line) == beside.done.stdout.count("  backend:") == 5
    rows, _, p = read_predictions(beside.outputs / "evaluation/predictions.csv")
    images, _ = oracles.read_images(beside.table)
    model = saved_models.load_classifier(beside.models / "cnn/classifier.keras")
    assert np.abs(inference.predict_views(model, images[rows]) - p).max() < 1e-4


class ImageFolder(torch.utils.data.Dataset):
    """What torchvision's ImageFolder gives: classes by the alphabet, tensors (3, 28, 28)."""

    def __init__(self, folder):
        self.classes = sorted(p.name for p in Path(folder).iterdir() if p.is_dir())
        self.samples = [
            (path, code)
            for code, name in enumerate(self.classes)
            for path in sorted((Path(folder) / name).glob("*.png"))
        ]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        from PIL import Image

        path, code = self.samples[i]
        pixels = np.array(Image.open(path))
        return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255, code


def test_a_plain_torch_network_learns_from_the_folder_of_pictures(drawn):
    found = ImageFolder(drawn.outputs / "synthetic/images")
    assert found.classes == sorted(CLASSES)
    images, labels = oracles.read_images(drawn.outputs / "synthetic/hmnist_28_28_RGB.csv")
    loader = torch.utils.data.DataLoader(found, batch_size=len(found))
    ((x, y),) = list(loader)
    # The pictures are numbered as the table's rows are.
    rows = [int(path.stem) for path, _ in found.samples]
    assert (np.rint(x.permute(0, 2, 3, 1).numpy() * 255) == images[rows]).all()
    assert [found.classes[c] for c in y] == [CLASSES[c] for c in labels[rows]]
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 12 * 12, len(CLASSES)),
    )
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
