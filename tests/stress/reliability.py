"""results/reliability.json: values by the tools beside this file, each with its command.

The tools are killing.py, damaged_files.py, filling.py, load.py, mutants.py and random_mutants.py.
"""

from lesiongan import ROOT
from lesiongan.files.records import read_json
from lesiongan.files.writing import write_json
from lesiongan.run import machine

PATH = ROOT / "results" / "reliability.json"


def note(command, **values):
    """Add values, with the command, the commit and the processor that they came from."""
    found = read_json(PATH, "tests/stress/killing.py") if PATH.is_file() else {}
    environment = machine.environment()
    commands = found.get("commands", {}) | dict.fromkeys(values, command.strip())
    commits = found.get("commits", {}) | dict.fromkeys(values, environment.pop("commit"))
    processors = found.get("figure_processors", {}) | dict.fromkeys(
        values, environment["processor"]
    )
    notes = {
        "commands": commands,
        "commits": commits,
        "figure_processors": processors,
        "environment": environment,
    }
    write_json(PATH, found | values | notes)
