"""The hooks of .pre-commit-config.yaml: they are the checks of make, and they refuse what they say.

The refusals are tried in a repository of their own.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from lesiongan import ROOT

CONFIG = ROOT / ".pre-commit-config.yaml"
REPOSITORIES = yaml.safe_load(CONFIG.read_text())["repos"]
HOOKS = [hook for repository in REPOSITORIES for hook in repository["hooks"]]


def read_recipe(target):
    """Return the commands of a target of the Makefile that run Python, one string each."""
    makefile = (ROOT / "Makefile").read_text()
    python = re.search(r"^PY := (.*)$", makefile, re.M)[1]
    lines = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.M)[1].splitlines()
    commands = [line.strip().removeprefix("@").replace("$(PY)", python) for line in lines]
    return [command for command in commands if command.startswith(python)]


def test_hooks_are_the_checks_that_make_runs():
    own = [hook["entry"] for hook in HOOKS if " -m " in hook["entry"]]
    assert own == read_recipe("lint")
    *checks, tests = read_recipe("test")
    assert tests.endswith(" $(PYTEST)")
    assert [e.replace(" --fix", "") for e in own] == [c.replace(" --check", "") for c in checks]


def test_hooks_download_nothing():
    assert [repository["repo"] for repository in REPOSITORIES] == ["local"]
    assert {hook["language"] for hook in HOOKS} <= {"system", "fail"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """An empty repository with these hooks; the cache of pre-commit is in it, too."""
    if not shutil.which("git"):
        pytest.skip("no git here")
    folder = tmp_path_factory.mktemp("hooks")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    shutil.copy(CONFIG, folder)
    return folder


@pytest.mark.parametrize(
    ("hook", "file", "size", "passes"),
    [
        ("large-files", "docs/scan.png", 1_000_001, False),
        ("large-files", "docs/scan.png", 1_000_000, True),
        ("large-files", "docs/weights/scan.png", 1_000_001, False),
        ("large-files", "weights/gan/generator.keras", 1_000_001, True),
        ("large-files", "results/arms.json", 1_000_001, True),
        ("real-data", "data/hmnist_28_28_RGB.csv", 10, False),
        ("real-data", "data/of/2018/table.csv.gz", 10, False),
        ("real-data", "data/dermamnist.npz", 10, False),
        ("real-data", "data/README.md", 10, True),
        ("real-data", "results/row_order.csv", 10, True),
    ],
)
def test_a_hook_refuses_large_files_and_tables_of_data(repository, hook, file, size, passes):
    path = repository / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    subprocess.run(["git", "add", "-f", CONFIG.name, file], cwd=repository, check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", hook, "--files", file],
        cwd=repository,
        env=os.environ | {"PRE_COMMIT_HOME": str(repository / ".cache")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == passes, done.stdout + done.stderr
    if not passes:
        # It names the file.
        assert file in done.stdout
