"""The run: common flags, the split on disk, the options record, progress.

Every script starts with a `Run`, which loads the table, settles the split and knows what the outputs are made from; and
ends with `Run.finish(...)`, which writes `options.json` last, so that a folder without it is unfinished.
"""

import hashlib
import json
import os
import time
from pathlib import Path

from lesiongan import ROOT
from lesiongan.data import classes
from lesiongan.data.classes import PARTS, class_counts
from lesiongan.data.lesions import group_lesions
from lesiongan.data.split import split_table, subset
from lesiongan.data.tables import read_table
from lesiongan.files import checksums, errors, locks, records, writing
from lesiongan.files.errors import InputError
from lesiongan.run import checkpoints, machine
from lesiongan.run.code_hash import hash_code
from lesiongan.run.flags import NOT_IDENTITY

NO_DATA = (
    "no table: put Kaggle's hmnist_28_28_RGB.csv (and HAM10000_metadata.csv) into data/, or run `make data` to download "
    "them, or `python -m lesiongan.phantom` to draw phantom lesions; --data PATH names a table elsewhere"
)


def find_table(args):
    """Path of the table: --data, or the first hmnist_28_28_RGB.csv[.gz|.xz|.zst] in data/."""
    if args.data is not None:
        if len(args.data.splitlines()) > 1:
            raise InputError(f"--data {errors.printable(args.data)!r}: has a line break in its name; rename it")
        return Path(args.data)
    for suffix in ("", ".gz", ".xz", ".zst"):
        path = ROOT / "data" / (classes.TABLE_NAME + suffix)
        if path.is_file():
            return path
    raise InputError(NO_DATA)


class Run:
    """One run of one script: its table, split and identity.

    table: Table after --subset; parts: str (n,) train / val / test; identity: dict of everything the result depends
    on (options, data, split, hashes of input artifacts), whose hash is `fingerprint`.
    """

    def __init__(self, args, script):
        self.args, self.script, self.began = args, script, time.time()
        if args.deterministic:  # for JAX, and before it starts
            os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
        # Now: the commit and the code that run, whatever is checked out when it ends.
        self.all_code_sha256, self.code_sha256 = hash_code(script)
        self.environment = machine.environment() | {"deterministic": args.deterministic}
        self.table = group_lesions(read_table(find_table(args)), args.metadata)
        self.full_rows = len(self.table)
        if args.subset:
            self.table = subset(self.table, args.subset)
        self.parts = split_table(self.table, args.split, args.split_seed)
        t = self.table
        self.split_text = "row,lesion,part\n" + "".join(
            f"{r},{lesion},{p}\n" for r, lesion, p in zip(t.rows, t.lesions, self.parts, strict=True)
        )
        self.identity = {
            "script": script,
            "options": {
                k: errors.printable(v) if isinstance(v, str) else v
                for k, v in sorted(vars(args).items())
                if k not in NOT_IDENTITY
            },
            "data": {
                "name": errors.printable(Path(t.path).name),
                "sha256": t.sha256,
                "rows": self.full_rows,
                "phantom": t.is_phantom,
            },
            "split": {
                "protocol": ("lesion split" if args.split == "lesion" else "image split, leaky")
                + ("" if t.metadata is not None else f", no lesion ids: grouped by {t.grouping}")
                + (f", subset of {len(t)} images" if len(t) < self.full_rows else ""),
                "sha256": hashlib.sha256(self.split_text.encode()).hexdigest(),
                "split_seed": args.split_seed,
                "grouping": t.grouping,
                "images": {p: class_counts(t.labels[self.parts == p]) for p in PARTS},
            },
            "inputs": {},
        }

    @property
    def data_note(self):
        """'' for real data; what every figure and result of a phantom run says."""
        return "PHANTOM DATA: drawn by code, no medical meaning" if self.table.is_phantom else ""

    @property
    def figure_note(self):
        """What stands under every figure: that the data are phantoms, the split is leaky, lesions are guessed; or ''."""
        leaky = "LEAKY image split" if self.args.split == "image" else ""
        guessed = "" if self.table.metadata is not None else f"no lesion ids: grouped by {self.table.grouping}"
        return "; ".join(filter(None, (self.data_note, leaky, guessed)))

    @property
    def split(self):
        return self.identity["split"]

    @property
    def fingerprint(self):
        identity = {**self.identity, "data": {**self.identity["data"], "name": None}}
        return hashlib.sha256(json.dumps(identity, sort_keys=True, default=writing.json_default).encode()).hexdigest()

    @property
    def training_key(self):
        """The fingerprint with the training code, packages and backend: what must be the same to go on with a training."""
        ran_on = [self.environment[k] for k in ("packages", "backend", "deterministic")]
        same = [self.fingerprint, self.all_code_sha256, *ran_on]
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()

    def part(self, name):
        """(images uint8 (k, 28, 28, 3), labels int32 (k,)) of one part."""
        index = self.parts == name
        return self.table.images[index], self.table.labels[index]

    def lesions(self, name):
        """str (k,): the lesion of each image of one part."""
        return self.table.lesions[self.parts == name]

    def require_rgb28(self):
        """Trainers work on 28 x 28 colour alone: InputError naming the table's layout otherwise."""
        if self.table.layout != "hmnist_28_28_RGB":
            raise InputError(f"{self.table.path}: is {self.table.layout}; {self.script}.py needs hmnist_28_28_RGB "
                             "(eda.py draws the others)")  # fmt: skip
        empty = [p for p in PARTS if not (self.parts == p).any()]
        if empty:
            raise InputError(f"{self.table.path}: {len(self.table)} images leave the {empty[0]} part empty; use more")

    def settle_split(self):
        """Write outputs/split.csv, or check that the one there is this run's; InputError if it is not."""
        path = self.args.outputs_dir / "split.csv"
        record = path.with_suffix(".json")
        if path.is_file() and not self.has_split(path) and not self.args.if_stale:
            raise InputError(
                f"{path}: made from other data, --subset, --split or --split-seed than this run's; use the same flags for "
                "every script, another --outputs-dir and --models-dir, or delete it"
            )
        writing.write_text(path, self.split_text)
        writing.write_json(record, {"data": self.identity["data"], "split": self.split})
        writing.remove_leftovers(self.args.outputs_dir, older_than=3600)  # nobody locks this folder: one may be at work

    def has_split(self, path):
        """True if the file at `path` is this run's split.csv."""
        text = self.split_text.encode()
        return path.stat().st_size == len(text) and path.read_bytes() == text

    def add_input(self, name, path):
        """Record the hash of a file this run reads, as part of its identity; returns the hash."""
        self.identity["inputs"][name] = checksums.file_sha256(path)
        return self.identity["inputs"][name]

    def check_not_replaced(self, name, path):
        """InputError unless what has just been read from `path` is still the run's input `name`."""
        if checksums.file_sha256(path) != self.identity["inputs"][name]:
            raise InputError(f"{path}: was replaced while {self.script}.py ran; run it again")

    def check_made_from(self, options_path, made_by, shape=None):
        """The options.json of an artifact this run reads, refused unless it has this run's data and split.

        shape: what else must be in it, see records.find_fault.
        """
        record = records.read_json(options_path, made_by, shape)
        for what in ("data", "split"):
            theirs = record.get(what)
            if not isinstance(theirs, dict) or theirs.get("sha256") != self.identity[what]["sha256"]:
                name = "data" if what == "data" else "split (--subset, --split, --split-seed or --metadata differ)"
                raise InputError(f"{options_path}: made from other {name}; run {made_by} again with this run's flags")
        return record

    def is_current(self, options_path):
        """True if the outputs recorded in options.json are there, unchanged, from this identity: nothing is left to do.

        Asked only with --if-stale, or with --resume, which on a finished run has nothing to go on with. What was made
        without --deterministic, and not by TensorFlow on a CPU, does not do for a run with it (a record from before
        accelerators were named counts as of a CPU).
        """
        if not (self.args.if_stale or getattr(self.args, "resume", False)) or not Path(options_path).is_file():
            return False
        split = self.args.outputs_dir / "split.csv"
        try:
            record = records.read_json(options_path, self.script)
            outputs = record["outputs"].items()
            current = record["fingerprint"] == self.fingerprint and all(
                checksums.file_sha256(Path(options_path).parent / name) == digest for name, digest in outputs
            )
            ran = record["environment"]
            on_cpu = ran.get("backend") == "tensorflow" and not ran.get("accelerators")  # which always repeats itself
            if self.args.deterministic and not (on_cpu or ran["deterministic"]):
                return False
            if current and not split.is_file():  # someone cleared outputs/: that is no reason to train again
                self.settle_split()
            return current and self.has_split(split)
        except (InputError, OSError, KeyError, AttributeError, TypeError, ValueError):
            return False

    def can_resume(self, checkpoint):
        """True if --resume was given and there is a checkpoint of this very run.

        InputError if it is of another run, unless --if-stale asks for that to be replaced.
        """
        if not self.args.resume:
            return False
        if checkpoint.is_file() and checkpoints.is_state_of(checkpoint, self.training_key):
            return True
        if checkpoint.is_file() and not self.args.if_stale:
            raise InputError(f"{checkpoint}: damaged, or from a run with other data, options, code or packages; repeat its "
                             "flags at its commit, or drop --resume")  # fmt: skip
        why = (
            "the checkpoint is damaged, or of other data, options, code or packages"
            if checkpoint.is_file()
            else "no checkpoint"
        )
        print(f"  {why} in {checkpoint.parent}/: starting from the first epoch")
        return False

    def begin(self, options_path, *stale):
        """Settle the split, lock the folder, and take away options.json and the files of these patterns: what is there is
        unfinished now."""
        folder = locks.lock_folder(Path(options_path).parent)  # first: who waits for a folder changes nothing
        self.settle_split()
        for path in [Path(options_path), *(p for pattern in stale for p in folder.glob(pattern))]:
            path.unlink(missing_ok=True)

    def announce(self):
        """Print what the run is about to do; with --dry-run, all resolved options. Returns False to stop."""
        t, split = self.table, self.split
        counts = ", ".join(f"{(self.parts == p).sum()} {p}" for p in PARTS)
        print(
            f"{self.script}: {len(t)} images of {len(set(t.lesions))} lesions ({self.identity['data']['name']}, sha256 "
            f"{t.sha256[:12]})"
        )
        print(f"  split: {counts}; {split['protocol']}; grouped by {t.grouping}")
        for note in [*t.notes, self.data_note]:
            if note:
                print(f"  note: {note}")
        if self.args.dry_run:
            print(json.dumps(self.identity, indent=1, default=writing.json_default))
            return False
        return True

    def record(self, **outcome):
        """The options.json content: identity, fingerprint, environment, cost and outcome."""
        return {
            **self.identity,
            "fingerprint": self.fingerprint,
            "environment": self.environment | machine.accelerators(),
            "date": time.strftime("%Y-%m-%d %H:%M:%S"),
            "wall_seconds": round(time.time() - self.began, 1),
            "peak_gib": machine.peak_gib(),
            **outcome,
        }

    def finish(self, options_path, outputs, **outcome):
        """Write options.json with the hashes of `outputs`: the mark that they are complete."""
        folder = Path(options_path).parent
        hashes = {os.path.relpath(p, folder): checksums.file_sha256(p) for p in sorted(map(Path, outputs))}
        writing.write_json(options_path, self.record(outputs=hashes, **outcome))
        minutes = (time.time() - self.began) / 60
        print(f"{self.script}: done in {minutes:.1f} min -> {folder}/")
