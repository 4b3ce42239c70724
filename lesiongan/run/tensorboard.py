"""What --tensorboard writes beside a network: scalars, sample grids, confusion, embeddings.

`tensorboard --logdir models` shows it. TensorFlow is not needed, so it works with every backend.
"""

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.files import writing

FOLDER = "tensorboard"
EVENTS = "events.out.tfevents.lesiongan"
PROJECTOR = ("features.tsv", "labels.tsv", "sprite.png", "projector_config.pbtxt")
FILES = tuple(f"{FOLDER}/{name}" for name in (EVENTS, *PROJECTOR))
# The projector shows images of this size, and at most so many; a sprite holds 8192 pixels a side.
MOST_POINTS = 5000


class Board:
    """The log of one training, in the folder `tensorboard` of its network.

    resuming: go on with the log that is there.
    """

    def __init__(self, folder: Path, resuming: bool) -> None:
        self.folder = writing.ensure_folder(folder / FOLDER)
        self.path = self.folder / EVENTS
        if not (resuming and self.path.is_file()):
            self.path.unlink(missing_ok=True)
            self.write(file_version="brain.Event:2")

    def write(self, **event: Any) -> None:
        """Add one event, given by the fields of TensorBoard's Event."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        # The log is opened for each event, so a training that is stopped leaves it closed.
        with open(self.path, "ab") as f:
            RecordWriter(f).write(Event(wall_time=time.time(), **event).SerializeToString())

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers by their names. step: of the training, the epoch from 1."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        shown = [Summary.Value(tag=name, simple_value=v) for name, v in values.items()]
        self.write(step=step, summary=Summary(value=shown))

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Log a picture, uint8 (h, w, 3)."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        height, width, _ = image.shape
        shown = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=to_png(image)
        )
        self.write(step=step, summary=Summary(value=[Summary.Value(tag=name, image=shown)]))

    def embeddings(
        self, features: np.ndarray, labels: np.ndarray, images: np.ndarray, names: Sequence[str]
    ) -> None:
        """Write what the projector shows: features with the class and the picture of each image.

        features: (n, d); labels: (n,), places in `names`; images: uint8 (n, h, w, 3).
        """
        n, (height, width) = len(features[:MOST_POINTS]), images.shape[1:3]
        across = int(np.ceil(np.sqrt(n)))
        sprite = np.full((across * height, across * width, 3), 255, np.uint8)
        for i, image in enumerate(images[:n]):
            y, x = i // across * height, i % across * width
            sprite[y : y + height, x : x + width] = image
        rows = ["\t".join(f"{v:.6g}" for v in row) for row in features[:n].tolist()]
        texts = {
            "features.tsv": "\n".join(rows) + "\n",
            "labels.tsv": "".join(f"{names[label]}\n" for label in labels[:n]),
            "projector_config.pbtxt": (
                'embeddings {\n  tensor_name: "features"\n  tensor_path: "features.tsv"\n'
                '  metadata_path: "labels.tsv"\n'
                f'  sprite {{\n    image_path: "sprite.png"\n    single_image_dim: {width}\n'
                f"    single_image_dim: {height}\n  }}\n}}\n"
            ),
        }
        for name, text in texts.items():
            writing.write_text(self.folder / name, text)
        with writing.atomic(self.folder / "sprite.png") as t:
            t.write_bytes(to_png(sprite))


def to_png(image: np.ndarray) -> bytes:
    """Return a picture, uint8 (h, w, 3), as PNG."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def draw_confusion(
    matrix: np.ndarray, names: Sequence[str] = CLASSES, side: int = 44
) -> np.ndarray:
    """Return a confusion matrix as a picture, uint8 (h, w, 3), with the counts in its cells.

    matrix: (k, k), true class by decided class; a cell is as dark as its share of the true class.
    side: pixels of a cell.
    """
    from PIL import Image, ImageDraw

    k, left, top = len(names), 70, 30
    picture = Image.new("RGB", (left + k * side, top + k * side), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((2, 2), "true \\ decided", fill="black")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for i, row in enumerate(names):
        pen.text((2, top + i * side + side // 2 - 6), row, fill="black")
        pen.text((left + i * side + 2, 16), row[:7], fill="black")
        for j in range(k):
            x, y, dark = left + j * side, top + i * side, share[i, j]
            colour = (int(255 - 247 * dark), int(255 - 207 * dark), int(255 - 148 * dark))
            pen.rectangle((x, y, x + side - 2, y + side - 2), fill=colour)
            ink = "white" if dark > 0.5 else "black"
            pen.text((x + 4, y + side // 2 - 6), str(int(matrix[i, j])), fill=ink)
    return np.asarray(picture)
