"""What a classifier learns from: real, repeated, added and synthetic images, in batches."""

import numpy as np

from lesiongan.data import clinical
from lesiongan.data.classes import CLASSES
from lesiongan.data.split import half_a
from lesiongan.files.telling import say
from lesiongan.measures import copies, teacher
from lesiongan.nets import set_sources
from lesiongan.run import streams

# With --clinical, all values are forgotten in half this share of the images, and each in this share
# of the rest.
FORGET = 0.3


def gather(run):
    """Return (images uint8, labels int32, weights float32, number of synthetic rows) to train on.

    Real rows come first, then repeats, then synthetic rows. Synthetic rows are read from their own
    file, so they cannot reach val or test. If train_gan.py drew them, provenance.json must name
    this run's split of this data, or other data, which every output then names; no set may hold val
    or test images.
    """
    args, inputs = run.args, run.inputs
    images, labels = inputs.part("train")
    if args.role == "judge":
        keep = half_a(inputs.table, inputs.parts)[inputs.parts == "train"]
        images, labels = images[keep], labels[keep]
    images, labels, weights = [images], [labels], [np.ones(len(labels), np.float32)]
    if args.repeat_real:
        again = choose_repeats(args, len(labels[0]))
        images.append(images[0][again])
        labels.append(labels[0][again])
        weights.append(np.ones(args.repeat_real, np.float32))
    if args.real == "none":
        images, labels, weights = [], [], []
    elif args.real != "table":
        added = set_sources.read_rgb28(args.real)
        run.files["real"] = added.sha256
        for note in added.notes:
            say(f"  note: {added.path}: {note}")
        copies.refuse_held_out(inputs, "--real", args.real, added.images, real=True)
        append_rows(added, 1.0, images, labels, weights)
    if args.synthetic != "none":
        made = set_sources.read_set(run, "synthetic", args.synthetic).table
        # Provenance can be forged, or the generator be another's that has seen the test part.
        copies.refuse_held_out(inputs, "--synthetic", made.path, made.images)
        append_rows(made, args.synthetic_weight, images, labels, weights)
    synthetic = len(labels[-1]) if args.synthetic != "none" else 0
    return np.concatenate(images), np.concatenate(labels), np.concatenate(weights), synthetic


def append_rows(table, weight, images, labels, weights):
    """Append the rows of a 28 x 28 RGB table to the pool's lists."""
    images.append(table.images)
    labels.append(table.labels)
    weights.append(np.full(len(table), weight, np.float32))


def choose_repeats(args, n):
    """Return the positions (k,) among n real images of those that --repeat-real repeats."""
    rng = np.random.default_rng([args.seed, streams.REPEATED_IMAGES])
    return rng.integers(n, size=args.repeat_real)


def gather_clinical(run, n):
    """Return ({age, sex, site} of a pool of n, the same of val); (None, None) without --clinical.

    Nothing is known of images that are not of the table: synthetic ones and those of --real.
    """
    args, table, parts = run.args, run.inputs.table, run.inputs.parts
    if not args.clinical:
        return None, None
    clinical.require(table.metadata, table.path)
    run.files["metadata"] = table.metadata_sha256
    values = clinical.encode(table.metadata, len(table))
    train, val = (clinical.take(values, np.flatnonzero(parts == p)) for p in ("train", "val"))
    known = [] if args.real == "none" else [train]
    if args.repeat_real:
        known.append(clinical.take(train, choose_repeats(args, len(train["age"]))))
    left = n - sum(len(part["age"]) for part in known)
    return clinical.join([*known, clinical.unknown(left)]), val


def soften_labels(run, images, labels, weights, synthetic):
    """Return (images, soft labels, weights, labels, number of synthetic rows) of what is kept.

    Soft labels are float32 (n, 7): the teachers' probabilities of synthetic rows (and with
    --soft-of all of real ones), else 1 for the label. Synthetic rows on whose label the teachers
    do not agree are left out.
    """
    args, real = run.args, len(labels) - synthetic
    soft = np.eye(len(CLASSES), dtype=np.float32)[labels]
    first = 0 if args.soft_of == "all" else real
    soft[first:] = teacher.soften(run, args.soft_labels, images[first:])
    kept = np.ones(len(labels), dtype=bool)
    if synthetic:
        kept[real:] = teacher.keep_agreeing(soft[real:], labels[real:], args.least_agreement)
    return images[kept], soft[kept], weights[kept], labels[kept], int(kept[real:].sum())


def build_batches(images, targets, weights, args, known=None, finish=None):
    """Return a function of the training step that gives (images float32, targets, weights).

    A batch depends on the seed and the step alone. known: {age, sex, site} of the images; then the
    first of the three is a dict of them and of the images, some of the values made unknown. finish:
    (step, n): from this step on batches are of the first n images, the real ones, alone.
    """
    members = []
    if args.sampler == "balanced":
        members = [np.flatnonzero(targets == c) for c in np.unique(targets)]
    orders: dict[tuple[int, int], np.ndarray] = {}

    def shuffled(number, size):
        """Return `size` positions in the order of pass `number` over the pool."""
        if (number, size) not in orders:
            orders.clear()
            orders[number, size] = np.random.default_rng(
                [args.seed, streams.IMAGE_ORDER, number]
            ).permutation(size)
        return orders[number, size]

    def choose(step):
        if args.sampler == "balanced":
            rng = np.random.default_rng([args.seed, streams.BALANCED_BATCHES, step])
            return np.array(
                [rng.choice(members[c]) for c in rng.integers(len(members), size=args.batch)]
            )
        size = finish[1] if finish and step >= finish[0] else len(targets)
        at = np.arange(step * args.batch, (step + 1) * args.batch)
        return np.concatenate(
            [shuffled(n, size)[at[at // size == n] % size] for n in np.unique(at // size)]
        )

    def batch(step):
        index = choose(step)
        x = images[index].astype(np.float32)
        if known is not None:
            rng = np.random.default_rng([args.seed, streams.FORGOTTEN, step])
            x = {"image": x, **clinical.forget(clinical.take(known, index), FORGET, rng)}
        return x, targets[index], weights[index]

    return batch
