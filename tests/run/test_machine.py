"""The machine under a run: its memory, the user's Keras configuration, and what the record says."""

import os
import subprocess
import sys
import types

import pytest

import train_cnn
from lesiongan.files.errors import InputError
from lesiongan.run import machine, runs, script
from tests.stress import killing


def test_more_than_the_machine_holds_is_one_line(capsys):
    # This is TensorFlow's name for it.
    exhausted = type("ResourceExhaustedError", (Exception,), {})
    for error in (
        MemoryError("Unable to allocate 1 PiB"),
        OverflowError("too large"),
        exhausted("OOM"),
    ):

        def main(error=error):
            raise error

        with pytest.raises(SystemExit) as e:
            script.script_main(main)
        assert e.value.code == 2
        assert "more than this machine can hold" in capsys.readouterr().err


def test_advice_of_tensorflow_does_not_reach_the_screen():
    """Several networks in one process make it warn of retracing, say."""
    code = (
        "from lesiongan.run import keras_setup; keras_setup.quiet_tensorflow(); import keras, "
        "numpy as np\nfor width in range(1, 12):\n    model = "
        "keras.Sequential([keras.Input((3,)), keras.layers.Dense(width)])\n    "
        "model.predict_on_batch(np.zeros((2, 3), np.float32))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=killing.ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_keras_configuration_of_the_user_changes_nothing(tmp_path):
    (tmp_path / "keras.json").write_text(
        '{"image_data_format": "channels_first", "floatx": "float16", "backend": "jax"}'
    )
    code = (
        "from lesiongan.run import keras_setup; keras_setup.quiet_tensorflow(); import keras, "
        "train_cnn;network = train_cnn.build_network(7, 8, "
        "stem=1);print(keras.backend.backend(), network.count_params(), "
        "network.get_layer('logits').compute_dtype)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"} | {
        "KERAS_HOME": str(tmp_path)
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=killing.ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.stdout.split() == ["tensorflow", "18783", "float32"], done.stderr


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('{"floatx": "float99"}', "floatx=float99"),
        ('{"epsilon": "small"}', "epsilon=small"),
        ("[1, 2]", "'list'"),
    ],
    ids=["floatx", "epsilon", "list"],
)
def test_a_faulty_keras_configuration_is_blamed_and_not_the_backend(tmp_path, content, word):
    (tmp_path / "keras.json").write_text(content)
    code = (
        "from lesiongan.run import keras_setup, script; "
        "script.script_main(keras_setup.quiet_tensorflow)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=killing.ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f"{tmp_path / 'keras.json'}: Keras cannot start with this configuration" in done.stderr
    assert word in done.stderr
    assert "mend it or remove it" in done.stderr
    assert "backend" not in done.stderr


def test_a_run_names_its_backend_and_device_once(scratch, capsys):
    import tensorflow as tf

    import eda

    run = runs.Run(eda.parse_args(scratch.flags), "eda")
    for _ in range(2):
        run.start_keras()
    assert capsys.readouterr().out == f"  backend: tensorflow {tf.__version__} on the CPU\n"


def test_the_devices_of_a_backend_are_those_it_computes_on(monkeypatch):
    import keras

    names = ["NVIDIA H200", "NVIDIA H200", "NVIDIA L4"]
    cuda = types.SimpleNamespace(device_count=lambda: 3, get_device_name=names.__getitem__)
    fake = types.SimpleNamespace(cuda=cuda, __version__="9.9")
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert machine.accelerators() == {"accelerators": names}
    assert machine.describe_backend() == "torch 9.9 on NVIDIA H200, NVIDIA L4"
    cuda.device_count = lambda: 0
    assert machine.describe_backend() == "torch 9.9 on the CPU"


def test_commit_is_dirty_when_code_changed_and_not_when_results_did(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert machine.read_commit() is None

    def git(*command):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *who, *command], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    git("init")
    (tmp_path / "results").mkdir()
    for name in ("code.py", "results/figure.json"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    clean = git("rev-parse", "HEAD")[:12]
    (tmp_path / "results/figure.json").write_text("2")
    assert machine.read_commit() == clean
    (tmp_path / "code.py").write_text("2")
    assert machine.read_commit() == f"{clean}-dirty"


def test_the_record_of_a_run_names_the_packages_it_ran_on():
    import importlib.metadata

    found = machine.environment()
    assert {"keras", "tensorflow", "numpy", "pandas", "scikit-learn", "matplotlib"} <= set(
        found["packages"]
    )
    for name, version in found["packages"].items():
        assert version == importlib.metadata.version(name)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["backend"] == "tensorflow"
    assert found["processors"] >= 1


@pytest.mark.parametrize(
    ("flags", "words"), [(["--deterministic"], "leave it out"), (["--seed", "2147483648"], "below")]
)
def test_what_keras_cannot_do_on_torch_is_refused(flags, words, monkeypatch, table_path):
    args = train_cnn.parse_args(["--data", str(table_path), *flags])
    runs.check_torch(args)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(InputError, match=words):
        runs.check_torch(args)
    # It is said before anything else is done.
    monkeypatch.setattr(runs, "check_packages", lambda **_: None)
    with pytest.raises(InputError, match=words):
        runs.Run(args, "train_cnn")
