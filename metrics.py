"""Measures of a classifier, in NumPy alone: every figure of evaluate.py is computed here, once, with its definition.

Common arguments: `y` int (n,) true class; `p` float (n, k) probabilities; `w` float (n,) non-negative weights of the
images (1 each, or how often a bootstrap drew the image's lesion). An undefined value is NaN here and null with a reason in
the files. Tests compare each with scikit-learn.
"""

import numpy as np

BINS = 15


def predict_views(model, images, views=8, batch_size=500):
    """float64 (n, k): the model's output averaged over the first `views` of the eight flips and turns of each image."""
    from lesions import dihedral_views

    outputs = [
        model.predict(np.ascontiguousarray(v, dtype=np.float32), batch_size=batch_size, verbose=0).astype(np.float64)
        for v in dihedral_views(images)[:views]
    ]
    return np.mean(outputs, axis=0)


def balanced_decision(p, shift):
    """int (n,): the class of greatest log p + shift, the `balanced` operating point (Menon et al. 2021)."""
    return np.argmax(np.log(np.maximum(p, 1e-12)) + shift, axis=1)


# ---------------------------------------------------------------- from decisions


def confusion(y, decided, k, w=None):
    """float (k, k): weight of images of true class i (row) decided to be class j (column)."""
    w = np.ones(len(y)) if w is None else w
    return np.bincount(y * k + decided, weights=w, minlength=k * k).reshape(k, k)


def per_class(matrix):
    """dict of (k,) arrays from a confusion matrix: precision, recall (sensitivity), specificity, f1.

    NaN where undefined: precision of a class never decided, recall and F1 of a class with no images.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        hits = np.diag(matrix)
        true, decided, total = matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
        return {
            "precision": hits / decided,
            "recall": hits / true,
            "specificity": (total - true - decided + hits) / (total - true),
            "f1": np.where(true > 0, 2 * hits / (true + decided), np.nan),
        }


def summarise(matrix):
    """dict of figures from a confusion matrix; means are over the classes that have images.

    A class never decided counts as precision 0 in the means (scikit-learn's zero_division=0).
    """
    each = per_class(matrix)
    true = matrix.sum(axis=1)
    seen = true > 0
    share = true[seen] / true.sum()
    out = {"accuracy": np.diag(matrix).sum() / matrix.sum(), "balanced_accuracy": each["recall"][seen].mean()}
    for name in ("precision", "recall", "f1"):
        values = np.nan_to_num(each[name][seen])
        out[f"macro_{name}"] = values.mean()
        out[f"weighted_{name}"] = (values * share).sum()
    return out


# ---------------------------------------------------------------- from scores


class Ranking:
    """One binary ranking, sorted once so that the bootstrap can reweight it cheaply.

    positive: bool (n,); score: float (n,), higher means more likely positive.
    """

    def __init__(self, positive, score):
        self.order = np.argsort(score, kind="stable")
        ordered = score[self.order]
        self.positive = positive[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # first of each group of ties
        self.scores = ordered[self.starts]

    def groups(self, w):
        """(positive weight, negative weight) of each group of tied scores, ascending."""
        w = w[self.order]
        return (np.add.reduceat(w * self.positive, self.starts), np.add.reduceat(w * ~self.positive, self.starts))

    def auc(self, w):
        """Area under the ROC curve: P(score of a positive > score of a negative) + half of P(equal); NaN if undefined."""
        pos, neg = self.groups(w)
        below = np.cumsum(neg) - neg
        with np.errstate(invalid="ignore"):
            return (pos * (below + neg / 2)).sum() / (pos.sum() * neg.sum())

    def average_precision(self, w):
        """Sum over thresholds of precision times the step in recall; NaN without positives."""
        pos, neg = (g[::-1] for g in self.groups(w))
        tp, decided = np.cumsum(pos), np.cumsum(pos + neg)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(decided > 0, tp / decided, 0) @ (pos / pos.sum())

    def threshold(self, specificity, w):
        """Lowest t for which deciding `score >= t` leaves at least this share of negatives out (inf if none does)."""
        _, neg = self.groups(w)
        kept_out = np.cumsum(neg) - neg
        ok = kept_out >= specificity * neg.sum() - 1e-9
        return self.scores[np.argmax(ok)] if ok.any() else np.inf

    def sensitivity(self, threshold, w):
        """Share of positives with score >= threshold."""
        pos, _ = self.groups(w)
        with np.errstate(invalid="ignore"):
            return pos[self.scores >= threshold].sum() / pos.sum()

    def specificity(self, threshold, w):
        """Share of negatives with score < threshold."""
        _, neg = self.groups(w)
        with np.errstate(invalid="ignore"):
            return neg[self.scores < threshold].sum() / neg.sum()


def log_loss(y, p):
    """Mean of -log p of the true class."""
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean())


def reliability(correct, confidence, w=None, bins=BINS):
    """(weight, mean confidence, accuracy), each (bins,): equal-width bins of the top probability; NaN in empty bins."""
    w = np.ones(len(confidence)) if w is None else w
    at = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    weight, conf, acc = (np.bincount(at, weights=w * v, minlength=bins) for v in (np.ones(len(at)), confidence, correct))
    with np.errstate(invalid="ignore"):
        return weight, conf / weight, acc / weight


def ece(y, p, w=None):
    """Expected calibration error of the top label (Guo et al. 2017): 15 equal-width bins (lo, hi]."""
    weight, conf, acc = reliability((p.argmax(axis=1) == y).astype(float), p.max(axis=1), w)
    return float((weight * np.abs(np.nan_to_num(conf - acc))).sum() / weight.sum())


def ece_if_perfect(p, draws=200, seed=0):
    """Mean ECE were these probabilities exactly right at this n: labels drawn from p. The floor ECE is read against."""
    rng = np.random.default_rng(seed)
    confidence = p.max(axis=1)
    hits = rng.random((draws, len(p))) < confidence
    out = []
    for correct in hits:
        weight, conf, acc = reliability(correct.astype(float), confidence)
        out.append((weight * np.abs(np.nan_to_num(conf - acc))).sum() / weight.sum())
    return float(np.mean(out))


# ---------------------------------------------------------------- bootstrap


def lesion_weights(lesions, draws=1000, seed=0):
    """Yield float (n,) image weights of `draws` bootstrap samples of whole lesions."""
    _, codes = np.unique(lesions, return_inverse=True)
    n = codes.max() + 1
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(rng.integers(n, size=n), minlength=n)[codes].astype(float)


def with_intervals(measure, lesions, draws=1000, seed=0):
    """{name: (value, low, high)}: `measure(w)` on the sample, and 95 % percentile intervals over lesions.

    measure: function of weights (n,) to a dict of floats, NaN where undefined; undefined draws are left out.
    """
    value = measure(np.ones(len(lesions)))
    samples = {name: [] for name in value}
    for w in lesion_weights(lesions, draws, seed):
        for name, v in measure(w).items():
            samples[name].append(v)
    out = {}
    for name, v in value.items():
        s = np.array(samples[name], dtype=float)
        s = s[np.isfinite(s)]
        low, high = np.quantile(s, [0.025, 0.975]) if len(s) else (np.nan, np.nan)
        out[name] = (float(v), float(low), float(high))
    return out
