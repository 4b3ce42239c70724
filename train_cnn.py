"""Train the lesion classifier on real and synthetic images, the real-only control, or the judge.

    python train_cnn.py                    # real + outputs/synthetic -> models/cnn/
    python train_cnn.py --role control     # the same steps on real images alone -> models/control/
    python train_cnn.py --role judge       # the measuring instrument -> models/judge/
    python train_cnn.py --task malignancy  # benign / malignant -> models/malignancy/
    python train_cnn.py --clinical         # age, sex and site beside the image -> models/clinical/

The script reads the table's train part (val calibrates; test is never touched) and the synthetic
table, whose rows can only enter training. --synthetic takes the images of any other generator too:
a table, or a folder with pictures in images/<class>/. It writes classifier.keras, options.json and
history.csv. Each training takes 5 to 12 minutes on two CPU cores; --resume goes on after an
interruption.

Class imbalance: batches follow the natural mix, so that the probabilities stay calibrated. The
shift of the prior by synthetic images is taken out of the logits analytically (Saerens et al.
2002). options.json holds a second operating point, `balanced`, that trades accuracy for balanced
accuracy by a log-prior shift fitted on val (Menon et al. 2021). --sampler balanced draws every
class equally often instead.

With --soft-labels it learns what other classifiers of this split say of the synthetic images, in
place of their labels (distillation, Hinton et al. 2015).

With --clinical the network takes age, sex and site of the metadata beside the image. In training
they are made unknown at random, so that it learns to do without any of them.

Convolutions are trained by Muon, which needs half the steps that AdamW does here (results/LOG.md).

An epoch is as many images as the real training part has, whatever is mixed in: arms with equal
--epochs take equal steps.
"""

import math

import numpy as np

from lesiongan.data import clinical
from lesiongan.data.classes import CLASSES, IMAGE_SHAPE, MALIGNANT, class_counts
from lesiongan.files import checksums, writing
from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.measures import calibration, metrics, teacher, training_pool
from lesiongan.nets import (
    augmentation,
    inference,
    onnx_export,
    optimizers,
    saved_models,
)
from lesiongan.run import classifier_flags, keras_setup, runs, script, tensorboard
from lesiongan.run.folders import ResultFolder
from lesiongan.run.steps import Steps
from lesiongan.run.training import train_epochs

FOLDERS = {
    ("classifier", "dx"): "cnn",
    ("classifier", "malignancy"): "malignancy",
    ("control", "dx"): "control",
    ("control", "malignancy"): "malignancy_control",
    ("judge", "dx"): "judge",
}
CLINICAL_WIDTH = 8
# To score val after fewer steps than these would take longer than the steps.
EPOCH_STEPS = 50


def find_folder(args):
    """Return the folder of models/ in which a network is kept."""
    return "clinical" if args.clinical else FOLDERS[args.role, args.task]


def parse_args(argv=None):
    return classifier_flags.parse(__doc__, argv)


# ---------------------------------------------------------------- the network


def build_network(classes, width=48, stem=2, middle=28, takes_clinical=False):
    """Build the network: image float32 (n, 28, 28, 3) in [0, 255] -> logits (n, classes).

    It is a functional model; its layer `features` is (n, 4 width). It is a residual network (He et
    al. 2016, pre-activation) of 14 x 14 and 7 x 7, and with `stem` 2, the stride of the first
    convolution, of 4 x 4 too: what 28 x 28 would cost is spent on depth and width below it instead.

    takes_clinical: the network also takes age float32 (n,) in years, sex and site int32 (n,), as in
    data/clinical.py. Each is embedded and joins the features before the last layer, which adds what
    they say to what the image says.

    middle: side of the middle of the image that is enlarged to 28 x 28 before all else (layer
    `closer`). This is done only in use, not in training: the images it is trained on have been
    resampled and mostly enlarged by augmentation, and one left as it is would look sharper and
    smaller than any of them (Touvron et al. 2019, arXiv:1906.06423).
    """
    import keras
    from keras import layers

    def conv(x, filters, stride=1):
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.95)(x))
        return layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)

    x = image = keras.Input(IMAGE_SHAPE, name="image")
    if middle < IMAGE_SHAPE[0]:
        x = layers.Resizing(*IMAGE_SHAPE[:2], name="closer")(layers.CenterCrop(middle, middle)(x))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.Conv2D(width, 2 + stem, strides=stem, padding="same", use_bias=False)(x)
    for filters in (width, 2 * width, 4 * width)[2 - stem :]:
        short, stride = x, 1
        if filters != width:
            stride = 2
            short = layers.Conv2D(filters, 1, use_bias=False)(
                layers.AveragePooling2D(2, padding="same")(x)
            )
        x = short + conv(conv(x, filters, stride), filters)
    x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.95)(x))
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dropout(0.2)(x)
    if not takes_clinical:
        return keras.Model(image, layers.Dense(classes, name="logits")(x), name="classifier")
    age = keras.Input((), name="age")
    sex, site = (keras.Input((), dtype="int32", name=name) for name in ("sex", "site"))
    # Bin 0 is that of an unknown age; decades follow.
    decade = layers.Discretization(bin_boundaries=list(range(0, 90, 10)))(age)
    known = [
        layers.Embedding(count, CLINICAL_WIDTH, name=f"{name}_embedding")(value)
        for name, value, count in (
            ("age", decade, 10),
            ("sex", sex, len(clinical.SEXES)),
            ("site", site, len(clinical.SITES)),
        )
    ]
    logits = layers.Dense(classes, name="logits")(layers.Concatenate()([x, *known]))
    inputs = {"image": image, "age": age, "sex": sex, "site": site}
    return keras.Model(inputs, logits, name="clinical")


# ---------------------------------------------------------------- training


def find_shift(args, targets, prior, weights, real):
    """Return float (k,): what is added to the logits so that they hold under the train prior.

    targets: int (n,) of the pool; prior: float (k,) of the train part; weights: float (n,); real:
    how many of the pool's first rows are real. The network is taught the pool's prior, or the
    uniform one by --sampler balanced. What soft labels say holds under the train prior whatever is
    mixed in. With --finish-real it ends with the prior of the real rows, which is the train part's
    unless --real adds a table.
    """
    if args.soft_labels or (args.finish_real and args.real == "table"):
        return np.zeros(len(prior))
    if args.finish_real:
        targets, weights = targets[:real], weights[:real]
    counts = np.bincount(targets, minlength=len(prior))
    drawn = np.ones(len(targets)) if args.sampler == "natural" else len(targets) / counts[targets]
    taught = calibration.prior_of(targets, len(prior), weights * drawn)
    # The logit of a class that it was not taught is not shifted, so the class stays unlikely.
    return np.where(counts > 0, np.log(prior) - np.log(taught), 0)


def epoch_images(run, targets):
    """Return the number of images in an epoch.

    It is that of the real training part, so that arms are comparable; for the judge it is that of
    its own pool.
    """
    return len(targets) if run.args.role == "judge" else int((run.inputs.parts == "train").sum())


def plan_epochs(args, real_images):
    """Return the steps of each epoch: --epochs times the real part, or exactly --steps.

    The steps of --steps are spread over epochs of about the length of the others, but of
    EPOCH_STEPS at least. Without either, a small table gets as many epochs as LEAST_STEPS takes.
    """
    each = max(1, round(real_images / args.batch))
    if not args.steps:
        return [each] * max(args.epochs, math.ceil(args.least_steps / each))
    epochs = max(1, round(args.steps / max(each, EPOCH_STEPS)))
    return [args.steps // epochs + (i < args.steps % epochs) for i in range(epochs)]


def find_finish(args, steps):
    """Return the step from which --finish-real trains on real images alone.

    Raises InputError if there is none.
    """
    first = round(steps * (1 - args.finish_real))
    if first >= steps:
        raise InputError(
            f"--finish-real {args.finish_real:g}: is less than one of the {steps} steps; raise it, "
            "or leave it out"
        )
    return first


def prepare(args, classes, steps, soft=False):
    """Return (compiled model with augmentation, the network inside it) for `steps` steps.

    soft: the labels are probabilities (n, classes), not codes (n,).
    """
    import keras

    network = trained = build_network(classes, args.width, args.stem, args.middle, args.clinical)
    augment = augmentation.build_augmentation(
        args.augment, args.seed, args.colour_gain, args.sharpness
    )
    if args.clinical:
        image, *others = (network.input[n] for n in ("image", *clinical.NAMES))
        seen = network.get_layer("closer").output if args.middle < IMAGE_SHAPE[0] else image
        trained = keras.Model([seen, *others], network.output)
        augmented = keras.Sequential([keras.Input(IMAGE_SHAPE), *augment])(image)
        model = keras.Model(network.input, trained([augmented, *others]))
    else:
        # In training the augmentation stands in the place of the crop, which is for use alone.
        if args.middle < IMAGE_SHAPE[0]:
            trained = keras.Model(network.get_layer("closer").output, network.output)
        model = keras.Sequential([keras.Input(IMAGE_SHAPE), *augment, trained])
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=args.learning_rate, warmup_steps=max(1, steps // 20)
    )
    model.compile(
        optimizer=optimizers.build_optimizer(args.optimizer, rate, args.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True)
        if soft
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile="auto" if keras.backend.backend() != "tensorflow" else False,
    )
    model.optimizer.build(model.trainable_variables)
    return model, network


def train(place, pool, val, shift, resuming=False, known=(None, None), real=0):
    """Train the network; return (network, history).

    It has the weights of the last epoch, or with --keep best those of the epoch with the least val
    log-loss.

    shift: float (k,), added to the logits before they are scored, so that every arm is chosen under
    the same prior. known: {age, sex, site} of the pool and of val, for a network that takes them.
    real: how many images of the pool, its first ones, are real (for --finish-real).
    """
    args = place.run.args
    keras_setup.seed_everything(args.seed, args.deterministic)
    (images, targets, weights), (val_images, val_targets) = pool, val
    plan = plan_epochs(args, epoch_images(place.run, targets))
    model, network = prepare(args, len(shift), sum(plan), soft=targets.ndim == 2)
    finish = (find_finish(args, sum(plan)), real) if args.finish_real else None
    batch = training_pool.build_batches(images, targets, weights, args, known[0], finish)
    best = {f"best{i}": np.asarray(v) for i, v in enumerate(network.variables)}
    board = tensorboard.Board(place.path, resuming) if args.tensorboard else None
    steps, title, shown = Steps(model), find_folder(args), {}

    def train_epoch(epoch):
        first = sum(plan[:epoch])
        # `fit` is not used, because it ends each epoch by waiting for tf.data's tuning thread,
        # often as long again as the epoch took.
        loss = steps.train(map(batch, range(first, first + plan[epoch])))["loss"]
        p = calibration.softmax(inference.predict(network, val_images, known[1]) + shift)
        # Both are checked: the losses are from before each update, p is from after the last.
        if not np.isfinite([loss, p.sum()]).all():
            raise InputError(
                f"epoch {epoch + 1}: the loss or the probabilities are not finite; lower "
                "--learning-rate"
            )
        decided = p.argmax(axis=1)
        shown["confusion"] = metrics.confusion(val_targets, decided, p.shape[1])
        scores = metrics.summarise(shown["confusion"])
        accuracy = (decided == val_targets).mean()
        return loss, metrics.log_loss(val_targets, p), accuracy, scores["balanced_accuracy"]

    def keep_best(epoch, history):
        if board:
            board.scalars(epoch + 1, {f"{title}/{n}": history[-1][n] for n in HISTORY[1:]})
            picture = tensorboard.draw_confusion(shown["confusion"], class_names(args))
            board.picture(epoch + 1, f"{title}/confusion of val", picture)
        if args.keep == "last" or history[-1]["val_log_loss"] <= min(
            h["val_log_loss"] for h in history
        ):
            best.update({f"best{i}": np.asarray(v) for i, v in enumerate(network.variables)})

    state = [*model.variables, *model.optimizer.variables]
    history = train_epochs(
        place,
        len(plan),
        state,
        HISTORY,
        train_epoch,
        keep_best,
        best,
        resuming,
        title,
        lambda epoch: plan[epoch] * args.batch,
    )
    for variable, value in zip(network.variables, best.values(), strict=True):
        variable.assign(value)
    if board:
        show_features(board, network, val_images, val_targets, class_names(args), known[1])
    return network, history


def class_names(args):
    """Return the names of the classes that --task asks for."""
    return ("benign", "malignant") if args.task == "malignancy" else CLASSES


def show_features(board, network, images, targets, names, known=None):
    """Write the features of val images for TensorBoard's projector."""
    import keras

    features = keras.Model(network.input, network.get_layer("features").output)
    board.embeddings(inference.predict(features, images, known), targets, images, names)


def export(place):
    """Write what --export asks for, from the network of a finished folder."""
    if "onnx" in place.run.args.export:
        names = class_names(place.run.args)
        place.run.start_keras()
        path = place.path / "classifier.keras"
        model = saved_models.load_classifier(path, len(names), place.run.args.clinical)
        place.add_export("classifier.onnx", lambda path: onnx_export.export(path, model, names))


# Of the file that such a flag names only the content matters; its hash is among the inputs.
PATHS = ("synthetic", "soft_labels")


def list_unnamed(args):
    """Return the flags that the identity of a network does not name.

    Besides PATHS these are flags that records of before they existed do not name, where they are
    left out.
    """
    unused = [name for name, value in classifier_flags.UNUSED.items() if vars(args)[name] == value]
    return (*PATHS, *unused)


HISTORY = ("epoch", "loss", "val_log_loss", "val_accuracy", "val_balanced_accuracy", "seconds")


def main(argv=None):
    args = parse_args(argv)
    run = runs.Run(args, "train_cnn")
    inputs = run.inputs
    inputs.require_rgb28("train_cnn")
    if not run.announce(PATHS):
        return 0
    pool_images, pool_labels, pool_weights, synthetic = training_pool.gather(run)
    folder = args.models_dir / find_folder(args)
    teacher.check(run, args.soft_labels or (), folder)
    known = training_pool.gather_clinical(run, len(pool_labels))
    model_path = folder / "classifier.keras"
    added = {"real": "added"} if args.real not in ("table", "none") else {}
    identity = run.identify(list_unnamed(args), **added)
    place = ResultFolder(run, folder / "options.json", identity)
    if place.is_current():
        say("  up to date")
        export(place)
        return 0
    resuming = place.can_resume()
    exported = ["classifier.onnx"] * ("onnx" in args.export)
    logged = tensorboard.FILES if args.tensorboard else ()
    intended = [model_path.name, "history.csv", place.checkpoint.name, *exported, *logged]
    place.begin(intended, ["*.onnx", *(() if resuming else tensorboard.FILES)])
    run.start_keras()

    def target(labels):
        return MALIGNANT[labels].astype(np.int32) if args.task == "malignancy" else labels

    k = 2 if args.task == "malignancy" else len(CLASSES)
    val_images, val_labels = inputs.part("val")
    targets, real = target(pool_labels), len(pool_labels) - synthetic
    if args.finish_real:
        find_finish(args, sum(plan_epochs(args, epoch_images(run, targets))))
    prior = calibration.prior_of(target(inputs.part("train")[1]), k)
    shift = find_shift(args, targets, prior, pool_weights, real)
    pool = (pool_images, targets, pool_weights)
    if args.soft_labels:
        *pool, pool_labels, synthetic = training_pool.soften_labels(run, *pool, synthetic)
    val = (val_images, target(val_labels))
    network, history = train(place, pool, val, shift, resuming, known, real)
    temperature = calibration.fit_temperature(network, *val, shift, known[1])
    # The judge weighs every class alike, as the synthetic set has them. Its epoch, though, is
    # chosen under the train prior like that of any other network; otherwise the few val images of
    # the rare classes would decide.
    model = calibration.with_calibration(
        network, temperature, np.zeros(k) if args.role == "judge" else shift
    )
    saved_models.save(model_path, model)
    p = inference.predict_views(model, val_images, clinical=known[1])
    writing.write_csv(
        folder / "history.csv", {name: [h[name] for h in history] for name in HISTORY}
    )
    place.finish(
        [model_path, folder / "history.csv"],
        steps=sum(plan_epochs(args, epoch_images(run, targets))),
        trained_on=class_counts(pool_labels),
        real_images=real,
        synthetic_images=synthetic,
        **{f"{name}_origin": origin for name, origin in run.origins.items()},
        code_sha256=run.code_sha256,
        kept_epoch=len(history)
        if args.keep == "last"
        # Of epochs with equal losses the last is kept.
        else len(history) - int(np.argmin([h["val_log_loss"] for h in history[::-1]])),
        temperature=temperature,
        calibrated_for="the average of 8 views (evaluate.py --views 8)",
        operating_points=calibration.fit_operating_points(p, val[1], prior, inputs.lesions("val")),
        parameters=model.count_params(),
        model_sha256=checksums.file_sha256(model_path),
        val={
            "log_loss": metrics.log_loss(val[1], p),
            **metrics.summarise(metrics.confusion(val[1], p.argmax(axis=1), k)),
        },
    )
    export(place)
    return 0


if __name__ == "__main__":
    script.script_main(main)
