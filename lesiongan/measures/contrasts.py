"""Differences between trainings: intervals over lesions and seeds, p-values, what could be seen.

A contrast is a mean difference of a measure between two arms, over the seeds that both have. It is
resampled together: the same lesions and the same seeds for both arms (a paired bootstrap).
"""

from typing import Any

import numpy as np

from lesiongan.measures import bootstrap

# A difference over fewer seeds is not tested, since its interval hardly knows how seeds differ.
FEWEST_SEEDS = 3
# Normal quantiles of a two-sided test at 5 % and of a power of 80 % (Cohen 1988).
SEEN_AT = 1.959964 + 0.841621


def draw_measures(measures, names, lesions, draws):
    """Return ({key: {name: value}}, {key: {name: (draws,)}}): measures of the sample and resampled.

    measures: {key: function of image weights (d, n) to {name: (d,)}}; lesions: str (n,), resampled
    whole, the same draws for every key.
    """
    ones = np.ones((1, len(lesions)))
    values = {
        key: {n: float(measured[n][0]) for n in names}
        for key, measure in measures.items()
        for measured in [measure(ones)]
    }
    blocks: dict[Any, list[dict]] = {key: [] for key in measures}
    for w in bootstrap.lesion_weights(lesions, draws):
        for key, measure in measures.items():
            measured = measure(w)
            blocks[key].append({n: measured[n] for n in names})
    return values, {
        key: {n: np.concatenate([b[n] for b in found]) for n in names}
        for key, found in blocks.items()
    }


def compare(differences, drawn):
    """Return {value, std, low, high, minimum_detectable, p} of a mean difference over seeds.

    differences: float (seeds,) or (seeds of the GAN, seeds of the classifier); drawn: the same with
    a last axis of draws, each one resampling of the lesions. In each draw the seeds of every axis
    are resampled, too (crossed random effects, Owen 2007): one fewer than there are, because the
    mean of as many would vary too little by a factor of n / (n - 1) (Rao and Wu 1988). Draws in
    which the measure is undefined are left out. std is that over all seeds, or None; p is None
    where an axis has fewer than three seeds. minimum_detectable is the difference that a test at
    5 % would show in four of five studies like this one.
    """
    differences, drawn = np.asarray(differences), np.asarray(drawn)
    shape, draws = differences.shape, drawn.shape[-1]
    # Each comparison has its own generator, so that one more arm changes no other's interval.
    rng = np.random.default_rng(0)
    means = drawn
    for axis in range(len(shape) - 1, -1, -1):
        n = shape[axis]
        # Every draw has its own seeds; weights count how often each is in.
        chosen = rng.integers(n, size=(max(1, n - 1), draws))
        weights = np.stack([(chosen == i).mean(axis=0) for i in range(n)])
        means = (means * weights).sum(axis=-2)
    means = means[np.isfinite(means)]
    low, high = np.quantile(means, [0.025, 0.975])
    p = min(1, 2 * (min((means <= 0).sum(), (means >= 0).sum()) + 1) / (len(means) + 1))
    return {
        "value": float(differences.mean()),
        "std": float(differences.std(ddof=1)) if differences.size > 1 else None,
        "low": float(low),
        "high": float(high),
        "minimum_detectable": float(SEEN_AT * means.std(ddof=1)),
        "p": float(p) if min(shape) >= FEWEST_SEEDS else None,
    }


def adjust(p):
    """Return Holm's step-down p-values (Holm 1979), float (m,) in the order given."""
    p = np.asarray(p, float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(stepped, 1)
    return out
