"""Ctrl-C while imports run: one line and no traceback, and no interrupt is lost."""

import os
import signal
import subprocess
import sys

import pytest

from lesiongan import ROOT
from lesiongan.files.interrupts import interrupts_held


@pytest.fixture
def heeded():
    """Python's own handler of interrupts, which a job in the background starts without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_of_an_import_is_raised_after_it(heeded):
    done = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the import went on")
    assert done
    assert signal.getsignal(signal.SIGINT) is before
    with interrupts_held():
        done.append("nothing held")
    assert len(done) == 2


def test_an_interrupt_while_a_script_still_imports_is_one_line(tmp_path):
    """The code stands in for a script of the repository, at its first import of the package."""
    code = (
        f"import sys; sys.argv[0] = {str(ROOT / 'eda.py')!r}; sys.path.insert(0, {str(ROOT)!r}); "
        "import lesiongan; raise KeyboardInterrupt"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "eda.py: stopped\n"
    assert done.returncode != 0
    code = code.replace("KeyboardInterrupt", "ValueError")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Traceback" in done.stderr


def test_a_job_that_ignores_interrupts_goes_on(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
