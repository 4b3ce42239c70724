"""Train the class-conditional GAN and write labelled synthetic lesions.

    python train_gan.py  # 200 epochs, then 1000 images, the same number of each class
    python train_gan.py --sample-only --weights published  # images in seconds, without a table

The script reads the table's train part. It writes models/gan/ (generator.keras, options.json,
history.csv, samples/) and outputs/synthetic/ (hmnist_28_28_RGB.csv in Kaggle's layout with labels,
images/<class>/, contact_sheet.png, provenance.json, and what describes the set: DATASHEET.md,
croissant.json and LICENSE). It takes 25 to 85 minutes on two CPU cores for HAM10000;
--resume goes on after an interruption.

The critic compares real and generated images of the same class (relativistic loss,
Jolicoeur-Martineau 2018) under zero-centred gradient penalties on both (R3GAN, Huang et al. 2024),
estimated by finite differences so that no second derivative is needed, and sees both through one
random, differentiable shift and zoom (DiffAugment, Zhao et al. 2020). Both players learn from a
single backward pass; see `reverse_for_generator`.
"""

import argparse
from dataclasses import replace

import numpy as np

from lesiongan.data.classes import CLASSES, IMAGE_SHAPE, class_counts
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.nets import joined_generator, onnx_export, saved_models, synthetic_set
from lesiongan.nets.gan_augmentation import random_turns, shift_and_zoom
from lesiongan.run import gan_flags, keras_setup, published, runs, script, streams, tensorboard
from lesiongan.run.folders import ResultFolder, settle_split
from lesiongan.run.steps import Steps
from lesiongan.run.training import train_epochs

LATENT = 64
HISTORY = ("epoch", "critic_loss", "generator_loss", "penalty", "accuracy", "seconds")


def parse_args(argv=None):
    return gan_flags.parse(__doc__, argv)


# ---------------------------------------------------------------- the two networks


def build_generator(width=64, size=IMAGE_SHAPE[0]):
    """Build the generator: latent float32 (n, 64), label int32 (n,) -> image float32.

    It is a functional model; the image is (n, size, size, 3) in [0, 255].

    The signs of the first three latent numbers choose one of the eight flips and turns of the
    picture. Dermoscopy has no upright, and a generator without this draws every lesion in one
    orientation.
    """
    import keras
    from keras import layers, ops

    z = keras.Input((LATENT,), name="latent")
    y = keras.Input((), dtype="int32", name="label")

    def modulate(x, style):
        """Scale and shift each feature by the style vector (FiLM, Perez et al. 2018)."""
        c = x.shape[-1]
        scale = layers.Reshape((1, 1, c))(layers.Dense(c)(style))
        shift = layers.Reshape((1, 1, c))(layers.Dense(c)(style))
        return x * (1 + scale) + shift

    def act(x):
        return layers.LeakyReLU(0.2)(x)

    style = layers.Concatenate()(
        [z, layers.Embedding(len(CLASSES), LATENT, embeddings_initializer="normal")(y)]
    )
    for _ in range(2):
        style = act(layers.Dense(2 * LATENT)(style))
    x = layers.Reshape((size // 4, size // 4, width))(layers.Dense((size // 4) ** 2 * width)(style))
    x = x + layers.Conv2D(width, 3, padding="same")(act(modulate(x, style)))
    x = layers.Conv2DTranspose(width // 2, 4, strides=2, padding="same")(act(modulate(x, style)))
    x = x + layers.Conv2D(width // 2, 3, padding="same")(act(modulate(x, style)))
    x = layers.Conv2DTranspose(width // 8, 4, strides=2, padding="same")(act(modulate(x, style)))
    # This layer removes the checkerboard of the transposed convolution. It has few channels,
    # because at 28 x 28 even a thin layer is slow on a CPU.
    x = layers.Conv2D(3, 3, padding="same", activation="tanh")(act(x))
    for i, turn in enumerate(
        (
            lambda x: ops.flip(x, 1),
            lambda x: ops.flip(x, 2),
            lambda x: ops.transpose(x, (0, 2, 1, 3)),
        )
    ):
        turned = ops.reshape(ops.cast(z[:, i] > 0, "float32"), (-1, 1, 1, 1))
        # This sum is exact, and much faster than ops.where here.
        x = turned * turn(x) + (1 - turned) * x
    x = layers.Rescaling(127.5, 127.5, name="image")(x)
    return keras.Model([z, y], x, name="generator")


def build_critic(width=64, size=IMAGE_SHAPE[0]):
    """Build the critic: image float32 (n, size, size, 3), label int32 (n,) -> score (n,).

    It is a functional model; images are in [0, 255].

    Projection conditioning (Miyato and Koyama 2018): the score is a linear function of the features
    plus their inner product with an embedding of the label.
    """
    import keras
    from keras import layers, ops

    image = keras.Input((size, size, 3), name="image")
    y = keras.Input((), dtype="int32", name="label")

    def act(x):
        return layers.LeakyReLU(0.2)(x)

    x = layers.Rescaling(1 / 127.5, -1)(image)
    x = act(layers.Conv2D(width // 2, 4, strides=2, padding="same")(x))
    x = layers.Conv2D(width, 4, strides=2, padding="same")(x)
    x = x + layers.Conv2D(width, 3, padding="same")(act(x))
    x = act(layers.Conv2D(2 * width, 4, strides=2, padding="same")(act(x)))
    features = act(layers.Dense(2 * width)(layers.Flatten()(x)))
    projection = ops.sum(
        features
        * layers.Embedding(len(CLASSES), 2 * width, embeddings_initializer="glorot_uniform")(y),
        axis=-1,
    )
    score = layers.Reshape(())(layers.Dense(1)(features)) + projection
    return keras.Model([image, y], score, name="critic")


# ---------------------------------------------------------------- one step


def reverse_for_generator(images):
    """Return (images, switch (n,)), an identity that gives the generator the gradient of its loss.

    It does so in its backward pass. The critic's loss falls when fake scores D(x) fall, the
    generator's when they rise, and for each image both gradients are multiples of the same dD/dx.
    So one backward pass of the critic's loss serves both players, if what flows on into the
    generator is multiplied by the ratio of the two factors. That ratio, known only after the
    forward pass, is sent back as the gradient of `switch`, a vector of zeros that the loss
    multiplies by it. (This is gradient reversal, Ganin and Lempitsky 2015, with a factor for each
    image.)
    """
    from keras import ops

    @ops.custom_gradient
    def identity(flat):
        def grad(*args, upstream=None):
            g = args[0] if upstream is None else upstream
            return g[:, :-1] * g[:, -1:]

        return ops.concatenate([flat, ops.zeros_like(flat[:, :1])], axis=1), grad

    joined = identity(ops.reshape(images, (-1, int(np.prod(images.shape[1:])))))
    return ops.reshape(joined[:, :-1], (-1, *images.shape[1:])), joined[:, -1]


def build_gan(width, penalty, ema_momentum, size=IMAGE_SHAPE[0]):
    """Return a keras.Model of generator, critic and ema that trains both players together.

    Its loss trains both in one backward pass.
    """
    import keras
    from keras import ops

    class Gan(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator = build_generator(width, size)
            self.critic = build_critic(width, size)
            # The moving average of the generator is what is kept.
            self.ema = build_generator(width, size)
            self.ema.set_weights(self.generator.get_weights())
            self.ema.trainable = False
            self.means = {
                n: keras.metrics.Mean(name=n)
                for n in ("critic_loss", "generator_loss", "penalty", "accuracy")
            }

        def call(self, batch, training=None):
            """Return scores (real, fake), the switch, and slopes at some real and fake images.

            The slopes are finite differences.
            """
            y = batch["label"]
            fake, switch = reverse_for_generator(
                shift_and_zoom(self.generator([batch["latent"], y]), batch["fake_geometry"])
            )
            real = shift_and_zoom(batch["image"], batch["real_geometry"])
            # The slopes are central differences along a random direction, at the first images of
            # the batch: E[slope^2] = |grad D|^2.
            k = ops.shape(batch["noise"])[0] // 2
            at = ops.stop_gradient(ops.concatenate([real[:k], fake[:k]]))
            step = PENALTY_STEP * batch["noise"]
            images = ops.concatenate([real, fake, at + step, at - step])
            labels = ops.concatenate([y, y, y[:k], y[:k], y[:k], y[:k]])
            scores = self.critic([images, labels])
            n = ops.shape(y)[0]
            ahead, behind = scores[2 * n : 2 * n + 2 * k], scores[2 * n + 2 * k :]
            slopes = (ahead - behind) / (2 * PENALTY_STEP / 127.5)
            return {
                "real": scores[:n],
                "fake": scores[n : 2 * n],
                "switch": switch,
                "slopes": slopes,
            }

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            lead = y_pred["real"] - y_pred["fake"]
            critic_loss = ops.mean(ops.softplus(-lead))
            generator_loss = ops.mean(ops.softplus(lead))
            smooth = ops.mean(ops.square(y_pred["slopes"]))
            # The ratio is that of the two gradients: d critic_loss / d fake = sigmoid(-lead) / n
            # and d generator_loss / d fake = -sigmoid(lead) / n.
            ratio = ops.stop_gradient(-ops.sigmoid(lead) / ops.maximum(ops.sigmoid(-lead), 1e-4))
            for name, value in (
                ("critic_loss", critic_loss),
                ("generator_loss", generator_loss),
                ("penalty", smooth),
                ("accuracy", ops.mean(ops.cast(lead > 0, "float32"))),
            ):
                self.means[name].update_state(value)
            for average, weight in zip(self.ema.weights, self.generator.weights, strict=True):
                average.assign(ema_momentum * average + (1 - ema_momentum) * weight)
            return critic_loss + penalty * smooth + ops.sum(y_pred["switch"] * ratio)

        @property
        def metrics(self):
            return list(self.means.values())

    return Gan()


# The finite difference has this length in grey levels, an eighth of a typical contrast.
PENALTY_STEP = 4.0


def build_batches(images, labels, args):
    """Return a function (epoch, i) that gives batch i of an epoch, a dict of arrays.

    A batch depends on the seed, epoch and i alone, so a resumed run repeats it.
    """
    counts = class_counts(labels)
    weight = np.where(counts > 0, counts, 1.0) ** args.label_power * (counts > 0)
    weight = weight / weight.sum()
    members = [np.flatnonzero(labels == c) for c in range(len(CLASSES))]

    n = args.batch

    def geometry(rng):
        zoom = np.exp(rng.uniform(-0.2, 0.2, (n, 1)))
        shift = rng.uniform(-4, 4, (n, 2))
        used = rng.random((n, 1)) < args.augment
        g = np.stack([np.where(used, zoom, 1).repeat(2, axis=1), np.where(used, shift, 0)], axis=2)
        return g.astype(np.float32)

    def batch(epoch, i):
        rng = np.random.default_rng([args.seed, streams.GAN_BATCHES, epoch, i])
        y = rng.choice(len(CLASSES), n, p=weight)
        index = np.array([members[c][rng.integers(len(members[c]))] for c in y])
        return {
            "image": random_turns(images[index].astype(np.float32), rng),
            "label": y.astype(np.int32),
            "latent": rng.standard_normal((n, LATENT), dtype=np.float32),
            "real_geometry": geometry(rng),
            "fake_geometry": geometry(rng),
            "noise": rng.standard_normal(
                (2 * max(1, n // 16), *images.shape[1:]), dtype=np.float32
            ),
        }

    return batch


# ---------------------------------------------------------------- training


def prepare(images, labels, args):
    """Return (compiled GAN, batches, steps in an epoch) for images and their labels.

    images: uint8 (n, 28, 28, 3); labels: (n,).
    """
    import keras

    keras_setup.seed_everything(args.seed, args.deterministic)
    batches = build_batches(images, labels, args)
    each = max(1, round(len(labels) / args.batch))
    # The average looks back over about eight epochs. In a short run it looks back over less;
    # otherwise it would still hold the first weights.
    half_life = min(8, args.epochs / 10)
    gan = build_gan(args.width, args.penalty, 0.5 ** (1 / (half_life * each)), images.shape[1])
    rate = keras.optimizers.schedules.CosineDecay(
        args.learning_rate, args.epochs * each, alpha=0.05
    )
    gan.compile(
        optimizer=keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.99),
        jit_compile=keras_setup.use_xla(),
    )
    gan.optimizer.build(gan.trainable_variables)
    return gan, batches, each


def prepare_all(images, labels, args):
    """Return (compiled GAN, trainings, steps in an epoch) of args.generators trainings.

    A training is (state, batches): the values of variables_of(GAN) that it begins with, and its
    batches. The first is that of args.seed, the next that of args.seed + 1, and so on. One GAN
    trains them all.
    """
    trainings: list[tuple] = []
    # The first is prepared last, so that its GAN is the one that is left.
    for number in reversed(range(args.generators)):
        own = argparse.Namespace(**vars(args) | {"seed": args.seed + number})
        gan, batches, each = prepare(images, labels, own)
        trainings.insert(0, ([np.asarray(v).copy() for v in variables_of(gan)], batches))
    return gan, trainings, each


def variables_of(gan):
    """Return the variables that a GAN changes in its training, its optimizer's too."""
    return [*gan.variables, *gan.optimizer.variables]


def count_epochs(args):
    """Return how many epochs all trainings of a run have together."""
    return args.epochs * args.generators


def train(place, resuming):
    """Train args.generators generators for args.epochs each, and return the history.

    generator.keras (the moving average, or all joined), history.csv and samples/ are written to the
    folder of `place`. The epochs of one generator after another are counted on.
    """
    run, args, folder = place.run, place.run.args, place.path
    images, labels = run.inputs.part("train")
    gan, trainings, each = prepare_all(images, labels, args)
    # The finished generators are kept here.
    members = [build_generator(args.width, images.shape[1]) for _ in trainings[1:]]
    steps, state = Steps(gan), variables_of(gan)

    def train_epoch(epoch):
        number, epoch_of_own = divmod(epoch, args.epochs)
        begin, batch = trainings[number]
        if number and not epoch_of_own:
            members[number - 1].set_weights(gan.ema.get_weights())
            for variable, value in zip(state, begin, strict=True):
                variable.assign(value)
        # `fit` is not used, because it ends each epoch by waiting for tf.data's tuning thread,
        # often as long again as the epoch took.
        found = steps.train((batch(epoch_of_own, i),) for i in range(each))
        means = {name: found[name] for name in gan.means}
        # The losses are from before the last update, so the weights are checked too.
        weights = [np.sum(np.asarray(v)) for v in gan.ema.variables]
        if not np.isfinite([*means.values(), *weights]).all():
            raise InputError(
                f"epoch {epoch + 1}: the loss or the weights are not finite; lower --learning-rate"
            )
        return means.values()

    board = tensorboard.Board(folder, resuming) if args.tensorboard else None

    def draw_samples(epoch, history):
        if board:
            board.scalars(epoch + 1, {f"GAN/{n}": history[-1][n] for n in HISTORY[1:]})
        if is_grid(epoch, args):
            name = f"epoch_{epoch + 1:04d}"
            grid = synthetic_set.fixed_grid(gan.ema)
            synthetic_set.save_grid(folder / "samples" / f"{name}.png", grid, run.inputs.data_note)
            if board:
                board.picture(epoch + 1, "GAN/samples", synthetic_set.flatten_grid(grid))
            if args.snapshots:
                saved_models.save(folder / "snapshots" / f"{name}.keras", gan.ema)

    history = train_epochs(
        place,
        count_epochs(args),
        [*state, *(v for member in members for v in member.variables)],
        HISTORY,
        train_epoch,
        draw_samples,
        {},
        resuming,
        "GAN",
        lambda _: each * args.batch,
    )
    # The average was frozen only so that the training would leave it alone.
    gan.ema.trainable = True
    generator = joined_generator.join([*members, gan.ema]) if members else gan.ema
    saved_models.save(folder / "generator.keras", generator)
    writing.write_csv(
        folder / "history.csv", {name: [h[name] for h in history] for name in HISTORY}
    )
    return history


def main(argv=None):
    args = parse_args(argv)
    # The published generator is drawn from on machines without a table, too.
    origin = published.read_origin() if args.weights else None
    run = runs.Run(args, "train_gan", origin)
    if not origin:
        run.inputs.require_rgb28("train_gan")
    if not run.announce():
        return 0
    folder = args.models_dir / "gan"
    generator_path = folder / "generator.keras"
    # Refuse a bad folder or mix before an hour of training, not after.
    synthetic_set.check_folder(args.out)
    labels = synthetic_set.class_mix(
        args.class_mix,
        args.samples,
        run.inputs.train_counts(),
        args.classes,
        args.least_images,
    )
    place = ResultFolder(run, folder / "options.json", run.identify(gan_flags.list_unnamed(args)))
    trained = False
    if args.sample_only:
        settle_split(run)
    elif not place.is_current():
        resuming = place.can_resume()
        stale = () if resuming else ("samples/*.png", "snapshots/*.keras", *tensorboard.FILES)
        place.begin(list_files(args), (*stale, "*.onnx"))
        run.start_keras()
        history = train(place, resuming)
        seconds = round(sum(h["seconds"] for h in history), 1)
        outputs = [generator_path, folder / "history.csv"]
        place.finish(outputs, training_seconds=seconds, code_sha256=run.code_sha256)
        trained = True
    synthetic = ResultFolder(
        run,
        args.out / "provenance.json",
        identify_synthetic(run, place.record_path, generator_path),
    )
    is_current = not trained and synthetic.is_current()
    if is_current:
        say("  up to date")
    else:
        if args.weights:
            refuse_own_set(synthetic.record_path)
        run.start_keras()
        synthetic_set.write(synthetic, load_generator(run, generator_path), labels)
    # It comes last, so that an export that fails costs no set.
    if "onnx" in args.export and not args.weights:
        run.start_keras()
        generator = load_generator(run, generator_path)
        place.add_export(
            "generator.onnx", lambda path: onnx_export.export(path, generator, CLASSES)
        )
    return 0


DRAWN = {"networks": {"generator": {"published": bool}}}


def refuse_own_set(path):
    """Raise InputError if `path` is the record of images that no published generator drew.

    The images of one's own GAN would be lost. Those of a generator that was published when it drew
    them, finished or not, can be drawn again.
    """
    if not path.is_file():
        return
    record = records.read_json(path, "train_gan.py")
    if records.find_fault(record, DRAWN, "") or not record["networks"]["generator"]["published"]:
        raise InputError(
            f"{path.parent}: holds images of another generator than the published one; name "
            "another folder by --out, or remove it"
        )


def load_generator(run, path):
    """Return the generator of a file; InputError if another was put there since it was hashed."""
    generator = saved_models.load_generator(path)
    run.check_not_replaced("generator", path)
    return generator


def list_files(args):
    """Return the names of all files that a training may write, relative to its folder."""
    grids = [
        f"epoch_{epoch + 1:04d}" for epoch in range(count_epochs(args)) if is_grid(epoch, args)
    ]
    return [
        "generator.keras",
        "history.csv",
        "checkpoint.npz",
        *["generator.onnx"] * ("onnx" in args.export),
        *(tensorboard.FILES if args.tensorboard else ()),
        *(f"samples/{name}.png" for name in grids),
        *(f"snapshots/{name}.keras" for name in grids if args.snapshots),
    ]


def is_grid(epoch, args):
    """Return whether samples are drawn after an epoch, counted from 0."""
    done = epoch + 1
    return done % args.grid_every == 0 or done == 1 or done % args.epochs == 0


def identify_synthetic(run, options, generator_path):
    """Return the Identity of the synthetic set: that of its generator, with the sampling."""
    made = run.inputs.check_made_from(
        options, "train_gan.py", {"script": str, "options": dict, "outputs": {...: str}}
    )
    if run.hash_file("generator", generator_path) != made["outputs"].get("generator.keras"):
        raise InputError(
            f"{generator_path}: is not the generator {options} describes; run train_gan.py again"
        )
    # One split.csv holds both shares, so the split alone does not tell them apart.
    theirs, ours = (s.get("train_share") for s in (made["split"], run.inputs.split))
    if theirs != ours:
        raise InputError(
            f"{generator_path}: was trained with --train-share {theirs}, and this run has {ours}; "
            f"give --train-share {theirs}"
        )
    return replace(
        run.identify(),
        script=made["script"],
        options=made["options"] | {"sampling": sampling_of(run.args)},
    )


def sampling_of(args):
    """Return {flag: value} of what the record of a set says of its drawing."""
    sampling = {name: getattr(args, name) for name in gan_flags.SAMPLING_ON_RECORD}
    given = {name: getattr(args, name) for name in gan_flags.SAMPLING_IF_GIVEN}
    # The generator of a run is exported beside itself, which changes no set.
    given["export"] = tuple(e for e in args.export if e != "onnx" or args.weights)
    defaults = gan_flags.SAMPLING_IF_GIVEN
    return sampling | {name: value for name, value in given.items() if value != defaults[name]}


if __name__ == "__main__":
    script.script_main(main)
