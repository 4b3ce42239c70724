"""lesiongan.install: what it keeps, what it asks pip for, and what pip may not replace."""

import importlib.metadata
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from lesiongan import install
from lesiongan.files.errors import InputError
from lesiongan.run import packages

# What Colab's own list of its GPU runtime named in June 2026, commit 03a89033 of
# googlecolab/backend-info, and what Kaggle's image puts in place of some (kaggle_requirements.txt
# of Kaggle/docker-python, commit 01d659bb; the newest Matplotlib below 3.8 is 3.7.5).
COLAB = {
    "numpy": "2.0.2",
    "pandas": "2.2.2",
    "scipy": "1.16.3",
    "scikit-learn": "1.6.1",
    "matplotlib": "3.10.0",
    "seaborn": "0.13.2",
    "pillow": "11.3.0",
    "jinja2": "3.1.6",
    "filelock": "3.29.0",
    "tqdm": "4.67.3",
    "keras": "3.13.2",
    "h5py": "3.16.0",
    "tensorflow": "2.20.0",
    "jax": "0.7.2",
    "jaxlib": "0.7.2",
    "torch": "2.11.0+cu128",
    "torchvision": "0.26.0+cu128",
}
KAGGLE = COLAB | {"matplotlib": "3.7.5", "seaborn": "0.12.2", "scikit-learn": "1.2.2"}


@pytest.fixture
def environment(monkeypatch):
    """A function that sets the installed packages; pip's command lines are in its `asked`."""
    there, asked = {}, []

    def find(name):
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    def pip(command, **_):
        constraints = Path(command[command.index("-c") + 1]).read_text().split()
        specs = [Requirement(c) for c in command[command.index("-c") + 2 :]]
        asked.append((specs, {c.split("==")[0]: c.split("==")[1] for c in constraints}))
        # pip installs the newest version that was asked for.
        for spec in specs:
            newest = [s.version for s in spec.specifier if s.operator == "<="]
            there[spec.name] = newest[0]
        return SimpleNamespace(returncode=0, stderr="")

    def put(versions):
        there.clear()
        there.update(versions)
        return asked

    monkeypatch.setattr(importlib.metadata, "version", find)
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(install.keras_setup, "quiet_tensorflow", lambda: None)
    monkeypatch.setattr(install.machine, "describe_backend", lambda: "tensorflow on a T4")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return put


def test_colabs_own_packages_are_kept_every_one(environment, capsys):
    asked = environment(COLAB)
    assert install.main([]) == 0
    assert asked == []
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("kept: numpy 2.0.2, ")
    assert "tensorflow 2.20.0" in said[0]
    assert said[1:] == ["to install: nothing", "backend: tensorflow on a T4"]


def test_of_kaggles_packages_the_old_ones_are_replaced_and_no_build_for_a_gpu(environment):
    asked = environment(KAGGLE)
    install.main([])
    ((specs, guarded),) = asked
    assert {s.name for s in specs} == {"matplotlib", "seaborn", "scikit-learn"}
    for spec in specs:
        # The least that will do and what is tested both will; what is there does not.
        assert spec.specifier.contains(packages.NEEDED[spec.name])
        assert spec.specifier.contains(install.read_pins()[spec.name])
        assert not spec.specifier.contains(KAGGLE[spec.name])
    kept = ("tensorflow", "jax", "jaxlib", "torch", "torchvision", "numpy")
    assert guarded == {name: KAGGLE[name] for name in kept}


def test_a_keras_without_muon_is_replaced_under_the_same_tensorflow(environment):
    asked = environment(COLAB | {"keras": "3.10.0", "tensorflow": "2.19.0"})
    install.main([])
    ((specs, guarded),) = asked
    assert [s.name for s in specs] == ["keras"]
    assert not specs[0].specifier.contains("3.12.9")
    assert guarded["tensorflow"] == "2.19.0"


def test_the_chosen_backend_alone_is_asked_for(environment, monkeypatch):
    without = {n: v for n, v in COLAB.items() if n not in ("tensorflow", "jax", "jaxlib")}
    asked = environment(without)
    install.main([])
    assert [s.name for s in asked[0][0]] == ["tensorflow"]
    assert "tensorflow" not in asked[0][1]
    asked = environment(without | {"jax": "0.7.2"})
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    install.main([])
    assert len(asked) == 1


def test_a_dry_run_installs_nothing(environment, capsys):
    asked = environment(KAGGLE)
    install.main(["--dry-run"])
    assert asked == []
    assert "to install: scikit-learn>=1.3,<=" in capsys.readouterr().out


def test_what_pip_cannot_do_is_one_line_with_the_way_out(environment, monkeypatch):
    environment(KAGGLE)
    fault = "WARNING: x\nERROR: ResolutionImpossible: numpy==2.0.2\nmore"
    monkeypatch.setattr(
        subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=1, stderr=fault)
    )
    with pytest.raises(
        InputError, match=r"^pip could not install .*Impossible.*\.venv/bin/pip"
    ) as e:
        install.main([])
    assert "\n" not in str(e.value)


def test_a_package_that_pip_left_as_it_was_is_told(environment, monkeypatch):
    environment(KAGGLE)
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=0, stderr=""))
    with pytest.raises(InputError, match="is too old"):
        install.main([])
