"""Saved networks: written so that equal networks are equal files, and loaded as untrusted files.

A .keras file is a zip of two JSON files and an HDF5 file. Keras' safe_mode refuses marked lambdas.
Before Keras sees the file, this module compares its members and sizes, every class its
configuration names and every HDF5 link with what train_gan.py and train_cnn.py write: nothing in
the file is run, unpacked or used before it is checked.
"""

import contextlib
import hashlib
import io
import json
import math
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lesiongan.data import clinical
from lesiongan.data.classes import IMAGE_SHAPE
from lesiongan.files import archives, writing
from lesiongan.files.errors import InputError, first_line
from lesiongan.run import keras_setup, packages

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
# Both limits are in bytes.
MAX_CONFIG, MAX_WEIGHTS = 16 << 20, 1 << 30
STEPS = ("strides", "pool_size", "kernel_size", "dilation_rate")
MAX_STEP = 16
SIZES = ("height", "width")
MAX_SIZE = 28
# Layers may hold so many numbers beyond those of the file, for the states of random generators.
SLACK = 1 << 16
MADE_OF = {
    "keras": "DTypePolicy",
    "keras.initializers": "GlorotUniform Ones RandomNormal RandomUniform Zeros",
    "keras.layers": "Activation AveragePooling2D BatchNormalization CenterCrop Concatenate Conv2D "
    "Conv2DTranspose Dense Discretization Dropout Embedding GlobalAveragePooling2D InputLayer "
    "LeakyReLU Rescaling Reshape Resizing Softmax",
    "keras.src.models.functional": "Functional",
    "keras.src.ops.core": "Cast",
    "keras.src.ops.numpy": "Add Flip GetItem Greater Multiply Reshape Subtract Sum Transpose",
    # Keras marks tensors and slices in a configuration by these names, which have no module.
    None: "__keras_tensor__ __slice__",
}
"""The classes of which this project's networks are made; a configuration may name no other."""
NEWS = {
    "input_axes": None,
    "output_axes": None,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}
"""Settings that Keras 3.15 writes and 3.13 refuses, each with the value that changes nothing."""


def save(path, model):
    """Write a network as .keras, atomically, so that equal networks are equal files.

    What differs from one writing to the next is left out: the date, and the addresses of objects in
    memory by which Keras tells shared ones. So is what an older Keras does not know.
    """
    with writing.atomic(path) as t:
        model.save(t)
        members = read_members(t)
        config = forget_news(json.loads(members["config.json"]))
        numbers: dict[Any, int] = {}
        for value in objects(config):
            if "shared_object_id" in value:
                value["shared_object_id"] = numbers.setdefault(
                    value["shared_object_id"], len(numbers) + 1
                )
        members["config.json"] = json.dumps(config).encode()
        members["metadata.json"] = json.dumps(
            json.loads(members["metadata.json"]) | {"date_saved": ""}
        ).encode()
        write_members(t, members)


def read_members(path):
    """Return {name: bytes} of the members of a .keras file, sorted by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in sorted(archive.namelist())}


def write_members(path, members):
    """Write a .keras file from {name: bytes}."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            # A ZipInfo without a date is dated 1980.
            archive.writestr(zipfile.ZipInfo(name), content)


def forget_news(config):
    """Remove from a configuration the settings of NEWS, where they change nothing; return it."""
    for value in objects(config):
        for key, plain in NEWS.items():
            if key in value and value[key] == plain:
                del value[key]
    return config


@contextlib.contextmanager
def readable_by(version, path):
    """Give the path of a .keras file that a Keras of this version reads: `path`, or a copy.

    A copy is made of a file that a newer Keras wrote; see forget_news.
    """
    members = read_members(path)
    writer = json.loads(members["metadata.json"])["keras_version"]
    if packages.parse_version(writer) <= packages.parse_version(version):
        yield path
        return
    members["config.json"] = json.dumps(forget_news(json.loads(members["config.json"]))).encode()
    with tempfile.TemporaryDirectory() as folder:
        write_members(Path(folder) / "copy.keras", members)
        yield Path(folder) / "copy.keras"


def weights_sha256(model):
    """Return the hex SHA-256 of a network's weights, array by array."""
    digest = hashlib.sha256()
    for w in model.get_weights():
        digest.update(f"{w.dtype.str} {w.shape}".encode() + np.ascontiguousarray(w).tobytes())
    return digest.hexdigest()


def load_generator(path):
    """Return the generator of a .keras file; raise InputError if it is none.

    It takes latent float32 (n, z) and label int32 (n,), and gives image float32 (n, 28, 28, 3).
    """
    model = load(path, "train_gan.py")
    shapes = [tuple(i.shape) for i in model.inputs]
    outputs = [tuple(o.shape) for o in model.outputs]
    if (
        len(shapes) != 2
        or len(shapes[0]) != 2
        or shapes[1] != (None,)
        or outputs != [(None, *IMAGE_SHAPE)]
    ):
        raise InputError(
            f"{path}: is no generator (inputs {shapes}, outputs {outputs}); run train_gan.py again"
        )
    return model


def load_classifier(path, classes=7, takes_clinical=False):
    """Return the classifier of a .keras file; raise InputError if it is none of so many classes.

    It takes image float32 (n, 28, 28, 3) in [0, 255] and gives probabilities float32 (n, classes).
    takes_clinical: it takes a dict of the image and of age, sex and site (n,) instead, as in
    data/clinical.py.
    """
    made_by = "train_cnn.py" + takes_clinical * " --clinical"
    model = load(path, made_by)
    shapes = {i.name: tuple(i.shape) for i in model.inputs}
    expected: dict[str, tuple] = {"image": (None, *IMAGE_SHAPE)}
    if takes_clinical:
        expected |= dict.fromkeys(clinical.NAMES, (None,))
        named = isinstance(model.input, dict) and set(model.input) == set(expected)
        fits = named and shapes == expected
    else:
        # An older network's input may have any name.
        fits = list(shapes.values()) == list(expected.values())
    outputs = [tuple(o.shape) for o in model.outputs]
    if not fits or outputs != [(None, classes)]:
        what = f"inputs {list(shapes.values())}, outputs {outputs}"
        kind = "clinical classifier" if takes_clinical else "classifier"
        raise InputError(f"{path}: is no {kind} of {classes} classes ({what}); run {made_by} again")
    return model


def load(path, made_by):
    """Return the keras model of a .keras file after checking the file.

    Raises InputError for anything that is no such file or that could run code.
    """
    try:
        numbers = check_archive(path)
        # TensorFlow is loaded only now, because a file that is refused does not need it.
        keras_setup.quiet_tensorflow()
        import keras

        with warnings.catch_warnings(), bounded_weights(numbers + SLACK):
            # Warnings are ignored, because what they would say follows as an error.
            warnings.simplefilter("ignore")
            with readable_by(keras.__version__, path) as own:
                model = keras.saving.load_model(own, compile=False, safe_mode=True)
        finite = all(np.isfinite(w).all() for w in model.get_weights())
    except InputError as e:
        raise InputError(f"{path}: {e}; run {made_by} again") from None
    # For a damaged file zipfile, json, h5py and Keras raise many kinds of error.
    except Exception as e:
        raise InputError(
            f"{path}: not a readable model ({first_line(e)}); run {made_by} again"
        ) from None
    if not finite:
        raise InputError(f"{path}: has weights that are not finite; run {made_by} again")
    return model


def check_archive(path):
    """Return how many numbers the weights of a .keras file hold, after checking it.

    Raises InputError unless the zip holds the three members, none too large, and all pass.
    """
    with zipfile.ZipFile(path) as archive:
        sizes = {i.filename: i.file_size for i in archive.infolist()}
        extra = sorted(set(sizes) ^ MEMBERS)
        if extra or len(archive.infolist()) != len(MEMBERS):
            raise InputError(
                f"is no .keras file of this project (members {', '.join(sorted(sizes))[:80]!r})"
            )
        if (
            sizes["config.json"] + sizes["metadata.json"] > MAX_CONFIG
            or sizes["model.weights.h5"] > MAX_WEIGHTS
        ):
            raise InputError("unpacks to more than any network of this project")
        config = json.loads(archives.read_member(archive, "config.json", MAX_CONFIG))
        check_classes(config)
        check_steps(config)
        archives.read_member(archive, "metadata.json", MAX_CONFIG)
        return check_weights(archives.read_member(archive, "model.weights.h5", MAX_WEIGHTS))


def objects(config):
    """Yield every object (dict) in a JSON value."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
            yield value


def check_classes(config):
    """Raise InputError if a configuration names a class that no network of this project has."""
    for value in objects(config):
        if "class_name" not in value:
            continue
        name, module = value["class_name"], value.get("module")
        known = MADE_OF.get(module, "") if isinstance(module, str | None) else ""
        if name not in known.split():
            raise InputError(
                f"names {str(module)[:40]}.{str(name)[:40]}, which no network of this project has "
                "and which could run code"
            )


def check_steps(config):
    """Raise InputError if a layer takes longer steps or resizes to more than this project's do."""
    for value in objects(config):
        for keys, most in ((STEPS, MAX_STEP), (SIZES, MAX_SIZE)):
            if max((n for k in keys for n in numbers_in(value.get(k))), default=0) > most:
                raise InputError(
                    "has layers of longer steps or larger images than any network of this project"
                )


def numbers_in(value):
    """Return the numbers of a JSON value that are not inside an object."""
    if isinstance(value, list):
        return [n for v in value for n in numbers_in(v)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


@contextlib.contextmanager
def bounded_weights(most):
    """Refuse, within the context, layers that want more than `most` numbers in all.

    Keras makes the weights that a configuration wants before it looks for their values in the file,
    so a small file could fill the memory. They are refused with InputError.
    """
    from keras.layers import Layer

    add_weight, left = Layer.add_weight, most

    def bounded(layer, shape=None, *args, **kwargs):
        nonlocal left
        left -= abs(math.prod(shape or ()))
        if left < 0:
            raise InputError("wants more weights than it holds")
        return add_weight(layer, shape, *args, **kwargs)

    Layer.add_weight = bounded
    try:
        yield
    finally:
        Layer.add_weight = add_weight


def check_weights(data):
    """Return how many numbers an HDF5 file holds.

    Raises InputError if it links outside itself or would unpack to over MAX_WEIGHTS.
    """
    import h5py

    numbers = total = items = 0
    with h5py.File(io.BytesIO(data), "r") as file:
        pending = [file]
        while pending:
            group = pending.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise InputError("its weights link to somewhere else")
                item, items = group[name], items + 1
                # A group that holds itself would have no end.
                if items > 10_000:
                    raise InputError("its weights have no end of groups")
                if isinstance(item, h5py.Group):
                    pending.append(item)
                    continue
                numbers += item.size
                total += item.size * item.dtype.itemsize
                if (
                    item.external
                    or item.is_virtual
                    or item.dtype.kind not in "fiub"
                    or total > MAX_WEIGHTS
                ):
                    raise InputError("its weights are not plain arrays of bearable size")
    return numbers
