"""The networks under another backend of Keras, in a process of its own.

    KERAS_BACKEND=jax python -m tests.backends FOLDER FLAG...

FOLDER has given.npz, see `make_given`, and a classifier and a generator that were saved under
TensorFlow. The process runs the scripts with FLAGs: it trains a GAN and a CNN, stops each after an
epoch, resumes it, and evaluates. found.npz then has what `compute` gives for the networks of
FOLDER and, under names with own_, what the networks trained here give.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from lesiongan import ROOT

STEPS = 3
GAN = ["--epochs", "1", "--generators", "2", "--width", "8", "--batch", "32", "--samples", "7"]
CNN = ["--epochs", "2", "--width", "8", "--batch", "32"]


# By so much the numbers of two backends may differ. Adam makes steps of equal length of all
# gradients, of those too that are nothing but rounding.
TOLERANCES = {
    "probabilities": 1e-4,
    "images": 1e-2,
    "augmented": 1e-2,
    "moved": 1e-2,
    "gan_losses": 1e-3,
    "gan_images": 1,
    "cnn_losses": 1e-3,
}


def make_given():
    """Inputs of the networks: {name: array}."""
    rng = np.random.default_rng(0)
    return {
        "images": rng.uniform(0, 255, (9, 28, 28, 3)).astype(np.float32),
        "latents": rng.standard_normal((14, 64), dtype=np.float32),
        "labels": np.arange(14, dtype=np.int32) % 7,
        "geometry": rng.uniform(0.8, 1.2, (9, 2, 2)).astype(np.float32),
    }


def run_networks(classifier, generator, given):
    """(probabilities, images) of two .keras files."""
    from lesiongan.nets import saved_models

    generator = saved_models.load_generator(generator)
    # Generators that are joined take a number more each; the first ones serve again.
    more = generator.input_shape[0][1] - given["latents"].shape[1]
    latents = np.concatenate([given["latents"], given["latents"][:, :more]], axis=1)
    return (
        saved_models.load_classifier(classifier).predict_on_batch(given["images"]),
        generator.predict_on_batch([latents, given["labels"]]),
    )


def compute(folder, given):
    """What must be the same under every backend: {name: array}."""
    import keras

    from lesiongan.nets import augmentation, gan_augmentation

    p, images = run_networks(folder / "classifier.keras", folder / "generator.keras", given)
    (classic,) = augmentation.build_augmentation("classic", 0, colour_gain=0.06, sharpness=0.5)
    with same_random_numbers():
        augmented = classic(given["images"], training=True)
    moved = gan_augmentation.shift_and_zoom(
        keras.ops.convert_to_tensor(given["images"]), given["geometry"]
    )
    gan_losses, gan_images = step_gan(given)
    return {
        "probabilities": p,
        "images": images,
        "augmented": keras.ops.convert_to_numpy(augmented),
        "moved": keras.ops.convert_to_numpy(moved),
        "gan_losses": gan_losses,
        "gan_images": gan_images,
        "cnn_losses": step_cnn(given),
    }


@contextlib.contextmanager
def same_random_numbers():
    """Within, keras.random.uniform takes its numbers from NumPy."""
    import keras

    real, rng = keras.random.uniform, np.random.default_rng(1)

    def uniform(shape, minval, maxval, seed=None):
        return keras.ops.convert_to_tensor(rng.uniform(minval, maxval, shape).astype(np.float32))

    keras.random.uniform = uniform
    try:
        yield
    finally:
        keras.random.uniform = real


def set_weights(model):
    """Give every array of a network numbers that do not depend on the backend."""
    rng = np.random.default_rng(2)
    model.set_weights(
        [
            (rng.standard_normal(w.shape) / max(1, np.prod(w.shape[:-1])) ** 0.5).astype(w.dtype)
            if w.ndim > 1
            else w
            for w in model.get_weights()
        ]
    )


def step_gan(given):
    """Losses (STEPS, 4) of the GAN's first training steps, and images of its moving average."""
    import train_gan

    # As many images as the scripts' table trains on: what has been compiled for one serves both.
    images = np.tile(given["images"], (15, 1, 1, 1)).astype(np.uint8)
    labels = np.arange(len(images)) % 7
    args = train_gan.parse_args(GAN)
    gan, batches, _ = train_gan.prepare(images, labels, args)
    for network in (gan.generator, gan.critic, gan.ema):
        set_weights(network)
    logs = [gan.train_on_batch(batches(0, i), return_dict=True) for i in range(STEPS)]
    drawn = gan.ema.predict_on_batch([given["latents"], given["labels"]])
    return np.array([[float(log[name]) for name in gan.means] for log in logs]), drawn


def step_cnn(given):
    """Losses (STEPS,) of the classifier's first training steps."""
    import keras

    import train_cnn

    args = train_cnn.parse_args([*CNN, "--augment", "none"])
    model, network = train_cnn.prepare(args, 7, 10)
    set_weights(network)
    for layer in network.layers:
        # Which features are dropped depends on the backend.
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
    targets, weights = np.arange(9) % 7, np.linspace(0.2, 1, 9, dtype=np.float32)
    return np.array(
        [float(model.train_on_batch(given["images"], targets, weights)) for _ in range(STEPS)]
    )


def stop_and_resume(script, flags):
    """Run a training script, stop it once it has saved its first epoch, and resume it."""
    from lesiongan.run import checkpoints

    real = checkpoints.save_state

    def save(*args, **kwargs):
        real(*args, **kwargs)
        raise KeyboardInterrupt

    checkpoints.save_state = save
    with contextlib.suppress(KeyboardInterrupt):
        script.main(flags)
    checkpoints.save_state = real
    return script.main([*flags, "--resume"])


class Beside:
    """One run of this file under another backend, and what TensorFlow computes from the same.

    table: path of the table; folder: where it ran; given, found: {name: array}; here: what
    TensorFlow gives for `given`; own: what it gives for the networks trained under the other
    backend; done: the finished process.
    """

    def __init__(self, backend, folder, networks, environment):
        self.table = networks.table
        self.folder, self.models, self.outputs = folder, folder / "models", folder / "outputs"
        shutil.copy(networks.models / "cnn/classifier.keras", folder)
        shutil.copy(networks.models / "gan/generator.keras", folder)
        self.given = make_given()
        np.savez(folder / "given.npz", **self.given)
        places = ["--models-dir", self.models, "--outputs-dir", self.outputs]
        self.done = subprocess.run(
            [sys.executable, "-m", "tests.backends", folder, "--data", networks.table, *places],
            cwd=ROOT,
            env=os.environ | {"KERAS_BACKEND": backend} | environment,
            capture_output=True,
            text=True,
        )
        assert self.done.returncode == 0, self.done.stderr[-2000:]
        self.found = dict(np.load(folder / "found.npz"))
        self.here = compute(folder, self.given)
        own = run_networks(
            self.models / "cnn/classifier.keras", self.models / "gan/generator.keras", self.given
        )
        self.own = dict(zip(("probabilities", "images"), own, strict=True))

    def differences(self, expected, prefix=""):
        """Those names whose numbers are further from `expected` than TOLERANCES has it."""
        far = {n: float(np.abs(v - self.found[prefix + n]).max()) for n, v in expected.items()}
        return {name: by for name, by in far.items() if not by <= TOLERANCES[name]}


def main(argv):
    from lesiongan.run import keras_setup

    folder, flags = Path(argv[0]), argv[1:]
    keras_setup.quiet_tensorflow()
    import evaluate
    import train_cnn
    import train_gan

    given = dict(np.load(folder / "given.npz"))
    found = compute(folder, given)
    stop_and_resume(train_gan, [*flags, *GAN])
    stop_and_resume(train_cnn, [*flags, *CNN])
    evaluate.main(flags)
    models = evaluate.parse_args(flags).models_dir
    own = run_networks(models / "cnn/classifier.keras", models / "gan/generator.keras", given)
    np.savez(folder / "found.npz", own_probabilities=own[0], own_images=own[1], **found)


if __name__ == "__main__":
    main(sys.argv[1:])
