"""The machine: the record of what a run ran on."""

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from lesiongan import ROOT
from lesiongan.run.packages import BACKENDS


def read_commit() -> str | None:
    """Return the commit of the code, with -dirty if it was changed since, or None outside git.

    results/ is no code. None is returned as well where the code is not what git tracks.
    """
    # The code may be unpacked inside another repository, whose commit says nothing about it.
    if not (ROOT / ".git").exists():
        return None

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], cwd=ROOT, capture_output=True, text=True, timeout=10
        ).stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + "-dirty" * bool(changed) if commit else None


def environment() -> dict[str, Any]:
    """Return what the run runs on: commit, Python, packages and machine.

    It differs between machines, so it is never part of an identity.
    """
    import importlib.metadata as md

    packages = {}
    for name in ("keras", *BACKENDS, "numpy", "pandas", "scikit-learn", "matplotlib"):
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
        "processors": count_processors(),
    }


def count_processors() -> int | None:
    """Return the number of processors that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def accelerators() -> dict[str, list[str]]:
    """Return {"accelerators": names of those that Keras can use}.

    There are none on a CPU alone, or if this process has not imported Keras.
    """
    backend = sys.modules["keras"].backend.backend() if "keras" in sys.modules else None
    names = []
    if backend == "jax":
        import jax

        # A GPU that fails to start now must not cost a finished result its record.
        with contextlib.suppress(RuntimeError):
            names = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    elif backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        names = [
            tf.config.experimental.get_device_details(d).get("device_name", d.name) for d in found
        ]
    elif backend == "torch":
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"accelerators": names}


def describe_backend() -> str:
    """Return in words what Keras runs on, like 'tensorflow 2.21.0 on the CPU'.

    Keras must have been imported.
    """
    name = sys.modules["keras"].backend.backend()
    devices = accelerators()["accelerators"] or ["the CPU"]
    return f"{name} {sys.modules[name].__version__} on {', '.join(dict.fromkeys(devices))}"


def read_processor() -> str | None:
    """Return the processor's name, or None where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def peak_gib() -> float | None:
    """Return the most memory this process has held so far, in GiB.

    None where the system does not tell (Windows).
    """
    try:
        import resource
    except ImportError:
        return None
    # macOS gives bytes, other systems give KiB.
    unit = 1 if sys.platform == "darwin" else 1 << 10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 30), 2)
