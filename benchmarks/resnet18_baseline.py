"""Time a training step of the MedMNIST ResNet-18 at 28 x 28 beside one of train_cnn.py.

    python -m benchmarks.resnet18_baseline [--blocks 5]      # -> results/classifier/cost.json

The network is that of Yang et al. 2023 (MedMNIST v2): ResNet-18 with a 3 x 3 stem and no pooling
after it (He et al. 2016, as for CIFAR), batch 128, Adam 1e-3, cross-entropy, 100 epochs. Blocks of
steps of both networks alternate in one process, and medians are taken.
"""

import json
import time

import numpy as np

import train_cnn
from lesiongan import ROOT
from lesiongan.data.classes import CLASSES, IMAGE_SHAPE
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.measures import training_pool
from lesiongan.run import flags, keras_setup, machine, runs, script

BATCH, EPOCHS, BLOCK_STEPS = 128, 100, 6


def build_resnet18():
    """Return the functional model of 11.2 million weights.

    Image float32 (n, 28, 28, 3) in [0, 255] -> logits (n, 7).
    """
    import keras
    from keras import layers

    def conv(x, filters, size, stride=1):
        x = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    image = keras.Input(IMAGE_SHAPE)
    x = layers.Activation("relu")(conv(layers.Rescaling(1 / 127.5, -1)(image), 64, 3))
    for stage, filters in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = layers.Activation("relu")(conv(x, filters, 3, stride))
            short = conv(x, filters, 1, stride) if stride > 1 else x
            x = layers.Activation("relu")(short + conv(y, filters, 3))
    return keras.Model(
        image, layers.Dense(len(CLASSES))(layers.GlobalAveragePooling2D()(x)), name="resnet18"
    )


def time_steps(run, blocks):
    """Return {resnet18, ours: median seconds a training step}.

    The blocks of both alternate, after one that warms up.
    """
    import keras

    args = run.args
    keras_setup.seed_everything(0)
    images, labels = run.inputs.part("train")
    weights = np.ones(len(labels), np.float32)
    resnet = build_resnet18()
    resnet.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    models = {"resnet18": resnet, "ours": train_cnn.prepare(args, len(CLASSES), 1000)[0]}
    batch = training_pool.build_batches(images, labels, weights, args)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for block in range(blocks + 1):
        for name, model in models.items():
            began = time.perf_counter()
            for step in range(block * BLOCK_STEPS, (block + 1) * BLOCK_STEPS):
                model.train_on_batch(*batch(step))
            if block:
                seconds[name].append((time.perf_counter() - began) / BLOCK_STEPS)
    return {name: float(np.median(s)) for name, s in seconds.items()}


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("--blocks", type=flags.positive, default=5)
    args = p.parse_args(argv)
    keras_setup.quiet_tensorflow()
    run = runs.Run(train_cnn.parse_args(["--synthetic", "none"]), "resnet18_baseline")
    if run.inputs.table.is_phantom:
        raise InputError(
            f"{run.inputs.table.path}: is of phantoms; the committed cost is that of HAM10000's "
            "steps"
        )
    step = time_steps(run, args.blocks)
    steps = {
        "resnet18": EPOCHS * round(sum(run.inputs.parts == "train") / BATCH),
        "ours": sum(train_cnn.plan_epochs(run.args, sum(run.inputs.parts == "train"))),
    }
    minutes = {name: step[name] * steps[name] / 60 for name in step}
    out = {
        "seconds_a_step": step,
        "steps": steps,
        "minutes": minutes,
        "ratio": minutes["resnet18"] / minutes["ours"],
    }
    out["environment"] = machine.environment() | machine.accelerators()
    writing.write_json(ROOT / "results" / "classifier" / "cost.json", out)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    script.script_main(main)
