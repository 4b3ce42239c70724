"""The machine: starting Keras on it quietly and repeatably, and the record of what a run ran on."""

import contextlib
import logging
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

# ---------------------------------------------------------------- Keras


def seed_everything(seed, deterministic=False):
    """Seed Python, NumPy and Keras. Call before building a model.

    deterministic: ask for kernels that repeat themselves on a GPU too. On a CPU TensorFlow always is: it costs nothing.
    """
    import keras

    keras.utils.clear_session()  # names decide the order in which TensorFlow adds gradients: start them afresh
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if deterministic or not tf.config.list_physical_devices("GPU"):
            tf.config.experimental.enable_op_determinism()


def keep_freed_memory():
    """Tell glibc to keep freed memory instead of returning it to the system at every step.

    TensorFlow's CPU kernels allocate and free hundreds of megabytes a step; taking them anew costs more page faults than
    the convolutions cost arithmetic (2.5 times the step time, see results/LOG.md). No effect outside Linux with glibc.
    """
    import ctypes

    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((-3, 1 << 25), (-1, (1 << 31) - 1), (-2, 1 << 28), (-8, 1)):
            mallopt(parameter, value)  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD, M_ARENA_MAX


def quiet_tensorflow(deterministic=False):
    """Import keras without its backend's start-up chatter, which TensorFlow writes straight to the stderr descriptor.

    A keras.json of the user's must not change a network: KERAS_BACKEND alone chooses the backend, and the rest is set here.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on AMD, where it is a third faster
    logging.getLogger("absl").setLevel(logging.ERROR)
    keep_freed_memory()
    sys.stderr.flush()
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        import keras
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


# ---------------------------------------------------------------- what it is


def read_commit():
    """Commit of the code, with -dirty if it was changed since (results/ is no code); None outside git or where the code is
    not what git tracks."""
    if not (ROOT / ".git").exists():  # unpacked in another repository, perhaps: that one's commit says nothing
        return None

    def git(*command):
        return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, timeout=10).stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + "-dirty" * bool(changed) if commit else None


def environment():
    """What the run ran on: commit, Python, packages, machine. Differs between machines, so never part of an identity."""
    import importlib.metadata as md

    packages = {}
    for name in ("keras", "tensorflow", "jax", "numpy", "pandas", "scikit-learn", "matplotlib"):
        with contextlib.suppress(md.PackageNotFoundError):
            packages[name] = md.version(name)
    return {
        "commit": read_commit(),
        "python": platform.python_version(),
        "packages": packages,
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": read_processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),  # we may use
    }


def accelerators():
    """{"accelerators": names of those that Keras could use}; none on a CPU alone, or if this process has not imported it."""
    backend = sys.modules["keras"].backend.backend() if "keras" in sys.modules else None
    names = []
    if backend == "jax":
        import jax

        with contextlib.suppress(RuntimeError):  # a GPU that fails to start now must not cost a finished result its record
            names = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    elif backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(d).get("device_name", d.name) for d in found]
    return {"accelerators": names}


def read_processor():
    """The processor's name, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def peak_gib():
    """Most memory this process has held so far, GiB; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1 << 10  # bytes there, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 30), 2)
