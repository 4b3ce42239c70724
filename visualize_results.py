"""Draw the paper figures and one self-contained report from what the other scripts wrote.

    python visualize_results.py              # -> outputs/figures/ (PNG and PDF) and outputs/report.html

Reads models/, outputs/ and the table. A figure whose inputs are missing is left out, and the report says which and why;
--no-models skips those that need a network. About a minute.
"""

import numpy as np

import artifacts
import machine
import metrics
import report
import runlog
import saved_models
from ham10000 import CLASSES, InputError
from synthetic_set import draw_latents, generate

GRID = 10


def parse_args(argv=None):
    p = runlog.parser(__doc__)
    p.add_argument("--no-models", action="store_true", help="skip figures drawn by running a saved network")
    return p.parse_args(argv)


class Missing(Exception):
    """A figure's input is not there: the figure is left out and the report says why."""


def need(path, made_by):
    """`path`, or Missing naming the script that writes it."""
    if not path.is_file():
        raise Missing(f"no {path.name}: run {made_by}")
    return path


def frame(path, made_by):
    """DataFrame of a CSV the pipeline wrote."""
    import pandas as pd

    try:
        return pd.read_csv(need(path, made_by))
    except ValueError as e:
        raise Missing(f"{path} is damaged ({str(e)[:60]}): run {made_by}") from None


class Inputs:
    """What the figures draw from, loaded once and checked to come from this data and split."""

    def __init__(self, run):
        self.run, self.args, self.table = run, run.args, run.table
        self.models, self.outputs = run.args.models_dir, run.args.outputs_dir
        self.evaluation = self.outputs / "evaluation"
        self._cache = {}

    def file(self, path, made_by, record="options.json"):
        """`path`, if it is the file of this data and split that the record beside it describes; Missing if it is not."""
        found = self.run.check_made_from(need(path.with_name(record), made_by), made_by, {"outputs": {...: str}})
        if artifacts.file_sha256(need(path, made_by)) != found["outputs"].get(path.name):
            raise Missing(f"{path} is not the file its {record} describes: run {made_by}")
        return path

    def model(self, folder, file="classifier.keras"):
        if self.args.no_models:
            raise Missing("--no-models was given")
        path = self.file(self.models / folder / file, "train_gan.py" if folder == "gan" else "train_cnn.py")
        if path not in self._cache:
            self._cache[path] = (saved_models.load_generator if folder == "gan" else saved_models.load_classifier)(path)
        return self._cache[path]

    def synthetic(self):
        from ham10000 import read_table

        path = self.file(self.outputs / "synthetic" / artifacts.TABLE_NAME, "train_gan.py", "provenance.json")
        if path not in self._cache:
            self._cache[path] = read_table(path)
        return self._cache[path]

    def predictions(self, name="predictions.csv"):
        """(labels, p (n, 7), rows)."""
        self.check_evaluation()
        found = frame(self.evaluation / name, "evaluate.py")
        return found["label"].to_numpy(), found[[f"p_{c}" for c in CLASSES]].to_numpy(), found["row"].to_numpy()

    def check_evaluation(self):
        """Missing unless outputs/evaluation is of this data and split, and of the models and synthetic set now on disk."""
        path, shape = self.evaluation / "options.json", {"inputs": {...: str}, "outputs": {...: str}}
        record = self.run.check_made_from(need(path, "evaluate.py"), "evaluate.py", shape)
        for name, digest in record["outputs"].items():
            if artifacts.file_sha256(need(self.evaluation / name, "evaluate.py")) != digest:
                raise Missing(f"{self.evaluation / name} has changed since it was written: run evaluate.py")
        paths = {n: self.models / n / "classifier.keras" for n in ("control", "judge", "malignancy", "malignancy_control")}
        paths |= {
            "classifier": self.models / "cnn" / "classifier.keras",
            "generator": self.models / "gan" / "generator.keras",
            "synthetic": self.outputs / "synthetic" / artifacts.TABLE_NAME,
        }
        for name, digest in record["inputs"].items():
            if name in paths and paths[name].is_file() and artifacts.file_sha256(paths[name]) != digest:
                raise Missing(f"{self.evaluation}/ was made from another {paths[name]}: run evaluate.py")

    def image_of_row(self, rows):
        """Images of row numbers of the table."""
        at = {r: i for i, r in enumerate(self.table.rows)}
        return self.table.images[[at[r] for r in rows]]


def draw_real_and_synthetic(figures, inputs):
    """Real training images beside synthetic ones, class by class."""
    rng = np.random.default_rng(0)
    images, labels = inputs.run.part("train")
    made = inputs.synthetic()

    def choose(images, labels):
        return {c: images[rng.permutation(np.flatnonzero(labels == i))[:GRID]] for i, c in enumerate(CLASSES)}

    groups = [choose(images, labels), choose(made.images, made.labels)]
    return figures.class_rows(groups, GRID, (f"real (train, n = {len(labels)})", f"synthetic (n = {len(made)})"))


def draw_class_grid(figures, inputs):
    """Fresh samples: the same latents for every class, so that columns differ by the label alone."""
    generator = inputs.model("gan", "generator.keras")
    z = draw_latents(generator, GRID, 1)
    groups = {c: generate(generator, z, np.full(GRID, i)) for i, c in enumerate(CLASSES)}
    return figures.class_rows([groups], GRID, ("one column, one latent vector",))


def draw_interpolation(figures, inputs):
    """From one latent vector to another along a great circle, for every class."""
    generator = inputs.model("gan", "generator.keras")
    a, b = draw_latents(generator, 2, 2)
    b[:3] = np.abs(b[:3]) * np.sign(a[:3])  # the signs of the first three turn the picture: keep them
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    t = np.linspace(0, 1, GRID)[:, None]
    z = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    groups = {c: generate(generator, z, np.full(GRID, i)) for i, c in enumerate(CLASSES)}
    return figures.class_rows([groups], GRID, ("latent interpolation",))


def draw_gan_training(figures, inputs):
    """Losses of both players and the critic's accuracy over the epochs."""
    history = frame(inputs.file(inputs.models / "gan" / "history.csv", "train_gan.py"), "train_gan.py")
    fig, (left, right) = figures.plt.subplots(1, 2, figsize=(6.6, 2.5))
    left.plot(history.epoch, history.critic_loss, color=figures.REAL, label="critic")
    left.plot(history.epoch, history.generator_loss, color=figures.SYNTHETIC, label="generator")
    left.axhline(np.log(2), color="grey", linewidth=0.8, linestyle=":", label="log 2: indistinguishable")
    left.set(xlabel="epoch", ylabel="relativistic loss (nats)")
    left.legend(frameon=False, fontsize=7)
    right.plot(history.epoch, history.accuracy * 100, color="black")
    right.axhline(50, color="grey", linewidth=0.8, linestyle=":")
    right.set(xlabel="epoch", ylabel="real above synthetic (%)")
    return fig


def draw_embedding(figures, inputs):
    """t-SNE of the judge's features of held-out real and of synthetic images, side by side in one map."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    judge = inputs.model("judge")
    import keras  # only once there is a network to run: it takes seconds and chatters

    features = keras.Model(judge.input, judge.get_layer("features").output)
    made = inputs.synthetic()
    images, labels = inputs.run.part("test")
    rng = np.random.default_rng(0)
    r, s = (np.sort(rng.permutation(n)[:1000]) for n in (len(images), len(made)))
    x = metrics.predict(features, np.concatenate([images[r], made.images[s]]))
    x = PCA(min(30, *x.shape), random_state=0, svd_solver="full").fit_transform(x)
    at = TSNE(perplexity=min(30, len(x) / 4), random_state=0, init="pca").fit_transform(x)
    fig, axes = figures.plt.subplots(1, 2, figsize=(7, 3.4), sharex=True, sharey=True)
    for ax, points, y, title in ((axes[0], at[: len(r)], labels[r], "real, held out"),
                                 (axes[1], at[len(r) :], made.labels[s], "synthetic")):  # fmt: skip
        for i, c in enumerate(CLASSES):
            ax.scatter(*points[y == i].T, s=4, color=figures.COLOURS[c], label=figures.tick(c))
        ax.set(title=f"{title} (n = {len(points)})", xlabel="t-SNE 1", ylabel="t-SNE 2", xticks=[], yticks=[])
    axes[1].legend(frameon=False, fontsize=7, markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


def draw_nearest_pairs(figures, inputs):
    """The ten synthetic images nearest to a training image, with that image below."""
    inputs.check_evaluation()
    nearest = frame(inputs.file(inputs.evaluation / "nearest.csv", "evaluate.py"), "evaluate.py")
    nearest = nearest.sort_values("distance", kind="stable").head(10)
    made = inputs.synthetic()
    fig, axes = figures.plt.subplots(2, len(nearest), figsize=(0.75 * len(nearest), 2.1), squeeze=False)
    reals = inputs.image_of_row(nearest.train_row)
    for column, (pair, real) in enumerate(zip(nearest.itertuples(), reals, strict=True)):
        figures.show_image(axes[0, column], made.images[pair.synthetic_row])
        figures.show_image(axes[1, column], real)
        axes[0, column].set_title(CLASSES[pair.label], fontsize=7)
        axes[1, column].set_xlabel(f"{pair.distance:.0f}", fontsize=7)
    axes[0, 0].set_ylabel("synthetic", fontsize=7)
    axes[1, 0].set_ylabel("nearest\nin train", fontsize=7)
    return fig


def draw_label_agreement(figures, inputs):
    """How often the judge gives a synthetic image its own label, beside its recall on held-out real images."""
    inputs.check_evaluation()
    quality = artifacts.read_json(need(inputs.evaluation / "synthetic_quality.json", "evaluate.py"), "evaluate.py")
    if "label_agreement" not in quality:
        raise Missing(str(quality.get("reason", "synthetic_quality.json has no label agreement")))
    fig, ax = figures.plt.subplots(figsize=(5, 2.5))
    found = quality["label_agreement"]
    shown = [i for i, c in enumerate(CLASSES) if found[c]["value"] is not None]
    for side, colour, label, pick in ((-0.2, figures.REAL, "real, held out: recall", lambda f: f["real_recall"]),
                                      (0.2, figures.SYNTHETIC, "synthetic: agreement", lambda f: f)):  # fmt: skip
        shares = [pick(found[CLASSES[i]]) for i in shown]
        v, low, high = (100 * np.array([s[end] for s in shares]) for end in ("value", "low", "high"))
        ax.bar(np.array(shown) + side, v, 0.38, color=colour, label=label, yerr=(v - low, high - v),
               error_kw={"linewidth": 0.8})  # fmt: skip
    ax.set_xticks(range(len(CLASSES)), figures.TICKS)
    ax.set(xlabel="diagnosis", ylabel="judge agrees with the label (%)", ylim=(0, 119))
    ax.legend(frameon=False, fontsize=7, ncol=2, loc="upper center")
    return fig


# ---------------------------------------------------------------- the classifier


def draw_cnn_training(figures, inputs):
    """Loss and val accuracy over the epochs, with and without synthetic images."""
    fig, (left, right) = figures.plt.subplots(1, 2, figsize=(6.6, 2.5))
    for folder, colour in (("cnn", figures.SYNTHETIC), ("control", figures.REAL)):
        try:
            history = frame(inputs.file(inputs.models / folder / "history.csv", "train_cnn.py"), "train_cnn.py")
            options = inputs.run.check_made_from(inputs.models / folder / "options.json", "train_cnn.py",
                                                 {"real_images": int, "synthetic_images": int})  # fmt: skip
        except (Missing, InputError):
            if folder == "cnn":
                raise
            continue
        counts = {"real": options["real_images"], "synthetic": options["synthetic_images"]}
        label = " + ".join(f"{n} {kind}" for kind, n in counts.items() if n)
        left.plot(history.epoch, history.loss, color=colour, linestyle=":", linewidth=1)
        left.plot(history.epoch, history.val_log_loss, color=colour, label=label)
        right.plot(history.epoch, history.val_accuracy * 100, color=colour, label=label)
        right.plot(history.epoch, history.val_balanced_accuracy * 100, color=colour, linestyle="--", linewidth=1)
    left.set(xlabel="epoch", ylabel="log-loss (nats)\ndotted: train")
    right.set(xlabel="epoch", ylabel="val accuracy (%)\ndashed: balanced")
    left.legend(frameon=False, fontsize=7)
    return fig


def draw_confusion(figures, inputs):
    """Confusion matrix: share of each true class (colour, %) and counts."""
    import metrics

    y, p, _ = inputs.predictions()
    matrix = metrics.confusion(y, p.argmax(axis=1), len(CLASSES))
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    text = np.array([[f"{s:.0f}\n({int(n)})" for s, n in zip(*row, strict=True)] for row in zip(share, matrix, strict=True)])
    fig, ax = figures.plt.subplots(figsize=(4.6, 3.8))
    figures.sns.heatmap(
        share,
        annot=text,
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=100,
        ax=ax,
        annot_kws={"fontsize": 7},
        xticklabels=figures.TICKS,
        yticklabels=figures.TICKS,
        cbar_kws={"label": "% of the true class"},
    )
    ax.set(xlabel="decided", ylabel="true", title=f"argmax, n = {len(y)}")
    return fig


def draw_curves(figures, inputs):
    """ROC and precision-recall curves, each class against the rest."""
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    y, p, _ = inputs.predictions()
    fig, (left, right) = figures.plt.subplots(1, 2, figsize=(7, 3.2))
    for i, c in enumerate(CLASSES):
        positive = y == i
        if not 0 < positive.sum() < len(y):
            continue
        fpr, tpr, _ = roc_curve(positive, p[:, i])
        left.plot(100 * fpr, 100 * tpr, color=figures.COLOURS[c], linewidth=1.1,
                  label=f"{figures.tick(c)} {roc_auc_score(positive, p[:, i]):.3f} (n = {positive.sum()})")  # fmt: skip
        precision, recall, _ = precision_recall_curve(positive, p[:, i])
        right.plot(100 * recall, 100 * precision, color=figures.COLOURS[c], linewidth=1.1,
                   label=f"{figures.tick(c)} {average_precision_score(positive, p[:, i]):.3f}")  # fmt: skip
    left.plot([0, 100], [0, 100], color="grey", linewidth=0.7, linestyle=":")
    left.set(xlabel="1 - specificity (%)", ylabel="sensitivity (%)")
    right.set(xlabel="recall (%)", ylabel="precision (%)", ylim=(0, 102))
    left.legend(frameon=False, fontsize=6.5, title="AUC", title_fontsize=7)
    right.legend(frameon=False, fontsize=6.5, title="average precision", title_fontsize=7)
    return fig


def draw_calibration(figures, inputs):
    """Reliability of the top probability in 15 bins, with the share of images in each."""
    import metrics

    y, p, _ = inputs.predictions()
    weight, confidence, accuracy = metrics.reliability((p.argmax(axis=1) == y).astype(float), p.max(axis=1))
    fig, ax = figures.plt.subplots(figsize=(3.4, 3.1))
    at = (np.arange(metrics.BINS) + 0.5) / metrics.BINS
    ax.bar(at, 100 * weight / len(y), 0.9 / metrics.BINS, color="#CCCCCC", label="% of images")
    ax.plot([0, 1], [0, 100], color="grey", linewidth=0.8, linestyle=":")
    used = weight > 0
    error = 100 * np.sqrt(np.maximum(accuracy[used] * (1 - accuracy[used]), 1e-9) / weight[used])
    ax.errorbar(confidence[used], 100 * accuracy[used], yerr=error, fmt="o-", markersize=3, linewidth=1, color=figures.REAL,
                label="accuracy (one s.e.)")  # fmt: skip
    ax.set(xlabel="top probability", ylabel="%", xlim=(0, 1), ylim=(0, 102),
           title=f"ECE {metrics.ece(y, p):.3f}, {metrics.ece_if_perfect(p):.3f} if perfect")  # fmt: skip
    ax.legend(frameon=False, fontsize=7)
    return fig


def draw_mistakes(figures, inputs):
    """The ten most confident mistakes: what each is, what it was called and how sure."""
    y, p, rows = inputs.predictions()
    decided = p.argmax(axis=1)
    order = np.argsort(-np.where(decided != y, p.max(axis=1), -1), kind="stable")[: min(10, int((decided != y).sum()))]
    if not len(order):
        raise Missing("no mistakes in the test part")
    fig, axes = figures.plt.subplots(1, len(order), figsize=(0.85 * len(order) + 0.2, 1.5), squeeze=False)
    for ax, i, image in zip(axes[0], order, inputs.image_of_row(rows[order]), strict=True):
        figures.show_image(ax, image)
        ax.set_title(f"is {CLASSES[y[i]]}", fontsize=7)
        ax.set_xlabel(f"{CLASSES[decided[i]]}\n{p[i].max():.0%}", fontsize=7)
    return fig


FIGURES = {
    "real_and_synthetic": (draw_real_and_synthetic, "Real training images and synthetic images of each class."),
    "class_grid": (draw_class_grid, "Fresh samples; a column shares its latent vector, a row its class."),
    "interpolation": (draw_interpolation, "Latent interpolation: smooth change speaks against memorised images."),
    "gan_training": (
        draw_gan_training,
        "GAN training: losses of both players; how well the critic tells real from synthetic.",
    ),
    "embedding": (draw_embedding, "Judge features of held-out real and of synthetic images, t-SNE."),
    "label_agreement": (
        draw_label_agreement,
        "Judge's agreement with the labels of synthetic images, and its recall on real.",
    ),
    "nearest_pairs": (
        draw_nearest_pairs,
        "The ten synthetic images nearest to training images; below each its L2 distance "
        "between 7 x 7 area means (grey levels).",
    ),
    "cnn_training": (draw_cnn_training, "Classifier training, with and without synthetic images."),
    "confusion": (draw_confusion, "Confusion matrix on the test part."),
    "roc_and_pr": (draw_curves, "ROC and precision-recall curves on the test part, each class against the rest."),
    "calibration": (draw_calibration, "Reliability of the top probability on the test part."),
    "mistakes": (draw_mistakes, "The most confident mistakes on the test part."),
}


def main(argv=None):
    args = parse_args(argv)
    run = runlog.Run(args, "visualize_results")
    run.require_rgb28()
    if not run.announce():
        return 0
    inputs = Inputs(run)
    folder, page = args.outputs_dir / "figures", args.outputs_dir / "report.html"
    sources = [*sorted(inputs.models.glob("*/*.keras")), *sorted(inputs.models.glob("*/history.csv")),
               *sorted((inputs.outputs / "eda").glob("*.png")), *sorted(inputs.evaluation.glob("*.*")),
               inputs.outputs / "synthetic" / artifacts.TABLE_NAME]  # fmt: skip
    for path in sources:
        if path.is_file() and path.name != "options.json" and not path.name.startswith("."):
            run.add_input(f"{path.parent.name}/{path.name}", path)
    if not run.is_current(folder / "options.json"):
        if not args.no_models:
            machine.quiet_tensorflow(args.deterministic)
        run.begin(folder / "options.json", "*.png", "*.pdf")
        import figures

        note = run.figure_note
        drawn, left_out = [], []
        for name, (draw, caption) in FIGURES.items():
            try:
                drawn.append((figures.save(draw(figures, inputs), folder, name, note), caption))
            except Missing as e:
                left_out.append(f"{name}: {e}")
        if not drawn and not (inputs.outputs / "eda").is_dir():
            raise InputError(f"{inputs.outputs}: nothing to draw; run train_gan.py, train_cnn.py and evaluate.py first")
        try:
            inputs.check_evaluation()
            missing = None
        except Missing as e:
            missing = str(e)
        artifacts.write_text(page, report.build(run, drawn, left_out, missing))
        for text in left_out:
            print(f"  left out {text}")
        run.finish(
            folder / "options.json", [*folder.glob("*.p*"), page], drawn=[p.stem for p, _ in drawn], left_out=left_out
        )
    else:
        print("  up to date")
    print(f"report: {page}" + (f" ({run.data_note})" if run.data_note else ""))
    return 0


if __name__ == "__main__":
    runlog.script_main(main)
