"""The picture of an answer: the photograph as the network sees it, its map, the nearest lesions."""

import re
from pathlib import Path

import numpy as np

from lesiongan.data.classes import CLASS_NAMES, CLASSES
from lesiongan.data.tables import read_table
from lesiongan.files import claims, locks, writing
from lesiongan.files.errors import InputError
from lesiongan.files.progress import progress
from lesiongan.files.telling import say
from lesiongan.nets import maps
from lesiongan.plots import style
from lesiongan.run.inputs import find_table

TITLES = {"occlusion": "fall in probability where covered", "gradcam": "Grad-CAM"}


def draw_all(args, answerer, images, answers):
    """Draw one PNG for each answer into outputs/predictions/, and note its path in the answer.

    images: uint8 (n, 28, 28, 3). The nearest training lesions are shown if the table that the
    networks were trained on is there.
    """
    folder = writing.ensure_folder(args.outputs_dir / "predictions")
    locks.lock_folder(folder)
    names = [name_file(i, said["file"], args.map) for i, said in enumerate(answers)]
    mine = claims.claim(folder, names)
    claims.remove(folder, mine - set(names))
    claims.write_claims(folder, names)
    lesions = read_lesions(args, answerer.options["data"]["sha256"])
    bar = progress(len(answers), 0, "maps", "map")
    for name, image, said in zip(names, images, answers, strict=True):
        code = CLASSES.index(said["diagnosis"])
        found = maps.draw(args.map, answerer.classifier, image, code)
        near = [
            (f"row {n['row']}, {n['class']}", lesions[n["row"]])
            for n in said.get("nearest_training_lesions", [])
            if n["row"] in lesions
        ]
        said["map"] = str(save(folder / name, image, found, said, args.map, near, answerer.note))
        bar.update()
    bar.close()
    say(f"  {len(answers)} maps -> {folder}/")


def name_file(number, path, kind):
    """Return a file name that no other photograph has, in letters that every system takes."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(path).stem)[:60]
    return f"{number:04d}_{stem}_{kind}.png"


def read_lesions(args, sha256):
    """Return {row: image} of the table the networks were trained on; {} if it is not there."""
    try:
        table = read_table(find_table(args.data), args.label_order)
    except InputError:
        if args.data:
            raise
        return {}
    return dict(zip(table.rows, table.images, strict=True)) if table.sha256 == sha256 else {}


def save(path, image, found, said, kind, near, note):
    """Write the picture of one answer and return its path.

    found: float (28, 28), the map; near: [(title, image)] of the nearest training lesions; note:
    what stands on every picture.
    """
    fig, axes = style.subplots(
        1, 2 + len(near), figsize=(2.2 * (2 + len(near)), 2.9), squeeze=False
    )
    for ax, (title, picture) in zip(
        axes[0], [("as the network sees it", image), (TITLES[kind], image), *near], strict=True
    ):
        style.show_image(ax, picture)
        ax.set_title(title, fontsize=8)
    most = max(float(np.abs(found).max()), 1e-9)
    shade = axes[0, 1].imshow(found, cmap="RdBu_r", vmin=-most, vmax=most, alpha=0.6)
    fig.colorbar(shade, ax=axes[0, 1], fraction=0.046, format="%.2g")
    code, malignant = said["diagnosis"], said["malignant"]["probability"]
    words = f"{CLASS_NAMES[code]} ({code}): {said['probabilities'][code]:.2f}; "
    words += f"malignant: {malignant:.2f}"
    if said.get("unlike_training_data"):
        words += "; UNLIKE THE TRAINING IMAGES"
    fig.suptitle(f"{style.plain(Path(said['file']).name)}\n{words}\n{note}", fontsize=8)
    with writing.atomic(path) as t:
        fig.savefig(t, format="png", metadata={"Software": None})
    return path
