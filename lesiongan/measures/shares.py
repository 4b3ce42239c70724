"""Shares of images, and means of draws of images, with their 95 % intervals."""

import numpy as np
import scipy.stats

# A distance that needs as many images of each set is the mean over this many draws of them.
DRAWS = 5


def wilson(p, n):
    """Return (low, high): Wilson's 95 % interval of a share p of n (Wilson 1927)."""
    z = scipy.stats.norm.ppf(0.975)
    middle, half = (p + z**2 / (2 * n)), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (middle + np.array([-half, half])) / (1 + z**2 / n)
    # Where p is 0 or 1, rounding would leave it outside its interval.
    return max(0, min(low, p)), min(1, max(high, p))


def share_of(flags, protocol):
    """Return an estimate: the share of True, with Wilson's 95 % interval."""
    n, p = len(flags), np.mean(flags)
    low, high = wilson(p, n)
    return {
        "value": p,
        "low": low,
        "high": high,
        "n": n,
        "protocol": f"{protocol}; Wilson's interval over images",
    }


def share_over_lesions(flags, lesions, protocol):
    """Return an estimate: the share of True, with its standard error `se` over lesions.

    Photographs of one lesion are not independent, so the share is taken as a ratio of sums over
    lesions (Cochran 1977, eq. 6.13). The interval is the normal 95 % interval. It would have no
    width where all are right, all are wrong, or there is one lesion: there it is Wilson's with the
    number of lesions, and se is its half over the normal quantile.
    """
    n, p = len(flags), np.mean(flags)
    _, at = np.unique(lesions, return_inverse=True)
    # Each lesion has one deviation from the share; together they sum to 0.
    each = np.bincount(at, weights=flags - p)
    se = np.sqrt((each**2).sum() * len(each) / max(len(each) - 1, 1)) / n
    z = scipy.stats.norm.ppf(0.975)
    low, high = np.clip((p - z * se, p + z * se), 0, 1)
    if se < 1e-12:
        low, high = wilson(p, len(each))
        se = (high - low) / (2 * z)
    return {
        "value": p,
        "low": low,
        "high": high,
        "se": se,
        "n": n,
        "protocol": f"{protocol}; variance between lesions",
    }


def mean_of_draws(values, n, protocol):
    """Return an estimate: the mean over draws, with Student's 95 % interval of that mean."""
    mean, std = np.mean(values), np.std(values, ddof=1)
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * std / np.sqrt(len(values))
    return {
        "value": mean,
        "low": mean - half,
        "high": mean + half,
        "std": std,
        "n": n,
        "protocol": f"{protocol}; mean of {DRAWS} draws, Student's interval over them, held-out "
        "part fixed",
    }
