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
ORDER = ("low", "value", "high")


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


def find_worth(row, arms, base):
    """Return {value, low, high, most}: the real lesions more that would have given the same gain.

    low and high are those of the gain's interval; the curve of real images alone has none here. It
    is interpolated linearly over the logarithm of the number of lesions. No gain is worth 0, and
    none is worth more than `most`, up to the last point of the curve: there it means as much or
    more. None without a second point of the curve.
    """
    own = row["lesions"]
    curve = list_real(arms, row["backend"], row["measure"], base)
    larger = [(n, v) for n, v in curve if n > own]
    if not larger:
        return None
    gains = {name: row[name] for name in ("value", "low", "high")}
    found = {
        name: read_off([(own, row["base_value"]), *larger], row["base_value"] + gain) - own
        for name, gain in gains.items()
    }
    return found | {"most": larger[-1][0] - own}


def read_off(curve, wanted):
    """Return the number of lesions at which a curve [(lesions, value)] first reaches a value.

    It is not below the curve's first number and not above its last.
    """
    (n, value), *others = curve
    before = np.log(n), value
    if wanted <= value:
        return n
    for n, value in others:
        after = np.log(n), value
        if value >= wanted:
            slope = (after[0] - before[0]) / (after[1] - before[1])
            return round(np.exp(before[0] + slope * (wanted - before[1])))
        before = after
    return n


def say_gain(row):
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
    worth = row["worth"] if row["measure"] == "auc" and row["value"] > 0 else None
    if worth:
        most = worth["most"]
        low, value, high = (
            f"{n} or more" if n == most else str(n) for n in (worth[k] for k in ORDER)
        )
        clause += f", as much as {value} more real lesions [{low}, {high}]"
    return clause


def write_sentences(found):
    """Return [{fraction, arm, sentence}] of each fraction and arm with synthetic images."""
    out = []
    several = len(found["environments"]) > 1
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
        gains = [say_gain(rows[name]) for name in ("auc", "balanced_accuracy")]
        seeds = f"{max(1, len(first['gan_seeds']))} x {len(first['cnn_seeds'])} seeds"
        on = f", {backend}" if several else ""
        sentence = (
            f"With {fraction} % of the lesions ({first['lesions']}), {first['label']}: {gains[0]}; "
            f"{gains[1]} ({seeds}{on})."
        )
        out.append({"fraction": fraction, "arm": arm, "sentence": sentence})
    return out
