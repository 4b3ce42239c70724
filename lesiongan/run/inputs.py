"""What a run works on: the table and its split, loaded once and frozen."""

import argparse
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lesiongan import ROOT
from lesiongan.data import classes, protocols
from lesiongan.data.classes import PARTS, class_counts
from lesiongan.data.lesions import group_lesions
from lesiongan.data.split import own_part, split_table, subset
from lesiongan.data.tables import Table, read_table
from lesiongan.files import errors, records
from lesiongan.files.errors import InputError

NO_DATA = (
    "no table: put Kaggle's hmnist_28_28_RGB.csv (and HAM10000_metadata.csv) into data/, or "
    "run `make data` to download them; --data PATH names a table elsewhere, such as "
    "data/phantom/hmnist_28_28_RGB.csv, which `python -m lesiongan.phantom` draws"
)


def find_table(path: str | None = None) -> Path:
    """Return the table's path: --data, or the first hmnist_28_28_RGB.csv[.gz|.xz|.zst] in data/.

    Raises InputError if there is none.
    """
    if path is not None:
        if len(path.splitlines()) > 1:
            name = errors.printable(path)
            raise InputError(f"--data {name!r}: has a line break in its name; rename it")
        return Path(path)
    names = [classes.TABLE_NAME + suffix for suffix in ("", ".gz", ".xz", ".zst", ".zip")]
    for name in [*names, "dermamnist.npz"]:
        there = ROOT / "data" / name
        if there.is_file():
            return there
    raise InputError(NO_DATA)


@dataclass(frozen=True)
class Origin:
    """Which table and split something is of, as records say it.

    data: name, sha256, rows and phantom of the table; split: protocol, sha256, split_seed, grouping
    and the images of each part by class.
    """

    data: dict
    split: dict
    split_text = None
    """Without the table there is no split.csv to write."""

    @property
    def data_note(self) -> str:
        """What every figure and result of a phantom run says; '' for real data."""
        return "PHANTOM DATA: drawn by code, no medical meaning" if self.data["phantom"] else ""

    def train_counts(self) -> np.ndarray:
        """Return int64 (7,): the number of images of each class in the train part."""
        return np.array(self.split["images"]["train"], dtype=np.int64)

    def describe(self) -> list[str]:
        """Return the lines that tell what a run works on."""
        return [
            f"by networks of {self.data['name']} (sha256 {self.data['sha256'][:12]}), a table "
            "that is not needed here",
            f"  their split: {self.split['protocol']}; grouped by {self.split['grouping']}",
        ]

    def check_made_from(
        self, record_path: Path | str, made_by: str, shape: dict | None = None
    ) -> dict[str, Any]:
        """Return the record of an artifact that was made from this data and split.

        shape: what else must be in it, see records.find_fault. Raises InputError if the artifact
        was made from other data or another split.
        """
        record = records.read_json(record_path, made_by, shape)
        for what, ours in (("data", self.data), ("split", self.split)):
            theirs = record.get(what)
            if not isinstance(theirs, dict) or theirs.get("sha256") != ours["sha256"]:
                flags = " (--subset, --split, --split-seed, --train-fraction or --metadata differ)"
                name = what + flags * (what == "split")
                raise InputError(
                    f"{record_path}: made from other {name}; run {made_by} again with this run's "
                    "flags"
                )
        return record


@dataclass(frozen=True)
class Inputs(Origin):
    """A table and the part of the split that each of its images is in.

    table: Table after --subset; parts: str (n,) train / val / test, and with a --train-fraction
    also the share of the train lesions that is not trained on, own or others; split_text: the
    content of split.csv, which names both shares.
    """

    table: Table
    parts: np.ndarray
    # Origin has None in its place.
    split_text: str  # type: ignore[assignment]

    @property
    def figure_note(self) -> str:
        """What stands under every figure: phantom data, a leaky split, guessed lesions, or ''."""
        leaky = protocols.warn_of(self.split["protocol"])
        grouping = self.table.grouping
        guessed = "" if self.table.metadata is not None else f"no lesion ids: grouped by {grouping}"
        order = self.table.order_note
        return "; ".join(filter(None, (self.data_note, leaky, guessed, order)))

    def describe(self) -> list[str]:
        """Return the lines that tell what a run works on."""
        table = self.table
        counts = ", ".join(f"{(self.parts == p).sum()} {p}" for p in PARTS)
        source = f"({self.data['name']}, sha256 {table.sha256[:12]})"
        return [
            f"{len(table)} images of {len(set(table.lesions))} lesions {source}",
            f"  split: {counts}; {self.split['protocol']}; grouped by {table.grouping}",
            *(f"  note: {note}" for note in [*table.notes, self.data_note] if note),
        ]

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return (images uint8 (k, 28, 28, 3), labels int32 (k,)) of one part."""
        index = self.parts == name
        return self.table.images[index], self.table.labels[index]

    def lesions(self, name: str) -> np.ndarray:
        """Return str (k,): the lesion of each image of one part."""
        return self.table.lesions[self.parts == name]

    def of_share(self, share: str | None) -> "Inputs":
        """Return the same inputs with the other share of the train lesions as the train part.

        share: own, others, or None without a --train-fraction, which changes nothing.
        """
        ours = self.split.get("train_share")
        if share is None or ours is None or share == ours:
            return self
        parts = np.where(self.parts == "train", ours, self.parts)
        fraction = self.split["train_fraction"]
        before, after = (name_share(fraction, s) for s in (ours, share))
        split = self.split | {
            "protocol": self.split["protocol"].replace(before, after, 1),
            "train_share": share,
        }
        parts = np.where(self.parts == share, "train", parts)
        counts = class_counts(self.table.labels[parts == "train"]).tolist()
        split["images"] = self.split["images"] | {"train": counts}
        return replace(self, parts=parts, split=split)

    def require_rgb28(self, script: str) -> None:
        """Raise InputError unless the table is of 28 x 28 colour images, some in every part."""
        if self.table.layout != "hmnist_28_28_RGB":
            raise InputError(
                f"{self.table.path}: is {self.table.layout}; {script}.py needs hmnist_28_28_RGB "
                "(eda.py draws the others)"
            )
        empty = [p for p in PARTS if not (self.parts == p).any()]
        if empty:
            raise InputError(
                f"{self.table.path}: {len(self.table)} images leave the {empty[0]} part empty; "
                + ("change --train-fraction" if self.split.get("train_share") else "use more")
            )


kept: dict[tuple, Table] | None = None
"""Tables by the flags that they were read by, once keep_tables() was called."""


def keep_tables() -> None:
    """Read each table once from now on, for the later runs of this process too.

    Reading and grouping take some seconds, for which a process that trains many networks need not
    wait again. What a run says of its table, the hash too, is of what was read.
    """
    global kept
    kept = {}


def read_grouped(args: argparse.Namespace) -> Table:
    """Return the table that the flags name, with its lesions."""
    key = (args.data, args.label_order, args.metadata, args.trust_row_order)
    if kept is not None and key in kept:
        return kept[key]
    table = read_table(find_table(args.data), args.label_order)
    group_lesions(table, args.metadata, trust=args.trust_row_order)
    if kept is not None:
        kept[key] = table
    return table


def check_share(args: argparse.Namespace) -> None:
    """Raise InputError unless --train-fraction and --train-share go with the other flags."""
    if args.train_fraction == 1 and args.train_share == "others":
        raise InputError(
            "--train-share others: with all train lesions there are no others; give a "
            "--train-fraction below 1"
        )
    if args.train_fraction < 1 and args.split != "lesion":
        raise InputError(
            f"--train-fraction {args.train_fraction:g}: is a fraction of lesions; it needs --split "
            "lesion"
        )


def choose_share(
    table: Table, parts: np.ndarray, args: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray]:
    """Return (the parts of a run, the parts that split.csv names), each str (n,).

    With a --train-fraction split.csv names both shares, so that it is one file for both, and the
    run's train part is the share that it asks for.
    """
    if args.train_fraction == 1:
        return parts, parts
    named = own_part(table, parts, args.train_fraction, args.split_seed)
    return np.where(named == args.train_share, "train", named), named


def describe_share(args: argparse.Namespace) -> str:
    """Return what the protocol says of the share of the train lesions that is trained on."""
    if args.train_fraction == 1:
        return ""
    return name_share(args.train_fraction, args.train_share)


def name_share(fraction: float, share: str) -> str:
    """Return how the protocol ends for a share, own or others, of a fraction below 1."""
    percent = f"{100 * fraction:g} %"
    whose = {"own": percent, "others": f"all but {percent}"}[share]
    return f", {whose} of the train lesions"


def load_inputs(args: argparse.Namespace) -> Inputs:
    """Return the Inputs that the common flags ask for; raise InputError if they cannot be had."""
    if args.split == "official" and args.split_seed:
        raise InputError(
            f"--split-seed {args.split_seed}: an official split is the file's own and has no seed; "
            "leave --split-seed out"
        )
    check_share(args)
    table = read_grouped(args)
    # A subset is of the whole table's split, so whether that leaks is asked of the whole table.
    rows, protocol = len(table), protocols.name_split(table, args.split)
    if args.subset:
        table = subset(table, args.subset)
    parts, named = choose_share(table, split_table(table, args.split, args.split_seed), args)
    protocol += describe_share(args)
    lines = zip(table.rows, table.lesions, named, strict=True)
    split_text = "row,lesion,part\n" + "".join(f"{r},{lesion},{p}\n" for r, lesion, p in lines)
    if table.metadata is None:
        protocol += f", no lesion ids: grouped by {table.grouping}"
    if table.order_note:
        protocol += f", {table.order_note}"
    if len(table) < rows:
        protocol += f", subset of {len(table)} images"
    data = {
        "name": errors.printable(Path(table.path).name),
        "sha256": table.sha256,
        "rows": rows,
        "phantom": table.is_phantom,
    }
    split = {
        "protocol": protocol,
        "sha256": hashlib.sha256(split_text.encode()).hexdigest(),
        "split_seed": args.split_seed,
        "grouping": table.grouping,
        "images": {p: class_counts(table.labels[parts == p]) for p in PARTS},
    }
    if args.train_fraction < 1:
        split |= {"train_fraction": args.train_fraction, "train_share": args.train_share}
    return Inputs(data, split, table, parts, split_text)
