"""results/reliability.json: figures of killing.py, damaged_files.py, filling.py and load.py,
each with its command.
"""

from lesiongan import ROOT
from lesiongan.files.records import read_json
from lesiongan.files.writing import write_json
from lesiongan.run import machine

PATH = ROOT / "results" / "reliability.json"


def note(command, **figures):
    """Add figures, with the command, the commit and the processor that they came from."""
    found = read_json(PATH, "tests/killing.py") if PATH.is_file() else {}
    environment = machine.environment()
    commands = found.get("commands", {}) | dict.fromkeys(figures, command.strip())
    commits = found.get("commits", {}) | dict.fromkeys(figures, environment.pop("commit"))
    processors = found.get("figure_processors", {}) | dict.fromkeys(
        figures, environment["processor"]
    )
    notes = {
        "commands": commands,
        "commits": commits,
        "figure_processors": processors,
        "environment": environment,
    }
    write_json(PATH, found | figures | notes)
