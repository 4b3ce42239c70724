"""Several training steps in one call against as many calls, under each backend that can do so."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lesiongan import ROOT
from lesiongan.run import keras_setup, machine, steps

COUNT = 13
# Compiling takes longer than computing here.
FAST = {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"}


class Noted:
    """A model that notes how it is asked to train."""

    def __init__(self):
        self.alone, self.together = [], []

    def train_on_batch(self, batch, return_dict):
        assert return_dict
        self.alone.append(batch)
        return {"loss": float(batch)}


def train(at_once, monkeypatch, count=COUNT):
    """Return (notes, calls, means) of a training of `count` batches, numbered from 0."""
    notes, calls = Noted(), []

    def train_chunk(self, chunk):
        calls.append([n for (n,) in chunk])
        return {"loss": float(np.mean(calls[-1]))}

    monkeypatch.setattr(steps.Steps, "train_chunk", train_chunk)
    means = steps.Steps(notes, at_once).train((i,) for i in range(count))
    return notes, calls, means


def test_each_batch_is_trained_once_and_in_order(monkeypatch):
    notes, calls, means = train(5, monkeypatch)
    assert (notes.alone, calls) == ([0, 11, 12], [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    assert means == {"loss": 6}
    notes, calls, means = train(1, monkeypatch)
    assert (notes.alone, calls) == (list(range(COUNT)), [])
    assert means == {"loss": 6}
    # What is left over after whole calls is not passed over, and one batch is enough.
    notes, calls, _ = train(5, monkeypatch, count=1)
    assert (notes.alone, calls) == ([0], [])


def test_a_cpu_takes_one_step_a_call_and_an_accelerator_several(monkeypatch):
    import keras

    assert steps.choose_at_once() == 1
    monkeypatch.setattr(machine, "accelerators", lambda: {"accelerators": ["a GPU"]})
    assert steps.choose_at_once() == steps.AT_ONCE > 1
    # No way is known to do so under PyTorch.
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert steps.choose_at_once() == 1


@pytest.fixture(scope="module")
def trained():
    """Function: what `compare` gives under a backend, in a process of its own."""

    def run(backend):
        done = subprocess.run(
            [sys.executable, "-m", "tests.run.test_steps"],
            env=os.environ | FAST | {"KERAS_BACKEND": backend},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_several_steps_a_call_train_the_same_networks(trained, backend):
    found = trained(backend)
    assert set(found) == {"gan", "classifier"}
    for name, (apart, moved, alone, together) in found.items():
        assert moved > 1e-3, f"{name}: did not learn"
        # Adam makes whole steps of gradients that are nothing but rounding.
        assert apart < 0.05 * moved, f"{name}: other weights"
        assert together.keys() == alone.keys()
        assert together == pytest.approx(alone, rel=1e-3), name


def compare():
    """Return {network: (difference of weights, how far they moved, metrics, metrics)}.

    It is of COUNT steps, one a call and five a call.
    """
    import train_cnn
    import train_gan

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 28, 28, 3)).astype(np.uint8)
    labels = np.arange(64) % 7
    small = ["--width", "8", "--batch", "16", "--epochs", "2"]

    def train_gan_by(at_once):
        gan, batch, _ = train_gan.prepare(images, labels, train_gan.parse_args(small))
        trainer = steps.Steps(gan, at_once)
        return gan, lambda: trainer.train((batch(0, i),) for i in range(COUNT))

    def train_cnn_by(at_once):
        # Augmentation and dropout draw random numbers, which must be the same ones.
        args = train_cnn.parse_args(small)
        keras_setup.seed_everything(0)
        model, _ = train_cnn.prepare(args, 7, COUNT)
        trainer = steps.Steps(model, at_once)
        weights = np.linspace(0.5, 1, 16, dtype=np.float32)

        def batches():
            for i in range(COUNT):
                at = (np.arange(16) + 5 * i) % 64
                yield images[at].astype(np.float32), labels[at], weights

        return model, lambda: trainer.train(batches())

    found = {}
    for name, build in (("gan", train_gan_by), ("classifier", train_cnn_by)):
        kept, means, start = [], [], None
        for at_once in (1, 5):
            model, run = build(at_once)
            if start is None:
                start = [np.array(v) for v in model.get_weights()]
            model.set_weights(start)
            means.append(run())
            kept.append([np.array(v) for v in model.get_weights()])
        apart = max(float(np.abs(a - b).max()) for a, b in zip(*kept, strict=True))
        moved = max(float(np.abs(a - b).max()) for a, b in zip(kept[0], start, strict=True))
        found[name] = (apart, moved, *means)
    return found


if __name__ == "__main__":
    print(json.dumps(compare()))
