"""The flags of train_gan.py."""

import argparse
from collections.abc import Callable, Sequence

from lesiongan.data.classes import CLASSES
from lesiongan.run import flags, published

# These flags do not change the generator, only what is drawn from it. Those of the second line are
# on record for a set only where they are given, so that older records stay valid.
SAMPLING = (
    "samples",
    "class_mix",
    "no_png",
    "sample_only",
    "classes",
    "least_images",
    "latent_scale",
    "candidates",
    "export",
    "image_grid",
)
SAMPLING_ON_RECORD = ("samples", "class_mix", "no_png", "seed")
SAMPLING_IF_GIVEN = {
    "classes": CLASSES,
    "least_images": 1,
    "latent_scale": 1.0,
    "candidates": 1,
    "export": (),
    "image_grid": False,
}
# Of these flags the record of a training says something only where they are given.
UNUSED = {"generators": 1}
MOST_CANDIDATES, MOST_GENERATORS = 100, 10
EXPORTS = ("npz", "folders", "dataset.json", "onnx")


def parse(doc: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line of train_gan.py; `doc` is the script's docstring."""
    p = flags.parser(doc)
    g = p.add_argument_group("GAN")
    g.add_argument(
        "--batch",
        type=flags.positive,
        default=64,
        help="real images a step, and as many generated ones",
    )
    g.add_argument(
        "--learning-rate", type=flags.number, default=5e-4, help="Adam's, of both networks"
    )
    g.add_argument(
        "--penalty", type=flags.number, default=0.005, help="weight of the squared gradient norms"
    )
    g.add_argument(
        "--label-power",
        type=flags.number,
        default=0.5,
        help="classes are drawn in proportion to count^P: 1 natural, 0 balanced",
    )
    g.add_argument(
        "--augment",
        type=flags.number,
        default=0.3,
        help="probability of the critic's shift and zoom",
    )
    g.add_argument(
        "--width", type=flags.positive, default=64, help="channels at 7 x 7; half of it at 14 x 14"
    )
    g.add_argument(
        "--generators",
        type=flags.positive,
        default=1,
        metavar="G",
        help="train G generators one after another, with seeds from --seed on, and draw each image "
        "by one of them, from latents 1.05 times as wide as in training: nearer to real images, in "
        "G times the time (default 1)",
    )
    g.add_argument(
        "--grid-every", type=flags.positive, default=10, help="epochs between sample grids"
    )
    g.add_argument(
        "--snapshots",
        action="store_true",
        help="keep the generator of every grid, in models/gan/snapshots/",
    )
    g.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    flags.add_tensorboard(g)
    g = p.add_argument_group("synthetic set")
    g.add_argument("--samples", type=flags.positive, default=1000, help="synthetic images to write")
    g.add_argument(
        "--class-mix",
        type=flags.named,
        default="balanced",
        help=f"balanced, train, or seven weights in the order {','.join(CLASSES)}",
    )
    g.add_argument(
        "--classes",
        type=flags.several_of(CLASSES),
        default=CLASSES,
        metavar="C[,C]",
        help="draw these classes alone, for example mel,df (default all)",
    )
    g.add_argument(
        "--least-images",
        type=flags.positive,
        default=1,
        metavar="N",
        help="draw no class of which the generator saw fewer real images than this",
    )
    g.add_argument(
        "--latent-scale",
        type=flags.number,
        default=1.0,
        metavar="S",
        help="draw latents S times as wide: above 1 images vary more, below 1 they are more "
        "typical of their class; grids keep theirs",
    )
    g.add_argument(
        "--candidates",
        type=flags.positive,
        default=1,
        metavar="K",
        help="draw K images for each and keep one by chance, so that each class has on average the "
        "detail, contrast and colours of its train images (default 1: keep all; 8 is enough)",
    )
    g.add_argument(
        "--export",
        type=flags.several_of(EXPORTS),
        default=(),
        metavar="F[,F]",
        help="also write npz (DermaMNIST's layout), dataset.json (StyleGAN's labels), folders "
        "(images/<class>/, for Keras and PyTorch: written anyway, unless --no-png), or onnx: the "
        "generator for programs without Keras; default: none",
    )
    g.add_argument(
        "--image-grid",
        action="store_true",
        help="also write image_grid.png: every class, drawn from the same twelve latents",
    )
    g.add_argument("--no-png", action="store_true", help="write the CSV alone, for large sets")
    g.add_argument(
        "--sample-only", action="store_true", help="only write images from the saved generator"
    )
    g.add_argument(
        "--out", type=flags.path, help="folder of the synthetic set (default outputs/synthetic)"
    )
    published.add_flag(g)
    args = p.parse_args(argv)
    check_sampling(args, p.error)
    args.epochs = args.epochs or 200
    args.out = args.out or args.outputs_dir / "synthetic"
    if not 0 <= args.augment <= 1:
        p.error(f"--augment {args.augment}: a probability, from 0 to 1")
    if not 0 <= args.label_power <= 1:
        p.error(f"--label-power {args.label_power}: from 0 (balanced) to 1 (natural)")
    if args.learning_rate <= 0 or args.penalty < 0:
        p.error("--learning-rate must be above 0 and --penalty at least 0")
    if args.generators > MOST_GENERATORS:
        p.error(f"--generators {args.generators}: at most {MOST_GENERATORS}")
    if args.seed + args.generators > 2**32:
        p.error(f"--seed {args.seed}: the last of {args.generators} generators has no seed left")
    if args.width % 8:
        p.error(f"--width {args.width}: must be a multiple of 8")
    if args.sample_only and args.resume:
        p.error("--sample-only and --resume contradict each other: sampling trains nothing")
    return args


def list_unnamed(args: argparse.Namespace) -> list[str]:
    """Return the flags that are not on record of a generator.

    They change only what is drawn from it, or are not used.
    """
    return [*SAMPLING, *(name for name, value in UNUSED.items() if vars(args)[name] == value)]


def check_sampling(args: argparse.Namespace, refuse: Callable[[str], object]) -> None:
    """Refuse flags of the synthetic set that contradict each other."""
    if not 0 < args.latent_scale <= 10:
        refuse(f"--latent-scale {args.latent_scale:g}: above 0, and at most 10")
    if args.candidates > MOST_CANDIDATES:
        refuse(f"--candidates {args.candidates}: at most {MOST_CANDIDATES}")
    pictures = [e for e in args.export if e in ("folders", "dataset.json")]
    if args.no_png and pictures:
        refuse(f"--export {pictures[0]} needs the PNG files: leave out --no-png")
    if args.weights:
        if not args.sample_only:
            refuse("--weights published trains nothing: add --sample-only")
        moved = args.split != "lesion" or args.split_seed or args.train_fraction < 1
        moved = moved or args.train_share != "own" or args.label_order != "auto"
        moved = moved or args.trust_row_order
        if args.data or args.metadata != "auto" or args.subset or moved:
            refuse(
                "--weights published draws without a table: leave out --data, --metadata, "
                "--label-order, --trust-row-order, --subset, --split, --split-seed, "
                "--train-fraction and --train-share"
            )
    published.settle_flag(args, refuse)
