"""The bootstrap over lesions: 95 % intervals of any measure that takes weights of images."""

from typing import Any

import numpy as np


def lesion_weights(lesions, draws=1000, seed=0, block=100):
    """Yield weights of images, float (block, n): `draws` bootstrap samples of whole lesions."""
    _, codes = np.unique(lesions, return_inverse=True)
    n = codes.max() + 1
    rng = np.random.default_rng(seed)
    for start in range(0, draws, block):
        count = min(block, draws - start)
        yield np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(count)])[
            :, codes
        ].astype(float)


def with_intervals(
    measure: Any, lesions: Any, draws: int = 1000, seed: int = 0, raised: tuple[str, ...] = ()
) -> dict[str, tuple[float, float, float]]:
    """Return {name: (value, low, high)}: a measure of the sample with its 95 % interval.

    The intervals are percentile intervals of the bootstrap over lesions.

    measure: function of weights (d, n) to a dict of (d,) arrays, NaN where undefined; undefined
    draws are left out. raised: names of measures, at least 0, that resampling itself raises, as
    noise raises the ECE. Their quantiles are lowered by the bootstrap's estimate of that bias
    (Efron and Tibshirani 1993, eq. 10.3); otherwise the value could lie below them.
    """
    value = measure(np.ones((1, len(lesions))))
    blocks = [measure(w) for w in lesion_weights(lesions, draws, seed)]
    out = {}
    for name, v in value.items():
        s = np.concatenate([b[name] for b in blocks])
        s = s[np.isfinite(s)]
        low, high = np.quantile(s, [0.025, 0.975]) if len(s) else (np.nan, np.nan)
        if name in raised:
            low, high = (max(0, q - (s.mean() - v[0])) for q in (low, high))
        out[name] = (float(v[0]), float(low), float(high))
    return out
