"""Measures of a classifier, in NumPy alone, each computed here once and with its definition.

Common arguments: `y` int (n,) true class; `p` float (n, k) probabilities; `w` float (..., n)
non-negative weights of the images (1 each, or how often a bootstrap drew the image's lesion).
Leading axes of `w` are bootstrap draws, and results have them too. An undefined value is NaN here
and null with a reason in the files. Tests compare each measure with scikit-learn.
"""

import numpy as np

BINS = 15


def balanced_decision(p, shift):
    """Return int (n,): the class of greatest log p + shift.

    This is the `balanced` operating point (Menon et al. 2021).
    """
    return np.argmax(np.log(np.maximum(p, 1e-12)) + shift, axis=1)


def confusion(y, decided, k, w=None):
    """Return float (..., k, k): the weight of images of class i (row) decided as j (column)."""
    w = np.ones(len(y)) if w is None else w
    cell = np.zeros((len(y), k * k))
    cell[np.arange(len(y)), y * k + decided] = 1
    return (w @ cell).reshape(*w.shape[:-1], k, k)


def per_class(matrix):
    """Return precision, recall, specificity and f1 of each class from confusion matrices.

    They are a dict of (..., k) arrays. Recall is sensitivity. NaN stands where a value is
    undefined: the precision of a class never decided, recall and F1 of a class with no images.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        hits = np.diagonal(matrix, axis1=-2, axis2=-1)
        true, decided, total = (
            matrix.sum(axis=-1),
            matrix.sum(axis=-2),
            matrix.sum(axis=(-2, -1))[..., None],
        )
        return {
            "precision": hits / decided,
            "recall": hits / true,
            "specificity": (total - true - decided + hits) / (total - true),
            "f1": np.where(true > 0, 2 * hits / (true + decided), np.nan),
        }


def summarise(matrix):
    """Return a dict of (...) measures of confusion matrices, over all classes.

    Means are over the classes that have images. A class never decided counts as precision 0 in the
    means (scikit-learn's zero_division=0).
    """
    each = per_class(matrix)
    true = matrix.sum(axis=-1)
    total = true.sum(axis=-1)
    out = {"accuracy": np.trace(matrix, axis1=-2, axis2=-1) / total}
    for name in ("precision", "recall", "f1"):
        values = np.where(true > 0, np.nan_to_num(each[name]), 0)
        out[f"macro_{name}"] = values.sum(axis=-1) / (true > 0).sum(axis=-1)
        out[f"weighted_{name}"] = (values * true).sum(axis=-1) / total
    out["balanced_accuracy"] = out["macro_recall"]
    return out


class Ranking:
    """One binary ranking, sorted once so that the bootstrap can reweight it cheaply.

    positive: bool (n,); score: float (n,), higher means more likely positive.
    """

    def __init__(self, positive, score):
        self.order = np.argsort(score, kind="stable")
        ordered = score[self.order]
        self.positive = positive[self.order]
        # Each group of tied scores starts at one of these positions.
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self.scores = ordered[self.starts]

    def groups(self, w):
        """Return (positive weight, negative weight), each (..., groups), of groups of tied scores.

        The groups are in ascending order of the score.
        """
        w = w[..., self.order]
        return (
            np.add.reduceat(w * self.positive, self.starts, axis=-1),
            np.add.reduceat(w * ~self.positive, self.starts, axis=-1),
        )

    def auc(self, w):
        """Return the area under the ROC curve, NaN where it is undefined.

        It is P(score of a positive > score of a negative) + half of P(equal).
        """
        pos, neg = self.groups(w)
        below = np.cumsum(neg, axis=-1) - neg
        with np.errstate(invalid="ignore"):
            return (pos * (below + neg / 2)).sum(axis=-1) / (pos.sum(axis=-1) * neg.sum(axis=-1))

    def average_precision(self, w):
        """Return the sum over thresholds of precision times step in recall; NaN if no positives."""
        pos, neg = (g[..., ::-1] for g in self.groups(w))
        tp, decided = np.cumsum(pos, axis=-1), np.cumsum(pos + neg, axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(decided > 0, tp / decided, 0)
            return (precision * pos).sum(axis=-1) / pos.sum(axis=-1)

    def threshold(self, specificity, w):
        """Return the lowest score t at which `score >= t` has at least this specificity.

        The specificity is the share of negatives that are left out. inf if no score has it.
        """
        _, neg = self.groups(w)
        kept_out = np.cumsum(neg, axis=-1) - neg
        ok = kept_out >= specificity * neg.sum(axis=-1, keepdims=True) - 1e-9
        return np.where(ok.any(axis=-1), self.scores[ok.argmax(axis=-1)], np.inf)

    def sensitivity(self, threshold, w):
        """Return the share of positives with score >= threshold."""
        return self._share(self.groups(w)[0], self.scores >= np.asarray(threshold)[..., None])

    def specificity(self, threshold, w):
        """Return the share of negatives with score < threshold."""
        return self._share(self.groups(w)[1], self.scores < np.asarray(threshold)[..., None])

    @staticmethod
    def _share(weights, chosen):
        with np.errstate(invalid="ignore"):
            return (weights * chosen).sum(axis=-1) / weights.sum(axis=-1)


def log_loss(y, p):
    """Return the mean of -log p of the true class."""
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean())


def reliability(correct, confidence, w=None, bins=BINS):
    """Return (weight, mean confidence, accuracy), each (..., bins), by bins of the top probability.

    The bins (lo, hi] are of equal width. NaN stands for the means of an empty bin.

    correct: float (..., n), 1 where the top label is right; confidence: float (n,).
    """
    w = np.ones(len(confidence)) if w is None else w
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)

    def by_bin(x):
        # A matrix product will not do: BLAS adds in another order on another processor, and these
        # values are compared byte for byte.
        return np.stack([x[..., bin_of == i].sum(axis=-1) for i in range(bins)], axis=-1)

    weight = by_bin(w)
    with np.errstate(invalid="ignore"):
        return weight, by_bin(w * confidence) / weight, by_bin(w * correct) / weight


def ece(y, p, w=None):
    """Return the expected calibration error of the top label (Guo et al. 2017).

    It is over 15 equal-width bins (lo, hi].
    """
    return ece_of_bins(*reliability((p.argmax(axis=1) == y).astype(float), p.max(axis=1), w))


def ece_of_bins(weight, confidence, accuracy):
    """Return (...): the mean over bins of |confidence - accuracy|, by weight."""
    return (weight * np.abs(np.nan_to_num(confidence - accuracy))).sum(axis=-1) / weight.sum(
        axis=-1
    )


def ece_if_perfect(p, draws=200, seed=0):
    """Return the mean ECE if these probabilities were exactly right, with labels drawn from p.

    It is the least that can be expected at this n, against which the ECE is read.
    """
    # Sorting makes the value independent of the order of the images.
    confidence = np.sort(p.max(axis=1))
    correct = np.random.default_rng(seed).random((draws, len(p))) < confidence
    weight, conf, acc = reliability(correct.astype(float), confidence)
    return float(ece_of_bins(weight, conf, acc).mean())
