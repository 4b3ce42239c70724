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


def is_of_few(row):
    """Return whether a contrast is of too few classifiers, or of too few GANs, to be tested."""
    return min(len(seeds) for seeds in (row["cnn_seeds"], row["gan_seeds"]) if seeds) < FEWEST_SEEDS


def is_shown(row):
    """Return whether a contrast shows a difference: by its interval, and by Holm where tested."""
    apart = row["low"] > 0 or row["high"] < 0
    passes = row["p_holm"] is None or row["p_holm"] < 0.05
    return apart and passes and not is_of_few(row)


def say_p(row):
    """Return an adjusted p-value, `p <= .014` where no draw was on the other side of zero."""
    sign = "≤" if row["p_at_most"] else "="
    return f"p {sign} {unsigned(row['p_holm'])}"


def list_real(arms, backend, measure, base):
    """Return [(lesions, mean)] of classifiers of real images alone, by number of lesions.

    Each point has the training steps of its own fraction. All train lesions are those of the base
    at 100 %; before that has run, the ceiling `all_real` of the largest fraction. This is the curve
    of the map, and what a set is worth is read off it.
    """
    mine = [a for a in arms if a["backend"] == backend and a["arm"] in (base, "all_real")]
    preferred = sorted(mine, key=lambda a: (a["arm"] != base, -a["fraction"]))
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
    base, value = row["base_value"], row["value"]
    level = f"{MEASURE_NAMES[row['measure']]} {unsigned(base + value)} instead of {unsigned(base)}"
    interval = f"[{signed(row['low'])}, {signed(row['high'])}]"
    if is_of_few(row):
        return f"{level}, of too few seeds to call it a difference ({signed(value)} {interval})"
    if row["low"] <= 0 <= row["high"]:
        seen = unsigned(row["minimum_detectable"])
        return (
            f"{level}, no difference shown ({signed(value)} {interval}; we would have seen {seen})"
        )
    word = "higher" if value > 0 else "lower"
    clause = f"{level}, {word} by {unsigned(abs(value))} {interval}"
    if not is_shown(row):
        return f"{clause} but not significantly after Holm's correction ({say_p(row)})"
    if row["p_holm"] is not None:
        clause += f" ({say_p(row)})"
    worth = row["worth"] if row["measure"] == "auc" and value > 0 else None
    return f"{clause}, about as much as {say_worth(worth)}" if worth else clause


def say_worth(worth):
    """Return what a gain is worth in words; see find_worth. Two digits of a number are shown."""

    def about(name):
        return f"{worth['most']} or more" if is_most[name] else f"{float(f'{worth[name]:.2g}'):.0f}"

    is_most = {name: worth[name] == worth["most"] for name in ("low", "value", "high")}
    ends = "" if is_most["low"] else f"{about('low')} at the low end of the interval"
    if not is_most["value"]:
        ends += f"; at the high end {about('high')}"
    lesions = f"{about('value')} real lesions in addition would bring"
    return lesions + (f" ({ends})" if ends else "")


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
            f"With {first['lesions']} own lesions ({fraction} %), {first['label']}: {gains[0]}; "
            f"{gains[1]}. {seeds}{on}."
        )
        out.append({"fraction": fraction, "arm": arm, "sentence": sentence})
    return out
