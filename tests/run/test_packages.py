"""Missing or old packages and backends are told at the start, with the command that mends them."""

import importlib.metadata
import os
import shutil
import subprocess
import sys

import pytest

from lesiongan import ROOT
from lesiongan.files.errors import InputError
from lesiongan.run import keras_setup, packages


def test_this_environment_has_all_that_is_needed():
    packages.check_packages(needs_networks=True)


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("keras", "3.8.0", "keras 3.8.0 is too old: 3.13 or newer is needed; pip install"),
        ("tensorflow", "2.15.1", "tensorflow 2.15.1 is too old"),
        ("keras", "unknown", "keras unknown is too old: 3.13 or newer is needed"),
        ("numpy", None, "numpy is not installed and is needed; pip install"),
        ("jinja2", None, "jinja2 is not installed"),
    ],
)
def test_an_old_or_missing_package_is_named(monkeypatch, name, version, words):
    real = importlib.metadata.version

    def pretend(asked):
        if asked.split("-")[0] != name:
            return real(asked)
        if version is None or asked != name:
            raise importlib.metadata.PackageNotFoundError(asked)
        return version

    monkeypatch.setattr(importlib.metadata, "version", pretend)
    with pytest.raises(InputError) as e:
        packages.check_packages(needs_networks=True)
    assert words in str(e.value)
    if name in packages.NEEDED_BY_NETWORKS | packages.BACKENDS:
        packages.check_packages(needs_networks=False)


@pytest.mark.parametrize(
    ("text", "version"), [("2.21.0rc1", (2, 21, 0)), ("3.13", (3, 13)), ("unknown", ())]
)
def test_versions_are_compared_as_numbers(text, version):
    assert packages.parse_version(text) == version
    assert packages.parse_version("3.9") < packages.parse_version("3.13")


def test_another_build_of_tensorflow_will_do(monkeypatch):
    real = importlib.metadata.version

    def pretend(asked):
        if asked == "tensorflow":
            raise importlib.metadata.PackageNotFoundError(asked)
        return "2.21.0" if asked == "tensorflow-cpu" else real(asked)

    monkeypatch.setattr(importlib.metadata, "version", pretend)
    packages.check_packages(needs_networks=True)


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("torch", "torch is not installed"),
        ("foo", "KERAS_BACKEND=foo"),
    ],
)
def test_a_backend_that_is_not_there_ends_in_one_line(table_path, tmp_path, backend, words):
    command = [sys.executable, ROOT / "train_gan.py", "--data", table_path, "--dry-run"]
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_keras_that_cannot_start_ends_in_one_line(monkeypatch):
    import builtins

    real = builtins.__import__

    def fail(name, *args, **kwargs):
        if name == "keras":
            raise RuntimeError("no such device\nand a second line")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(InputError, match=r"Keras cannot start with its backend .*no such device\)"):
        keras_setup.quiet_tensorflow()


@pytest.mark.parametrize("backend", ["module://nowhere.backend", "no_such_backend"])
def test_any_backend_of_matplotlib_will_do(table_path, tmp_path, backend):
    command = [sys.executable, ROOT / "eda.py", "--data", table_path, "--outputs-dir", tmp_path]
    environment = os.environ | {"MPLBACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "eda/samples.png").is_file()


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ("", "svg svg 0"),
        # A kernel's `%matplotlib inline` asks for a backend by another name than MPLBACKEND's, and
        # setting that one afterwards would close the kernel's figures.
        ("import matplotlib.pyplot as p; p.switch_backend('pdf'); p.plot([1]); ", "svg pdf 1"),
    ],
)
def test_the_backend_of_whoever_draws_stays_as_it_was(before, shown):
    code = (
        f"{before}import os; from lesiongan.plots import headless; "
        "print(os.environ['MPLBACKEND'], headless.matplotlib.rcParams['backend'], "
        "len(headless.matplotlib.pyplot.get_fignums()))"
    )
    environment = os.environ | {"MPLBACKEND": "svg"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == f"{shown}\n", done.stderr


def fake_python(folder, name, version, make="exit 3"):
    """A command that says it is Python of this version; asked to make an environment, `make`."""
    path = folder / name
    path.write_text(
        f"""#!/bin/bash
if [ "$1" = -c ]; then
    exec {sys.executable} -c 'import sys, platform
sys.version_info = tuple(map(int, "{version}".split(".")))
platform.python_version = lambda: "{version}"
exec(sys.argv[1])' "$2"
fi
{make}
"""
    )
    path.chmod(0o755)


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_looks_for_a_python_that_will_do(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "tail", "touch", "env", "grep", "sed", "expand"):
        os.symlink(shutil.which(name), tools / name)
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)

    def run(*flags):
        command = [shutil.which("make"), *flags, ".venv/ready"]
        return subprocess.run(
            command, cwd=tmp_path, env={"PATH": str(tools)}, capture_output=True, text=True
        )

    fake_python(tools, "python3", "3.14.0")
    fake_python(tools, "python3.13", "3.10.2")
    done = run()
    assert done.returncode == 2
    assert "Python 3.11, 3.12 or 3.13 with venv is needed" in done.stderr
    assert "python3: is 3.14.0; python3.13: is 3.10.2" in done.stderr
    made = f"mkdir -p .venv/bin && ln -s {shutil.which('true')} .venv/bin/python"
    for name in ("mkdir", "ln", "true"):
        os.symlink(shutil.which(name), tools / name)
    fake_python(tools, "python3.12", "3.12.4", make=made)
    done = run()
    assert done.returncode == 0, done.stderr
    assert "and python3.12, about" in done.stdout
    shutil.rmtree(tmp_path / ".venv")
    done = run("PYTHON=python3.13")
    assert (done.returncode, done.stdout) == (2, "")
