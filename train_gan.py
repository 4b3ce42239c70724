"""Train the class-conditional GAN and write labelled synthetic lesions.

    python train_gan.py                      # 200 epochs, then 1000 images, the same number of each class

Reads the table's train part. Writes models/gan/ (generator.keras, options.json, history.csv, samples/) and
outputs/synthetic/ (hmnist_28_28_RGB.csv in Kaggle's layout with labels, images/<class>/, contact_sheet.png,
provenance.json). About 45 minutes on two CPU cores for HAM10000; --resume goes on after an interruption.

The critic compares real and generated images of the same class (relativistic loss, Jolicoeur-Martineau 2018) under
zero-centred gradient penalties on both (R3GAN, Huang et al. 2024), estimated by finite differences so that no second
derivative is needed, and sees both through one random, differentiable shift and zoom (DiffAugment, Zhao et al. 2020).
Both players learn from a single backward pass; see `reverse_for_generator`.
"""

import shutil
import time
from pathlib import Path

import numpy as np

import runlog
from ham10000 import CLASSES, IMAGE_SHAPE, InputError, class_counts

LATENT = 64
GRID_COLUMNS = 12
SAMPLING = ("samples", "class_mix", "no_png", "sample_only")  # flags that move the synthetic set, not the generator
SAMPLE_CHUNK = 1000  # images drawn at once: bounds memory, and fixes the latents whatever --samples is


def parse_args(argv=None):
    p = runlog.parser(__doc__)
    g = p.add_argument_group("GAN")
    g.add_argument("--batch", type=runlog.positive, default=64, help="real images a step, and as many generated ones")
    g.add_argument("--learning-rate", type=float, default=5e-4)
    g.add_argument("--penalty", type=float, default=0.005, help="weight of the squared gradient norm, both penalties")
    g.add_argument("--label-power", type=float, default=0.5,
                   help="classes are drawn in proportion to count^P: 1 natural, 0 balanced")  # fmt: skip
    g.add_argument("--augment", type=float, default=0.3, help="probability of the critic's shift and zoom")
    g.add_argument("--width", type=runlog.positive, default=64, help="channels at 7 x 7; half of it at 14 x 14")
    g.add_argument("--grid-every", type=runlog.positive, default=10, help="epochs between sample grids")
    g.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    g = p.add_argument_group("synthetic set")
    g.add_argument("--samples", type=runlog.positive, default=1000, help="synthetic images to write")
    g.add_argument("--class-mix", default="balanced",
                   help=f"balanced, train, or seven weights in the order {','.join(CLASSES)}")  # fmt: skip
    g.add_argument("--no-png", action="store_true", help="write the CSV alone, for large sets")
    g.add_argument("--sample-only", action="store_true", help="only write images from the saved generator")
    g.add_argument("--out", type=Path, help="folder of the synthetic set (default outputs/synthetic)")
    args = p.parse_args(argv)
    args.epochs = args.epochs or 200
    args.out = args.out or args.outputs_dir / "synthetic"
    if not 0 <= args.augment <= 1:
        p.error(f"--augment {args.augment}: a probability, from 0 to 1")
    if args.learning_rate <= 0 or args.penalty < 0:
        p.error("--learning-rate must be above 0 and --penalty at least 0")
    if args.width % 8:
        p.error(f"--width {args.width}: must be a multiple of 8")
    if args.sample_only and args.resume:
        p.error("--sample-only and --resume contradict each other: sampling trains nothing")
    return args


# ---------------------------------------------------------------- the two networks


def build_generator(width=64):
    """Functional model: latent float32 (n, 64), label int32 (n,) -> image float32 (n, 28, 28, 3) in [0, 255].

    The signs of the first three latent numbers choose one of the eight flips and turns of the picture. Dermoscopy has no
    upright, and a generator without this draws every lesion in one orientation.
    """
    import keras
    from keras import layers, ops

    z = keras.Input((LATENT,), name="latent")
    y = keras.Input((), dtype="int32", name="label")

    def modulate(x, style):
        """Feature-wise scale and shift by the style vector (FiLM, Perez et al. 2018)."""
        c = x.shape[-1]
        scale = layers.Reshape((1, 1, c))(layers.Dense(c)(style))
        shift = layers.Reshape((1, 1, c))(layers.Dense(c)(style))
        return x * (1 + scale) + shift

    def act(x):
        return layers.LeakyReLU(0.2)(x)

    style = layers.Concatenate()([z, layers.Embedding(len(CLASSES), LATENT, embeddings_initializer="normal")(y)])
    for _ in range(2):
        style = act(layers.Dense(2 * LATENT)(style))
    x = layers.Reshape((7, 7, width))(layers.Dense(7 * 7 * width)(style))
    x = x + layers.Conv2D(width, 3, padding="same")(act(modulate(x, style)))
    x = layers.Conv2DTranspose(width // 2, 4, strides=2, padding="same")(act(modulate(x, style)))
    x = x + layers.Conv2D(width // 2, 3, padding="same")(act(modulate(x, style)))
    x = layers.Conv2DTranspose(width // 8, 4, strides=2, padding="same")(act(modulate(x, style)))
    # Few channels here: at 28 x 28 even a thin layer is dear on a CPU. It removes the transposed convolution's checkerboard.
    x = layers.Conv2D(3, 3, padding="same", activation="tanh")(act(x))
    for i, turn in enumerate((lambda x: ops.flip(x, 1), lambda x: ops.flip(x, 2), lambda x: ops.transpose(x, (0, 2, 1, 3)))):
        x = ops.where(ops.reshape(z[:, i], (-1, 1, 1, 1)) > 0, turn(x), x)
    x = layers.Rescaling(127.5, 127.5, name="image")(x)
    return keras.Model([z, y], x, name="generator")


def build_critic(width=64):
    """Functional model: image float32 (n, 28, 28, 3) in [0, 255], label int32 (n,) -> score (n,).

    Projection conditioning (Miyato and Koyama 2018): the score is a linear function of the features plus their inner
    product with an embedding of the label.
    """
    import keras
    from keras import layers, ops

    image = keras.Input(IMAGE_SHAPE, name="image")
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
        features * layers.Embedding(len(CLASSES), 2 * width, embeddings_initializer="glorot_uniform")(y), axis=-1
    )
    score = layers.Reshape(())(layers.Dense(1)(features)) + projection
    return keras.Model([image, y], score, name="critic")


# ---------------------------------------------------------------- one step


def shift_and_zoom(images, geometry):
    """Resample each image along both axes, differentiably: two batched matrix products, edges repeated.

    images: float32 (n, 28, 28, 3); geometry: float32 (n, 2, 2), per axis the zoom (1 = none) and the shift in pixels.
    """
    from keras import ops

    size = IMAGE_SHAPE[0]
    at = ops.arange(size, dtype="float32")
    middle = (size - 1) / 2
    source = (at - middle) * geometry[..., :1] + middle + geometry[..., 1:]  # (n, 2, 28)
    source = ops.clip(source, 0, size - 1)
    weights = ops.relu(1 - ops.abs(source[..., None] - at))  # bilinear: (n, axis, out, in)
    images = ops.einsum("nij,njkc->nikc", weights[:, 0], images)
    return ops.einsum("nij,nkjc->nkic", weights[:, 1], images)


def reverse_for_generator(images):
    """(images, switch (n,)): an identity whose backward pass hands the generator its own loss's gradient.

    The critic's loss falls when fake scores D(x) fall, the generator's when they rise, and for each image both gradients
    are multiples of the same dD/dx. So one backward pass of the critic's loss serves both players, if what flows on
    into the generator is multiplied by the ratio of the two factors. That ratio, known only after the forward pass, is
    sent back as the gradient of `switch`, a vector of zeros that the loss multiplies by it.
    (Gradient reversal, Ganin and Lempitsky 2015, with a factor for each image.)
    """
    from keras import ops

    @ops.custom_gradient
    def identity(flat):
        def grad(*args, upstream=None):
            g = args[0] if upstream is None else upstream
            return g[:, :-1] * g[:, -1:]

        return ops.concatenate([flat, ops.zeros_like(flat[:, :1])], axis=1), grad

    joined = identity(ops.reshape(images, (-1, int(np.prod(IMAGE_SHAPE)))))
    return ops.reshape(joined[:, :-1], (-1, *IMAGE_SHAPE)), joined[:, -1]


def build_gan(width, penalty, ema_momentum):
    """A keras.Model around both players (generator, critic, ema) whose loss trains both in one backward pass."""
    import keras
    from keras import ops

    class Gan(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator = build_generator(width)
            self.critic = build_critic(width)
            self.ema = build_generator(width)  # the moving average of the generator: what is kept
            self.ema.set_weights(self.generator.get_weights())
            self.ema.trainable = False
            self.means = {n: keras.metrics.Mean(name=n) for n in ("critic_loss", "generator_loss", "penalty", "accuracy")}

        def call(self, batch, training=None):
            """Scores (real, fake, switch) and the finite-difference slopes at some real and fake images."""
            y = batch["label"]
            fake, switch = reverse_for_generator(
                shift_and_zoom(self.generator([batch["latent"], y]), batch["fake_geometry"])
            )
            real = shift_and_zoom(batch["image"], batch["real_geometry"])
            # Central differences along a random direction, at the first images of the batch: E[slope^2] = |grad D|^2.
            k = ops.shape(batch["noise"])[0] // 2
            at = ops.stop_gradient(ops.concatenate([real[:k], fake[:k]]))
            step = PENALTY_STEP * batch["noise"]
            images = ops.concatenate([real, fake, at + step, at - step])
            labels = ops.concatenate([y, y, y[:k], y[:k], y[:k], y[:k]])
            scores = self.critic([images, labels])
            n = ops.shape(y)[0]
            ahead, behind = scores[2 * n : 2 * n + 2 * k], scores[2 * n + 2 * k :]
            slopes = (ahead - behind) / (2 * PENALTY_STEP / 127.5)
            return {"real": scores[:n], "fake": scores[n : 2 * n], "switch": switch, "slopes": slopes}

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            lead = y_pred["real"] - y_pred["fake"]
            critic_loss = ops.mean(ops.softplus(-lead))
            generator_loss = ops.mean(ops.softplus(lead))
            smooth = ops.mean(ops.square(y_pred["slopes"]))
            # d critic_loss / d fake = sigmoid(-lead) / n, d generator_loss / d fake = -sigmoid(lead) / n.
            ratio = ops.stop_gradient(-ops.sigmoid(lead) / ops.maximum(ops.sigmoid(-lead), 1e-4))
            for name, value in (("critic_loss", critic_loss), ("generator_loss", generator_loss), ("penalty", smooth),
                                ("accuracy", ops.mean(ops.cast(lead > 0, "float32")))):  # fmt: skip
                self.means[name].update_state(value)
            for average, weight in zip(self.ema.weights, self.generator.weights, strict=True):
                average.assign(ema_momentum * average + (1 - ema_momentum) * weight)
            return critic_loss + penalty * smooth + ops.sum(y_pred["switch"] * ratio)

        @property
        def metrics(self):
            return list(self.means.values())

    return Gan()


PENALTY_STEP = 4.0  # grey levels: length of the finite difference, an eighth of a typical contrast


def build_batches(images, labels, args):
    """PyDataset of batches; every number in batch (epoch, i) is a function of the seed, so a resumed run repeats it."""
    import keras

    counts = class_counts(labels)
    weight = np.where(counts > 0, counts, 1.0) ** args.label_power * (counts > 0)
    weight = weight / weight.sum()
    members = [np.flatnonzero(labels == c) for c in range(len(CLASSES))]

    class Batches(keras.utils.PyDataset):
        epoch = 0

        def __len__(self):
            return max(1, round(len(labels) / args.batch))

        def __getitem__(self, i):
            rng = np.random.default_rng([args.seed, 1, self.epoch, i])
            n = args.batch
            y = rng.choice(len(CLASSES), n, p=weight)
            index = np.array([members[c][rng.integers(len(members[c]))] for c in y])
            batch = {
                "image": random_turns(images[index].astype(np.float32), rng),
                "label": y.astype(np.int32),
                "latent": rng.standard_normal((n, LATENT), dtype=np.float32),
                "real_geometry": self.geometry(rng, n),
                "fake_geometry": self.geometry(rng, n),
                "noise": rng.standard_normal((2 * max(1, n // 16), *IMAGE_SHAPE), dtype=np.float32),
            }
            return (batch,)

        def geometry(self, rng, n):
            zoom = np.exp(rng.uniform(-0.2, 0.2, (n, 1)))
            shift = rng.uniform(-4, 4, (n, 2))
            used = rng.random((n, 1)) < args.augment
            g = np.stack([np.where(used, zoom, 1).repeat(2, axis=1), np.where(used, shift, 0)], axis=2)
            return g.astype(np.float32)

        def on_epoch_end(self):
            self.epoch += 1

    return Batches()


def random_turns(images, rng):
    """A random flip or quarter turn of each image."""
    flip_rows, flip_columns, transpose = rng.random((3, len(images))) < 0.5
    images = images.copy()
    images[flip_rows] = images[flip_rows, ::-1]
    images[flip_columns] = images[flip_columns, :, ::-1]
    images[transpose] = images[transpose].swapaxes(1, 2)
    return images


# ---------------------------------------------------------------- training


def train(run, folder):
    """Train for args.epochs; leaves generator.keras (the moving average), history.csv and samples/ in `folder`."""
    import keras

    args = run.args
    runlog.seed_everything(args.seed)
    images, labels = run.part("train")
    batches = build_batches(images, labels, args)
    # The average looks back over about eight epochs, whatever the size of the table.
    gan = build_gan(args.width, args.penalty, ema_momentum=0.5 ** (1 / (8 * len(batches))))
    steps = args.epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(args.learning_rate, steps, alpha=0.05)
    gan.compile(optimizer=keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.99), jit_compile=use_xla())
    gan.optimizer.build(gan.trainable_variables)
    state = [*gan.variables, *gan.optimizer.variables]

    checkpoint = folder / "checkpoint.npz"
    history = []
    if args.resume:
        history = resume(run, checkpoint, state)
    batches.epoch = len(history)
    bar = runlog.progress(args.epochs, len(history), "GAN")

    class EachEpoch(keras.callbacks.Callback):
        """History, checkpoint and sample grid after every epoch."""

        began = time.time()

        def on_epoch_end(self, epoch, logs=None):
            now = time.time()
            means = {name: float(mean.result()) for name, mean in gan.means.items()}
            if not np.isfinite(list(means.values())).all():
                raise InputError(f"epoch {epoch + 1}: the loss is not finite; lower --learning-rate")
            history.append({"epoch": epoch + 1, **means, "seconds": now - self.began})
            if (epoch + 1) % args.grid_every == 0 or epoch in (0, args.epochs - 1):
                save_grid(folder / "samples" / f"epoch_{epoch + 1:04d}.png", fixed_grid(gan.ema), run.data_note)
            runlog.save_state(checkpoint, state, history=[list(h.values()) for h in history], fingerprint=run.fingerprint)
            self.began = time.time()
            bar.set_postfix_str(f"critic {means['critic_loss']:.3f} generator {means['generator_loss']:.3f}")
            bar.update()

    if len(history) < args.epochs:
        gan.fit(batches, epochs=args.epochs, initial_epoch=len(history), callbacks=[EachEpoch()], shuffle=False, verbose=0)
    bar.close()
    with runlog.atomic(folder / "generator.keras") as t:
        gan.ema.trainable = True
        gan.ema.save(t)
    runlog.write_csv(folder / "history.csv", {k: [h[k] for h in history] for k in history[0]})
    return history


def use_xla():
    """XLA pays on a GPU or with JAX; for these convolutions on a CPU, TensorFlow's own kernels are faster."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


HISTORY = ("epoch", "critic_loss", "generator_loss", "penalty", "accuracy", "seconds")


def resume(run, checkpoint, state):
    """Restore the state of the last finished epoch; returns the history so far, empty if there is nothing to resume.

    A checkpoint of another run is an error, unless --if-stale asks for it to be replaced.
    """
    if not checkpoint.is_file() or (run.args.if_stale and not runlog.is_state_of(checkpoint, run.fingerprint)):
        print(f"  nothing to resume in {checkpoint.parent}/: starting from the first epoch")
        return []
    extra = runlog.load_state(checkpoint, state, ("history",), run.fingerprint)
    print(f"  resuming after epoch {len(extra['history'])}")
    return [{k: (int(v) if k == "epoch" else float(v)) for k, v in zip(HISTORY, h, strict=True)} for h in extra["history"]]


# ---------------------------------------------------------------- sampling


def class_mix(text, n, train_labels):
    """int32 (n,) labels in class order: how many of each class for --class-mix; largest remainders get the rest."""
    if text == "balanced":
        weights = np.ones(len(CLASSES))
    elif text == "train":
        weights = class_counts(train_labels).astype(float)
    else:
        try:
            weights = np.array([float(w) for w in text.split(",")])
        except ValueError:
            weights = np.array([])
        if len(weights) != len(CLASSES) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum():
            raise InputError(f"--class-mix {text}: expected balanced, train, or seven weights of at least 0 for "
                             f"{','.join(CLASSES)}")  # fmt: skip
    weights = weights * (class_counts(train_labels) > 0)  # of a class it never saw the generator knows nothing
    if not weights.sum():
        raise InputError(f"--class-mix {text}: names only classes that have no images in the train part")
    share = weights / weights.sum() * n
    counts = np.floor(share).astype(int)
    counts[np.argsort(counts - share, kind="stable")[: n - counts.sum()]] += 1
    return np.repeat(np.arange(len(CLASSES), dtype=np.int32), counts)


def draw(generator, labels, seed):
    """Yield (uint8 images (k, 28, 28, 3), labels (k,)) in chunks; latents depend on the seed and position alone."""
    for chunk, start in enumerate(range(0, len(labels), SAMPLE_CHUNK)):
        y = labels[start : start + SAMPLE_CHUNK]
        z = np.random.default_rng([seed, 2, chunk]).standard_normal((len(y), LATENT), dtype=np.float32)
        images = generator.predict([z, y], batch_size=250, verbose=0)
        yield np.clip(np.rint(images), 0, 255).astype(np.uint8), y


def fixed_grid(generator):
    """uint8 (7, 12, 28, 28, 3): the same latents for every class and every epoch."""
    z = np.random.default_rng(0).standard_normal((GRID_COLUMNS, LATENT), dtype=np.float32)
    z = np.tile(z, (len(CLASSES), 1))
    y = np.repeat(np.arange(len(CLASSES), dtype=np.int32), GRID_COLUMNS)
    images = generator.predict([z, y], batch_size=len(y), verbose=0)
    return np.clip(np.rint(images), 0, 255).astype(np.uint8).reshape(len(CLASSES), GRID_COLUMNS, *IMAGE_SHAPE)


def save_grid(path, grid, note="", scale=2):
    """PNG of a (rows, columns, 28, 28, 3) grid, one class a row, names at the left, `note` below."""
    from PIL import Image, ImageDraw

    rows, columns, h, w, _ = grid.shape
    padded = np.pad(grid, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    sheet = Image.fromarray(padded.transpose(0, 2, 1, 3, 4).reshape(rows * (h + 2), columns * (w + 2), 3))
    sheet = sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)
    out = Image.new("RGB", (sheet.width + 40, sheet.height + (14 if note else 0)), "white")
    out.paste(sheet, (40, 0))
    ImageDraw.Draw(out).text((4, sheet.height + 1), note, fill="red")
    for i, name in enumerate(CLASSES[:rows]):
        ImageDraw.Draw(out).text((4, (i + 0.4) * (h + 2) * scale), name, fill="black")
    with runlog.atomic(path) as t:
        out.save(t)


def check_folder(folder):
    """InputError if --out holds files that are not a synthetic set, which writing one would replace."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "provenance.json").is_file():
        raise InputError(f"--out {folder}: has files that are not a synthetic set; name an empty or new folder")


def write_synthetic(run, generator, folder):
    """Write the synthetic set: CSV in Kaggle's layout, PNGs, contact sheet, and the full provenance.json last."""
    from PIL import Image

    args = run.args
    labels = class_mix(args.class_mix, args.samples, run.part("train")[1])
    runlog.write_json(runlog.ensure_folder(folder) / "provenance.json", {"what": "an unfinished synthetic set"})
    shutil.rmtree(folder / "images", ignore_errors=True)
    shown = [[] for _ in CLASSES]

    def chunks():
        done = 0
        for images, y in draw(generator, labels, args.seed):
            for image, code in zip(images, y, strict=True):
                if len(shown[code]) < 20:
                    shown[code].append(image)
                if not args.no_png:
                    with runlog.atomic(folder / "images" / CLASSES[code] / f"{done:05d}.png") as t:
                        Image.fromarray(image).save(t)
                done += 1
            yield images, y

    table, sheet = folder / runlog.TABLE_NAME, folder / "contact_sheet.png"
    runlog.write_table(table, chunks())
    blank = np.full(IMAGE_SHAPE, 255, np.uint8)
    save_grid(sheet, np.array([row + [blank] * (20 - len(row)) for row in shown]), run.data_note)
    runlog.write_json(folder / "provenance.json", {
        "what": "synthetic images drawn by a GAN trained on the train part; not photographs, not for clinical use",
        "note": run.data_note,
        "images": dict(zip(CLASSES, class_counts(labels), strict=True)),
        "generator_sha256": run.identity["inputs"]["generator"],
        "table_sha256": runlog.file_sha256(table),
        **run.identity,
        "fingerprint": run.fingerprint,
        "outputs": {p.name: runlog.file_sha256(p) for p in (table, sheet)},
    })  # fmt: skip
    print(f"  {len(labels)} synthetic images -> {table}")


def main(argv=None):
    args = parse_args(argv)
    run = runlog.Run(args, "train_gan")
    run.require_rgb28()
    if not run.announce():
        return 0
    folder = args.models_dir / "gan"
    options, generator_path = folder / "options.json", folder / "generator.keras"
    class_mix(args.class_mix, args.samples, run.part("train")[1])  # refuse a bad mix or folder before an hour of training
    check_folder(args.out)
    sampling = {name: run.identity["options"].pop(name) for name in SAMPLING}
    trained = False
    if args.sample_only:
        run.settle_split()
        run.check_made_from(options, "train_gan.py")
    elif not run.is_current(options):
        runlog.quiet_tensorflow()
        run.begin(options, *(() if args.resume else ("samples/*.png",)))
        history = train(run, folder)
        seconds = round(sum(h["seconds"] for h in history), 1)
        run.finish(options, [generator_path, folder / "history.csv"], training_seconds=seconds)
        (folder / "checkpoint.npz").unlink(missing_ok=True)
        trained = True
    # From here on the run is that of the synthetic set, which depends on the generator and the sampling flags.
    run.identity["options"] |= sampling
    run.add_input("generator", generator_path)
    if not trained and run.is_current(args.out / "provenance.json"):
        print("  up to date")
        return 0
    runlog.quiet_tensorflow()
    import keras

    generator = keras.saving.load_model(generator_path, compile=False, safe_mode=True)
    write_synthetic(run, generator, args.out)
    return 0


if __name__ == "__main__":
    runlog.script_main(main)
