"""The pictures of the report: where each stands, with its caption, its words and its file."""

import base64
import io

from lesiongan.files import checksums, records

# Which section of the page shows a figure, in the order of the page.
PLACES = {
    "pictures": ("real_and_synthetic",),
    "generator": (
        "label_agreement",
        "spectrum",
        "nearest_pairs",
        "class_grid",
        "interpolation",
        "embedding",
        "gan_training",
    ),
    "confusion": ("confusion",),
    "classifier": ("roc_and_pr", "calibration", "mistakes"),
    "comparison": ("cnn_training",),
}
# A figure that is wider for its height gets the whole width of the page, so that its small words
# stay legible.
WIDE = 1.9
# The page needs so many pixels an inch of a figure; a file for print has more.
DENSITY = 170


def shrink(content):
    """Return a PNG as it is, or with DENSITY pixels an inch if it says that it has more."""
    from PIL import Image

    image = Image.open(io.BytesIO(content), formats=["PNG"])
    share = DENSITY / image.info.get("dpi", (DENSITY,))[0]
    if share > 0.99:
        return content
    smaller = io.BytesIO()
    size = [max(round(side * share), 1) for side in image.size]
    image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


def show(name, caption, alt, content):
    """Return a picture as the templates take it, its file embedded."""
    content = shrink(content)
    # A PNG states its width and height in the sixteenth and twentieth byte.
    width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
    return {
        "name": name,
        "caption": caption,
        "alt": alt,
        "base64": base64.b64encode(content).decode(),
        "width": width,
        "height": height,
        "wide": width > WIDE * height,
    }


def show_drawn(drawn, describe):
    """Return {place: [picture]} of [(path, caption)]; what no place names is under `more`.

    describe: function of a figure's name that returns its alternative text.
    """
    shown = {
        path.stem: show(path.stem, caption, describe(path.stem), path.read_bytes())
        for path, caption in drawn
    }
    placed = {
        place: [shown.pop(name) for name in names if name in shown]
        for place, names in PLACES.items()
    }
    return placed | {"more": list(shown.values())}


def read_eda(inputs, folder, describe):
    """Return (pictures of eda.py, share of test images that a split by image would leak or None).

    Both are of this data and split, and as eda.py's record describes them.
    """
    record_path = folder / "options.json"
    if not record_path.is_file():
        return [], None
    outputs = inputs.check_made_from(record_path, "eda.py", {"outputs": {...: str}})["outputs"]
    pictures = [
        show(
            p.stem,
            f"{p.stem.replace('_', ' ').capitalize()} (eda.py).",
            describe(p.stem),
            p.read_bytes(),
        )
        for p in sorted(folder.glob("*.png"))
        if outputs.get(p.name) == checksums.file_sha256(p)
    ]
    summary, leaked = folder / "summary.json", None
    if summary.is_file() and outputs.get(summary.name) == checksums.file_sha256(summary):
        leaked = records.read_json(summary, "eda.py").get("image_split_leakage")
    share = leaked.get("overall") if isinstance(leaked, dict) else None
    return pictures, None if records.find_fault(share, records.NUMBER, "") else share
