"""The identity of a result: everything that it depends on, built once and frozen."""

import argparse
import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from lesiongan.data import protocols
from lesiongan.files import errors, writing

# These flags say where things are and how the script is called, not what it computes, so they are
# no part of an identity. How the table is read shows in its hash and in the split's protocol, and
# of synthetic sets the hashes are among the inputs.
NOT_IDENTITY = {
    "data",
    "metadata",
    "label_order",
    "trust_row_order",
    # The record of the split holds both.
    "train_fraction",
    "train_share",
    "deterministic",
    "dry_run",
    "quiet",
    "log_json",
    "tensorboard",
    "if_stale",
    "resume",
    "snapshots",
    "models_dir",
    "weights",
    "outputs_dir",
    "out",
    "export",
    "medmnist_csv",
    "isic_submission",
    # These belong to `evaluate.py --image`, which has no record of its own.
    "image",
    "json",
    "map",
    "crop",
    "age",
    "sex",
    "site",
    "synthetic",
    "leaky_synthetic",
}


def options_of(
    args: argparse.Namespace, without: Collection[str] = (), **other: Any
) -> dict[str, Any]:
    """Return {flag: value} of a command line, for the flags that are part of an identity.

    without: flags that are not, besides NOT_IDENTITY; other: values that replace those of flags.
    """
    kept = {k: v for k, v in vars(args).items() if k not in NOT_IDENTITY and k not in without}
    values = {k: errors.printable(v) if isinstance(v, str) else v for k, v in kept.items()}
    return dict(sorted((values | other).items()))


@dataclass(frozen=True)
class Identity:
    """Everything that a result depends on.

    script, options: name of the script and its flags; data, split: as Inputs has them; inputs:
    {name: SHA-256} of files.
    """

    script: str
    options: dict
    data: dict
    split: dict
    inputs: dict

    def record(self) -> dict[str, Any]:
        """Return the identity as a dict, for options.json."""
        return asdict(self)

    @property
    def fingerprint(self) -> str:
        """The hex SHA-256 of the identity; the table's name is no part of it."""
        protocol = protocols.leave_name_out(self.split["protocol"], self.data["name"])
        same = self.record() | {"data": {**self.data, "name": None}}
        same["split"] = {**self.split, "protocol": protocol}
        text = json.dumps(same, sort_keys=True, default=writing.json_default)
        return hashlib.sha256(text.encode()).hexdigest()
