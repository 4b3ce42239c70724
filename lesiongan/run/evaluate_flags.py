"""The flags of evaluate.py."""

import argparse
from collections.abc import Callable, Sequence

from lesiongan.data import clinical, photographs
from lesiongan.data.protocols import SPLITS
from lesiongan.run import flags, published


def parse(doc: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line of evaluate.py; `doc` is the script's docstring."""
    p = flags.parser(doc, split_file=True)
    g = p.add_argument_group("evaluation")
    g.add_argument(
        "--views",
        type=int,
        choices=(1, 8),
        default=8,
        help="flips and turns averaged in each prediction",
    )
    g.add_argument(
        "--external",
        type=flags.named,
        metavar="TABLE",
        help="score this table instead of the test part",
    )
    g.add_argument(
        "--external-metadata",
        type=flags.named,
        metavar="CSV",
        default="none",
        help="its lesion and image ids, in the format of HAM10000_metadata.csv",
    )
    g.add_argument(
        "--isic-submission",
        type=flags.named,
        metavar="FILE",
        help="also write the predictions in the ISIC challenge's format",
    )
    g.add_argument(
        "--synthetic",
        type=flags.named,
        metavar="SET",
        nargs="+",
        help="measure these synthetic sets of any generator side by side, on val, and nothing "
        "else: tables, or folders with pictures in images/<class>/",
    )
    g.add_argument(
        "--medmnist-csv",
        type=flags.named,
        metavar="DIR",
        help="also write the predictions into this folder as the evaluator of MedMNIST reads them "
        "(with --split official)",
    )
    g.add_argument(
        "--from-predictions",
        type=flags.named,
        metavar="CSV",
        help="recompute the estimates from a predictions.csv",
    )
    g.add_argument(
        "--predictions-only",
        action="store_true",
        help="write predictions.csv and context.json alone, in seconds, in the place of an earlier "
        "evaluation; --from-predictions computes the estimates from them",
    )
    published.add_flag(g)
    add_image_flags(p)
    args = p.parse_args(argv)
    check_image_flags(args, p.error)
    published.settle_flag(args, p.error)
    check_medmnist(args, p.error)
    if args.predictions_only and any(
        (args.external, args.image, args.synthetic, args.from_predictions)
    ):
        p.error(
            "--predictions-only is of the test part: it takes no --external, --image, --synthetic "
            "or --from-predictions"
        )
    if args.external_metadata != "none" and not (args.external or args.weights):
        p.error("--external-metadata is of the table that --external names")
    if (args.synthetic or args.from_predictions) and args.views != 8:
        p.error("--views: --synthetic and --from-predictions make no predictions; leave it out")
    if args.from_predictions:
        if args.split in SPLITS:
            p.error(
                "--from-predictions needs --split PATH of the split.csv the predictions were made "
                "under"
            )
        if args.external or args.isic_submission or args.synthetic:
            p.error(
                "--from-predictions computes from files alone: it takes no --external, "
                "--synthetic or --isic-submission"
            )
    elif args.synthetic and (args.external or args.isic_submission):
        p.error("--synthetic measures sets alone: it takes no --external or --isic-submission")
    elif args.split not in SPLITS:
        p.error(
            "--split takes lesion, image or official (a split.csv only with --from-predictions)"
        )
    return args


def add_image_flags(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("photographs")
    g.add_argument(
        "--image",
        type=flags.named,
        nargs="+",
        metavar="PATH",
        help="classify these photographs and those in these folders (JPEG, PNG, TIFF, BMP, WebP; "
        "any size), instead of the test part",
    )
    g.add_argument(
        "--age",
        type=age,
        metavar="YEARS",
        help="with --image: the patient's age; this, --sex and --site ask the network of "
        "train_cnn.py --clinical, and what is left out is unknown to it",
    )
    g.add_argument("--sex", choices=clinical.SEXES, help="with --image: the patient's sex")
    g.add_argument(
        "--site",
        choices=clinical.SITES,
        metavar="SITE",
        help=f"with --image: where the lesion is: {', '.join(clinical.SITES)}",
    )
    g.add_argument(
        "--json", type=flags.path, metavar="FILE", help="also write the answers to this file"
    )
    g.add_argument(
        "--map",
        choices=("none", "occlusion", "gradcam"),
        default="none",
        help="draw which part of each photograph speaks for the diagnosis, in outputs/predictions/",
    )
    g.add_argument(
        "--crop",
        choices=photographs.CROPS,
        default="full",
        help="full: 4:3 or square, whichever leaves less out, squeezed as HAM10000's are; centre: "
        "the largest square",
    )


def age(text: str) -> float:
    """Return the age in years that a flag names."""
    years = flags.number(text)
    if not 0 <= years <= clinical.OLDEST:
        raise argparse.ArgumentTypeError(f"{text}: an age in years, from 0 to {clinical.OLDEST}")
    return years


def check_image_flags(args: argparse.Namespace, refuse: Callable[[str], object]) -> None:
    """Refuse flags of --image without it, and flags that contradict it."""
    if not args.image:
        told = [args.age, args.sex, args.site] != [None] * 3
        if args.json or args.map != "none" or args.crop != "full" or told:
            refuse(
                "--json, --map, --crop, --age, --sex and --site belong to --image: name the "
                "photographs by it"
            )
        return
    if args.json and args.log_json and args.json.resolve() == args.log_json.resolve():
        refuse("--json and --log-json name the same file; name two")
    if args.external or args.from_predictions or args.subset or args.synthetic:
        refuse(
            "--image classifies photographs: leave out --external, --from-predictions, --synthetic "
            "and --subset"
        )
    if args.split != "lesion" or args.split_seed or args.train_fraction < 1 or args.medmnist_csv:
        refuse(
            "--image needs no split: leave out --split, --split-seed, --train-fraction and "
            "--medmnist-csv"
        )
    if args.views != 8:
        refuse("--image averages 8 views, for which the probabilities are calibrated: no --views")


def check_medmnist(args: argparse.Namespace, refuse: Callable[[str], object]) -> None:
    """Refuse --medmnist-csv for anything but the whole test part of an npz."""
    if args.medmnist_csv is not None and (
        args.split != "official"
        or args.subset
        or args.external
        or args.from_predictions
        or args.synthetic
    ):
        refuse(
            "--medmnist-csv is of an npz's own test part: it needs --split official, and takes no "
            "--subset, --external, --synthetic or --from-predictions"
        )
