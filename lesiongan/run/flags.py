"""The command line: the flags that all scripts share, and the types of their values."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lesiongan.data.protocols import SPLITS
from lesiongan.files.errors import printable


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help that gives the default of every flag whose own help text does not."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        said = "default" in (action.help or "") or any(
            action.default is v for v in (None, False, argparse.SUPPRESS)
        )
        return action.help if said else f"{action.help} (default %(default)s)"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line each; `doc` is the docstring that --help shows."""

    def __init__(self, doc: str | None):
        super().__init__(description=doc, formatter_class=HelpFormatter)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, without the usage, and exit with code 2."""
        # Messages of our own begin with the flag that is wrong, and say what to do.
        hint = "" if message.startswith("--") else "; --help lists the flags"
        self.exit(2, f"{self.prog}: error: {printable(message)}{hint}\n")


def parser(doc: str | None, split_file: bool = False) -> Parser:
    """Return a parser with the flags that all scripts share; `doc` is the script's docstring.

    split_file: --split may also name a split.csv (evaluate.py checks which).
    """
    p = Parser(doc)
    g = p.add_argument_group("common to all scripts")
    g.add_argument(
        "--data",
        type=named,
        metavar="PATH",
        help="table: Kaggle's CSV (plain, gz, xz, zst, zip) or dermamnist.npz (default: in data/)",
    )
    g.add_argument(
        "--metadata",
        type=named,
        metavar="PATH",
        default="auto",
        help="HAM10000_metadata.csv; none groups near-duplicate images (default: beside the table)",
    )
    g.add_argument(
        "--label-order",
        type=named,
        default="auto",
        metavar="ORDER",
        help="what the table's class codes stand for: kaggle, alphabetical (4 mel, 5 nv, 6 vasc), "
        "or the seven names in order; default by counts, or kaggle (of an npz, alphabetical)",
    )
    g.add_argument(
        "--trust-row-order",
        action="store_true",
        help="use lesion ids that do not fit the images; every output says so",
    )
    g.add_argument(
        "--seed", type=seed, default=0, help="weights, order and sampling; never moves the split"
    )
    g.add_argument("--split-seed", type=seed, default=0, help="alone moves the split")
    g.add_argument(
        "--split",
        type=named,
        choices=None if split_file else SPLITS,
        default="lesion",
        metavar="{" + ",".join([*SPLITS, *["FILE"] * split_file]) + "}",
        help="image reproduces the leaky protocol of older work; official keeps the split that an "
        "npz such as dermamnist.npz has" + ("; a split.csv with --from-predictions" * split_file),
    )
    g.add_argument(
        "--subset", type=positive, metavar="N", help="about N images: whole lesions of every class"
    )
    g.add_argument(
        "--train-fraction",
        type=fraction,
        default=1.0,
        metavar="F",
        help="train on this fraction of the train lesions alone, 3 of each class at least; val and "
        "test stay as they are",
    )
    g.add_argument(
        "--train-share",
        choices=("own", "others"),
        default="own",
        help="own: the fraction's lesions; others: all other train lesions, as somebody else's",
    )
    g.add_argument(
        "--epochs", type=positive, help="training epochs (default GAN 200, CNN 36, judge 40)"
    )
    g.add_argument(
        "--deterministic",
        action="store_true",
        help="bit-equal repeats on a GPU too, at a cost in speed; TensorFlow on a CPU always does",
    )
    g.add_argument("--dry-run", action="store_true", help="print the resolved options and stop")
    g.add_argument("--quiet", action="store_true", help="print errors alone")
    g.add_argument(
        "--log-json",
        type=path,
        metavar="FILE",
        help="also add what happens to a log for programs, one JSON object a line",
    )
    g.add_argument(
        "--if-stale",
        action="store_true",
        help="train and compute nothing if the outputs come from this data and these options",
    )
    g.add_argument(
        "--models-dir",
        type=path,
        default=Path("models"),
        metavar="DIR",
        help="folder of the networks",
    )
    g.add_argument(
        "--outputs-dir",
        type=path,
        default=Path("outputs"),
        metavar="DIR",
        help="folder of all else",
    )
    return p


def add_tensorboard(group: argparse._ArgumentGroup) -> None:
    """Add --tensorboard to a group of flags."""
    group.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write a log for TensorBoard, in the folder tensorboard beside the network",
    )


def several_of(allowed: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """Return an argparse type that parses names separated by commas, as --export takes them.

    allowed: the names there are. A value is a tuple of those that were asked for, in the order of
    `allowed` and each once.
    """

    def parse(text: str) -> tuple[str, ...]:
        asked = [name.strip() for name in text.split(",")]
        unknown = [name for name in asked if name not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(allowed)}")
        return tuple(name for name in allowed if name in asked)

    return parse


def number(text: str) -> float:
    """Parse a finite number (an argparse type)."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{value} is not finite")
    return value


def named(text: str) -> str:
    """Parse text that is not empty (an argparse type), such as a path.

    An empty one comes from a variable that is not set. It would count as a flag left out, or as the
    folder one stands in.
    """
    if not text:
        raise argparse.ArgumentTypeError("an empty value; leave the flag out, or give it one")
    return text


def path(text: str) -> Path:
    """Parse a path that is not empty (an argparse type)."""
    return Path(named(text))


def fraction(text: str) -> float:
    """Parse a number above 0 and up to 1 (an argparse type)."""
    value = number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{value:g} is not above 0 and up to 1")
    return value


# No count of images, steps or channels is larger, in use or in any machine's memory.
MOST = 10**9


def positive(text: str) -> int:
    """Parse a whole number from 1 to MOST (an argparse type)."""
    value = int(text)
    if not 1 <= value <= MOST:
        raise argparse.ArgumentTypeError(f"{value} is not from 1 to {MOST}")
    return value


def seed(text: str) -> int:
    """Parse a seed that NumPy and Keras both take (an argparse type)."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{value} is not from 0 to {2**32 - 1}")
    return value
