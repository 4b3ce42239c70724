"""The closing line of a run of all these tests, for results/: --record FILE."""

import importlib.metadata
import platform
from collections import Counter
from pathlib import Path

from lesiongan.files import writing
from lesiongan.run import machine

COMMAND = "make test-interop"
PACKAGES = ("keras", "tensorflow", "torch", "datasets", "medmnist", "onnxruntime", "numpy")


def pytest_addoption(parser):
    parser.addoption("--record", type=Path, help="file for the numbers of tests passed and failed")


def find_versions():
    """{package: version} of those of PACKAGES that are installed."""
    installed = {d.name for d in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in PACKAGES if name in installed}


def pytest_sessionstart(session):
    # It is read now, because another commit may be checked out when the tests end.
    session.config.commit = machine.read_commit()


def pytest_terminal_summary(terminalreporter, config):
    path = config.getoption("--record")
    if path is None:
        return
    counts = Counter({k: len(terminalreporter.stats.get(k, ())) for k in ("passed", "skipped")})
    counts["failed"] = sum(len(terminalreporter.stats.get(k, ())) for k in ("failed", "error"))
    record = {
        "command": COMMAND,
        "commit": config.commit,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": find_versions(),
        **{name: counts[name] for name in ("passed", "failed", "skipped")},
    }
    writing.write_json(path, record)
