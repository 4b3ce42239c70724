"""results/reliability.json: figures of killing.py, mutating.py, filling.py and load.py, each with its command."""

import machine
import runlog
from artifacts import read_json, write_json

PATH = runlog.ROOT / "results" / "reliability.json"


def note(command, **figures):
    """Add figures, with the command, the commit and the processor that they came from."""
    found = read_json(PATH, "tests/killing.py") if PATH.is_file() else {}
    environment = machine.environment()
    commands = found.get("commands", {}) | dict.fromkeys(figures, command.strip())
    commits = found.get("commits", {}) | dict.fromkeys(figures, environment.pop("commit"))
    processors = found.get("figure_processors", {}) | dict.fromkeys(figures, environment["processor"])
    notes = {"commands": commands, "commits": commits, "figure_processors": processors, "environment": environment}
    write_json(PATH, found | figures | notes)
