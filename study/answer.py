"""The study's answer in sentences, and what synthetic images are worth in real lesions."""

import numpy as np

from lesiongan.measures.contrasts import FEWEST_SEEDS

MEASURE_NAMES = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "melanoma_sensitivity": "melanoma sensitivity at 90 % specificity",
    "melanoma_average_precision": "average precision of melanoma",
    "ece": "calibration error",
}


def signed(value):
    """Return a difference as it is printed: +.012, -.003."""
    return f"{value:+.3f}".replace("0.", ".", 1)


def unsigned(value):
    return f"{value:.3f}".replace("0.", ".", 1)


def is_shown(row):
    """Return whether a contrast shows a difference: by its interval, and by Holm where tested."""
    apart = row["low"] > 0 or row["high"] < 0
    return apart and (row["p_holm"] is None or row["p_holm"] < 0.05)


def list_real(arms, backend, measure, base):
    """Return [(lesions, mean)] of classifiers of real images alone, by number of lesions."""
    found: dict[int, float] = {}
    # Where an arm of the base has as many lesions as a ceiling, the base counts.
    for row in sorted(arms, key=lambda row: row["arm"] != base):
        if row["backend"] == backend and row["arm"] in (base, "all_real"):
            found[row["lesions"]] = found.get(row["lesions"], row[measure])
    return sorted(found.items())


def worth(row, arms, base):
    """Return how many more real lesions would have given a contrast's gain, or None.

    The curve of real images alone is interpolated linearly over the logarithm of the number of
    lesions. None without a gain or a second point of the curve; infinity if the gain is above that
    of the largest number of lesions.
    """
    curve = list_real(arms, row["backend"], row["measure"], base)
    larger = [(n, v) for n, v in curve if n >= row["lesions"]]
    wanted = row["base_value"] + row["value"]
    if row["value"] <= 0 or len(larger) < 2:
        return None
    before = np.log(row["lesions"]), row["base_value"]
    for n, value in larger[1:]:
        after = np.log(n), value
        if value >= wanted:
            slope = (after[0] - before[0]) / max(after[1] - before[1], 1e-12)
            return round(np.exp(before[0] + slope * (wanted - before[1]))) - row["lesions"]
        before = after
    return np.inf


def say_gain(row, arms, base):
    """Return a clause: what one kind of images does to one measure."""
    measure = MEASURE_NAMES[row["measure"]]
    interval = f"[{signed(row['low'])}, {signed(row['high'])}]"
    if len(row["cnn_seeds"]) < FEWEST_SEEDS:
        return f"too few seeds to say whether {measure} changes ({signed(row['value'])} {interval})"
    if not is_shown(row):
        seen = unsigned(row["minimum_detectable"])
        return (
            f"no change of {measure} that we could see ({signed(row['value'])} {interval}; "
            f"we would have seen {seen})"
        )
    word = "add" if row["value"] > 0 else "take"
    clause = f"{word} {unsigned(abs(row['value']))} of {measure} {interval}"
    more = worth(row, arms, base)
    if row["measure"] == "auc" and more is not None:
        most = max(n for n, _ in list_real(arms, row["backend"], "auc", base))
        clause += (
            f", as much as {more} more real lesions"
            if np.isfinite(more)
            else f", more than all {most} real lesions do"
        )
    return clause


def write_sentences(found, base):
    """Return [{fraction, arm, sentence}] of each fraction and arm with synthetic images."""
    out = []
    arms, several = found["arms"], len(found["environments"]) > 1
    keys = dict.fromkeys(
        (c["fraction"], c["arm"], c["backend"]) for c in found["contrasts"] if c["source"]
    )
    for fraction, arm, backend in sorted(keys):
        rows = {
            c["measure"]: c
            for c in found["contrasts"]
            if (c["fraction"], c["arm"], c["backend"]) == (fraction, arm, backend)
        }
        first = rows["auc"]
        gains = [say_gain(rows[name], arms, base) for name in ("auc", "balanced_accuracy")]
        seeds = f"{max(1, len(first['gan_seeds']))} x {len(first['cnn_seeds'])} seeds"
        on = f", {backend}" if several else ""
        sentence = (
            f"With {fraction} % of the lesions ({first['lesions']}), {first['label']}: {gains[0]}; "
            f"{gains[1]} ({seeds}{on})."
        )
        out.append({"fraction": fraction, "arm": arm, "sentence": sentence})
    return out
