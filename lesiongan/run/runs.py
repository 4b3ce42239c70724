"""One run of one script: its arguments, what it works on, and the code and machine that run."""

import argparse
import json
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lesiongan.files import checksums, telling, writing
from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.run import keras_setup, machine, published
from lesiongan.run.code_hash import hash_code
from lesiongan.run.identity import Identity, options_of
from lesiongan.run.inputs import Origin, load_inputs
from lesiongan.run.packages import check_formats, check_packages


def check_torch(args: argparse.Namespace) -> None:
    """Raise InputError for what Keras cannot do on torch."""
    if os.environ.get("KERAS_BACKEND") != "torch":
        return
    if args.deterministic:
        raise InputError(
            "--deterministic: works with KERAS_BACKEND=tensorflow and jax; leave it out"
        )
    if args.seed >= 1 << 31:
        raise InputError(f"--seed {args.seed}: with KERAS_BACKEND=torch a seed is below 2147483648")


class Run:
    """One run of a script.

    inputs: Inputs, or the Origin that is given to a run that needs no table; files: {name: SHA-256}
    of the files read so far; origins: {name: "made elsewhere"} of the synthetic sets among them
    that train_gan.py did not write; environment: see machine.
    """

    def __init__(self, args: argparse.Namespace, script: str, origin: Origin | None = None) -> None:
        self.args, self.script, self.began = args, script, time.time()
        telling.start(script, args.quiet, args.log_json)
        check_packages(needs_networks=script != "eda")
        check_formats(getattr(args, "export", ()))
        check_formats(["tensorboard"] if getattr(args, "tensorboard", False) else ())
        check_torch(args)
        # JAX reads this variable when it starts, so it is set before that.
        if args.deterministic:
            flags = os.environ.get("XLA_FLAGS", "")
            os.environ["XLA_FLAGS"] = flags + " --xla_gpu_deterministic_ops=true"
        # Both are read now, because another commit may be checked out when the run ends.
        self.all_code_sha256, self.code_sha256 = hash_code(script)
        self.environment = machine.environment() | {"deterministic": args.deterministic}
        self.inputs: Any = origin or load_inputs(args)
        self.files: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        self.keras_started = False

    def hash_file(self, name: str, path: Path | str) -> str:
        """Note the hash of a file that this run reads, for its identity, and return it."""
        self.files[name] = checksums.file_sha256(path)
        return self.files[name]

    def check_not_replaced(self, name: str, path: Path | str) -> None:
        """Raise InputError unless what was just read from `path` is still the file `name`."""
        if checksums.file_sha256(path) != self.files[name]:
            raise InputError(f"{path}: was replaced while {self.script}.py ran; run it again")

    def identify(self, without: Collection[str] = (), **options: Any) -> Identity:
        """Return the Identity of what comes of the files noted so far.

        See options_of for the arguments.
        """
        chosen = options_of(self.args, without, **options)
        return Identity(self.script, chosen, self.inputs.data, self.inputs.split, dict(self.files))

    def start_keras(self) -> None:
        """Import keras and print which backend runs on what; do nothing if this run has done so."""
        if not self.keras_started:
            keras_setup.quiet_tensorflow(self.args.deterministic)
            say(f"  backend: {machine.describe_backend()}")
            self.keras_started = True

    def announce(self, without: Collection[str] = ()) -> bool:
        """Print what the run is about to do, with --dry-run all options too.

        Returns False if the run should stop there.
        """
        shown = {k: v for k, v in self.inputs.data.items() if k in ("name", "sha256", "rows")}
        telling.event("start", data=shown, seed=self.args.seed, code_sha256=self.code_sha256)
        first, *others = self.inputs.describe()
        say(f"{self.script}: {first}")
        for line in others:
            say(line)
        if getattr(self.args, "weights", None):
            say(f"  {published.describe()}")
        if self.args.dry_run:
            identity = self.identify(without).record()
            say(json.dumps(identity, indent=1, default=writing.json_default))
        return not self.args.dry_run
