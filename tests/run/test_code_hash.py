"""The hash of the code: which changes of which files move it.

They are tried one at a time in a copy of the project. The modules that a script imports are found
here by importing it in a fresh process.
"""

import subprocess
import sys

import pytest

from lesiongan import ROOT
from lesiongan.run import code_hash
from tests.conftest import copy_code

LOADED = """
import sys
from pathlib import Path
import {script}
files = {{Path(m.__file__).resolve() for m in sys.modules.values() if getattr(m, "__file__", None)}}
print(*sorted(str(f.relative_to({root!r})) for f in files if f.is_relative_to({root!r})
              and ".venv" not in f.parts))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the project's code, which code_hash reads instead of the original."""
    copy_code(tmp_path)
    monkeypatch.setattr(code_hash, "ROOT", tmp_path)
    return tmp_path


def append(path, text="\nCHANGED = 1\n"):
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize("script", ["train_gan", "train_cnn"])
def test_every_module_that_a_training_loads_is_in_the_hash_of_its_code(script, project):
    code = LOADED.format(script=script, root=str(code_hash.ROOT))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert f"{script}.py" in names
    assert len(names) > 5
    seen = {code_hash.hash_code(script)[0]}
    for name in names:
        text = (project / name).read_text()
        append(project / name)
        seen.add(code_hash.hash_code(script)[0])
        (project / name).write_text(text)
    assert len(seen) == 1 + len(names), "a change of one of them would go unnoticed"
    append(project / "eda.py")
    assert code_hash.hash_code(script)[0] in seen, "a script that it does not import has moved it"


def test_the_hash_follows_a_module_that_is_renamed(project):
    room = project / "lesiongan/nets"
    (room / "augmentation.py").rename(room / "other_name.py")
    text = (project / "train_cnn.py").read_text()
    (project / "train_cnn.py").write_text(text.replace("augmentation", "other_name"))
    before = code_hash.hash_code("train_cnn")
    append(room / "other_name.py")
    assert code_hash.hash_code("train_cnn")[0] != before[0]


def test_prose_and_layout_do_not_move_the_hash_but_a_default_does(project):
    before = code_hash.hash_code("train_gan")
    flags = project / "lesiongan/run/gan_flags.py"
    texts = {path: path.read_text() for path in (project / "train_gan.py", flags)}
    for path, words, other in (
        (project / "train_gan.py", "def main(", "# A comment.\n\n\ndef main("),
        (project / "train_gan.py", "GAN and write labelled", "GAN, and write labelled"),
        (flags, "Adam's, of both networks", "another help text"),
    ):
        assert words in path.read_text()
        path.write_text(path.read_text().replace(words, other))
    assert code_hash.hash_code("train_gan") == before
    for path, text in texts.items():
        path.write_text(text)
    assert "default=5e-4" in texts[flags]
    flags.write_text(texts[flags].replace("default=5e-4", "default=6e-4"))
    assert code_hash.hash_code("train_gan")[0] != before[0]


def test_annotations_do_not_move_the_hash_but_what_they_stand_beside_does(project):
    stream = project / "lesiongan/run/streams.py"
    plain = "\n\ndef f(a, b=1):\n    c = a\n    return [c, b]\n\n\nclass A:\n    g = 1\n"
    typed = (
        "\nfrom typing import TYPE_CHECKING, Any\n\nif TYPE_CHECKING:\n    import eda\n"
        "\n\ndef f(a: int, b: int = 1) -> list[Any]:\n    d: int\n    c: int = a\n"
        "    return [c, b]\n\n\nclass A:\n    g = 1\n"
    )
    append(stream, plain)
    before, text = code_hash.hash_code("train_gan"), stream.read_text()
    stream.write_text(text.replace(plain, typed))
    assert code_hash.hash_code("train_gan") == before
    for words, other in (
        ("c: int = a", "c: int = b"),
        ("b: int = 1", "b: int = 2"),
        # Such a line makes a field of a dataclass.
        ("    g = 1", "    g: int = 1"),
    ):
        stream.write_text(text.replace(plain, typed.replace(words, other)))
        assert code_hash.hash_code("train_gan")[1] != before[1], other


def test_trained_by_the_same_code_is_of_networks_data_and_calibration_alone(project):
    before = code_hash.hash_code("train_cnn")[1]
    for name, counts in (
        ("train_cnn", True),
        ("lesiongan/nets/augmentation", True),
        ("lesiongan/measures/calibration", True),
        ("lesiongan/measures/metrics", True),
        ("lesiongan/data/split", True),
        ("lesiongan/measures/training_pool", True),
        ("lesiongan/measures/teacher", True),
        ("lesiongan/run/keras_setup", True),
        ("lesiongan/measures/memorisation", False),
        ("lesiongan/run/runs", False),
        ("lesiongan/files/writing", False),
    ):
        text = (project / f"{name}.py").read_text()
        append(project / f"{name}.py")
        assert (code_hash.hash_code("train_cnn")[1] != before) == counts, name
        (project / f"{name}.py").write_text(text)


@pytest.mark.parametrize("python", ["python3.12", "python3.13"])
def test_another_version_of_python_gives_the_same_hash(python):
    code = "from lesiongan.run import code_hash; print(code_hash.hash_code('train_cnn'))"
    try:
        done = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        pytest.skip(f"no {python} here")
    if done.returncode:
        pytest.skip(f"no {python} here: {done.stderr[-80:]}")
    assert done.stdout.strip() == str(code_hash.hash_code("train_cnn"))
