"""Calibration of a trained classifier on val: temperature, prior shift and operating points."""

import numpy as np

from lesiongan.data.classes import MALIGNANT, MEL
from lesiongan.data.near_duplicates import dihedral_views
from lesiongan.measures import bootstrap, metrics
from lesiongan.nets import inference


def softmax(logits):
    """Return float64 (..., k): the probabilities of logits (..., k)."""
    import scipy.special

    return scipy.special.softmax(logits.astype(np.float64), axis=-1)


def with_calibration(network, temperature, log_prior_shift):
    """Return the network with softmax((logits + shift) / T) as its output.

    Shift and temperature are folded into the weights of the last layer, in place.
    """
    import keras

    last = network.get_layer("logits")
    kernel, bias = last.get_weights()
    last.set_weights([kernel / temperature, (bias + log_prior_shift) / temperature])
    out = keras.layers.Softmax(name="probabilities")(network.output)
    return keras.Model(network.input, out, name=network.name)


def fit_temperature(network, images, targets, shift, clinical=None):
    """Return T in [0.25, 4] with the least val log-loss of the average of the eight views.

    That average is what evaluate.py writes. A single view of the same network is a little less
    confident than it should be: averaging takes confidence away, and T gives it back. clinical: as
    in inference.predict.
    """
    views = dihedral_views(images)
    logits = np.stack([inference.predict(network, v, clinical) for v in views]) + shift
    grid = np.exp(np.linspace(np.log(0.25), np.log(4), 81))
    losses = [metrics.log_loss(targets, softmax(logits / t).mean(axis=0)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def fit_tau(p, targets, log_prior, lesions, draws=200):
    """Return tau in [0, 2] of argmax(log p - tau log prior), fitted for balanced accuracy.

    It is the mean of the best tau (the smallest on a tie) in each of `draws` bootstrap samples of
    whole lesions (bagging, Breiman 1996). The best tau on val itself is unstable, since a tenth of
    the table has a dozen images of the rarest class. By this rule tau varies half as much between
    trainings, at as much balanced accuracy (results/LOG.md, try 43).
    """
    taus = np.linspace(0, 2, 41)
    decisions = [metrics.balanced_decision(p, -t * log_prior) for t in taus]
    best = []
    for w in bootstrap.lesion_weights(lesions, draws):
        found = [
            metrics.summarise(metrics.confusion(targets, d, p.shape[1], w))["balanced_accuracy"]
            for d in decisions
        ]
        best.append(taus[np.argmax(found, axis=0)])
    return float(np.concatenate(best).mean())


def fit_operating_points(p, targets, prior, lesions):
    """Return what evaluate.py needs beside probabilities: the balanced shift and score thresholds.

    All are fitted on val. p: float (n, k); targets: int (n,); prior: float (k,) of the train part;
    lesions: str (n,).
    """
    log_prior = np.log(np.maximum(prior, 1e-6))
    tau = fit_tau(p, targets, log_prior, lesions)
    points = {
        "tau": tau,
        "balanced_shift": (-tau * log_prior).tolist(),
        "train_prior": prior.tolist(),
    }
    w = np.ones(len(p))
    if p.shape[1] == 2:
        groups = {"malignant": (targets == 1, p[:, 1])}
    else:
        groups = {
            "melanoma": (targets == MEL, p[:, MEL]),
            "malignant": (MALIGNANT[targets], p[:, MALIGNANT].sum(axis=1)),
        }
    for name, (positive, score) in groups.items():
        for at in (90, 95):
            t = metrics.Ranking(positive, score).threshold(at / 100, w)
            # A threshold of 2 stands for none, because no probability reaches it.
            points[f"{name}_threshold_at_{at}_specificity"] = float(min(t, 2.0))
    return points


def prior_of(targets, k, weights=None):
    """Return float (k,): the class shares of `targets`.

    Every class has a thousandth of an image more, so that the logarithm of its share exists.
    """
    counts = np.bincount(targets, weights=weights, minlength=k) + 1e-3
    return counts / counts.sum()
