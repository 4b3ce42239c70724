"""How many copies of photographs are found, and how many unseen lesions are taken for copies.

    python -m benchmarks.copies --data data/hmnist_28_28_RGB.csv  # minutes -> results/copies.csv

Images are changed in one way after another: turned, brightened, darkened, multiplied, with noise,
saved as JPEG, mixed with a neighbour. Two things are counted. `copy` and `near` are of changed val
images, compared with the val part as train_cnn.py compares a synthetic set with the held-out
images: one copy refuses a set, and near images do if chance cannot give so many. `memorisation`,
`copies` and `mixtures` are of changed train images, compared with the train part as evaluate.py
does. The last row is of val images as they are, compared with the train part; there the thresholds
are from one half of val and the shares from the other. The test part is not read.
"""

import io
from pathlib import Path

import numpy as np

from lesiongan import ROOT
from lesiongan.data.near_duplicates import dihedral_views
from lesiongan.files import writing
from lesiongan.files.progress import progress
from lesiongan.measures import copies, distances, memorisation, mixtures
from lesiongan.run import flags, machine, script
from lesiongan.run.inputs import load_inputs

MEASURES = ("memorisation", "copies", "mixtures")
UNSEEN = "unseen lesions"


def to_pixels(values):
    """Return floats as uint8, rounded and cut at 0 and 255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def turn(images):
    """Return images (n, 28, 28, 3), each in another of the 8 flips and turns."""
    views = dihedral_views(images)
    return np.stack([views[i % 8][i] for i in range(len(images))])


def save_as_jpeg(images, quality):
    """Return images as a JPEG file of that quality gives them back."""
    from PIL import Image

    out = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        out.append(np.array(Image.open(file)))
    return np.stack(out)


def mix(images, labels, pool, pool_labels, rng, neighbours):
    """Return images mixed with one of their class in the pool, with weights of .3 to .7.

    The partner is one of the `neighbours` nearest in pixels, or any if that is None.
    """
    partners = np.empty_like(images)
    flat = pool.reshape(len(pool), -1).astype(np.float64)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        own = np.flatnonzero(pool_labels == label)
        if neighbours is not None:
            d = distances.squared_distances(image.reshape(1, -1).astype(np.float64), flat[own])[0]
            # The nearest is the image itself.
            own = own[np.argsort(d)[1 : neighbours + 1]]
        partners[i] = pool[rng.choice(own)]
    weight = rng.uniform(0.3, 0.7, (len(images), 1, 1, 1))
    return to_pixels(weight * images + (1 - weight) * partners)


def list_changes(rng, pool, pool_labels):
    """Return {name: function of (images, labels) to changed images}.

    pool, pool_labels: the images with which a mixture is made.
    """

    def bright(by):
        return lambda x, y: to_pixels(x + float(by))

    def noisy(sd):
        return lambda x, y: to_pixels(x + rng.normal(0, sd, x.shape))

    def mixed(neighbours):
        return lambda x, y: mix(x, y, pool, pool_labels, rng, neighbours)

    return {
        "none": lambda x, y: x,
        "8 flips and turns": lambda x, y: turn(x),
        **{f"brightness {by:+d}": bright(by) for by in (-25, -10, -5, 5, 10, 25)},
        **{f"gain {gain}": (lambda x, y, g=gain: to_pixels(x * g)) for gain in (0.9, 1.1)},
        **{f"noise of sd {sd}": noisy(sd) for sd in (2, 5, 10)},
        "JPEG of quality 75": lambda x, y: save_as_jpeg(x, 75),
        "turned, brightness +10, noise of sd 5": lambda x, y: noisy(5)(bright(10)(turn(x), y), y),
        "mixed with one of 5 neighbours": mixed(5),
        "mixed with any of the class": mixed(None),
    }


def build_rulers(train, lesions):
    """Return {name in MEASURES: function of (images, lesions=None) to distances (n,)}."""

    def memorised(images, own=None):
        return memorisation.nearest(images, train, None if own is None else (own, lesions))[0]

    found = memorised, copies.ruler(train, lesions), mixtures.ruler(train, lesions)
    return dict(zip(MEASURES, found, strict=True))


def measure_unseen(inputs, rulers):
    """Return (row of unseen lesions, {measure: threshold of all of val}, distances of copies)."""
    val, names = inputs.part("val")[0], inputs.lesions("val")
    codes = np.unique(names, return_inverse=True)[1]
    half = codes % 2 == 0
    row, thresholds = {}, {}
    for name, ruler in rulers.items():
        d = ruler(val, names)
        thresholds[name] = float(np.quantile(d, 0.01))
        shares = [d[a] < np.quantile(d[b], 0.01) for a, b in ((half, ~half), (~half, half))]
        row[name] = float(np.concatenate(shares).mean())
        if name == "copies":
            relative = d
    row |= {
        "copy": float((relative < copies.COPY_DISTANCE).mean()),
        "near": float((relative < copies.NEAR_DISTANCE).mean()),
    }
    return {"images": len(val)} | row, thresholds, relative


def measure(inputs, n, seed):
    """Return (rows {change: {column: value}}, facts for the record) of n images of each part."""
    rng = np.random.default_rng([0, seed])
    rulers = build_rulers(inputs.part("train")[0], inputs.lesions("train"))
    unseen, thresholds, relative = measure_unseen(inputs, rulers)
    chosen = {}
    for part in ("val", "train"):
        images, labels = inputs.part(part)
        at = rng.permutation(len(labels))[:n]
        chosen[part] = images[at], labels[at]
    rows, bar = {}, None
    pools = {part: inputs.part(part) for part in chosen}
    changes = {part: list_changes(rng, *pools[part]) for part in chosen}
    bar = progress(len(changes["val"]), 0, "copies", "change")
    for name in changes["val"]:
        changed = changes["val"][name](*chosen["val"])
        d, _ = copies.nearest(changed, pools["val"][0])
        rows[name] = {
            "images": len(changed),
            "copy": float((d < copies.COPY_DISTANCE).mean()),
            "near": float((d < copies.NEAR_DISTANCE).mean()),
        }
        changed = changes["train"][name](*chosen["train"])
        for key, ruler in rulers.items():
            rows[name][key] = float((ruler(changed) < thresholds[key]).mean())
        bar.update()
    bar.close()
    near = int((relative < copies.NEAR_DISTANCE).sum())
    facts = {
        "thresholds": thresholds,
        "unseen_images": len(relative),
        "unseen_near": near,
        "unseen_near_allowed": copies.most_by_chance(len(relative)),
        "unseen_nearest": float(relative.min()),
    }
    return rows | {UNSEEN: unseen}, facts


def main(argv=None):
    p = flags.parser(__doc__)
    p.add_argument("--images", type=flags.positive, default=300, help="images of each change")
    p.add_argument("--out", default=ROOT / "results" / "copies.csv", help="where the table goes")
    args = p.parse_args(argv)
    inputs = load_inputs(args)
    inputs.require_rgb28("copies")
    rows, facts = measure(inputs, args.images, args.seed)
    names = ("images", "copy", "near", *MEASURES)
    columns = {"change": [f'"{name}"' if "," in name else name for name in rows]}
    columns |= {name: [row[name] for row in rows.values()] for name in names}
    out = Path(args.out)
    writing.write_csv(out, columns)
    record = {
        "command": f"python -m benchmarks.copies --images {args.images} --seed {args.seed}",
        "seed": args.seed,
        "data": inputs.data,
        "split": inputs.split["protocol"],
        **facts,
        "environment": machine.environment(),
    }
    writing.write_json(out.with_suffix(".json"), record)
    print(out.read_text(), end="")


if __name__ == "__main__":
    script.script_main(main)
