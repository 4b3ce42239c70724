"""make release: what it refuses, and what it lets pass. Each case is a repository of its own."""

import json
import re
import subprocess

import pytest

from benchmarks import release
from lesiongan import ROOT
from lesiongan.files import software
from lesiongan.files.errors import InputError

WHO = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]


@pytest.fixture
def repository(tmp_path):
    said = software.read_citation()
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changes\n\n## {said['version']} ({said['released']})\n"
    )
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / ".gitignore").write_text("site/\n")
    for words in (["init", "-q"], ["add", "-A"], [*WHO, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def build(folder):
    commit = release.git("rev-parse", "--short=12", "HEAD", folder=folder)
    for name in release.RECORDS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({"environment": {"commit": commit}}))
    (folder / "site").mkdir()
    (folder / "site/index.html").write_text("<html>")


def test_a_clean_tree_whose_files_agree_is_ready(repository):
    assert release.check_before(repository) == software.read_citation()["version"]


def test_changes_another_version_and_a_tag_are_refused(repository):
    (repository / "code.py").write_text("2\n")
    with pytest.raises(InputError, match=r"^code\.py: is not committed"):
        release.check_before(repository)
    (repository / "code.py").write_text("1\n")
    release.git("tag", f"v{software.read_citation()['version']}", folder=repository)
    with pytest.raises(InputError, match="is released already"):
        release.check_before(repository)
    (repository / "CHANGELOG.md").write_text("## 9.9.9 (2026-01-01)\n")
    release.git(*WHO, "commit", "-qam", "other", folder=repository)
    with pytest.raises(
        InputError, match=r"begins with 9\.9\.9 \(2026-01-01\), and CITATION\.cff has"
    ):
        release.check_before(repository)


def test_what_was_built_must_be_of_this_commit_and_change_nothing_else(repository):
    build(repository)
    release.check_after(repository)
    (repository / "code.py").write_text("2\n")
    with pytest.raises(InputError, match=r"^code\.py: was changed by the build"):
        release.check_after(repository)
    release.git(*WHO, "commit", "-qam", "later", folder=repository)
    with pytest.raises(InputError, match=r"^weights/gan/options\.json: is of commit"):
        release.check_after(repository)


def test_a_build_without_a_site_is_refused(repository):
    build(repository)
    (repository / "site/index.html").unlink()
    with pytest.raises(InputError, match=r"^site/: is missing"):
        release.check_after(repository)


def test_the_version_stands_in_one_place():
    said = software.read_citation()
    text = (ROOT / "CITATION.cff").read_text()
    assert f"version: {said['version']}\n" in text
    listed = subprocess.run(
        ["git", "grep", "-lF", said["version"], "--", "*.py", "*.toml", "*.md", "*.yml"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout.split()
    # The list of changes names all versions, and must begin with this one.
    assert set(listed) <= {"CHANGELOG.md"}
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+) \((\S+)\)$", changes, re.M).groups() == (
        said["version"],
        said["released"],
    )
