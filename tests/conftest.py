"""Shared fixtures: a small phantom table, and one run of all five scripts on it."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
os.environ["KERAS_BACKEND"] = "tensorflow"

import machine  # noqa: E402
from phantom import write_phantom  # noqa: E402

machine.quiet_tensorflow()

GAN = ["--epochs", "2", "--samples", "35", "--width", "16", "--batch", "32"]
CNN = ["--epochs", "2", "--width", "8", "--batch", "32"]


def pytest_configure(config):
    """Deprecation warnings that our own modules cause are errors; those inside libraries are theirs to mend."""
    for path in ROOT.glob("*.py"):
        for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"):
            config.addinivalue_line("filterwarnings", f"error::{kind}:{path.stem}")


def load_benchmark(name):
    """A script of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def same_weights_every_time():
    """Networks that a test builds itself start from the same weights in every run of the tests."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def table_path(tmp_path_factory):
    """A phantom table of 200 images, with its metadata beside it."""
    return write_phantom(tmp_path_factory.mktemp("data"), 200)


class Pipeline:
    """Where one small run put its files, and the flags that name them."""

    def __init__(self, table, folder):
        self.table, self.models, self.outputs = table, folder / "models", folder / "outputs"
        self.flags = ["--data", str(table), "--models-dir", str(self.models), "--outputs-dir", str(self.outputs)]

    def run(self, script, *extra):
        """Call a script's main() with this run's flags."""
        return __import__(script).main([*self.flags, *extra])

    def run_all(self, *extra):
        self.run("eda", *extra)
        self.run("train_gan", *GAN, *extra)
        self.run("train_cnn", *CNN, "--role", "judge", *extra)
        self.run("train_cnn", *CNN, *extra)
        self.run("train_cnn", *CNN, "--role", "control", *extra)
        self.run("evaluate", *extra)
        self.run("visualize_results", *extra)
        return self


@pytest.fixture(scope="session")
def pipeline(table_path, tmp_path_factory):
    """All five scripts, run once; tests read its files and must not change them."""
    return Pipeline(table_path, tmp_path_factory.mktemp("run")).run_all()


@pytest.fixture
def scratch(table_path, tmp_path):
    """An empty pipeline folder for tests that write."""
    return Pipeline(table_path, tmp_path)
