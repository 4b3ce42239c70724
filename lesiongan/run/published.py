"""The published networks: trained once on HAM10000 and kept in weights/, for use without training.

weights/ is laid out like models/, with nearest.npz, class_means.npz, MODEL_CARD.md, card.json and
SHA256SUMS beside the networks. `--weights published` reads networks from there. What they were
trained on is in card.json, so that no table is needed to draw synthetic images or to classify
photographs.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lesiongan import ROOT
from lesiongan.files import checksums, records
from lesiongan.files.errors import InputError
from lesiongan.run.inputs import Origin

FOLDER = ROOT / "weights"
SUMS, CARD_NAME = "SHA256SUMS", "card.json"
NETWORKS = {
    "generator": "gan/generator.keras",
    "classifier": "cnn/classifier.keras",
    "judge": "judge/classifier.keras",
}
NEAREST, CLASS_MEANS = "nearest.npz", "class_means.npz"
LICENCE = "CC BY-NC 4.0, see weights/LICENSE"
CARD = {
    "commit": str,
    "data": {"name": str, "sha256": str, "rows": int, "phantom": bool},
    "split": {
        "protocol": str,
        "sha256": str,
        "grouping": str,
        "images": {"train": [int], "val": [int], "test": [int]},
    },
}
"""What a run needs of card.json, as a shape for records.find_fault."""


def add_flag(group: Any) -> None:
    """Add --weights to a group of flags of a script that loads networks."""
    group.add_argument(
        "--weights",
        choices=("published",),
        help="use the networks of weights/, trained on HAM10000, instead of those in --models-dir",
    )


def settle_flag(args: argparse.Namespace, refuse: Callable[[str], object]) -> None:
    """Point args.models_dir to the published networks if --weights asks for them.

    refuse: called with the text of a contradiction, as argparse's `error`.
    """
    if not args.weights:
        return
    if args.models_dir != Path("models"):
        refuse("--weights published and --models-dir both name the networks: leave one out")
    args.models_dir = FOLDER


def read_sums() -> dict[str, str]:
    """Return {file relative to weights/: SHA-256} of SHA256SUMS."""
    try:
        lines = (FOLDER / SUMS).read_text(encoding="utf-8").splitlines()
        found = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        found = {}
    records_of = [f"{file.split('/')[0]}/options.json" for file in NETWORKS.values()]
    # A list that leaves a file out would let any file pass in its place.
    if not {*NETWORKS.values(), *records_of, NEAREST, CLASS_MEANS, CARD_NAME} <= set(found):
        raise InputError(
            f"{FOLDER / SUMS}: missing or damaged; restore it with `git checkout weights`, or "
            "clone the repository again"
        )
    return found


def read_card() -> dict[str, Any]:
    """Return card.json after checking every file of weights/ against SHA256SUMS.

    Raises InputError if one is missing or is not the published one.
    """
    for name, digest in read_sums().items():
        path = FOLDER / name
        if not path.is_file() or checksums.file_sha256(path) != digest:
            what = "is not the published file" if path.is_file() else "no such file"
            raise InputError(
                f"{path}: {what} (SHA256SUMS); restore it with `git checkout weights`, or clone "
                "the repository again"
            )
    return records.read_json(FOLDER / CARD_NAME, "git checkout weights", CARD)


def read_origin() -> Origin:
    """Return the Origin (data and split) of the published networks."""
    card = read_card()
    return Origin(card["data"], card["split"])


def describe() -> str:
    """Return one line that says which networks --weights published means."""
    card = read_card()
    return (
        f"published networks of weights/, trained on {card['data']['name']} at commit "
        f"{card['commit']}; {LICENCE}"
    )


@functools.cache
def published_hashes() -> dict[str, str]:
    """Return {SHA-256: name} of the published networks; it is empty where there are none."""
    try:
        sums = read_sums()
    except InputError:
        return {}
    return {sums[file]: name for name, file in NETWORKS.items() if file in sums}


def identify_networks(hashes: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return {name: {"sha256", "published"}} for {name: SHA-256 of a network's file}.

    published is True for a network of weights/, wherever the file lay when it was read.
    """
    known = published_hashes()
    return {name: {"sha256": h, "published": h in known} for name, h in hashes.items()}
