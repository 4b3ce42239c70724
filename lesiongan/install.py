"""Install what a notebook's environment lacks, and keep all the rest, builds for a GPU above all.

    python -m lesiongan.install            # in Colab, Kaggle or an environment of your own
    python -m lesiongan.install --dry-run  # say what it would install, and stop

A package that is new enough stays as it is, and so do TensorFlow, JAX, PyTorch and NumPy while pip
adds the rest. At the end the command says which backend of Keras it found, and on what it runs. A
kernel that has imported an older package must be restarted.
"""

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from lesiongan import ROOT
from lesiongan.files.errors import InputError, first_line
from lesiongan.run import flags, keras_setup, machine, packages, script

# Another build of these would be one for the CPU, or would not fit the others.
GUARDED = ("tensorflow", "jax", "jaxlib", "torch", "torchvision", "numpy")


def parse_args(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("--dry-run", action="store_true", help="say what would be installed, and stop")
    return p.parse_args(argv)


def find_version(name: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return packages.find_other_build(name)


def needed_packages() -> dict[str, str]:
    """Return {package: least version} that a run with the chosen backend needs."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in packages.BACKENDS:
        packages.check_packages(needs_networks=True)
    wanted = packages.NEEDED | packages.NEEDED_BY_NETWORKS
    return wanted | {backend: packages.BACKENDS[backend]}


def read_pins() -> dict[str, str]:
    """Return {package: version} of requirements.txt; of two versions the one for older Pythons."""
    found: dict[str, str] = {}
    for name, version in re.findall(
        r"^([a-z0-9.-]+)==([^\s;]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    ):
        found.setdefault(name, version)
    return found


def plan() -> tuple[dict[str, str], list[str]]:
    """Return ({package: version} that will do, [what to ask pip for]).

    What is asked for is between the least version that will do and the one that is tested.
    """
    kept, asked, pins = {}, [], read_pins()
    for name, least in needed_packages().items():
        version = find_version(name)
        if version and packages.parse_version(version) >= packages.parse_version(least):
            kept[name] = version
        else:
            asked.append(f"{name}>={least}" + (f",<={pins[name]}" if name in pins else ""))
    return kept, asked


def install(asked: list[str]) -> None:
    """Let pip install what is asked for; raise InputError, in one line, if it cannot.

    None of GUARDED is replaced by another version, unless it is itself too old.
    """
    lacking = {re.split("[<>=]", each)[0] for each in asked}
    guarded = {n: v for n in GUARDED if n not in lacking and (v := find_version(n))}
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{n}=={v}\n" for n, v in guarded.items()))
        quiet = ["--quiet", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "install", *quiet, "-c", str(constraints), *asked]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        faults = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        why = first_line(ValueError(faults[0] if faults else done.stderr.strip() or "no reason"))
        raise InputError(
            f"pip could not install {', '.join(asked)} ({why}); make an environment of its own: "
            "python -m venv .venv, then .venv/bin/pip install -r requirements.txt"
        )


def main(argv=None):
    args = parse_args(argv)
    kept, asked = plan()
    print("kept: " + (", ".join(f"{n} {v}" for n, v in kept.items()) or "nothing"))
    print("to install: " + (", ".join(asked) or "nothing"))
    if args.dry_run:
        return 0
    if asked:
        install(asked)
        importlib.invalidate_caches()
    packages.check_packages(needs_networks=True)
    keras_setup.quiet_tensorflow()
    print(f"backend: {machine.describe_backend()}")
    return 0


if __name__ == "__main__":
    script.script_main(main)
