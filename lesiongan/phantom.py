"""Draw phantom lesions: a table in Kaggle's layout, made by code, for machines without HAM10000.

    python -m lesiongan.phantom                        # 600 images -> data/phantom/
    python train_gan.py --data data/phantom/hmnist_28_28_RGB.csv

The command writes hmnist_28_28_RGB.csv and HAM10000_metadata.csv and takes seconds. A picture shows
skin in uneven light and a lesion with an irregular border, pigment texture, and the colours and
structures of its class. Some lesions have several photographs, and the classes are as imbalanced as
in HAM10000. The pictures exercise the pipeline and have no medical meaning. Every image carries a
mark in its lowest bits (see PHANTOM_BITS in lesiongan/data/classes.py), by which every later output
says that it was made from phantom lesions.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lesiongan import ROOT
from lesiongan.data import classes, tables
from lesiongan.data.classes import CLASSES, HAM10000_COUNTS, IMAGE_SHAPE, mark_as_phantom
from lesiongan.data.tables import read_table
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.run import flags, script

# A photograph is drawn at three times its size (pixels a side), then area-averaged.
FINE = 84
# Every class has at least this many images, whatever --rows is.
LEAST_IMAGES = 12

# Each class has a mean colour of the lesion (RGB) and its spread, a radius (share of the image's
# width), an irregularity of the border, an asymmetry of colour (patches) and a contrast of the
# pigment texture. The values are read off dermoscopy atlases and simplified.
LOOKS: dict[str, dict[str, Any]] = {
    "akiec": dict(
        colour=(186, 112, 104), spread=14, radius=0.30, border=0.16, patches=0.35, texture=0.10
    ),
    "bcc": dict(
        colour=(190, 125, 128), spread=15, radius=0.26, border=0.12, patches=0.30, texture=0.05
    ),
    "bkl": dict(
        colour=(150, 105, 82), spread=20, radius=0.31, border=0.10, patches=0.20, texture=0.16
    ),
    "df": dict(
        colour=(172, 124, 108), spread=10, radius=0.25, border=0.05, patches=0.08, texture=0.06
    ),
    "nv": dict(
        colour=(126, 80, 68), spread=22, radius=0.24, border=0.06, patches=0.10, texture=0.09
    ),
    "vasc": dict(
        colour=(150, 46, 72), spread=18, radius=0.24, border=0.08, patches=0.15, texture=0.04
    ),
    "mel": dict(
        colour=(84, 58, 60), spread=20, radius=0.33, border=0.20, patches=0.55, texture=0.14
    ),
}
DX_TYPES = ("histo", "follow_up", "consensus", "confocal")
SITES = (
    "back",
    "lower extremity",
    "trunk",
    "upper extremity",
    "abdomen",
    "face",
    "chest",
    "scalp",
    "unknown",
)


def smooth_noise(rng, scale, size=FINE):
    """Return noise, float (size, size), with a mean of 0 and a standard deviation of 1.

    It is correlated over about `scale` pixels (Gaussian spectrum).
    """
    f = np.fft.fftfreq(size)
    low_pass = np.exp(-2 * (np.pi * scale) ** 2 * (f[:, None] ** 2 + f[None] ** 2) / 4)
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * low_pass).real
    return (field - field.mean()) / (field.std() + 1e-9)


def draw_lesion(rng, name):
    """Return what all photographs of a lesion share: a dict of colours, outline and structures."""
    look = LOOKS[name]
    return {
        "name": name,
        "skin": np.array([214, 164, 158]) + rng.normal(0, 9) + rng.normal(0, 5, 3),
        "colour": np.array(look["colour"]) + rng.normal(0, look["spread"]) + rng.normal(0, 6, 3),
        "radius": look["radius"] * np.exp(rng.normal(0, 0.22)),
        "stretch": np.exp(rng.normal(0, 0.16)),
        "waves": rng.normal(0, look["border"] / np.arange(1, 8), (2, 7)),
        "softness": 0.02 + 0.05 * rng.random(),
        "patches": look["patches"] * (0.6 + 0.8 * rng.random()),
        "texture": look["texture"] * (0.6 + 0.8 * rng.random()),
        "marks": rng.uniform(-0.7, 0.7, (12, 2)),
        "sizes": rng.uniform(0.4, 1.0, 12),
        "pattern": int(rng.integers(1 << 31)),
    }


def photograph(rng, lesion):
    """Draw one photograph of a lesion, uint8 (28, 28, 3), with its own framing, light and noise."""
    at = (np.arange(FINE) + 0.5) / FINE - 0.5
    y, x = np.meshgrid(at, at, indexing="ij")
    turn, zoom = rng.uniform(0, 2 * np.pi), np.exp(rng.normal(0, 0.12))
    dy, dx = rng.normal(0, 0.04, 2)
    u = (np.cos(turn) * (x - dx) + np.sin(turn) * (y - dy)) / zoom
    v = (np.cos(turn) * (y - dy) - np.sin(turn) * (x - dx)) / zoom
    r, angle = np.hypot(u * lesion["stretch"], v / lesion["stretch"]), np.arctan2(v, u)
    k = np.arange(1, 8)[:, None, None]
    outline = 1 + (
        lesion["waves"][0][:, None, None] * np.cos(k * angle)
        + lesion["waves"][1][:, None, None] * np.sin(k * angle)
    ).sum(axis=0)
    # The depth is positive inside the lesion.
    depth = lesion["radius"] * np.maximum(outline, 0.4) - r
    inside = 1 / (1 + np.exp(-depth / lesion["softness"]))

    own = np.random.default_rng(lesion["pattern"])
    patches, grain = smooth_noise(own, 12), smooth_noise(own, 2.2)
    colour = lesion["colour"] * (1 - 0.35 * lesion["patches"] * patches[..., None])
    colour = colour * (1 - lesion["texture"] * np.abs(grain)[..., None])
    skin = lesion["skin"] * (1 + 0.025 * smooth_noise(own, 5)[..., None])
    picture = skin + (colour - skin) * inside[..., None]
    picture = add_structures(picture, lesion, u, v, depth, patches)

    light = (
        1 + rng.normal(0, 0.07) + (rng.normal(0, 0.10, 2) * np.stack([x, y], axis=-1)).sum(axis=-1)
    )
    light = light - 0.35 * rng.random() * (x**2 + y**2)
    picture = picture * light[..., None] * (1 + rng.normal(0, 0.012, 3))
    if rng.random() < 0.12:
        picture = add_hairs(rng, picture, x, y)
    small = picture.reshape(28, FINE // 28, 28, FINE // 28, 3).mean(axis=(1, 3)) + rng.normal(
        0, 1.5, IMAGE_SHAPE
    )
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def add_structures(picture, lesion, u, v, depth, patches):
    """Add the structures that dermoscopists name.

    These are nests, cysts, lagoons, a central white patch, a blue-white veil and scale.
    """
    name, radius = lesion["name"], lesion["radius"]

    def blend(colour, amount):
        return picture + (np.array(colour) - picture) * np.clip(amount, 0, 1)[..., None]

    def spots(count, size):
        total = np.zeros_like(u)
        for (a, b), s in zip(lesion["marks"][:count], lesion["sizes"], strict=False):
            total += np.exp(
                -((u - a * radius) ** 2 + (v - b * radius) ** 2) / (2 * (size * s) ** 2)
            )
        return np.minimum(total, 1) * (depth > -0.02)

    def inside_soft(x):
        return 1 / (1 + np.exp(-x / 0.15))

    if name == "bcc":
        picture = blend((92, 92, 118), 0.8 * spots(4, 0.045))
        return blend((226, 190, 190), 0.5 * spots(12, 0.02))
    if name == "bkl":
        return blend((226, 198, 150), 0.8 * spots(10, 0.02))
    if name == "vasc":
        return blend((96, 16, 48), 0.75 * spots(7, 0.06))
    if name == "df":
        return blend((232, 200, 192), 0.85 * np.exp(-(u**2 + v**2) / (2 * (0.4 * radius) ** 2)))
    if name == "akiec":
        return blend((232, 206, 188), 0.5 * spots(12, 0.035))
    if name == "mel":
        picture = blend((92, 98, 122), 0.6 * inside_soft(patches - 0.7) * (depth > 0.02))
        return blend((36, 24, 26), 0.8 * spots(5, 0.05))
    return blend(lesion["colour"] * 0.75, 0.6 * np.exp(-(u**2 + v**2) / (2 * (0.5 * radius) ** 2)))


def add_hairs(rng, picture, x, y):
    """Add hairs: a few dark, slightly curved lines."""
    for _ in range(rng.integers(1, 4)):
        a, offset, bend = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4), rng.normal(0, 0.4)
        along, across = np.cos(a) * x + np.sin(a) * y, np.cos(a) * y - np.sin(a) * x
        line = np.exp(-((across - offset - bend * along**2) ** 2) / (2 * 0.008**2))
        picture = picture * (1 - 0.6 * line[..., None])
    return picture


def draw_table(rows, seed=0):
    """Return (images uint8 (n, 28, 28, 3), labels int32 (n,), dict of the metadata's columns).

    The images stand in runs of one class, as in HAM10000.
    """
    share = np.array(HAM10000_COUNTS) / sum(HAM10000_COUNTS)
    counts = np.maximum(np.rint(share * rows).astype(int), LEAST_IMAGES)
    counts[CLASSES.index("nv")] = max(
        LEAST_IMAGES, counts[CLASSES.index("nv")] - (counts.sum() - rows)
    )
    names = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
    meta: dict[str, list] = {k: [] for k in names}
    images, labels = [], []
    lesion_number = 0
    for code, name in enumerate(CLASSES):
        left = counts[code]
        while left:
            rng = np.random.default_rng([seed, code, left])
            photos = min(left, 1 + int(rng.random() < 0.25) + int(rng.random() < 0.07))
            lesion, lesion_number = draw_lesion(rng, name), lesion_number + 1
            about = (
                f"{rng.choice(DX_TYPES)}",
                5 * int(rng.integers(4, 18)),
                rng.choice(("male", "female")),
                rng.choice(SITES),
            )
            for _ in range(photos):
                images.append(photograph(rng, lesion))
                labels.append(code)
                row = (f"PHL_{lesion_number:07d}", f"PHANTOM_{len(images):07d}", name, *about)
                for column, value in zip(meta, row, strict=True):
                    meta[column].append(value)
            left -= photos
    return mark_as_phantom(np.array(images)), np.array(labels, dtype=np.int32), meta


def write_phantom(folder, rows, seed=0):
    """Write the table and its metadata into `folder`, and return the table's path."""
    images, labels, meta = draw_table(rows, seed)
    path = Path(folder) / classes.TABLE_NAME
    # Between the two writes no table may stand beside another's metadata.
    path.unlink(missing_ok=True)
    # The metadata is written first, because a table alone would pass for complete.
    writing.write_csv(path.with_name("HAM10000_metadata.csv"), meta)
    tables.write_table(path, [(images, labels)])
    return path


def refuse_real(folder):
    """Raise InputError if `folder` holds a real table or metadata that would be replaced.

    Phantom lesions may replace phantom lesions only.
    """
    table, metadata = folder / classes.TABLE_NAME, folder / "HAM10000_metadata.csv"
    if table.exists() and not read_table(table).is_phantom:
        raise InputError(
            f"{table}: holds no phantom lesions and would be replaced; name another --out"
        )
    if metadata.exists() and "PHANTOM_" not in metadata.read_text(errors="replace")[:1000]:
        raise InputError(
            f"{metadata}: is of no phantom lesions and would be replaced; name another --out"
        )


def parse_args(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument(
        "--rows",
        type=flags.positive,
        default=600,
        help="images (at least 12 of each class are drawn)",
    )
    p.add_argument("--seed", type=flags.seed, default=0, help="of the pictures")
    p.add_argument(
        "--out",
        type=flags.path,
        default=ROOT / "data" / "phantom",
        metavar="DIR",
        help="folder of the table (default: data/phantom/ of the project)",
    )
    return p.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    refuse_real(args.out)
    path = write_phantom(args.out, args.rows, args.seed)
    print(f"phantom lesions (drawn by code, no medical meaning) -> {path}")
    return 0


if __name__ == "__main__":
    script.script_main(main)
