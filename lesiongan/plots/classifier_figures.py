"""Figures of the classifier: its training, its decisions, its probabilities and its mistakes."""

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.files.errors import InputError
from lesiongan.plots import findings, style
from lesiongan.plots.sources import Missing, frame


def draw_cnn_training(sources):
    """Draw loss and val accuracy over the epochs, with and without synthetic images."""
    fig, (left, right) = style.panels(sources.page, 2, height=2.4)
    for folder, colour in (("cnn", style.SYNTHETIC), ("control", style.REAL)):
        try:
            history = frame(
                sources.file(sources.models / folder / "history.csv", "train_cnn.py"),
                "train_cnn.py",
            )
            options = sources.inputs.check_made_from(
                sources.models / folder / "options.json",
                "train_cnn.py",
                {"real_images": int, "synthetic_images": int},
            )
        except (Missing, InputError):
            if folder == "cnn":
                raise
            continue
        counts = {"real": options["real_images"], "synthetic": options["synthetic_images"]}
        label = " + ".join(f"{n} {kind}" for kind, n in counts.items() if n)
        left.plot(history.epoch, history.loss, color=colour, linestyle=":")
        left.plot(history.epoch, history.val_log_loss, color=colour, label=label)
        right.plot(history.epoch, history.val_accuracy * 100, color=colour, label=label)
        right.plot(
            history.epoch,
            history.val_balanced_accuracy * 100,
            color=colour,
            linestyle="--",
        )
    left.set(xlabel="epoch", ylabel="log-loss (nats)\ndotted: train")
    right.set(xlabel="epoch", ylabel="val accuracy (%)\ndashed: balanced")
    style.mark_single_points([left, right])
    for ax in (left, right):
        style.legend_above(ax)
    return fig


def draw_confusion(sources):
    """Draw the confusion matrix: the share of each true class (colour, %) and the counts.

    Beside it, or below it in one column, stands in words what these decisions cost.
    """
    from lesiongan.measures import metrics

    y, p, _ = sources.predictions()
    matrix = metrics.confusion(y, p.argmax(axis=1), len(CLASSES))
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    text = np.array(
        [
            [f"{s:.0f}\n({int(n)})" for s, n in zip(*row, strict=True)]
            for row in zip(share, matrix, strict=True)
        ]
    )
    stacked = sources.page.columns("two") == "one"
    height, ratios = (2.3, (2, 1)) if stacked else (3.2, None)
    fig, (ax, words) = style.panels(sources.page, 2, height, height_ratios=ratios)
    style.sns.heatmap(
        share,
        annot=text,
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=100,
        ax=ax,
        annot_kws={"fontsize": "x-small"},
        xticklabels=style.TICKS,
        yticklabels=style.TICKS,
        cbar=False,
    )
    ax.set(xlabel="decided", ylabel="true", title=f"% of the true class (images), n = {len(y)}")
    words.set_axis_off()
    width = 0.85 * fig.get_figwidth() / (1 if stacked else 2)
    told = findings.list_costs(matrix.astype(int).tolist())
    told = "\n\n".join(style.wrap(sentence, width) for sentence in told)
    words.text(0, 1, told, va="top", transform=words.transAxes)
    return fig


def draw_curves(sources):
    """Draw ROC and precision-recall curves, each class against the rest."""
    from sklearn.metrics import (
        average_precision_score,
        precision_recall_curve,
        roc_auc_score,
        roc_curve,
    )

    y, p, _ = sources.predictions()
    if len(np.unique(y)) < 2:
        raise Missing(f"all {len(y)} test images are of one class: there is nothing to rank")
    fig, (left, right) = style.panels(sources.page, 2, height=3.6)
    for i, c in enumerate(CLASSES):
        positive = y == i
        if not 0 < positive.sum() < len(y):
            continue
        fpr, tpr, _ = roc_curve(positive, p[:, i])
        left.plot(
            100 * fpr,
            100 * tpr,
            color=style.COLOURS[c],
            label=f"{style.tick(c)} {roc_auc_score(positive, p[:, i]):.3f} (n = {positive.sum()})",
        )
        precision, recall, _ = precision_recall_curve(positive, p[:, i])
        right.plot(
            100 * recall,
            100 * precision,
            color=style.COLOURS[c],
            label=f"{style.tick(c)} {average_precision_score(positive, p[:, i]):.3f}",
        )
    left.plot([0, 100], [0, 100], color="grey", linewidth=0.7, linestyle=":")
    left.set(xlabel="1 - specificity (%)", ylabel="sensitivity (%)")
    right.set(xlabel="recall (%)", ylabel="precision (%)", ylim=(0, 102))
    style.legend_above(left, 2, title="AUC")
    style.legend_above(right, 2, title="average precision")
    return fig


def draw_calibration(sources):
    """Draw the reliability of the top probability in 15 bins, with the share of images in each."""
    from lesiongan.measures import metrics

    y, p, _ = sources.predictions()
    weight, confidence, accuracy = metrics.reliability(
        (p.argmax(axis=1) == y).astype(float), p.max(axis=1)
    )
    fig, (ax,) = style.panels(sources.page, 1, height=3, own="one")
    at = (np.arange(metrics.BINS) + 0.5) / metrics.BINS
    ax.bar(at, 100 * weight / len(y), 0.9 / metrics.BINS, color="#CCCCCC", label="% of images")
    ax.plot([0, 1], [0, 100], color="grey", linewidth=0.8, linestyle=":")
    used = weight > 0
    error = 100 * np.sqrt(np.maximum(accuracy[used] * (1 - accuracy[used]), 1e-9) / weight[used])
    ax.errorbar(
        confidence[used],
        100 * accuracy[used],
        yerr=error,
        fmt="o-",
        color=style.REAL,
        label="accuracy (one s.e.)",
    )
    ax.set(
        xlabel="top probability",
        ylabel="%",
        xlim=(0, 1),
        ylim=(0, 102),
    )
    title = f"ECE {metrics.ece(y, p):.3f}, {metrics.ece_if_perfect(p):.3f} if perfect"
    style.legend_above(ax, 2, title=title)
    return fig


def draw_mistakes(sources):
    """Draw the ten most confident mistakes with their true class, decided class and probability."""
    y, p, rows = sources.predictions()
    decided = p.argmax(axis=1)
    order = np.argsort(-np.where(decided != y, p.max(axis=1), -1), kind="stable")[
        : min(10, int((decided != y).sum()))
    ]
    if not len(order):
        raise Missing("no mistakes in the test part")
    fig, axes = style.image_axes(sources.page, len(order), words=0.55)
    for ax, i, image in zip(axes[0], order, sources.image_of_row(rows[order]), strict=True):
        style.show_image(ax, image)
        ax.set_title(f"is {CLASSES[y[i]]}", fontsize="small")
        ax.set_xlabel(f"{CLASSES[decided[i]]}\n{p[i].max():.0%}", fontsize="small")
    return fig
