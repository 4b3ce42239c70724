"""A killed training goes on as if left alone, and only from a checkpoint of its own.

tests/stress/killing.py tries kills at length.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from lesiongan.files.errors import InputError
from lesiongan.run import checkpoints
from lesiongan.run.folders import ResultFolder
from tests.stress import damaged_files, killing


def test_killed_and_resumed_runs_end_as_if_left_alone(table_path, tmp_path):
    # train_cnn.py is killed by killing.py alone; test_cnn.py interrupts it in this process.
    survived, _, differing = killing.compare(
        table_path, tmp_path, kills=2, scripts=("train_gan.py",)
    )
    assert survived == 2
    assert not differing


def test_a_checkpoint_of_another_shape_is_refused(tmp_path):
    variables = [damaged_files.Variable(np.zeros((2, 3), np.float32))]
    checkpoints.save_state(tmp_path / "c.npz", variables, history=[1.0], fingerprint="f")
    extra = {"history": (None,)}
    assert checkpoints.load_state(tmp_path / "c.npz", variables, extra, "f")["history"] == [1.0]
    with pytest.raises(InputError, match="another network"):
        checkpoints.load_state(
            tmp_path / "c.npz", [damaged_files.Variable(np.zeros((3, 2), np.float32))], extra, "f"
        )
    for shape in ((None, 3), (2,), ()):
        with pytest.raises(InputError, match="another network"):
            checkpoints.load_state(tmp_path / "c.npz", variables, {"history": shape}, "f")
    with pytest.raises(InputError, match="not a usable checkpoint"):
        checkpoints.load_state(tmp_path / "c.npz", [*variables, *variables], extra, "f")
    for odd, words in (
        (np.full((2, 3), np.nan, np.float32), "not finite"),
        (np.zeros((2, 3), complex), "another network"),
        (np.full((2, 3), "x"), "another network"),
    ):
        checkpoints.save_state(tmp_path / "c.npz", [odd], history=[1.0], fingerprint="f")
        with pytest.raises(InputError, match=words):
            checkpoints.load_state(tmp_path / "c.npz", variables, extra, "f")


def test_a_checkpoint_that_is_given_up_is_named(tmp_path, capsys):
    run = SimpleNamespace(
        args=SimpleNamespace(resume=True, if_stale=True),
        all_code_sha256="",
        environment=dict.fromkeys(("packages", "backend", "deterministic")),
    )
    place = ResultFolder(run, tmp_path / "options.json", SimpleNamespace(fingerprint="another"))
    assert not place.can_resume()
    assert "no checkpoint in" in capsys.readouterr().out
    checkpoints.save_state(tmp_path / "checkpoint.npz", [], fingerprint="this")
    # Under make, which calls with --if-stale, the present run begins anew.
    assert not place.can_resume()
    assert "the checkpoint is damaged, or of other" in capsys.readouterr().out
    run.args.if_stale = False
    with pytest.raises(InputError, match="drop --resume"):
        place.can_resume()


def test_a_checkpoint_of_another_run_is_refused_by_name(tmp_path):
    variables = [damaged_files.Variable(np.zeros(3, np.float32))]
    checkpoints.save_state(tmp_path / "c.npz", variables, history=[1.0], fingerprint="this")
    with pytest.raises(InputError, match="from a run with other data or options"):
        checkpoints.load_state(tmp_path / "c.npz", variables, {"history": (None,)}, "another")
    assert checkpoints.load_state(tmp_path / "c.npz", variables, {"history": (None,)}, "this")[
        "history"
    ] == [1.0]


def test_a_fingerprint_of_no_characters_is_a_damaged_checkpoint(tmp_path):
    """Found by damaged_files.py: NumPy reads it, and Python has no such text."""
    wrong = np.frombuffer(b"\xff\xff\xff\x7f", dtype="<U1").reshape(())
    np.savez(tmp_path / "checkpoint.npz", fingerprint=wrong)
    assert not checkpoints.is_state_of(tmp_path / "checkpoint.npz", "f")
    with pytest.raises(InputError, match="not a usable checkpoint"):
        checkpoints.load_state(tmp_path / "checkpoint.npz", [], {}, "f")
