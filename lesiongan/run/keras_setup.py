"""Starting Keras quietly and repeatably."""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from lesiongan.files import telling
from lesiongan.files.errors import InputError, first_line
from lesiongan.files.interrupts import interrupts_held


def seed_everything(seed: int, deterministic: bool = False) -> None:
    """Seed Python, NumPy and Keras; call this before building a model.

    deterministic: ask for kernels that give equal repeats on a GPU too. On a CPU TensorFlow always
    does, because that costs nothing.
    """
    import keras

    # Names decide the order in which TensorFlow adds gradients, so their numbering starts afresh.
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if deterministic or not tf.config.list_physical_devices("GPU"):
            tf.config.experimental.enable_op_determinism()


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of returning it to the system at every step.

    TensorFlow's CPU kernels allocate and free hundreds of megabytes a step; taking them anew costs
    more page faults than the convolutions cost arithmetic (2.5 times the step time, see
    results/LOG.md). No effect outside Linux with glibc.
    """
    import ctypes

    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((-3, 1 << 25), (-1, (1 << 31) - 1), (-2, 1 << 28), (-8, 1)):
            # The parameters are M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD and M_ARENA_MAX.
            mallopt(parameter, value)


def quiet_tensorflow(deterministic: bool = False) -> None:
    """Import keras without the start-up messages of its backend.

    A keras.json of the user's must not change a network: KERAS_BACKEND alone chooses the backend,
    and the rest is set here. Raises InputError if Keras cannot start.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN is off by default on AMD, where it is a third faster.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    keep_freed_memory()
    try:
        with telling.stderr_to_nowhere(), interrupts_held():
            import keras

            # Under any backend Keras imports TensorFlow, if it is installed, when it first saves or
            # loads a network. Done here, that happens in silence.
            with contextlib.suppress(Exception):
                import tensorflow  # noqa: F401
    # Keras raises many kinds of error for a backend that is there and cannot be loaded.
    except Exception as e:
        raise InputError(explain_failure(e)) from None
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Within, a GPU multiplies in float32 and not in TF32, which has ten bits of a number's 23."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        before = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(before)
    elif keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    else:
        import torch

        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = before


def explain_failure(error: Exception) -> str:
    """Return one line about an error of `import keras`: what is at fault, and what to do."""
    # What fails in Keras' own backend/config.py fails on the values of the user's keras.json.
    places = [Path(f.filename).parts[-2:] for f in traceback.extract_tb(error.__traceback__)]
    if ("backend", "config.py") in places:
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        return (
            f"{home.expanduser() / 'keras.json'}: Keras cannot start with this configuration of "
            f"yours ({first_line(error)}); mend it or remove it"
        )
    backend = os.environ["KERAS_BACKEND"]
    return (
        f"Keras cannot start with its backend {backend} ({first_line(error)}); install it, or set "
        "KERAS_BACKEND=tensorflow"
    )


def use_xla() -> bool | str:
    """Return the `jit_compile` argument: XLA for a GPU or for JAX.

    On a CPU TensorFlow's own kernels are faster for these convolutions.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
