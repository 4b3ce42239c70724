"""Full disks, locks and folders that cannot be written end in one line, with nothing half written.

tests/stress/filling.py fills disks at length.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from lesiongan.files import claims, locks, progress, writing
from lesiongan.files.errors import InputError
from lesiongan.run import folders, runs, script
from tests.conftest import CNN
from tests.stress import filling, killing


def test_a_full_disk_leaves_nothing_half_written(table_path, tmp_path):
    found = filling.fill(table_path, tmp_path, limits=(150_000,), scripts=("train_cnn.py",))
    assert found["runs"] == 1
    assert found["stopped"] == 1
    assert not found["faults"]


def test_two_runs_cannot_write_in_one_folder(table_path, scratch):
    folder = writing.ensure_folder(scratch.models / "control")
    code = (
        "import sys; from lesiongan.files import locks; locks.lock_folder(sys.argv[1]); "
        "print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen(command, **pipes, text=True, cwd=killing.ROOT)
    try:
        assert other.stdout.readline() == "1\n"
        with pytest.raises(InputError, match=rf"process {other.pid} .* is writing here"):
            scratch.run("train_cnn", *CNN, "--role", "control")
    finally:
        other.kill()
        other.communicate()
    half = writing.create_beside(folder / "classifier.keras")
    half.write_bytes(b"half a file of a killed process")
    assert half in list(folder.glob(".*.tmp*"))
    # Its process is gone, and so is its lock.
    locks.lock_folder(folder)
    assert not list(folder.glob(".*.tmp*"))


def test_only_half_written_files_of_its_own_are_swept_from_a_folder(tmp_path):
    """A user's files of like names stay.

    So does what another process is writing in a folder that it has locked.
    """
    others = [
        tmp_path / name
        for name in (
            "proj/.notes.tmp.md",
            ".config/.save.tmp1",
            ".t.12.tmp.csv",
            "mine/.t.abcd1234.lesiongan.tmp.csv",
            # Another process may be writing here: the folder is not locked, and not this one's.
            "phantom/.t.abcd1234.lesiongan.tmp.csv",
        )
    ]
    left = [
        tmp_path / name
        for name in (
            ".t.abcd1234.lesiongan.tmp.csv",
            "samples/.grid.ab_d1234.lesiongan.tmp.png",
            ".checkpoint.zzzzzzzz.lesiongan.tmp.npz",
        )
    ]
    for path in [*others, *left]:
        writing.ensure_folder(path.parent)
        path.write_text("")
    writing.ensure_folder(tmp_path / ".1.tmp.d" / "x")
    (tmp_path / "mine" / ".lock").write_text("")
    claims.write_claims(tmp_path, ["samples/epoch_0001.png"])
    old = tmp_path / "phantom/.u.abcd1234.lesiongan.tmp.csv"
    old.write_text("")
    os.utime(old, (0, 0))
    locks.lock_folder(tmp_path)
    assert not old.exists()
    assert all(path.is_file() for path in others)
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize(
    ("script", "flags"), [("eda.py", []), ("train_cnn.py", [*CNN, "--role", "control"])]
)
def test_a_read_only_folder_is_named(table_path, tmp_path, script, flags):
    # Root may write anywhere.
    as_a_user = ["setpriv", "--bounding-set=-dac_override"] if os.getuid() == 0 else []
    if as_a_user and (
        not shutil.which("setpriv")
        or subprocess.run([*as_a_user, "true"], capture_output=True).returncode
    ):
        pytest.skip("root here cannot give up writing anywhere")
    folder = writing.ensure_folder(tmp_path / "mine")
    folder.chmod(0o500)
    where = [
        "--data",
        table_path,
        "--models-dir",
        folder / "models",
        "--outputs-dir",
        folder / "outputs",
    ]
    command = [*as_a_user, sys.executable, script, *where, *flags]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=killing.ROOT)
    assert done.returncode == 2, done.stderr
    assert re.search(rf"{re.escape(str(folder))}/\w+.*cannot be", done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_is_named(table_path, tmp_path):
    import train_cnn

    (tmp_path / "file").write_text("")
    for where in (
        tmp_path / "file",
        "/proc/nowhere" if sys.platform == "linux" else tmp_path / "file",
    ):
        flags = [
            "--data",
            str(table_path),
            "--models-dir",
            str(where),
            "--outputs-dir",
            str(tmp_path / "o"),
            *CNN,
        ]
        with pytest.raises(InputError, match=re.escape(str(where))):
            train_cnn.main([*flags, "--role", "control"])


def test_a_disk_that_fills_up_under_a_figure_ends_in_one_line(tmp_path, monkeypatch):
    import errno
    from pathlib import Path

    from lesiongan.plots import style

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"x\.png: cannot be written \(No space left"):
        style.save(style.subplots()[0], tmp_path, "x")
    assert not list(tmp_path.iterdir())


def test_a_log_on_the_full_disk_hides_no_error(capsys, monkeypatch):
    import errno

    from lesiongan.run import script

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(script, "event", full)
    with pytest.raises(SystemExit) as stopped:
        script.stop("error: output: No space left on device", 2)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.endswith("error: output: No space left on device\n")


def test_an_unreadable_place_ends_in_one_line(table_path, tmp_path):
    """A folder where a file should be: what the system says, on one line, and exit code 2."""
    where = [
        "--data",
        str(table_path),
        "--models-dir",
        str(tmp_path),
        "--outputs-dir",
        str(tmp_path),
    ]
    (tmp_path / "eda" / "options.json").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "eda.py", *where], cwd=killing.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("eda.py: error: ")
    assert "eda/options.json" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_run_that_is_refused_makes_no_file_its_own(scratch):
    """Somebody may put a file of that name there afterwards."""
    scratch.run("eda")
    with pytest.raises(InputError, match="made from other data, --subset, --split"):
        scratch.run("train_cnn", *CNN, "--role", "control", "--split-seed", "1")
    assert not (scratch.models / "control/.files.json").exists()


def test_a_run_that_has_begun_leaves_no_record_of_the_last_one(scratch):
    import eda

    scratch.run("eda")
    run = runs.Run(eda.parse_args(scratch.flags), "eda")
    path = scratch.outputs / "eda/options.json"
    assert path.is_file()
    folders.ResultFolder(run, path, run.identify()).begin(["samples.png"])
    assert not path.exists()


def test_an_error_begins_a_line_of_its_own_behind_a_progress_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train_gan.py"])

    def fail():
        # A training holds its bar; one that nobody held would be closed by its own end.
        bar = progress.progress(5, 0, "GAN")
        bar.update()
        raise InputError("epoch 2: the loss is not finite")

    with pytest.raises(SystemExit) as e:
        script.script_main(fail)
    assert e.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "train_gan.py: error: epoch 2: the loss is not finite"
    assert "GAN" in lines[-2]
    assert progress.BARS == []


@pytest.mark.parametrize("stream", [1, 2])
def test_a_script_without_stdout_or_stderr_does_its_work(table_path, tmp_path, stream):
    script_path = killing.ROOT / "eda.py"
    command = f'exec "{sys.executable}" "{script_path}" --data "$1" --outputs-dir "$2" {stream}>&-'
    done = subprocess.run(
        ["bash", "-c", command, "bash", table_path, tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert (tmp_path / "eda/options.json").is_file()


def test_an_error_is_one_line_whatever_the_name_is(table_path, tmp_path):
    command = [sys.executable, killing.ROOT / "eda.py", "--data", table_path]
    command += ["--outputs-dir", tmp_path, "--metadata", "new\nline\x1b[31m"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
