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


def list_real(arms, backend, measure, base, fraction=None):
    """Return [(lesions, mean)] of classifiers of real images alone, by number of lesions.

    Each point has the training steps of its own fraction. All train lesions are those of the base
    at 100 %; before that has run, the ceiling `all_real` of the given fraction, which takes as many
    steps as its other arms, or else that of the largest fraction.
    """
    mine = [a for a in arms if a["backend"] == backend and a["arm"] in (base, "all_real")]
    preferred = sorted(
        mine, key=lambda a: (a["arm"] != base, a["fraction"] != fraction, -a["fraction"])
    )
    found: dict[int, float] = {}
    for row in preferred:
        found.setdefault(row["lesions"], row[measure])
    return sorted(found.items())


def find_worth(row, arms, base):
    """Return {value, low, high, most}: the real lesions more that would have given the same gain.

    low and high are those of the gain's interval; the curve of real images alone has none here. It
    is interpolated linearly over the logarithm of the number of lesions. Where there is no gain,
    the number is 0. It is at most `most`, the curve's last point, and means that many or more
    there. None without a second point of the curve.
    """
    own = row["lesions"]
    curve = list_real(arms, row["backend"], row["measure"], base, row["fraction"])
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
        found = f"{signed(row['value'])} {interval}"
        if row["low"] > 0 or row["high"] < 0:
            return (
                f"no difference of {measure} shown after Holm's correction ({found}, p = "
                f"{unsigned(row['p_holm'])}; we would have seen {seen})"
            )
        return f"no difference of {measure} shown ({found}; we would have seen {seen})"
    word = "higher" if row["value"] > 0 else "lower"
    clause = f"{measure} is {word} by {unsigned(abs(row['value']))} {interval}"
    worth = row["worth"] if row["measure"] == "auc" and row["value"] > 0 else None
    return f"{clause}, as much as by {say_worth(worth)}" if worth else clause


def say_worth(worth):
    """Return what a gain is worth in words; see find_worth."""
    if worth["low"] == worth["most"]:
        return f"{worth['most']} more real lesions or more"
    low, value, high = (
        f"{worth[name]} or more" if worth[name] == worth["most"] else str(worth[name])
        for name in ("low", "value", "high")
    )
    if worth["value"] == worth["most"]:
        value = worth["most"]
        return f"{value} more real lesions or more ({low} at the low end of that interval)"
    return f"{value} more real lesions ({low} to {high} at the ends of that interval)"


def write_sentences(found):
    """Return [{fraction, arm, sentence}] of each fraction and arm but the ceiling."""
    out = []
    several = len(found["environments"]) > 1
    keys = dict.fromkeys(
        (c["fraction"], c["arm"], c["backend"])
        for c in found["contrasts"]
        if c["arm"] != "all_real"
    )
    for fraction, arm, backend in sorted(keys):
        rows = {
            c["measure"]: c
            for c in found["contrasts"]
            if (c["fraction"], c["arm"], c["backend"]) == (fraction, arm, backend)
        }
        first = rows["auc"]
        gains = [say_gain(rows[name]) for name in ("auc", "balanced_accuracy")]
        players = {"GAN": first["gan_seeds"], "classifier": first["cnn_seeds"]}
        seeds = " x ".join(
            f"{len(seeds)} {name}{'s' * (len(seeds) > 1)}"
            for name, seeds in players.items()
            if seeds
        )
        on = f", {backend}" if several else ""
        sentence = (
            f"With {fraction} % of the lesions ({first['lesions']}), {first['label']}: {gains[0]}; "
            f"{gains[1]} ({seeds}{on})."
        )
        out.append({"fraction": fraction, "arm": arm, "sentence": sentence})
    return out
