"""The synthetic set: labelled images of a generator, in Kaggle's layout and with provenance."""

import os
from dataclasses import dataclass

import numpy as np

from lesiongan.data import classes, tables
from lesiongan.data.classes import CLASSES, IMAGE_SHAPE, class_counts
from lesiongan.files import checksums, claims, locks, records, writing
from lesiongan.files.errors import InputError
from lesiongan.files.telling import event, say
from lesiongan.nets import data_card, drawing, exports, joined_generator, onnx_export, selection
from lesiongan.run import published, streams

# The provenance.json of a synthetic set begins with one of these.
WHAT = ("an unfinished synthetic set", "synthetic images")
GRID_COLUMNS = 12


def class_mix(text, n, trained, only=CLASSES, least=1):
    """Return int32 (n,): the labels of n images for --class-mix, in class order.

    trained: int (7,), the train images of each class; only: the classes that --classes asks for;
    least: the train images that a class must have to be drawn. The classes with the largest
    remainders get the rest. Raises InputError for a bad --class-mix, for a class of --classes that
    the generator never saw, and if no class is left.
    """
    wanted = np.array([c in only for c in CLASSES])
    if text == "balanced":
        weights = np.ones(len(CLASSES))
    elif text == "train":
        weights = np.asarray(trained, dtype=float)
    else:
        try:
            weights = np.array([float(w) for w in text.split(",")])
        except ValueError:
            weights = np.array([])
        if (
            len(weights) != len(CLASSES)
            or not np.isfinite(weights).all()
            or (weights < 0).any()
            or not weights.sum()
        ):
            raise InputError(
                f"--class-mix {text}: expected balanced, train, or seven weights of at least 0 for "
                f"{','.join(CLASSES)}"
            )
    # The generator knows nothing of a class it never saw.
    known = np.asarray(trained) >= max(1, least)
    unknown = [c for c, w, k in zip(CLASSES, wanted, known, strict=True) if w and not k]
    if unknown and not wanted.all():
        few = f"fewer than {least}" if least > 1 else "no"
        raise InputError(f"--classes {unknown[0]}: has {few} images in the train part")
    if not known.any():
        raise InputError(f"--least-images {least}: no class has so many images in the train part")
    weights = weights / weights.max() * known * wanted
    if not weights.sum():
        what = "names only classes that have no images in the train part"
        if not wanted.all():
            what = "gives no weight to any class of --classes"
        raise InputError(f"--class-mix {text}: {what}")
    return np.repeat(np.arange(len(CLASSES), dtype=np.int32), classes.apportion(weights, n))


@dataclass(frozen=True)
class Drawing:
    """How images of a generator are drawn, as --latent-scale and --candidates say."""

    latent_scale: float = 1.0
    candidates: int = 1

    def apply(self, generator, inputs, weights=None):
        """Return a generator whose images are drawn so.

        inputs: Inputs with the images that it learned from; weights: the value of --weights, with
        which these are not needed.
        """
        own_width = joined_generator.own_width(generator)
        if self.latent_scale != 1:
            generator = drawing.Widened(generator, self.latent_scale)
        if self.candidates > 1:
            say(f"  each image is one of {self.candidates} candidates; this takes some minutes")
            learned = (
                selection.read_published()
                if weights
                else selection.ClassMeans.measure(*inputs.part("train"))
            )
            generator = selection.Selected(generator, self.candidates, learned, own_width)
        return generator


def fixed_grid(generator):
    """Return images, uint8 (7, 12, 28, 28, 3), of the same latents for every class and epoch."""
    latents = drawing.draw_latents(generator, GRID_COLUMNS, streams.FIXED_GRID)
    z = np.tile(latents, (len(CLASSES), 1))
    y = np.repeat(np.arange(len(CLASSES)), GRID_COLUMNS)
    return drawing.generate(generator, z, y).reshape(len(CLASSES), GRID_COLUMNS, *IMAGE_SHAPE)


def save_grid(path, grid, note="", scale=2):
    """Write a grid (rows, columns, 28, 28, 3) as PNG, one class a row.

    Names of the classes stand at the left, `note` below.
    """
    from PIL import Image, ImageDraw

    rows, h = grid.shape[0], grid.shape[2]
    sheet = Image.fromarray(flatten_grid(grid))
    sheet = sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)
    out = Image.new("RGB", (sheet.width + 40, sheet.height + (14 if note else 0)), "white")
    out.paste(sheet, (40, 0))
    ImageDraw.Draw(out).text((4, sheet.height + 1), note, fill="red")
    for i, name in enumerate(CLASSES[:rows]):
        ImageDraw.Draw(out).text((4, (i + 0.4) * (h + 2) * scale), name, fill="black")
    with writing.atomic(path) as t:
        out.save(t)


def flatten_grid(grid):
    """Return a grid of images, uint8 (rows, columns, h, w, 3), as one, with white lines between."""
    rows, columns, h, w, _ = grid.shape
    padded = np.pad(grid, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    return padded.transpose(0, 2, 1, 3, 4).reshape(rows * (h + 2), columns * (w + 2), 3)


def check_folder(folder):
    """Raise InputError if --out is a file, or holds files and no synthetic set."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is a file; name a folder")
    if folder.is_dir() and any(not p.name.startswith(".") for p in folder.iterdir()):
        provenance = folder / "provenance.json"
        ours = provenance.is_file() and str(
            records.read_json(provenance, "train_gan.py").get("what")
        ).startswith(WHAT)
        # Other scripts have lists of their files, too; only a set's names the record of a set.
        if not ours and provenance.name not in claims.read_claims(folder):
            raise InputError(
                f"--out {folder}: has files that are not a synthetic set; name an empty or new "
                "folder"
            )


def picture_name(number, code):
    """Return the name of one image's PNG, relative to the folder of the set."""
    return f"images/{CLASSES[code]}/{number:05d}.png"


GRID, ONNX = "image_grid.png", "generator.onnx"


def hash_files(folder, paths):
    """Return {name relative to `folder`: SHA-256} of files."""
    return {p.relative_to(folder).as_posix(): checksums.file_sha256(p) for p in paths}


def list_extras(args):
    """Return the names of the files that --export and --image-grid add to a synthetic set.

    The published generator is exported beside its images; weights/ stays as it is.
    """
    names = [exports.FILES[e] for e in args.export if e in exports.FILES]
    return (
        names + [ONNX] * ("onnx" in args.export and bool(args.weights)) + [GRID] * args.image_grid
    )


def write_extras(folder, names, generator, images, labels, note):
    """Write the files of list_extras for a set.

    images: uint8 (n, 28, 28, 3), needed for the npz alone; labels: (n,).
    """
    if exports.NPZ in names:
        exports.write_npz(folder / exports.NPZ, images, labels)
    if exports.LABELS in names:
        pictures = [picture_name(i, c).removeprefix("images/") for i, c in enumerate(labels)]
        exports.write_labels(folder / exports.LABELS, pictures, labels)
    if ONNX in names:
        onnx_export.export(folder / ONNX, generator, CLASSES)
    if GRID in names:
        save_grid(folder / GRID, fixed_grid(generator), note)


def write(place, generator, labels):
    """Write the synthetic set: CSV in Kaggle's layout, PNGs, contact sheet and what is exported.

    Its datasheet, its Croissant description and its licence follow, and the full provenance.json
    comes last. Images of an earlier set in the same folder are removed.
    """
    from PIL import Image

    folder, inputs, args = place.path, place.run.inputs, place.run.args
    locks.lock_folder(folder)
    pictures = [] if args.no_png else [picture_name(i, code) for i, code in enumerate(labels)]
    extras = list_extras(args)
    others = [classes.TABLE_NAME, "contact_sheet.png", *extras, *data_card.FILES]
    others.append(place.record_path.name)
    mine = claims.claim(folder, [*others, *pictures], place.read_outputs())
    network = place.identity.inputs["generator"]
    drawn_by = {"networks": published.identify_networks({"generator": network})}
    writing.write_json(place.record_path, {"what": WHAT[0], **drawn_by})
    # What describes an earlier set must not stand beside a new one that is half written.
    old = (exports.NPZ, GRID, ONNX, *data_card.FILES)
    claims.remove(folder, [n for n in mine if n.startswith("images/") or n in old])
    shown: list[list[np.ndarray]] = [[] for _ in CLASSES]
    kept = []

    def chunks():
        done = 0
        asked = Drawing(args.latent_scale, args.candidates)
        drawn_by = asked.apply(generator, inputs, args.weights)
        for images, y in drawing.generate_in_chunks(drawn_by, labels, args.seed):
            if exports.NPZ in extras:
                kept.append(images)
            for image, code in zip(images, y, strict=True):
                if len(shown[code]) < 20:
                    shown[code].append(image)
                if not args.no_png:
                    with writing.atomic(folder / picture_name(done, code)) as t:
                        Image.fromarray(image).save(t)
                done += 1
            yield images, y

    table, sheet = folder / classes.TABLE_NAME, folder / "contact_sheet.png"
    tables.write_table(table, chunks())
    blank = np.full(IMAGE_SHAPE, 255, np.uint8)
    save_grid(sheet, np.array([row + [blank] * (20 - len(row)) for row in shown]), inputs.data_note)
    drawn = np.concatenate(kept) if kept else None
    write_extras(folder, extras, generator, drawn, labels, inputs.data_note)
    written = [table, sheet, *(folder / name for name in extras)]
    written += data_card.write(folder, place.identity, labels, written, not args.no_png)
    writing.write_json(
        place.record_path,
        {
            "what": f"{WHAT[1]} drawn by a GAN trained on the train part; not photographs, not for "
            "clinical use",
            "note": inputs.data_note,
            "images": dict(zip(CLASSES, class_counts(labels), strict=True)),
            "generator_sha256": network,
            **drawn_by,
            "table_sha256": checksums.file_sha256(table),
            **place.record(outputs=hash_files(folder, written)),
        },
    )
    mine = {*claims.read_claims(folder), *others, *pictures}
    claims.write_claims(folder, [name for name in mine if os.path.lexists(folder / name)])
    say(f"  {len(labels)} synthetic images -> {table}")
    event("finished", folder=str(folder), images=len(labels))
