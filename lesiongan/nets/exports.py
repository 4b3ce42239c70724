"""The synthetic set in the layouts of other tools: MedMNIST's npz, StyleGAN's dataset.json.

The folders images/<class>/ of every synthetic set are what Keras' image_dataset_from_directory and
PyTorch's ImageFolder read; they need no export of their own, only that the PNGs are written.
"""

import io
import zipfile

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.data.label_order import ORDERS
from lesiongan.files import writing

NPZ = "dermamnist_synthetic.npz"
LABELS = "images/dataset.json"
FILES = {"npz": NPZ, "dataset.json": LABELS}


def write_npz(path, images, labels):
    """Write images and labels in DermaMNIST's layout, so that equal sets are equal files.

    images: uint8 (n, 28, 28, 3); labels: (n,) positions in CLASSES, written as uint8 (n, 1) in
    DermaMNIST's alphabetical order. All are train_images; the val and test arrays are empty,
    because synthetic images are for training alone.
    """
    codes = np.array([ORDERS["alphabetical"].index(c) for c in CLASSES], dtype=np.uint8)[labels][
        :, None
    ]
    arrays = {"train_images": images, "train_labels": codes}
    for part in ("val", "test"):
        arrays |= {f"{part}_images": images[:0], f"{part}_labels": codes[:0]}
    with writing.atomic(path) as t, zipfile.ZipFile(t, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            # A ZipInfo without a date is dated 1980.
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content.getvalue())


def write_labels(path, names, labels):
    """Write StyleGAN's dataset.json: the class of each picture by its name.

    names: of the pictures, relative to the folder of the file; labels: (n,) positions in CLASSES.
    (NVlabs/stylegan3, dataset_tool.py: {"labels": [[file name, class], ...]}.)
    """
    pairs = [[name, int(code)] for name, code in zip(names, labels, strict=True)]
    writing.write_json(path, {"labels": pairs})
