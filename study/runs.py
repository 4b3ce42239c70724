"""The runs that results/ is made of besides the study's cells, as study/records.yaml lists them.

A run trains and scores networks by the ordinary scripts, in a folder of its own, and leaves a
record in results/. This module needs PyYAML alone, since Snakemake reads it from an environment of
its own.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lesiongan import ROOT
from lesiongan.files import records
from lesiongan.files.errors import InputError

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
}


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


class Runs:
    """What a file like records.yaml lists. Raises InputError if it is no such file."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self.values: dict[str, Any] = yaml.safe_load(self.path.read_text())
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as e:
            words = (str(e).splitlines() or ["damaged"])[0]
            raise InputError(f"{path}: is no readable list of runs ({words})") from None
        if fault := records.find_fault(self.values, SHAPE, ""):
            raise InputError(f"{path}: {fault}; see study/records.yaml")
        if unknown := set(self.values) - set(SHAPE):
            raise InputError(f"{path}: has an unknown entry {min(map(str, unknown))}")
        self.results, self.work = Path(self.values["results"]), Path(self.values["work"])
        self.listed: dict[str, dict[str, Any]] = self.values["runs"]
        for name, entries in self.listed.items():
            self.check(name, entries)

    def check(self, name: str, entries: dict[str, Any]) -> None:
        """Raise InputError for what a run names and nobody defines, or defines amiss."""
        shape = {k: v for k, v in ENTRIES.items() if k in entries}
        fault = records.find_fault(entries, shape, "")
        if unknown := set(entries) - set(ENTRIES):
            fault = f"has an unknown entry {min(map(str, unknown))}"
        if ("keep" in entries) != ("record" in entries):
            fault = "needs both keep and record, or neither"
        if fault:
            raise InputError(f"{self.path}: the run {name}: {fault}")
        for run in self.of(name):
            self.needs(run)
            self.commands(run)
            self.record(run)

    def of(self, name: str) -> list[Run]:
        """Return the runs of one entry, one for each of its seeds."""
        return [Run(name, seed) for seed in self.listed[name].get("seeds", [None])]

    @cached_property
    def all(self) -> dict[str, Run]:
        """The runs by their IDs, in the order of the list."""
        return {run.id: run for name in self.listed for run in self.of(name)}

    def find(self, name: str, seed: int | None = None) -> Run:
        """Return the run of this ID, or of this name with the given seed; or raise InputError."""
        for key in (f"{name}_{seed}", name):
            if key in self.all:
                return self.all[key]
        raise InputError(
            f"{self.path}: has no run {name}" + f" of seed {seed}" * (seed is not None)
        )

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
                raise InputError(
                    f"{self.path}: the run {run.name}: a step needs to be a list of a script and "
                    "its flags, or {only: [seeds], step: such a list}"
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
        for words in self.steps(run):
            try:
                script, *flags = (w.format(here=self.folder(run), **places) for w in words)
            except (KeyError, ValueError, IndexError) as e:
                raise InputError(f"{self.path}: the run {run.name}: a step names {e}") from None
            if not script.endswith(".py") or not (ROOT / script).is_file():
                raise InputError(f"{self.path}: the run {run.name}: {script} is no script of ours")
            seed = [] if run.seed is None else ["--seed", str(run.seed)]
            # The published networks have a folder of their own.
            models = [] if "--weights" in flags else ["--models-dir", str(self.models(run))]
            trains = script != "evaluate.py" and "--sample-only" not in flags
            ends = [*self.values["flags"], "--if-stale", *["--resume"] * trains]
            out.append([script, *flags, *seed, *self.places(), *models, *own, *map(str, ends)])
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
        try:
            return self.results / name.format(name=run.name, seed=run.seed)
        except (KeyError, ValueError, IndexError) as e:
            raise InputError(f"{self.path}: the run {run.name}: its record names {e}") from None

    def is_done(self, run: Run) -> bool:
        """Return whether a run's record is there. A folder's context.json is written last."""
        path = self.record(run)
        return path is not None and (path.is_file() or (path / "context.json").is_file())

    def kept(self) -> list[Run]:
        """Return the runs that leave a record, in the order of the list."""
        return [run for run in self.all.values() if self.record(run)]

    def left(self) -> list[Run]:
        """Return those of them whose records are not there."""
        return [run for run in self.kept() if not self.is_done(run)]

    def drop_stale_marks(self) -> None:
        """Remove the marks of runs whose records are gone; by its mark one would count as done."""
        for run in self.left():
            self.mark(run).unlink(missing_ok=True)

    def split_file(self, of_images: bool) -> Path:
        """Return the path of the split by images or by lesions, which all seeds share."""
        return self.results / "splits" / f"{'image' if of_images else 'lesion'}_split.csv.gz"

    def is_committed(self) -> bool:
        """Return whether the records are those of this repository, which its pages are made of."""
        return (ROOT / self.results).resolve() == (ROOT / "results").resolve()
