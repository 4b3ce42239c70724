"""The training loop of train_gan.py, seen by a stub GAN that records its calls."""

import numpy as np
import pandas as pd
import pytest

import train_gan
from lesiongan.nets import joined_generator, saved_models, synthetic_set
from lesiongan.run import gan_flags, runs
from lesiongan.run.folders import ResultFolder
from tests import oracles
from tests.conftest import interrupted
from tests.stress.damaged_files import Variable


class Kept:
    """A network of one weight, as train_gan keeps that of a finished generator."""

    def __init__(self):
        self.variables = [Variable(np.zeros(1))]

    def get_weights(self):
        return [v.value for v in self.variables]

    def set_weights(self, values):
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value.copy())


class Notes:
    """A GAN that notes its batches.

    Its generator and its average have a weight each, the number of steps and of epochs.
    """

    def __init__(self):
        self.batches, self.means = (
            [],
            dict.fromkeys(("critic_loss", "generator_loss", "penalty", "accuracy")),
        )
        self.generator, self.critic, self.ema = Kept(), Kept(), Kept()
        self.optimizer = type("Optimizer", (), {"variables": [Variable(np.zeros(1))]})()

    @property
    def variables(self):
        return [v for network in (self.generator, self.critic, self.ema) for v in network.variables]

    def train_on_batch(self, batch, return_dict):
        self.batches.append(batch)
        for add, variable in (
            (1, self.generator.variables[0]),
            (0.5, self.ema.variables[0]),
            (2, self.optimizer.variables[0]),
        ):
            variable.assign(variable.value + add)
        n = float(len(self.batches))
        return {"critic_loss": n, "generator_loss": 2 * n, "penalty": 3 * n, "accuracy": n % 2}


@pytest.fixture
def loop(table_path, tmp_path, monkeypatch):
    """Function: run the training loop for four epochs of three steps.

    It returns (notes, history, [(file, network) saved]).
    """

    def run_loop(*flags, resuming=False, seen=None):
        args = train_gan.parse_args(
            ["--data", str(table_path), "--epochs", "4", "--grid-every", "2", *flags]
        )
        run = runs.Run(args, "train_gan")
        place = ResultFolder(
            run, tmp_path / "options.json", run.identify(gan_flags.list_unnamed(args))
        )
        notes, saved = Notes(), []

        def prepare(images, labels, args):
            if seen is not None:
                seen.extend([images, labels])
            # The loop of one generator has seed 0, whose batches need no name.
            seed = (args.seed,) if args.generators > 1 else ()
            return notes, lambda epoch, i: (*seed, epoch, i), 3

        monkeypatch.setattr(train_gan, "prepare", prepare)
        monkeypatch.setattr(
            saved_models, "save", lambda path, network: saved.append((path.name, network))
        )
        monkeypatch.setattr(synthetic_set, "fixed_grid", lambda network: network)
        monkeypatch.setattr(
            synthetic_set,
            "save_grid",
            lambda path, network, note: saved.append((path.name, network)),
        )
        history = train_gan.train(place, resuming)
        return notes, history, saved

    return run_loop


def test_the_gan_learns_from_the_train_part_alone(loop, drawn):
    seen = []
    loop(seen=seen)
    images, labels = oracles.Parts(drawn).of("train")
    np.testing.assert_array_equal(seen[0], images)
    np.testing.assert_array_equal(seen[1], labels)


def test_each_step_of_each_epoch_is_trained_once_and_the_average_is_what_is_kept_and_shown(loop):
    notes, history, saved = loop("--snapshots")
    assert notes.batches == [(epoch, i) for epoch in range(4) for i in range(3)]
    # The history has means over the epoch's steps, not its last step.
    assert [h["critic_loss"] for h in history] == [2, 5, 8, 11]
    assert [h["generator_loss"] for h in history] == [4, 10, 16, 22]
    assert [h["penalty"] for h in history] == [6, 15, 24, 33]
    assert [name for name, _ in saved] == [
        f"epoch_{e:04d}.{kind}" for e in (1, 2, 4) for kind in ("png", "keras")
    ] + ["generator.keras"]
    assert all(network is notes.ema for _, network in saved), (
        "another network than the moving average is kept or shown"
    )


def test_a_resumed_gan_has_every_epoch_once_and_every_network_and_the_optimizer_back(
    loop, tmp_path
):
    whole = loop()
    table = pd.read_csv(tmp_path / "history.csv")
    for stop_after in (1, 3):
        with interrupted(stop_after):
            loop()
        notes, history, _ = loop(resuming=True)
        assert notes.batches == whole[0].batches[3 * stop_after :]
        assert [h["epoch"] for h in history] == [1, 2, 3, 4]
        assert [h["critic_loss"] for h in history[:stop_after]] == [
            h["critic_loss"] for h in whole[1][:stop_after]
        ]
        for name in ("generator", "ema", "optimizer"):
            ours, theirs = (getattr(n, name).variables[0].value for n in (notes, whole[0]))
            np.testing.assert_array_equal(ours, theirs, f"{name} was not restored")
        assert (
            pd.read_csv(tmp_path / "history.csv").epoch.tolist()
            == table.epoch.tolist()
            == [1, 2, 3, 4]
        )


def test_of_several_generators_each_is_trained_from_its_own_beginning_on_its_own_batches(
    loop, monkeypatch
):
    monkeypatch.setattr(train_gan, "build_generator", lambda *size: Kept())
    monkeypatch.setattr(joined_generator, "join", list)

    def run(resuming=False):
        notes, history, saved = loop("--generators", "3", "--seed", "7", resuming=resuming)
        (kept,) = [network for name, network in saved if name == "generator.keras"]
        if not resuming:
            # --grid-every is 2.
            drawn = [name for name, _ in saved if name.endswith(".png")]
            assert drawn == [f"epoch_{e:04d}.png" for e in (1, 2, 4, 6, 8, 10, 12)]
        averages = [float(m.get_weights()[0][0]) for m in kept]
        return notes, [h["epoch"] for h in history], averages

    notes, epochs, averages = whole = run()
    assert epochs == list(range(1, 13))
    # Twelve steps each, half of which the average has: it began at 0 again.
    assert averages == [6, 6, 6]
    assert notes.optimizer.variables[0].value == 24
    # The stub's batches are numbered by their seed as well.
    assert notes.batches == [(7 + g, e, i) for g in range(3) for e in range(4) for i in range(3)]
    for stop_after in (3, 4, 5, 11):
        with interrupted(stop_after):
            run()
        notes, *others = run(resuming=True)
        assert others == list(whole[1:]), f"differs if stopped after {stop_after} epochs"
        assert notes.batches == whole[0].batches[3 * stop_after :]
