"""Each line, bar, cell and picture of the classifier's figures is that of the run's files.

The files are read by scikit-learn and pandas.
"""

import numpy as np
import pandas as pd
import sklearn.metrics as sk

from lesiongan.measures import metrics
from lesiongan.plots import classifier_figures
from tests.oracles import CLASSES
from tests.plots.drawn import NAMES, lines_of, picture, words


def test_the_confusion_figure_has_true_classes_as_rows_and_decided_ones_as_columns(
    inputs, predicted
):
    _, y, p = predicted
    counts = sk.confusion_matrix(y, p.argmax(axis=1), labels=range(7))
    assert not np.array_equal(counts, counts.T)
    ax = classifier_figures.draw_confusion(inputs).axes[0]
    share = 100 * counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(ax.collections[0].get_array()).reshape(7, 7), share)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("decided", "true")
    assert words(ax.get_xticklabels()) == words(ax.get_yticklabels()) == NAMES
    # The first row is on top.
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    shown = [t.get_text() for t in ax.texts]
    assert shown == [f"{s:.0f}\n({n})" for s, n in zip(share.ravel(), counts.ravel(), strict=True)]


def test_curves_are_each_class_against_the_rest_under_its_name_and_area(inputs, predicted):
    _, y, p = predicted
    left, right = classifier_figures.draw_curves(inputs).axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("1 - specificity (%)", "sensitivity (%)")
    assert (right.get_xlabel(), right.get_ylabel()) == ("recall (%)", "precision (%)")
    roc, pr = lines_of(left), lines_of(right)
    for code, name in enumerate(NAMES):
        fpr, tpr, _ = sk.roc_curve(y == code, p[:, code])
        label = f"{name} {sk.roc_auc_score(y == code, p[:, code]):.3f} (n = {(y == code).sum()})"
        np.testing.assert_allclose(roc[label], 100 * np.array([fpr, tpr]))
        precision, recall, _ = sk.precision_recall_curve(y == code, p[:, code])
        label = f"{name} {sk.average_precision_score(y == code, p[:, code]):.3f}"
        np.testing.assert_allclose(pr[label], 100 * np.array([recall, precision]))
    colours = {line.get_color() for line in left.lines if line.get_label()[0] != "_"}
    assert len(colours) == 7


def test_the_calibration_figure_has_accuracy_over_confidence_in_fifteen_bins(inputs, predicted):
    _, y, p = predicted
    ax = classifier_figures.draw_calibration(inputs).axes[0]
    at = np.ceil(p.max(axis=1) * 15).astype(int) - 1
    bars = [b.get_height() for b in ax.patches]
    np.testing.assert_allclose(bars, 100 * np.bincount(at, minlength=15) / len(y))
    line = ax.containers[1].lines[0]
    used = np.unique(at)
    np.testing.assert_allclose(line.get_xdata(), [p.max(axis=1)[at == i].mean() for i in used])
    np.testing.assert_allclose(
        line.get_ydata(), [100 * (p.argmax(axis=1) == y)[at == i].mean() for i in used]
    )
    title = ax.get_legend().get_title().get_text()
    assert title.startswith(f"ECE {metrics.ece(y, p):.3f}, ")


def test_mistakes_are_the_surest_ones_with_what_each_is_and_was_called(inputs, predicted, parts):
    rows, y, p = predicted
    decided = p.argmax(axis=1)
    order = sorted(np.flatnonzero(decided != y), key=lambda i: -p[i].max())[:10]
    assert len(order) == 10
    fig = classifier_figures.draw_mistakes(inputs)
    for ax, i in zip(fig.axes, order, strict=True):
        np.testing.assert_array_equal(picture(ax), parts.images[rows[i]])
        assert ax.get_title() == f"is {CLASSES[y[i]]}"
        assert ax.get_xlabel() == f"{CLASSES[decided[i]]}\n{p[i].max():.0%}"


def test_training_curves_stand_under_what_each_network_learned_from(inputs, pipeline, parts):
    left, right = classifier_figures.draw_cnn_training(inputs).axes
    n = len(parts.rows("train"))
    for folder, label in (("cnn", f"{n} real + 35 synthetic"), ("control", f"{n} real")):
        history = pd.read_csv(pipeline.models / folder / "history.csv")
        np.testing.assert_allclose(lines_of(left)[label], [history.epoch, history.val_log_loss])
        np.testing.assert_allclose(
            lines_of(right)[label], [history.epoch, 100 * history.val_accuracy]
        )
        colour = next(line.get_color() for line in left.lines if line.get_label() == label)
        dotted = [
            line
            for line in left.lines
            if line.get_color() == colour and line.get_linestyle() == ":"
        ]
        np.testing.assert_allclose(dotted[0].get_ydata(), history.loss)
        dashed = [
            line
            for line in right.lines
            if line.get_color() == colour and line.get_linestyle() == "--"
        ]
        np.testing.assert_allclose(dashed[0].get_ydata(), 100 * history.val_balanced_accuracy)
