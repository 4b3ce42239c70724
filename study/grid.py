"""The grid of the study: its cells, what each is trained by, and which are done.

A cell is one classifier: one fraction, arm, seed of the GAN and seed of the classifier. Cells that
share all but the last make a group, which one process trains. This module needs PyYAML alone, since
Snakemake reads it from an environment of its own.
"""

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lesiongan import ROOT
from lesiongan.files import checksums, records
from lesiongan.files.errors import InputError
from study.yaml_files import read_yaml

SOURCES = ("closed", "shared")
FLAGS = [(str, int, float)]
SHAPE = {
    "data": (str, type(None)),
    "metadata": str,
    "results": str,
    "work": str,
    "split_seed": int,
    "cnn_seeds": [int],
    "gan_seeds": [int],
    "teacher_seeds": [int],
    "draws": int,
    "drawing": FLAGS,
    "fractions": {...: {"steps": int, "closed": FLAGS}},
    "arms": {...: {"label": str, "flags": FLAGS}},
    "base": str,
    "family": {"arms": [str], "measures": [str]},
    "stages": [{"fractions": [int], "arms": [str]}],
    "guess": {"gan_minutes": int, "cnn_minutes": int},
    "memory_gb": int,
}
CHOICE = {"fraction": int, "amount": int, "seeds": [int], "recipes": {...: FLAGS}}
OPTIONAL = {"common": FLAGS, "cnn": FLAGS, "choice": CHOICE}
RECORD = {
    "fraction": int,
    "arm": str,
    "cnn_seed": int,
    "lesions": int,
    "data": {"sha256": str, "phantom": bool},
    "split": {"split_seed": int, "images": {"train": [int]}},
    "trained": dict,
    "points": {"balanced_shift": [records.NUMBER], "train_prior": [records.NUMBER]},
    "steps": int,
    "training_minutes": records.NUMBER,
    "overhead_seconds": records.NUMBER,
    "environment": {"backend": str},
}
"""What the collection needs of a cell's record (records.find_fault)."""
# What an arm and a fraction may have beside what SHAPE asks of them.
ARM = {"label", "flags", "source", "amount", "teachers", "all"}
FRACTION = {"steps", "closed", "shared"}
MEASURES = (
    "auc",
    "balanced_accuracy",
    "accuracy",
    "macro_f1",
    "melanoma_sensitivity",
    "melanoma_average_precision",
)
"""The measures that arms are compared by; the first two are the primary ones."""

TABLE = "hmnist_28_28_RGB.csv"
# The arm of all train lesions, at any fraction: what more real lesions would bring.
CEILING = "all_real"


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number from 1; YAML's true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True)
class Group:
    """The cells that differ in the classifier's seed alone.

    fraction: percent of the train lesions; arm: its name in the grid; gan_seed: None without
    synthetic images.
    """

    fraction: int
    arm: str
    gan_seed: int | None

    @property
    def name(self) -> str:
        gan = "" if self.gan_seed is None else f"_g{self.gan_seed}"
        return f"f{self.fraction}_{self.arm}{gan}"

    def cell(self, seed: int) -> str:
        """Return the ID of the cell of one seed of the classifier."""
        return f"{self.name}_c{seed}"


class Grid:
    """What a file like config.yaml asks for.

    stages: how many of its stages are asked for, from the first; None is all of them. Raises
    InputError if the file is no grid, or names what it does not define.
    """

    def __init__(self, path: Path | str, stages: int | None = None) -> None:
        self.path, self.stages = Path(path), stages
        self.values = read_yaml(self.path, "grid", "study/config.yaml", SHAPE, OPTIONAL)
        self.results, self.work = Path(self.values["results"]), Path(self.values["work"])
        self.records = self.results / "cells"
        self.fractions, self.arms = self.values["fractions"], self.values["arms"]
        self.check()

    def check(self) -> None:
        """Raise InputError for what the grid names and does not define, or defines amiss."""
        family = self.values["family"]
        named = [
            *(("fraction", f) for s in self.values["stages"] for f in s["fractions"]),
            *(("arm", a) for s in self.values["stages"] for a in s["arms"]),
            *(("arm", a) for a in [self.values["base"], *family["arms"]]),
        ]
        for what, name in named:
            if name not in (self.fractions if what == "fraction" else self.arms):
                raise InputError(f"{self.path}: names the {what} {name}, which it does not define")
        for fault in filter(None, map(self.find_fault_of_arm, self.arms)):
            raise InputError(f"{self.path}: the arm {fault}")
        for percent, value in self.fractions.items():
            if not is_count(percent) or percent > 100 or set(value) - FRACTION:
                raise InputError(
                    f"{self.path}: the fraction {percent} is no whole percent from 1 to 100 with "
                    f"{', '.join(sorted(FRACTION))}"
                )
            if not is_count(value["steps"]):
                raise InputError(f"{self.path}: the fraction {percent} needs steps from 1")
            shared = {"shared": FLAGS} if "shared" in value else {}
            if wrong := records.find_fault(value, shared, ""):
                raise InputError(f"{self.path}: the fraction {percent}: {wrong}")
            if percent == 100 and "shared" in value:
                raise InputError(f"{self.path}: with all lesions there is nobody to share a GAN")
        for name in ("cnn_seeds", "gan_seeds", "teacher_seeds"):
            seeds = self.values[name]
            if len(set(seeds)) != len(seeds):
                raise InputError(f"{self.path}: {name} names a seed twice")
            if any(isinstance(s, bool) or not 0 <= s < 2**31 for s in seeds):
                raise InputError(f"{self.path}: {name} needs whole numbers from 0")
        if not self.values["cnn_seeds"]:
            raise InputError(f"{self.path}: cnn_seeds needs a seed")
        guess = self.values["guess"]
        if not all(map(is_count, (*guess.values(), self.values["memory_gb"]))):
            raise InputError(f"{self.path}: guess and memory_gb need numbers from 1")
        if not self.fractions or not is_count(self.values["draws"]) or self.values["draws"] < 100:
            raise InputError(f"{self.path}: needs a fraction, and 100 draws or more")
        names = [group.name for group in self.groups]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"{self.path}: two arms have the cells {twice[0]}; rename one of them")
        if unknown := set(family["measures"]) - set(MEASURES):
            raise InputError(
                f"{self.path}: the family's measure {min(unknown)} is none of {', '.join(MEASURES)}"
            )

    def find_fault_of_arm(self, name: str) -> str | None:
        """Return what is wrong with an arm, or None."""
        arm = self.arms[name]
        # YAML reads 5 as a number, and no as False.
        if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
            return f"{name!r} needs a name of letters, digits and _; put it in quotes"
        if unknown := set(arm) - ARM:
            return f"{name} has an unknown entry {min(map(str, unknown))}"
        if arm.get("source", "closed") not in SOURCES or ("source" in arm) != ("amount" in arm):
            return f"{name} needs both a source ({' or '.join(SOURCES)}) and an amount, or neither"
        if not is_count(arm.get("amount", 1)):
            return f"{name} needs a whole number from 1 as its amount"
        for flag in ("teachers", "all"):
            if not isinstance(arm.get(flag, False), bool):
                return f"{name} has {flag}: {arm[flag]!r}; write true, or leave it out"
        if arm.get("all", False) != (name == CEILING):
            return f"{name}: the arm with all: true is the one named {CEILING}, and no other"
        more = [k for k in ("source", "teachers", "all") if arm.get(k)]
        if name == self.values["base"] and more:
            return f"{name} is the base, and so of one's own real images alone, without {more[0]}"
        return None

    def is_committed(self) -> bool:
        """Return whether the records are those of this repository, which its pages are made of."""
        # Both may lie behind a link.
        return (ROOT / self.results).resolve() == (ROOT / "results" / "study").resolve()

    def beside(self, end: str) -> Path:
        """Return the path of a file beside the folder of the records, such as study.json."""
        return self.results.parent / (self.results.name + end)

    @cached_property
    def groups(self) -> list[Group]:
        """The groups in the order of the stages, each once."""
        found = []
        for stage in self.values["stages"][: self.stages]:
            for fraction in stage["fractions"]:
                for name in stage["arms"]:
                    source = self.arms[name].get("source")
                    if source and source not in self.fractions[fraction]:
                        continue
                    if self.arms[name].get("all") and fraction == 100:
                        continue
                    seeds = self.values["gan_seeds"] if source else [None]
                    found += [Group(fraction, name, seed) for seed in seeds]
        return list(dict.fromkeys(found))

    def group(self, name: str) -> Group:
        """Return the group of this name; raise InputError if the grid has none."""
        for group in self.groups:
            if group.name == name:
                return group
        raise InputError(f"{self.path}: has no group {name}")

    # ------------------------------------------------------------ what a group is made by

    def places(self) -> list[str]:
        """Return the flags that say where the table lies."""
        data = ["--data", str(self.values["data"])] if self.values["data"] else []
        return [*data, "--metadata", str(self.values["metadata"])]

    def share_flags(self, fraction: int, share: str | None) -> list[str]:
        """Return the flags of split and share; share None is all train lesions."""
        flags: list[Any] = self.values.get("common", [])
        flags = [*flags, "--split-seed", self.values["split_seed"]]
        if share is not None and fraction < 100:
            flags += ["--train-fraction", fraction / 100, "--train-share", share]
        return [str(f) for f in flags]

    def gan_folder(self, fraction: int, source: str, seed: int) -> Path:
        """Return the folder of one GAN and its sets."""
        return self.work / "gans" / f"f{fraction}_{source}_g{seed}"

    def gan_recipe(self, fraction: int, source: str, seed: int) -> list[str]:
        """Return the flags of train_gan.py for one GAN, without places and folders."""
        share = self.share_flags(fraction, "own" if source == "closed" else "others")
        return [*share, *map(str, self.fractions[fraction][source]), "--seed", str(seed)]

    def set_path(self, group: Group) -> Path | None:
        """Return the table of the synthetic images that a group learns from, or None."""
        arm = self.arms[group.arm]
        if group.gan_seed is None:
            return None
        folder = self.gan_folder(group.fraction, arm["source"], group.gan_seed)
        return folder / "sets" / str(arm["amount"]) / TABLE

    def cnn_recipe(self, group: Group, seed: int) -> list[str]:
        """Return the flags of train_cnn.py for one cell, without places and folders."""
        arm = self.arms[group.arm]
        flags = self.share_flags(group.fraction, None if arm.get("all") else "own")
        steps = self.fractions[group.fraction]["steps"]
        flags += ["--steps", str(steps), "--seed", str(seed)]
        return [str(f) for f in [*flags, *self.values.get("cnn", []), *arm["flags"]]]

    def recipe(self, group: Group, seed: int) -> dict[str, Any]:
        """Return what a cell's record must say for the cell to count as done.

        Where the table lies is no part of it.
        """
        arm: dict[str, Any] = self.arms[group.arm]
        made: dict[str, Any] = {"train_cnn": self.cnn_recipe(group, seed)}
        if arm.get("teachers"):
            seeds = self.values["teacher_seeds"]
            made["teachers"] = [self.teacher_recipe(group.fraction, s) for s in seeds]
        if group.gan_seed is None:
            return made
        gan = self.gan_recipe(group.fraction, arm["source"], group.gan_seed)
        drawn = ["--samples", arm["amount"], *self.values["drawing"]]
        return {**made, "train_gan": gan, "drawn": [str(f) for f in drawn]}

    def teacher_recipe(self, fraction: int, seed: int) -> list[str]:
        """Return the flags of train_cnn.py for a teacher: the base of its fraction, other seeds."""
        return self.cnn_recipe(Group(fraction, self.values["base"], None), seed)

    def teacher_folder(self, fraction: int, seed: int) -> Path:
        """Return the folder of a teacher, without the models/cnn in it."""
        return self.work / "teachers" / f"f{fraction}_c{seed}"

    def teachers(self, group: Group) -> list[Path]:
        """Return the folders of the networks that soften a group's labels, [] for most."""
        if not self.arms[group.arm].get("teachers"):
            return []
        folders = [self.teacher_folder(group.fraction, s) for s in self.values["teacher_seeds"]]
        return [folder / "models/cnn" for folder in folders]

    # ------------------------------------------------------------ what is done

    def read_record(self, group: Group, seed: int) -> dict[str, Any] | None:
        """Return the record of a cell that is done, or None.

        It is done if its record is of the grid's recipe and its predictions are those on record.
        """
        path = self.records / f"{group.cell(seed)}.json"
        try:
            record = json.loads(path.read_text())
            digest = checksums.file_sha256(path.with_suffix(".csv.gz"))
            same = record["recipe"] == self.recipe(group, seed)
        except (OSError, ValueError, KeyError, TypeError, InputError):
            return None
        if not same or record.get("predictions_sha256") != digest:
            return None
        if fault := records.find_fault(record, RECORD, ""):
            raise InputError(f"{path}: {fault}; remove it, and `make study` makes it again")
        return record

    def read_done(self) -> dict[str, dict[str, Any]]:
        """Return {ID: record} of the cells that are done."""
        cells = [(g, s) for g in self.groups for s in self.values["cnn_seeds"]]
        found = {g.cell(s): self.read_record(g, s) for g, s in cells}
        return {name: record for name, record in found.items() if record is not None}

    def seeds_left(self, group: Group) -> list[int]:
        """Return the seeds of a group's cells that are not done."""
        return [s for s in self.values["cnn_seeds"] if self.read_record(group, s) is None]

    def groups_left(self) -> list[Group]:
        """Return the groups that have cells to train, in order."""
        return [group for group in self.groups if self.seeds_left(group)]

    def mark(self, group: Group) -> Path:
        """Return the file that tells Snakemake that a group has run."""
        return self.work / "groups" / group.name / "done.json"

    def drop_stale_marks(self) -> None:
        """Remove the marks of groups that have cells to train again.

        Their records are gone, or of another recipe; by its mark Snakemake would take one for done.
        """
        for group in self.groups_left():
            self.mark(group).unlink(missing_ok=True)

    def gans_left(self) -> list[tuple[int, str, int]]:
        """Return (fraction, source, seed) of the GANs that cells to train need and that are not."""
        needed = [
            (g.fraction, self.arms[g.arm]["source"], g.gan_seed)
            for g in self.groups_left()
            if g.gan_seed is not None
        ]
        records = {gan: self.gan_folder(*gan) / "models/gan/options.json" for gan in needed}
        return [gan for gan, record in records.items() if not record.is_file()]

    # ------------------------------------------------------------ how long it takes

    def hours_left(self) -> float:
        """Return the estimated hours of all that is left, one job after another.

        It goes by the minutes that a step took in the cells that are done, wherever they ran, by
        those of the GANs that this machine has trained, and by the grid's guess where there are
        none.
        """
        done, guess = self.read_done().values(), self.values["guess"]
        steps = sum(r["steps"] for r in done)
        minutes = sum(r["training_minutes"] + r["overhead_seconds"] / 60 for r in done)
        most = max(f["steps"] for f in self.fractions.values())
        each = minutes / steps if steps else guess["cnn_minutes"] / most
        left = [(g, self.fractions[g.fraction]["steps"]) for g in self.groups_left()]
        cells = sum(len(self.seeds_left(g)) * n for g, n in left)
        teachers = {(f, n) for g, n in left for f in self.teachers(g)}
        cells += sum(n for f, n in teachers if not (f / "options.json").is_file())
        gans = sum(self.gan_minutes(*gan[:2]) for gan in self.gans_left())
        return (cells * each + gans) / 60

    def gan_minutes(self, fraction: int, source: str) -> float:
        """Return the minutes of a GAN: those of others of its kind here, or the guess."""
        found = []
        for seed in self.values["gan_seeds"]:
            path = self.gan_folder(fraction, source, seed) / "models/gan/options.json"
            try:
                found.append(json.loads(path.read_text())["training_seconds"] / 60)
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return sum(found) / len(found) if found else self.values["guess"]["gan_minutes"]

    def progress(self) -> str:
        """Return in one line how far the study is."""
        done, total = len(self.read_done()), len(self.groups) * len(self.values["cnn_seeds"])
        hours = self.hours_left()
        left = f"{hours:.1f} hours" if hours >= 1 else f"{math.ceil(60 * hours)} minutes"
        return f"study: {done} of {total} cells done" + f", about {left} left" * (done < total)
