"""The study's answer in sentences, and what synthetic images are worth in real lesions."""

import numpy as np

from lesiongan.measures.contrasts import FEWEST_SEEDS
from study.grid import CEILING

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
    """Return whether a contrast shows a difference: it was tested, and passes Holm's test."""
    apart = row["low"] > 0 or row["high"] < 0
    passes = row["p_holm"] is not None and row["p_holm"] < 0.05
    return apart and passes and not is_of_few(row)


def say_p(row):
    """Return an adjusted p-value, `p <= .014` where no draw was on the other side of zero."""
    sign = "≤" if row["p_at_most"] else "="
    return f"p {sign} {unsigned(row['p_holm'])}"


def list_real(arms, backend, measure, base):
    """Return [(lesions, mean)] of classifiers of real images alone, by number of lesions.

    Each point has the training steps of its own fraction. All train lesions are those of the base
    at 100 %; before that has run, the ceiling of the largest fraction. This is the curve
    of the map, and what a set is worth is read off it.
    """
    mine = [a for a in arms if a["backend"] == backend and a["arm"] in (base, CEILING)]
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


def say_few(row):
    """Return what there is too little of for a test: `fewer than 3 GANs`."""
    players = {"classifiers": row["cnn_seeds"], "GANs": row["gan_seeds"]}
    few = [name for name, seeds in players.items() if seeds and len(seeds) < FEWEST_SEEDS]
    return f"fewer than {FEWEST_SEEDS} {' and '.join(few)}"


def say_gain(row):
    """Return a clause: what one kind of images does to one measure."""
    base, value = row["base_value"], row["value"]
    level = f"{MEASURE_NAMES[row['measure']]} {unsigned(base + value)} instead of {unsigned(base)}"
    interval = f"[{signed(row['low'])}, {signed(row['high'])}]"
    if is_of_few(row):
        return f"{level} ({signed(value)} {interval}), no p-value: of {say_few(row)}"
    if row["low"] <= 0 <= row["high"]:
        seen = unsigned(row["minimum_detectable"])
        return f"{level}, no difference shown ({signed(value)} {interval}; detectable: {seen})"
    word = "higher" if value > 0 else "lower"
    clause = f"{level}, {word} by {unsigned(abs(value))} {interval}"
    if row["p_holm"] is not None and not is_shown(row):
        return f"{clause} but not significantly after Holm's correction ({say_p(row)})"
    if row["p_holm"] is None:
        return f"{clause}, no p-value"
    clause += f" ({say_p(row)})"
    worth = row["worth"] if row["measure"] == "auc" and value > 0 else None
    return f"{clause}, {say_worth(worth)}" if worth else clause


def say_worth(worth):
    """Return what a gain is worth in words; see find_worth. Two digits of a number are shown."""
    most = worth["most"]

    def about(name):
        return most if worth[name] == most else int(float(f"{worth[name]:.2g}"))

    def end(name):
        return "at least " * (worth[name] == most) + str(about(name))

    as_much = "at least" if worth["value"] == most else "about"
    ends = f" (by the gain's 95 % interval: {end('low')} to {end('high')})"
    ends *= worth["low"] != most
    return f"{as_much} as much as {about('value')} more real lesions would bring{ends}"


OF_SOURCE = {"shared": "a GAN that learned from others' lesions", "closed": "one's own GAN"}


def write_lead(found):
    """Return the study's answer in a sentence or two for each source of images.

    found: content of study.json. It is about the AUC of the family's arms, on any backend.
    """
    named = found["family"]["arms"]
    rows = [c for c in found["contrasts"] if c["arm"] in named and c["measure"] == "auc"]
    out = []
    for source, name in OF_SOURCE.items():
        mine = sorted((c for c in rows if c["source"] == source), key=lambda c: c["lesions"])
        shown = [c for c in mine if is_shown(c)]
        tested = [c for c in mine if c["p_holm"] is not None and not is_of_few(c)]
        if shown:
            gains = " and ".join(
                f"from {unsigned(c['base_value'])} to {unsigned(c['base_value'] + c['value'])} "
                f"with {c['lesions']} own lesions ({signed(c['value'])} [{signed(c['low'])}, "
                f"{signed(c['high'])}])"
                for c in shown
            )
            verb = "raise" if all(c["value"] > 0 for c in shown) else "change"
            out.append(f"Images of {name} {verb} AUC {gains}.")
        if others := [str(c["lesions"]) for c in tested if c not in shown]:
            sizes = " or ".join(others)
            who = "They" if shown else f"Images of {name}"
            out.append(f"{who} are not shown to raise AUC with {sizes} own lesions.")
    return " ".join(out)


def write_sentences(found):
    """Return [{fraction, arm, sentence}] of each fraction and arm but the ceiling."""
    out = []
    several = len(found["environments"]) > 1
    keys = dict.fromkeys(
        (c["fraction"], c["arm"], c["backend"]) for c in found["contrasts"] if c["arm"] != CEILING
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
