"""Train the textbook class-conditional DCGAN, a baseline for train_gan.py with its data and files.

    python -m benchmarks.gan_baseline        # 200 epochs -> bars/baseline/

It is that of Radford et al. 2016 with labels (Mirza and Osindero 2014), in the shape most Keras
tutorials give it. The generator has latent 100, dense to 7 x 7 x 128, transposed 4 x 4 convolutions
to 128 and 64 channels with batch normalisation, and a last 5 x 5 convolution. The critic has two
strided 5 x 5 convolutions with dropout and sees the label as an extra channel. Training is by
binary cross-entropy, Adam 2e-4 / 0.5, batch 128, one critic step then one generator step. Its real
images are turned as train_gan.py's are.
"""

from pathlib import Path

import numpy as np

from lesiongan.data.classes import CLASSES, IMAGE_SHAPE
from lesiongan.files import writing
from lesiongan.nets import gan_augmentation, saved_models, synthetic_set
from lesiongan.run import flags, keras_setup, runs, script, streams
from lesiongan.run.folders import ResultFolder
from lesiongan.run.training import train_epochs

BARS = Path(__file__).resolve().parent.parent / "bars" / "baseline"
LATENT = 100
BATCH = 128
HISTORY = ("epoch", "critic_loss", "generator_loss", "seconds")


def build_generator():
    """Return the functional model from latents and labels to images.

    Latent float32 (n, 100), label int32 (n,) -> image float32 (n, 28, 28, 3) in [0, 255].
    """
    import keras
    from keras import layers

    z, y = keras.Input((LATENT,), name="latent"), keras.Input((), dtype="int32", name="label")
    x = layers.Concatenate()([z, layers.Embedding(len(CLASSES), 50)(y)])
    x = layers.LeakyReLU(0.2)(
        layers.BatchNormalization()(layers.Dense(7 * 7 * 128, use_bias=False)(x))
    )
    x = layers.Reshape((7, 7, 128))(x)
    for filters in (128, 64):
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
        x = layers.LeakyReLU(0.2)(layers.BatchNormalization()(x))
    x = layers.Conv2D(3, 5, padding="same", activation="tanh")(x)
    return keras.Model([z, y], layers.Rescaling(127.5, 127.5, name="image")(x), name="generator")


def build_critic():
    """Return the functional model from images and labels to logits.

    Image float32 (n, 28, 28, 3) in [0, 255], label int32 (n,) -> logit (n, 1).
    """
    import keras
    from keras import layers

    image, y = keras.Input(IMAGE_SHAPE, name="image"), keras.Input((), dtype="int32", name="label")
    plane = layers.Reshape((*IMAGE_SHAPE[:2], 1))(
        layers.Dense(28 * 28)(layers.Embedding(len(CLASSES), 50)(y))
    )
    x = layers.Concatenate()([layers.Rescaling(1 / 127.5, -1)(image), plane])
    for filters in (64, 128):
        x = layers.Dropout(0.3)(
            layers.LeakyReLU(0.2)(layers.Conv2D(filters, 5, strides=2, padding="same")(x))
        )
    return keras.Model([image, y], layers.Dense(1)(layers.Flatten()(x)), name="critic")


class Dcgan:
    """Both players and their optimizers; `step` is one critic step, then one generator step."""

    def __init__(self):
        import keras
        import tensorflow as tf

        self.generator, self.critic = build_generator(), build_critic()
        self.optimizers = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)]
        for optimizer, network in zip(self.optimizers, (self.critic, self.generator), strict=True):
            optimizer.build(network.trainable_variables)
        self.loss = keras.losses.BinaryCrossentropy(from_logits=True)
        self.step = tf.function(self._step)

    @property
    def state(self):
        """Return every variable that a resumed run needs."""
        return [
            *self.generator.variables,
            *self.critic.variables,
            *(v for o in self.optimizers for v in o.variables),
        ]

    def _step(self, images, labels, latents):
        """Train one step of each player, and return (critic loss, generator loss).

        images: float32 (n, 28, 28, 3). labels: (n,). latents: (2, n, 100).
        """
        import tensorflow as tf

        fake = self.generator([latents[0], labels], training=True)
        with tf.GradientTape() as tape:
            real_score, fake_score = (
                self.critic([x, labels], training=True) for x in (images, fake)
            )
            critic_loss = self.loss(tf.ones_like(real_score), real_score) + self.loss(
                tf.zeros_like(fake_score), fake_score
            )
        variables = self.critic.trainable_variables
        self.optimizers[0].apply(tape.gradient(critic_loss, variables), variables)
        with tf.GradientTape() as tape:
            score = self.critic(
                [self.generator([latents[1], labels], training=True), labels], training=True
            )
            generator_loss = self.loss(tf.ones_like(score), score)
        variables = self.generator.trainable_variables
        self.optimizers[1].apply(tape.gradient(generator_loss, variables), variables)
        return critic_loss, generator_loss


def batch_of(images, labels, seed, epoch, i, order):
    """Return (images, labels, latents) of step i of an epoch."""
    rng = np.random.default_rng([seed, streams.GAN_BATCHES, epoch, i])
    index = order[i * BATCH : (i + 1) * BATCH]
    latents = rng.standard_normal((2, len(index), LATENT), dtype=np.float32)
    turned = gan_augmentation.random_turns(images[index].astype(np.float32), rng)
    return turned, labels[index], latents


def train(place, resuming):
    """Train the DCGAN, and return the seconds of each epoch.

    Writes generator.keras, history.csv and, every --grid-every epochs, samples/ and snapshots/.
    """
    run, args, folder = place.run, place.run.args, place.path
    keras_setup.seed_everything(args.seed, args.deterministic)
    images, labels = run.inputs.part("train")
    gan = Dcgan()

    def train_epoch(epoch):
        order = np.random.default_rng([args.seed, streams.IMAGE_ORDER, epoch]).permutation(
            len(labels)
        )
        steps = max(1, len(labels) // BATCH)
        losses = [
            [float(x) for x in gan.step(*batch_of(images, labels, args.seed, epoch, i, order))]
            for i in range(steps)
        ]
        return np.mean(losses, axis=0)

    def draw_samples(epoch, history):
        if (epoch + 1) % args.grid_every == 0 or epoch in (0, args.epochs - 1):
            name = f"epoch_{epoch + 1:04d}"
            grid = synthetic_set.fixed_grid(gan.generator)
            synthetic_set.save_grid(folder / "samples" / f"{name}.png", grid, run.inputs.data_note)
            saved_models.save(folder / "snapshots" / f"{name}.keras", gan.generator)

    history = train_epochs(
        place,
        args.epochs,
        gan.state,
        HISTORY,
        train_epoch,
        draw_samples,
        {},
        resuming,
        "DCGAN",
        lambda _: max(1, len(labels) // BATCH) * BATCH,
    )
    saved_models.save(folder / "generator.keras", gan.generator)
    writing.write_csv(
        folder / "history.csv", {name: [h[name] for h in history] for name in HISTORY}
    )
    return [h["seconds"] for h in history]


def main(argv=None):
    p = flags.parser(__doc__)
    p.set_defaults(models_dir=BARS / "models", outputs_dir=BARS / "outputs")
    p.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    p.add_argument(
        "--grid-every", type=flags.positive, default=10, help="epochs between sample grids"
    )
    args = p.parse_args(argv)
    args.epochs = args.epochs or 200
    run = runs.Run(args, "gan_baseline")
    run.inputs.require_rgb28("gan_baseline")
    if not run.announce():
        return 0
    folder = args.models_dir / "gan"
    place = ResultFolder(run, folder / "options.json", run.identify())
    if place.is_current():
        print("  up to date")
        return 0
    keras_setup.quiet_tensorflow()
    resuming = place.can_resume()
    place.begin(
        ["generator.keras", "history.csv", place.checkpoint.name],
        () if resuming else ("samples/*.png", "snapshots/*.keras"),
    )
    seconds = sum(train(place, resuming))
    place.finish(
        [folder / "generator.keras", folder / "history.csv"], training_seconds=round(seconds, 1)
    )
    return 0


if __name__ == "__main__":
    script.script_main(main)
