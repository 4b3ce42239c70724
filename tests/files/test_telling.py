"""What a run tells: --quiet, and the log of --log-json."""

import json
import os
import subprocess
import sys

import pytest

import eda
import train_cnn
import train_gan
from lesiongan import ROOT
from lesiongan.files import telling
from lesiongan.files.errors import InputError
from lesiongan.run import script


@pytest.fixture(autouse=True)
def as_before():
    yield
    telling.start("")


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_log_has_every_line_every_epoch_and_the_end(table_path, tmp_path, capfd):
    log = tmp_path / "deep/er/log.jsonl"
    flags = ["--data", str(table_path), "--models-dir", str(tmp_path / "m")]
    flags += ["--outputs-dir", str(tmp_path / "o"), "--subset", "150", "--log-json", str(log)]
    train_gan.main([*flags, "--epochs", "2", "--samples", "14"])
    said = capfd.readouterr().out.splitlines()
    found = events(log)
    assert {e["script"] for e in found} == {"train_gan"}
    assert [e["text"] for e in found if e["event"] == "message"] == [s.strip() for s in said]
    kinds = [e["event"] for e in found]
    assert (kinds[0], kinds.count("epoch"), kinds.count("finished")) == ("start", 2, 2)
    history = (tmp_path / "m/gan/history.csv").read_text().splitlines()
    head, *rows = (line.split(",") for line in history)
    for row, e in zip(rows, [e for e in found if e["event"] == "epoch"], strict=True):
        assert (e["epoch"], e["of"], e["training"]) == (int(row[0]), 2, "GAN")
        for name, value in zip(head[1:], row[1:], strict=True):
            assert e[name] == pytest.approx(float(value), rel=1e-6)
        # 105 train images are two steps of 64, rounded.
        assert e["images_per_second"] == pytest.approx(128 / e["seconds"], rel=0.01)
    assert e["seconds_left"] == 0
    (first, _) = (e for e in found if e["event"] == "epoch")
    assert first["seconds_left"] == pytest.approx(first["seconds"], abs=0.06)
    assert found[-1]["images"] == 14

    # The next script adds to the log; quiet prints nothing, and logs all the same.
    train_cnn.main([*flags, "--steps", "2", "--quiet", "--synthetic", "none"])
    assert "".join(capfd.readouterr()) == ""
    added = events(log)[len(found) :]
    assert events(log)[: len(found)] == found
    assert {e["script"] for e in added} == {"train_cnn"}
    assert {"start", "message", "epoch", "finished"} == {e["event"] for e in added}
    # Neither outlives its run.
    eda.main([f for f in flags if f not in ("--log-json", str(log))])
    assert "eda: done in" in capfd.readouterr().out
    assert len(events(log)) == len(found) + len(added)


def test_an_error_is_printed_though_quiet_and_is_the_last_event(tmp_path, monkeypatch, capsys):
    log = tmp_path / "log.jsonl"
    monkeypatch.setattr("sys.argv", ["eda.py"])

    def main():
        return eda.main(["--data", "nowhere.csv", "--quiet", "--log-json", str(log)])

    with pytest.raises(SystemExit) as stop:
        script.script_main(main)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("eda.py: error: nowhere.csv: no such file")
    assert events(log)[-1]["event"] == "error"
    assert events(log)[-1]["exit_code"] == 2
    assert said.err.strip().endswith(events(log)[-1]["text"])


@pytest.mark.parametrize("content", ["pixel0000,label\n", "[1]\n", '{"a": 1}\n', "3\n", "\n", "\0"])
def test_a_file_that_is_no_log_is_left_alone(tmp_path, content):
    path = tmp_path / "mine"
    path.write_text(content)
    with pytest.raises(InputError, match="is no log of events; name another file"):
        telling.start("eda", path=path)
    assert path.read_text() == content


def test_a_link_a_folder_and_a_pipe_are_no_log(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("pipe", "link", "."):
        with pytest.raises(InputError, match=r"--log-json .*(cannot be written|no log of events)"):
            telling.start("eda", path=tmp_path / name)
    assert not (tmp_path / "target").exists()
    with pytest.raises(InputError, match="cannot be written"):
        telling.start("eda", path=tmp_path / "pipe/log")


def test_a_result_is_not_written_onto_a_pipe_or_a_device(tmp_path):
    from lesiongan.files import writing

    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        if path.name == "link":
            path.symlink_to("/dev/full")
        with pytest.raises(InputError, match="a pipe or a device, not a file"):
            writing.write_text(path, "words")


def test_what_libraries_write_past_python_is_kept_from_the_screen_and_nothing_else_is(capfd):
    with telling.stderr_to_nowhere():
        os.write(2, b"a library's words\n")
        print("said", flush=True)
    os.write(2, b"after\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("said\n", "after\n")


def run_words(words, **streams):
    """Run lines of Python on the package in a process of its own; return (code, stdout, stderr)."""
    code = "import os, sys\nfrom lesiongan.files import telling\n" + words
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, **streams
    )
    return done.returncode, done.stdout, done.stderr


def test_words_that_wait_for_the_screen_are_not_lost():
    words = "import io\nsys.stderr = io.TextIOWrapper(io.FileIO(2, 'w', closefd=False))\n"
    words += "sys.stderr.write('before')\nwith telling.stderr_to_nowhere(): os.write(2, b'lost')"
    assert run_words(words, stderr=subprocess.PIPE) == (0, "", "before")


def test_a_stderr_that_is_closed_stays_closed_and_nothing_fails():
    words = "os.close(2)\nwith telling.stderr_to_nowhere(): print('within')\n"
    words += "try: os.fstat(2)\nexcept OSError: print('still closed')\n"
    words += "sys.stderr.close()\nwith telling.stderr_to_nowhere(): print('again')"
    code, out, _ = run_words(words, stderr=subprocess.PIPE)
    assert (code, out) == (0, "within\nstill closed\nagain\n")


def test_a_file_that_took_the_number_of_a_missing_stderr_is_not_led_away(tmp_path):
    path = tmp_path / "file"
    words = f"f = os.open({str(path)!r}, os.O_WRONLY | os.O_CREAT)\nprint(f)\n"
    words += "with telling.stderr_to_nowhere(): os.write(f, b'kept')"
    code, out, _ = run_words(words, preexec_fn=lambda: os.close(2))
    assert (code, out, path.read_text()) == (0, "2\n", "kept")
