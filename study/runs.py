"""The runs that results/ is made of besides the study's cells, as study/records.yaml lists them.

A run trains and scores networks by the ordinary scripts, in a folder of its own, and leaves a
record in results/. This module needs PyYAML alone, since Snakemake reads it from an environment of
its own.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lesiongan import ROOT
from lesiongan.files import records
from lesiongan.files.errors import InputError
from study.yaml_files import read_yaml

FLAGS = [(str, int, float, list)]
SHAPE = {
    "data": (str, type(None)),
    "metadata": str,
    "results": str,
    "work": str,
    "flags": FLAGS,
    "runs": {...: {"steps": [(list, dict)]}},
    "memory_gb": int,
    "minutes": int,
}
# What a run may have, and what kind of value each entry is.
ENTRIES = {
    "steps": [(list, dict)],
    "seeds": [int],
    "with": {...: (str, type(None))},
    "why": str,
    "keep": str,
    "record": str,
    "by_hand": bool,
}
KEEPERS = ("cost", "gan", "predictions", "quality", "scores")
"""What `keep` may be; study/run_one.py has the function of each."""


@dataclass(frozen=True)
class Run:
    """One run of the list: its name there, and its seed; None for one without seeds."""

    name: str
    seed: int | None

    @property
    def id(self) -> str:
        return self.name if self.seed is None else f"{self.name}_{self.seed}"


def flatten(values: Any) -> list[str]:
    """Return the words of a list, and of the lists in it, as strings."""
    return [w for v in values for w in (flatten(v) if isinstance(v, list) else [str(v)])]


def fill(text: str, values: dict[str, Any], fail: Callable[[str], Exception]) -> str:
    """Return a text with each {name} replaced by its value; raise fail(name) for an unknown one."""

    def value_of(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise fail(found[0])
        return str(values[found[1]])

    return re.sub(r"\{([^{}]*)\}", value_of, text)


class Runs:
    """What a file like records.yaml lists. Raises InputError if it is no such file."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.values = read_yaml(self.path, "list of runs", "study/records.yaml", SHAPE, {})
        self.results, self.work = Path(self.values["results"]), Path(self.values["work"])
        self.listed: dict[str, dict[str, Any]] = self.values["runs"]
        for name, entries in self.listed.items():
            self.check_entries(name, entries)
        try:
            for run in self.all.values():
                self.check(run)
        except RecursionError:
            raise InputError(f"{self.path}: a list holds itself") from None
        kept = [self.record(run) for run in self.kept()]
        if twice := [str(path) for path in kept if kept.count(path) > 1]:
            raise InputError(f"{self.path}: two runs leave the record {twice[0]}")

    def refuse(self, name: str, fault: str) -> InputError:
        """Return the error of one entry."""
        return InputError(f"{self.path}: the run {name}: {fault}")

    def check_entries(self, name: str, entries: dict[str, Any]) -> None:
        """Raise InputError if an entry has other values than it may have."""
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w*", name) or name == "here":
            raise self.refuse(name, "needs a name of letters, digits and _, and not `here`")
        shape = {k: v for k, v in ENTRIES.items() if k in entries}
        if fault := records.find_fault(entries, shape, ""):
            raise self.refuse(name, fault)
        if unknown := set(entries) - set(ENTRIES):
            raise self.refuse(name, f"has an unknown entry {min(map(str, unknown))}")
        if ("keep" in entries) != ("record" in entries):
            raise self.refuse(name, "needs both keep and record, or neither")
        if entries.get("keep", KEEPERS[0]) not in KEEPERS:
            raise self.refuse(name, f"keep is none of {', '.join(KEEPERS)}")
        seeds = entries.get("seeds", [0])
        if any(isinstance(s, bool) or not 0 <= s < 2**31 for s in seeds) or not seeds:
            raise self.refuse(name, "seeds needs whole numbers from 0")

    def check(self, run: Run) -> None:
        """Raise InputError for what a run names and nobody defines, or defines amiss."""
        for other in self.needs(run):
            # A run whose record is there is not made again, so its networks may not be there.
            if "record" in self.listed[other.name]:
                raise self.refuse(run.name, f"needs {other.id}, which leaves a record")
        pending, seen = [*self.needs(run)], set()
        while pending:
            other = pending.pop()
            if other == run:
                raise self.refuse(run.name, "needs itself")
            pending += [] if other in seen else self.needs(other)
            seen.add(other)
        reads_test = any(script == "evaluate.py" for script, *_ in self.commands(run))
        if reads_test != bool(self.why(run)):
            raise self.refuse(run.name, "needs a `why` if evaluate.py reads test, and only then")
        if (path := self.record(run)) and (".." in path.parts or self.results not in path.parents):
            raise self.refuse(run.name, f"its record {path} is not in {self.results}")

    def of(self, name: str) -> list[Run]:
        """Return the runs of one entry, one for each of its seeds."""
        return [Run(name, seed) for seed in self.listed[name].get("seeds", [None])]

    @cached_property
    def all(self) -> dict[str, Run]:
        """The runs by their IDs, in the order of the list; InputError if two have one ID."""
        found: dict[str, Run] = {}
        for run in (run for name in self.listed for run in self.of(name)):
            if run.id in found:
                raise self.refuse(run.name, f"{run.id} is there twice")
            found[run.id] = run
        return found

    def find(self, name: str, seed: int | None = None) -> Run:
        """Return the run of this ID, or of this name with the given seed; or raise InputError."""
        for key in (f"{name}_{seed}", name):
            if key in self.all:
                return self.all[key]
        of_seed = "" if seed is None else f" of seed {seed}"
        raise InputError(f"{self.path}: has no run {name}{of_seed}")

    # ------------------------------------------------------------ what a run consists of

    def needs(self, run: Run) -> dict[Run, str | None]:
        """Return the runs that must be there before, and which of their models are copied."""
        wanted = self.listed[run.name].get("with", {})
        return {self.find(name, run.seed): folder for name, folder in wanted.items()}

    def places(self) -> list[str]:
        """Return the flags that say where the table lies."""
        data = ["--data", str(self.values["data"])] if self.values["data"] else []
        return [*data, "--metadata", str(self.values["metadata"])]

    def folder(self, run: Run) -> Path:
        """Return the folder in which a run works."""
        return self.work / run.id

    def models(self, run: Run) -> Path:
        return self.folder(run) / "models"

    def outputs(self, run: Run) -> Path:
        return self.folder(run) / "outputs"

    def mark(self, run: Run) -> Path:
        """Return the file that tells Snakemake that a run has ended."""
        return self.folder(run) / "done.json"

    def steps(self, run: Run) -> list[list[str]]:
        """Return the words of each step of a run; InputError if one is no step."""
        out = []
        for step in self.listed[run.name]["steps"]:
            only = [run.seed]
            if isinstance(step, dict) and set(step) == {"only", "step"}:
                only, step = step["only"], step["step"]
            if not isinstance(step, list) or not isinstance(only, list) or not flatten(step):
                raise self.refuse(
                    run.name,
                    "a step needs to be a list of a script and its flags, or {only: [seeds], step: "
                    "such a list}",
                )
            if run.seed in only:
                out.append(flatten(step))
        return out

    def commands(self, run: Run) -> list[list[str]]:
        """Return a run's scripts in turn, each a list of its path and its flags.

        Whatever trains goes on from its last epoch, and nothing that is up to date runs again.
        """
        named = self.listed[run.name].get("with", {})
        places = {name: self.folder(self.find(name, run.seed)) for name in named}
        own = ["--outputs-dir", str(self.outputs(run))]
        out = []
        places["here"] = self.folder(run)

        def fail(name: str) -> InputError:
            return self.refuse(run.name, f"a step names {name}, which is not `with` it")

        for words in self.steps(run):
            script, *flags = (fill(w, places, fail) for w in words)
            if not script.endswith(".py") or not (ROOT / script).is_file():
                raise self.refuse(run.name, f"{script} is no script of ours")
            seed = [] if run.seed is None else ["--seed", str(run.seed)]
            # The published networks have a folder of their own.
            models = [] if "--weights" in flags else ["--models-dir", str(self.models(run))]
            trains = script != "evaluate.py" and "--sample-only" not in flags
            # They are drawn from without a table.
            tableless = "--sample-only" in flags and "--weights" in flags
            places_of = [] if tableless else self.places()
            ends = [*self.values["flags"], "--if-stale", *["--resume"] * trains]
            out.append([script, *flags, *seed, *places_of, *models, *own, *map(str, ends)])
        return out

    def why(self, run: Run) -> str | None:
        """Return why a run reads the test part, or None if it does not."""
        return self.listed[run.name].get("why")

    # ------------------------------------------------------------ what is done

    def record(self, run: Run) -> Path | None:
        """Return the file or folder that a run leaves in the results, or None."""
        name = self.listed[run.name].get("record")
        if name is None:
            return None

        def fail(word: str) -> InputError:
            return self.refuse(
                run.name, f"its record names {word}, which is not {{name}} or {{seed}}"
            )

        return self.results / fill(name, {"name": run.name, "seed": run.seed}, fail)

    def is_done(self, run: Run) -> bool:
        """Return whether a run's record is there. A folder's context.json is written last."""
        path = self.record(run)
        return path is not None and (path.is_file() or (path / "context.json").is_file())

    def kept(self) -> list[Run]:
        """Return the runs that leave a record, in the order of the list."""
        return [run for run in self.all.values() if self.record(run)]

    def left(self) -> list[Run]:
        """Return those of them whose records are not there, but for those made by hand."""
        by_hand = {name for name, entries in self.listed.items() if entries.get("by_hand")}
        return [run for run in self.kept() if run.name not in by_hand and not self.is_done(run)]

    def progress(self) -> str:
        """Return in one line which records are there."""
        missing = [run.id for run in self.kept() if not self.is_done(run)]
        there = f"records: {len(self.kept()) - len(missing)} of {len(self.kept())} runs are there"
        return there + (f"; not {', '.join(missing)}" if missing else "")

    def drop_stale_marks(self) -> None:
        """Remove the marks of runs that are left, and of all that those need.

        By its mark one would count as done, whatever its record, its flags or its table have become
        since. What is up to date takes seconds.
        """
        pending = self.left()
        while pending:
            run = pending.pop()
            self.mark(run).unlink(missing_ok=True)
            pending += self.needs(run)

    def split_file(self, of_images: bool) -> Path:
        """Return the path of the split by images or by lesions, which all seeds share."""
        return self.results / "splits" / f"{'image' if of_images else 'lesion'}_split.csv.gz"

    def is_committed(self) -> bool:
        """Return whether the records are those of this repository, which its pages are made of."""
        return (ROOT / self.results).resolve() == (ROOT / "results").resolve()
