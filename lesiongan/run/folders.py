"""The folder of a result: whether it is current, begun, resumed or finished.

options.json is written last, so a folder without it is unfinished.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lesiongan import ROOT
from lesiongan.files import checksums, claims, locks, records, writing
from lesiongan.files.errors import InputError
from lesiongan.files.telling import event, say
from lesiongan.run import checkpoints, machine
from lesiongan.run.identity import Identity
from lesiongan.run.runs import Run


class ResultFolder:
    """A folder in which a run leaves its result.

    record_path: its options.json; identity: Identity of the result; training_key: hex SHA-256 of
    what must be the same for a training to go on: the fingerprint, all code, packages, backend and
    determinism.
    """

    def __init__(self, run: Run, record_path: Path | str, identity: Identity) -> None:
        self.run, self.identity = run, identity
        self.record_path = Path(record_path)
        self.path = self.record_path.parent
        self.checkpoint = self.path / "checkpoint.npz"
        ran_on = [run.environment[k] for k in ("packages", "backend", "deterministic")]
        same = [identity.fingerprint, run.all_code_sha256, *ran_on]
        self.training_key = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()

    def is_current(self) -> bool:
        """Return True if nothing is left to do: the outputs on record are there and unchanged.

        They must be of this identity. The answer is always False without --if-stale and without
        --resume (on a finished run, --resume has nothing to go on with). A run with --deterministic
        needs outputs that were made with it or by TensorFlow on a CPU (a record from before
        accelerators were named counts as of a CPU).
        """
        args = self.run.args
        if not (args.if_stale or getattr(args, "resume", False)) or not self.record_path.is_file():
            return False
        split = args.outputs_dir / "split.csv"
        try:
            record = records.read_json(self.record_path, self.run.script)
            current = record["fingerprint"] == self.identity.fingerprint and all(
                checksums.file_sha256(self.path / name) == digest
                for name, digest in record["outputs"].items()
            )
            ran = record["environment"]
            # TensorFlow on a CPU gives equal repeats with and without --deterministic.
            on_cpu = ran.get("backend") == "tensorflow" and not ran.get("accelerators")
            if args.deterministic and not (on_cpu or ran["deterministic"]):
                return False
            if current and not split.is_file():
                # A missing split.csv alone (outputs/ was cleared) is no reason to train again.
                settle_split(self.run)
            return current and has_split(self.run, split)
        except (InputError, OSError, KeyError, AttributeError, TypeError, ValueError):
            return False

    def can_resume(self) -> bool:
        """Return True if --resume was given and there is a checkpoint of this very run.

        Raises InputError if it is of another run, unless --if-stale asks for it to be replaced.
        """
        if not self.run.args.resume:
            return False
        there = self.checkpoint.is_file()
        if there and checkpoints.is_state_of(self.checkpoint, self.training_key):
            return True
        if there and not self.run.args.if_stale:
            raise InputError(
                f"{self.checkpoint}: damaged, or from a run with other data, options, code or "
                "packages; repeat its flags at its commit, or drop --resume"
            )
        damaged = "the checkpoint is damaged, or of other data, options, code or packages"
        why = damaged if there else "no checkpoint"
        say(f"  {why} in {self.path}/: starting from the first epoch")
        return False

    def begin(self, intended: Iterable[str], stale: Iterable[str] = ()) -> None:
        """Lock the folder, settle the split, and remove options.json: the result is unfinished now.

        intended: names of the files that the run may write, relative to the folder; stale: patterns
        of files of earlier runs that are removed. InputError if a file is in the way that no run on
        record here wrote.
        """
        if self.path.resolve().is_relative_to((ROOT / "weights").resolve()):
            raise InputError(
                f"{self.path}: is the place of the published networks; name another folder by "
                "--models-dir or --outputs-dir"
            )
        # The lock comes first, so that a run that cannot have the folder changes nothing.
        locks.lock_folder(self.path)
        names = [*intended, self.record_path.name]
        claims.check(self.path, names, self.read_outputs())
        # A run that is refused here has made no file its own yet.
        settle_split(self.run)
        mine = claims.claim(self.path, names, self.read_outputs())
        self.record_path.unlink(missing_ok=True)
        claims.remove(self.path, [n for n in mine if any(fnmatch(n, p) for p in stale)])

    def read_record(self) -> dict[str, Any] | None:
        """Return the folder's options.json, or None if it is missing or unreadable."""
        try:
            if self.record_path.exists():
                return records.read_json(self.record_path, self.run.script, {"outputs": {...: str}})
        except InputError:
            # What cannot be read proves nothing; the folder's own list may.
            pass
        return None

    def read_outputs(self) -> list[str]:
        """Return the names of the files that the folder's record gives as its own, and its own."""
        found = self.read_record()
        return [*found["outputs"], self.record_path.name] if found else []

    def read_current(self) -> set[str]:
        """Return the names of outputs on record that are of this identity, there and unchanged."""
        found = self.read_record()
        if not found or found.get("fingerprint") != self.identity.fingerprint:
            return set()
        there = {n: d for n, d in found["outputs"].items() if (self.path / n).is_file()}
        return {n for n, d in there.items() if checksums.file_sha256(self.path / n) == d}

    def record(self, **outcome: Any) -> dict[str, Any]:
        """Return the content of options.json: identity, fingerprint, environment, cost, outcome."""
        return {
            **self.identity.record(),
            "fingerprint": self.identity.fingerprint,
            "environment": self.run.environment | machine.accelerators(),
            "date": time.strftime("%Y-%m-%d %H:%M:%S"),
            "wall_seconds": round(time.time() - self.run.began, 1),
            "peak_gib": machine.peak_gib(),
            **outcome,
        }

    def finish(self, outputs: Iterable[Path | str], **outcome: Any) -> None:
        """Write options.json with the hashes of `outputs`, which marks them as complete."""
        names = {relative(p, self.path): p for p in sorted(map(Path, outputs))}
        hashes = {name: checksums.file_sha256(p) for name, p in names.items()}
        writing.write_json(self.record_path, self.record(outputs=hashes, **outcome))
        self.checkpoint.unlink(missing_ok=True)
        mine = {*claims.read_claims(self.path), *names}
        claims.write_claims(self.path, [n for n in mine if (self.path / n).exists()])
        seconds = time.time() - self.run.began
        say(f"{self.run.script}: done in {seconds / 60:.1f} min -> {self.path}/")
        event("finished", folder=str(self.path), seconds=round(seconds, 1), outputs=sorted(names))

    def add_export(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a finished result in another form, by write(path), and note its hash on record.

        `name` is that of the file in the folder. It is no output: without it the result is as
        complete as before.
        """
        locks.lock_folder(self.path)
        claims.claim(self.path, [name], self.read_outputs())
        write(self.path / name)
        record = records.read_json(self.record_path, self.run.script, {"outputs": {...: str}})
        hashes = {name: checksums.file_sha256(self.path / name)}
        record["exports"] = record.get("exports", {}) | hashes
        writing.write_json(self.record_path, record)


def relative(path: Path | str, folder: Path | str) -> str:
    """Return a path as a name relative to a folder, with forward slashes on every system."""
    return Path(os.path.relpath(path, folder)).as_posix()


def settle_split(run: Run) -> None:
    """Write outputs/split.csv; raise InputError if the one that is there is not this run's.

    A run without a table has none. With --if-stale it is replaced instead.
    """
    if run.inputs.split_text is None:
        return
    folder = run.args.outputs_dir
    path = folder / "split.csv"
    names = [path.name, path.with_suffix(".json").name]
    claims.claim(writing.ensure_folder(folder), names, names if is_own_split(path) else ())
    if path.is_file() and not has_split(run, path) and not run.args.if_stale:
        raise InputError(
            f"{path}: made from other data, --subset, --split or --split-seed than this run's; use "
            "the same flags for every script, another --outputs-dir and --models-dir, or delete it"
        )
    writing.write_text(path, run.inputs.split_text)
    record = {"data": run.inputs.data, "split": run.inputs.split}
    writing.write_json(path.with_suffix(".json"), record)
    # This folder has no lock, so another process may be writing here: only old leftovers go.
    writing.remove_leftovers(folder, older_than=3600)


def is_own_split(path: Path) -> bool:
    """Return True if split.csv and the split.json beside it were written by one run."""
    try:
        record = records.read_json(path.with_suffix(".json"), "a script")
        return record["split"]["sha256"] == checksums.file_sha256(path)
    except (InputError, KeyError, TypeError):
        return False


def has_split(run: Run, path: Path) -> bool:
    """Return True if the file at `path` is this run's split.csv, or the run has none."""
    if run.inputs.split_text is None:
        return True
    text = run.inputs.split_text.encode()
    return path.stat().st_size == len(text) and path.read_bytes() == text
