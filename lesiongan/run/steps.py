"""Training steps of a compiled network: several a call on an accelerator, one a call on a CPU.

An accelerator finishes a step of such small networks before Python has prepared the next one, and
waits for it. If several steps go to it in one call, it waits once for all of them. They are the
same steps of the same batches, up to rounding.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from lesiongan.run import machine

if TYPE_CHECKING:
    import keras

AT_ONCE = 10
"""Steps a call on an accelerator. HAM10000 has 110 steps an epoch of the GAN."""


def choose_at_once() -> int:
    """Return how many steps a call should have here; keras must have been imported."""
    import keras

    here = machine.accelerators()["accelerators"]
    return AT_ONCE if here and keras.backend.backend() in ("tensorflow", "jax") else 1


class Steps:
    """Trains a compiled Keras model on batches, each a tuple as `train_on_batch` takes it.

    at_once: steps a call, None for what is best here.
    """

    def __init__(self, model: "keras.Model", at_once: int | None = None) -> None:
        self.model = model
        self.at_once = choose_at_once() if at_once is None else at_once
        self.several: Callable[[Any], None] | None = None

    def train(self, batches: Iterable[tuple]) -> dict[str, float]:
        """Train one step on each batch; return {metric: mean over the batches}.

        Every call begins with a step alone, which builds what is not built yet, so that epochs
        are cut alike before and after an interruption. So is what is left over at the end.
        """
        left = iter(batches)
        logs = [self.train_one(batch) for batch in islice(left, 1)]
        for chunk in cut(left, self.at_once):
            if len(chunk) == self.at_once > 1:
                logs += [self.train_chunk(chunk)] * len(chunk)
            else:
                logs += map(self.train_one, chunk)
        return {name: float(np.mean([float(log[name]) for log in logs])) for name in logs[0]}

    def train_one(self, batch: tuple) -> dict[str, Any]:
        """Train one step, in a call of its own."""
        return self.model.train_on_batch(*batch, return_dict=True)

    def train_chunk(self, chunk: list[tuple]) -> dict[str, Any]:
        """Train a step on each of several batches in one call; return the means of the metrics.

        They are tensors still, because turning one into a number would wait for the accelerator,
        while the next batches can be prepared beside it.
        """
        import keras

        if self.several is None:
            build = build_scan if keras.backend.backend() == "jax" else build_loop
            self.several = build(self.model)
        stacked = keras.tree.map_structure(lambda *arrays: np.stack(arrays), *chunk)
        self.model.reset_metrics()
        self.several(stacked)
        return self.model.get_metrics_result()


def cut(batches: Iterator[tuple], size: int) -> Iterator[list[tuple]]:
    """Yield lists of `size` batches, and of those that are left at the end."""
    while chunk := list(islice(batches, size)):
        yield chunk


def build_loop(model: "keras.Model") -> Callable[[Any], None]:
    """Return a function of stacked batches that trains a step on each, under TensorFlow."""
    import tensorflow as tf

    @tf.function(jit_compile=bool(model.jit_compile))
    def train(stacked: Any) -> None:
        for i in tf.range(tf.shape(tf.nest.flatten(stacked)[0])[0]):
            model.train_step(tf.nest.map_structure(lambda array: array[i], stacked))

    return lambda stacked: train(tf.nest.map_structure(tf.convert_to_tensor, stacked))


def build_scan(model: "keras.Model") -> Callable[[Any], None]:
    """Return a function of stacked batches that trains a step on each, under JAX."""
    import jax

    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )

    def step(state: tuple, batch: tuple) -> tuple[tuple, None]:
        _, state = model.train_step(state, batch)
        return tuple(map(tuple, state)), None

    # The state's memory is given up to the call, so that the networks are not held twice.
    scan = jax.jit(lambda state, stacked: jax.lax.scan(step, state, stacked)[0], donate_argnums=0)

    def train(stacked: Any) -> None:
        state = tuple(tuple(v.value for v in group) for group in groups)
        for group, values in zip(groups, scan(state, stacked), strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    return train
