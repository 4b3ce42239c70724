"""The flags of train_cnn.py, and what each means where it is left out."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from lesiongan.data import classes
from lesiongan.run import flags

# The judge is trained with this seed whatever --seed is, so that it is one instrument for all runs.
JUDGE_SEED = 10015
# A network that sees a small table for as many epochs as HAM10000 has learned nothing at their end:
# without --epochs and --steps it is trained for so many steps at least. HAM10000 gives 1980,
# and 1120 for the judge.
LEAST_STEPS = 400
# These are the values of flags left out. The judge keeps a recipe of its own; otherwise values
# measured with it could not be compared.
RECIPE = {
    "epochs": 36,
    "sampler": "natural",
    "optimizer": "muon",
    "stem": 2,
    "colour_gain": 0.06,
    "sharpness": 0.5,
    "keep": "last",
    "middle": 26,
    "synthetic_weight": 0.25,
}
JUDGE_RECIPE = {
    "epochs": 40,
    "sampler": "balanced",
    "optimizer": "adamw",
    "stem": 1,
    "colour_gain": 0.0,
    "sharpness": 0.0,
    "keep": "best",
    "middle": 28,
    "synthetic_weight": 1.0,
}
# Of these flags a record says something only where they are given.
UNUSED = {"soft_of": "synthetic", "least_agreement": 0.0, "finish_real": 0.0}


def parse(doc: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse train_cnn.py's command line and fill in every flag; `doc` is the script's docstring."""
    p = flags.parser(doc)
    add_data_flags(p)
    add_training_flags(p)
    add_teacher_flags(p)
    args = p.parse_args(argv)
    fill_in_role(args, p.error)
    check_ranges(args, p.error)
    check_teacher(args, p.error)
    return args


def add_data_flags(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("data")
    g.add_argument(
        "--synthetic",
        type=flags.named,
        metavar="PATH|none",
        help="synthetic images of any generator: a table, or a folder with pictures in "
        "images/<class>/ (default outputs/synthetic/...csv)",
    )
    g.add_argument(
        "--leaky-synthetic",
        action="store_true",
        help="take images of a generator that was trained under another split of this table; every "
        "output says so",
    )
    g.add_argument(
        "--real",
        type=flags.named,
        metavar="PATH|none",
        default="table",
        help="none trains on synthetic images alone; a path adds its rows to the train part",
    )
    g.add_argument(
        "--augment",
        choices=("none", "flips", "classic"),
        default="classic",
        help="classic: turns, mirroring, zoom, aspect, shift, brightness, contrast, colour cast",
    )
    g.add_argument(
        "--colour-gain",
        type=flags.number,
        metavar="G",
        help="classic multiplies each channel by exp(u), |u| < G; default 0.06, the judge's is 0",
    )
    g.add_argument(
        "--sharpness",
        type=flags.number,
        metavar="S",
        help="classic sharpens by -S / 5 to S (0.2 undoes resampling); default 0.5, judge 0",
    )
    g.add_argument(
        "--sampler",
        choices=("natural", "balanced"),
        help="default natural; the judge's is balanced",
    )
    g.add_argument(
        "--repeat-real",
        type=int,
        default=0,
        metavar="N",
        help="add N repeated real images (a control)",
    )
    g.add_argument(
        "--synthetic-weight",
        type=flags.number,
        metavar="W",
        help="loss weight of synthetic rows; default 0.25, by val (results/LOG.md)",
    )


def add_teacher_flags(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("soft labels")
    g.add_argument(
        "--soft-labels",
        type=flags.named,
        nargs="+",
        metavar="NETWORK",
        help="learn what these classifiers (classifier.keras, of this data and split) say of the "
        "synthetic images, in place of their labels",
    )
    g.add_argument(
        "--soft-of",
        choices=("synthetic", "all"),
        default="synthetic",
        help="all: of the real images too (a control, with --synthetic none of these alone)",
    )
    g.add_argument(
        "--least-agreement",
        type=flags.number,
        default=0.0,
        metavar="P",
        help="leave out synthetic images to which the classifiers give less than P of their label",
    )
    g.add_argument(
        "--finish-real",
        type=flags.number,
        default=0.0,
        metavar="F",
        help="the last share F of the training steps is on real images alone",
    )


def add_training_flags(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("training")
    g.add_argument(
        "--role",
        choices=("classifier", "control", "judge"),
        default="classifier",
        help="control: real images alone; judge: the measuring instrument of synthetic images",
    )
    g.add_argument(
        "--task",
        choices=("dx", "malignancy"),
        default="dx",
        help="the seven diagnoses, or benign / malignant",
    )
    g.add_argument(
        "--clinical",
        action="store_true",
        help="the network takes age, sex and site of the metadata beside the image, each of which "
        "may be unknown; it is kept in models/clinical/",
    )
    g.add_argument("--batch", type=flags.positive, default=128, help="images a step")
    g.add_argument(
        "--steps", type=flags.positive, metavar="N", help="training steps, instead of --epochs"
    )
    g.add_argument(
        "--optimizer", choices=("muon", "adamw"), help="default muon; the judge's is adamw"
    )
    g.add_argument(
        "--learning-rate", type=flags.number, help="default 6e-3 for muon, 2e-3 for adamw"
    )
    g.add_argument("--weight-decay", type=flags.number, default=0.02, help="decoupled, as in AdamW")
    g.add_argument(
        "--stem",
        "--stem-stride",
        type=int,
        choices=(1, 2),
        help="stride of the first convolution; default 2, the judge's is 1",
    )
    g.add_argument(
        "--width",
        type=flags.positive,
        help="its channels; default 48 after a stem of 2, 32 after 1",
    )
    g.add_argument(
        "--middle",
        "--centre-crop",
        type=int,
        choices=range(14, 29, 2),
        help="side of the middle that the trained network is shown, enlarged to 28; default 26, "
        "the judge's and after --augment none or flips 28: the whole",
    )
    g.add_argument(
        "--keep",
        choices=("best", "last"),
        help="epoch whose weights are kept; default last, the judge's is best: least val log-loss",
    )
    g.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    flags.add_tensorboard(g)
    g.add_argument(
        "--export",
        type=flags.several_of(("onnx",)),
        default=(),
        metavar="FORMAT[,FORMAT]",
        help="onnx: also write classifier.onnx, for programs without Keras; default: none",
    )


def fill_in_role(args: argparse.Namespace, refuse: Callable[[str], object]) -> None:
    """Set what the command line left out, which depends on the role; refuse what contradicts it."""
    if args.role == "judge":
        if args.task != "dx" or args.synthetic not in (None, "none") or args.real != "table":
            refuse(
                "--role judge takes no --task, --synthetic or --real: it is trained on real images "
                "alone"
            )
        args.seed = JUDGE_SEED
    if args.clinical and (args.role != "classifier" or args.task != "dx"):
        refuse("--clinical goes with --role classifier and --task dx, which are the defaults")
    if args.role == "control" and args.synthetic not in (None, "none"):
        refuse("--role control is real images alone: --synthetic contradicts it")
    if args.augment != "classic":
        # A network that is trained on images as they are is shown images as they are.
        fill_in(args, {"middle": 28})
        if (args.colour_gain, args.sharpness) != (None, None):
            refuse("--colour-gain and --sharpness are of --augment classic, the default")
    if args.epochs and args.steps:
        refuse("--epochs and --steps both say how long to train; give one of them")
    args.least_steps = 0 if args.epochs or args.steps else LEAST_STEPS
    fill_in(args, JUDGE_RECIPE if args.role == "judge" else RECIPE)
    fill_in(
        args,
        {
            "learning_rate": {"muon": 6e-3, "adamw": 2e-3}[args.optimizer],
            "width": {1: 32, 2: 48}[args.stem],
        },
    )
    if args.role != "classifier":
        args.synthetic = "none"
    elif args.synthetic is None:
        args.synthetic = str(args.outputs_dir / "synthetic" / classes.TABLE_NAME)


def check_ranges(args: argparse.Namespace, refuse: Callable[[str], object]) -> None:
    """Refuse numbers out of range, and a training on nothing."""
    if args.repeat_real > 10**9 or (args.repeat_real and args.real == "none"):
        refuse(
            "--repeat-real takes at most a billion images, and real ones: --real none contradicts "
            "it"
        )
    if args.synthetic == "none" and args.real == "none":
        refuse("--synthetic none and --real none leave nothing to train on")
    if (
        not args.synthetic_weight > 0
        or args.learning_rate <= 0
        or min(args.repeat_real, args.weight_decay) < 0
    ):
        refuse(
            "--synthetic-weight and --learning-rate must be above 0, --repeat-real and "
            "--weight-decay at least 0"
        )
    if not 0 <= args.colour_gain <= 1:
        refuse("--colour-gain must be in [0, 1]")
    if not 0 <= args.sharpness <= 5:
        refuse("--sharpness must be in [0, 5]")


def check_teacher(args: argparse.Namespace, refuse: Callable[[str], object]) -> None:
    """Refuse flags of soft labels that contradict each other or the others."""
    if not 0 <= args.least_agreement <= 1 or not 0 <= args.finish_real < 1:
        refuse("--least-agreement must be in [0, 1], --finish-real in [0, 1)")
    if args.least_agreement and not args.soft_labels:
        refuse("--least-agreement asks the classifiers that --soft-labels names")
    if args.finish_real and (args.real == "none" or args.sampler == "balanced"):
        refuse("--finish-real needs real images, and goes with --sampler natural")
    if args.soft_of != "synthetic" and not args.soft_labels:
        refuse("--soft-of goes with --soft-labels, which names the classifiers that it asks")
    if not args.soft_labels:
        return
    if args.task != "dx" or args.role != "classifier" or args.sampler == "balanced":
        refuse("--soft-labels goes with --role classifier, --task dx and --sampler natural")
    if args.real not in ("table", "none") and args.soft_of == "synthetic":
        refuse(
            "--soft-labels: images that --real adds would keep a mix of classes of their own; give "
            "--soft-of all"
        )
    if args.synthetic == "none" and args.least_agreement:
        refuse("--least-agreement leaves out synthetic images, and --synthetic none has none")
    if args.synthetic == "none" and args.soft_of == "synthetic":
        refuse("--soft-labels: without synthetic images, --soft-of all softens those of real ones")


def fill_in(args: argparse.Namespace, defaults: dict[str, Any]) -> None:
    """Set the flags that the command line left out."""
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
