"""Measure what a training step costs: train_gan.py's GAN beside the textbook DCGAN.

Measured is also where the time goes, how it grows, and the arithmetic beside that of the machine's
matrix products:

    python -m benchmarks.gan_speed  # a few minutes on an idle machine -> results/gan/speed.json

Blocks of steps of both GANs alternate in one process and the median is taken, because machines
drift. 200 epochs are extrapolated from it.
"""

import json
import time
from pathlib import Path

import numpy as np

import train_gan
from lesiongan import ROOT
from lesiongan.data.classes import CLASSES
from lesiongan.files import writing
from lesiongan.nets import drawing
from lesiongan.run import flags, keras_setup, machine, runs, script

BLOCKS, BLOCK_STEPS = 5, 20


def build_block(images, labels, flags=(), steps=BLOCK_STEPS):
    """Return a function that trains `steps` steps of train_gan.py's GAN, the GAN and its batches.

    The function returns the number of images that the steps took.
    """
    args = train_gan.parse_args([*map(str, flags)])
    gan, batch, _ = train_gan.prepare(images, labels, args)

    def train():
        for i in range(steps):
            gan.train_on_batch(batch(0, i))
        return steps * args.batch

    return train, gan, batch


def build_dcgan_block(images, labels):
    """Return a function that trains BLOCK_STEPS steps of the DCGAN.

    The function returns the number of images that the steps took.
    """
    from benchmarks import gan_baseline

    dcgan = gan_baseline.Dcgan()
    order = np.random.default_rng(0).permutation(len(labels))

    def train():
        for i in range(BLOCK_STEPS):
            loss, _ = dcgan.step(*gan_baseline.batch_of(images, labels, 0, 0, i, order))
        # The last step may still be computing, so this waits for it.
        float(loss)
        return BLOCK_STEPS * gan_baseline.BATCH

    return train


def median_rates(work):
    """Return {name: images a second}, the median of BLOCKS blocks.

    The blocks alternate between the entries of `work`, after one of each that is not counted.
    """
    rates: dict[str, list[float]] = {name: [] for name in work}
    # The first block traces the functions and warms up, so it is not counted.
    for block in range(BLOCKS + 1):
        for name, function in work.items():
            began = time.perf_counter()
            n = function()
            if block:
                rates[name].append(n / (time.perf_counter() - began))
    return {name: float(np.median(r)) for name, r in rates.items()}


def count_products(model):
    """Return the multiply-adds of one image in a network's convolutions and dense layers."""
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in ("Conv2D", "Conv2DTranspose", "Dense"):
            continue
        # Each weight is used once at every place of the smaller side: that of the output, or of the
        # input where a transposed convolution enlarges it.
        side = layer.input if kind == "Conv2DTranspose" else layer.output
        total += int(np.prod(layer.kernel.shape)) * int(np.prod(side.shape[1:-1]))
    return total


def step_arithmetic(gan, batch):
    """Return the GFLOP of a training step of train_gan.py's GAN.

    batch: one batch. The generator makes each image once; the critic sees it, a real one and the
    four points of two slopes at some of them. The backward pass takes twice the forward one's.
    """
    n, pairs = len(batch["label"]), len(batch["noise"])
    forward = n * count_products(gan.generator) + (2 * n + 2 * pairs) * count_products(gan.critic)
    return 3 * 2 * forward / 1e9


def matrix_rate(size=2048, repeats=10):
    """Return the GFLOP/s that products of square float32 matrices reach, the median of some."""
    from keras import ops

    a = ops.convert_to_tensor(np.ones((size, size), np.float32))
    rates = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        float(ops.matmul(a, a)[0, 0])
        rates.append(2 * size**3 / (time.perf_counter() - began) / 1e9)
    # The first one warms up.
    return float(np.median(rates[1:]))


KINDS = (
    ("convolutions", "Conv2D"),
    ("matrix products", "MatMul"),
    ("matrix products", "Einsum"),
    ("copies and turns", "Transpose|Reverse|Select|Concat|Slice|Pad|Pack"),
)


def profile_step(train, batch, steps=BLOCK_STEPS):
    """Return {kind of operation: thread milliseconds a step}, by TensorFlow's profiler.

    `input` is timed by itself.
    """
    import re
    import tempfile
    from collections import Counter

    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        train()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    spent: Counter[str] = Counter()
    for plane in space.planes:
        names = {key: m.name for key, m in plane.event_metadata.items()}
        for event in (e for line in plane.lines for e in line.events):
            # An operation's event is "name in the graph:Operation"; "Class::Method" and the rest
            # are the runtime around it.
            where, _, operation = names[event.metadata_id].rpartition(":")
            if (
                not where
                or where.endswith(":")
                or "/" not in where
                or not re.fullmatch(r"\w+", operation)
            ):
                continue
            kind = next(
                (k for k, pattern in KINDS if re.search(pattern, operation)), "elementwise and rest"
            )
            if "adam" in where.lower() or "Assign" in operation:
                kind = "optimizer and averages"
            spent[kind] += event.duration_ps / 1e9 / steps
    began = time.perf_counter()
    for i in range(steps):
        batch(0, i)
    spent["input"] = 1000 * (time.perf_counter() - began) / steps
    return dict(spent)


def main(argv=None):
    """Write both GANs' training images a second, sampling, and how the cost of a step grows."""
    flags.Parser(__doc__).parse_args(argv)
    keras_setup.quiet_tensorflow()
    run = runs.Run(train_gan.parse_args([]), "gan_speed")
    images, labels = run.inputs.part("train")
    ours, gan, batch = build_block(images, labels)
    y = np.repeat(np.arange(len(CLASSES), dtype=np.int32), 300)

    def sample():
        return sum(len(made) for _, made in drawing.generate_in_chunks(gan.ema, y, 0))

    rates = median_rates(
        {"ours": ours, "dcgan": build_dcgan_block(images, labels), "sample": sample}
    )
    # These images are enlarged without meaning, because only their size matters here.
    large = np.kron(images[:1000], np.ones((1, 3, 3, 1), np.uint8))[:, 10:74, 10:74]
    growth = {}
    for n, width, size in ((64, 64, 28), (128, 64, 28), (64, 32, 28), (64, 128, 28), (64, 64, 64)):
        pictures, names = (images, labels) if size == 28 else (large, labels[:1000])
        block, _, _ = build_block(pictures, names, ("--batch", n, "--width", width), steps=5)
        growth[f"batch {n}, width {width}, {size} x {size}"] = median_rates({"": block})[""]
    minutes = {name: 200 * len(labels) / rates[name] / 60 for name in ("ours", "dcgan")}
    gflop = step_arithmetic(gan, batch(0, 0))
    reached, most = gflop * rates["ours"] / len(batch(0, 0)["label"]), matrix_rate()
    out = {
        "arithmetic": {
            "gflop_a_step": gflop,
            "gflops": reached,
            "gflops_of_matrix_products": most,
            "share": reached / most,
        },
        "train_images_per_second": rates["ours"],
        "train_images_per_second_dcgan": rates["dcgan"],
        "minutes_200_epochs": minutes["ours"],
        "minutes_200_epochs_dcgan": minutes["dcgan"],
        "sample_images_per_second": rates["sample"],
        "thread_milliseconds_a_step": profile_step(ours, batch),
        "growth_images_per_second": growth,
        "environment": machine.environment() | machine.accelerators(),
    }
    writing.write_json(ROOT / "results" / "gan" / "speed.json", out)
    print(json.dumps({k: v for k, v in out.items() if k != "environment"}, indent=1))


if __name__ == "__main__":
    script.script_main(main)
