"""Every estimate of a set of predictions: metrics.json, per_class.csv and confusion.csv.

All of them are functions of the predictions alone.

An estimate is {value, low, high, n, protocol}. Its interval, low to high, is the 95 % percentile
interval of the bootstrap over lesions. An undefined estimate is null with a reason.
"""

from typing import Any

import numpy as np

from lesiongan.data.classes import CLASSES, MALIGNANT, class_counts
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError, printable
from lesiongan.files.telling import say
from lesiongan.measures import bootstrap, metrics

DRAWS = 1000


def estimate(value, low, high, n, protocol, reason="not defined on these images"):
    """Return one estimate as it is reported; an undefined one is null with its reason."""
    if not np.isfinite(value):
        return {"value": None, "reason": reason, "n": int(n), "protocol": protocol}
    return {"value": value, "low": low, "high": high, "n": int(n), "protocol": protocol}


POINTS = {"balanced_shift": [records.NUMBER], "train_prior": [records.NUMBER], ...: records.NUMBER}
CONTEXT = {
    "protocol": str,
    "data": (dict, type(None)),
    "views": (int, type(None)),
    "points": {...: POINTS},
    "arms": {...: {"trained_on": str, "same": dict}},
}
"""What `compute` needs of a context.json, as a shape for records.find_fault."""


ESTIMATE = {"value": (*records.NUMBER, type(None))}
METRICS = {
    "protocol": str,
    "images": int,
    "lesions": int,
    "classes": [str],
    "trained_on": {...: str},
    "models": {
        "classifier": {"argmax": {...: ESTIMATE}},
        ...: {"argmax": {...: ESTIMATE}},
    },
    "majority_baseline": {"class": str, "accuracy": ESTIMATE},
}
"""What readers of metrics.json need of it (records.find_fault)."""


class Weighted(metrics.Ranking):
    """A ranking under weights (..., n), which are grouped once for all its measures."""

    def __init__(self, ranking, w):
        self.scores, self.grouped = ranking.scores, ranking.groups(w)

    def groups(self, w):
        return self.grouped


def mean_of_defined(values):
    """Return (d,): the mean over the first axis without NaN, or NaN where all are NaN."""
    values = np.array(values)
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0)


def build_measure(y, p, points):
    """Return a function of image weights (d, n) to {name: (d,)}: all measures of one model.

    Names are `argmax.accuracy`, `balanced.macro_f1`, `auc`, `auc_malignant`, ... as metrics.json
    nests them.
    """
    k = p.shape[1]
    decisions = {"argmax": p.argmax(axis=1)}
    if points:
        decisions["balanced"] = metrics.balanced_decision(p, np.array(points["balanced_shift"]))
    targets = y if k == len(CLASSES) else MALIGNANT[y].astype(int)
    malignant, score = MALIGNANT[y], p[:, 1] if k == 2 else p[:, MALIGNANT].sum(axis=1)
    one_vs_rest = CLASSES if k == len(CLASSES) else ()
    rankings = {c: metrics.Ranking(y == i, p[:, i]) for i, c in enumerate(one_vs_rest)}
    rankings["malignant"] = metrics.Ranking(malignant, score)

    def measure(w):
        out: dict[str, np.ndarray] = {}
        for name, decided in decisions.items():
            matrix = metrics.confusion(targets, decided, k, w)
            out |= {f"{name}.{m}": v for m, v in metrics.summarise(matrix).items()}
            if k == len(CLASSES):
                binary = metrics.confusion(
                    malignant.astype(int), MALIGNANT[decided].astype(int), 2, w
                )
                each = metrics.per_class(binary)
                out[f"{name}.malignancy_accuracy"] = metrics.summarise(binary)["accuracy"]
                for m, v in (
                    ("sensitivity", each["recall"]),
                    ("specificity", each["specificity"]),
                    ("precision", each["precision"]),
                    ("f1", each["f1"]),
                ):
                    out[f"{name}.malignancy_{m}"] = v[..., 1]
        weighted = {name: Weighted(ranking, w) for name, ranking in rankings.items()}
        thresholded = {"malignant": weighted["malignant"]}
        if one_vs_rest:
            aucs = {c: weighted[c].auc(w) for c in one_vs_rest}
            out["auc"] = mean_of_defined(list(aucs.values()))
            out |= {f"auc_{c}": a for c, a in aucs.items()}
            out["average_precision_mel"] = weighted["mel"].average_precision(w)
            thresholded["melanoma"] = weighted["mel"]
        out["auc_malignant"] = weighted["malignant"].auc(w)
        out["ece"] = metrics.ece(targets, p, w)
        for name, ranking in thresholded.items():
            for at in (90, 95):
                t = ranking.threshold(at / 100, w)
                # Without negatives any threshold would do, so the sensitivity is undefined.
                undefined = np.isnan(ranking.specificity(t, w))
                out[f"{name}_sensitivity_at_{at}_specificity"] = np.where(
                    undefined, np.nan, ranking.sensitivity(t, w)
                )
                if points and f"{name}_threshold_at_{at}_specificity" in points:
                    t = points[f"{name}_threshold_at_{at}_specificity"]
                    out[f"{name}_sensitivity_at_val_threshold_{at}"] = ranking.sensitivity(t, w)
                    out[f"{name}_specificity_at_val_threshold_{at}"] = ranking.specificity(t, w)
        return out

    return measure


def nest(estimates):
    """Turn {'argmax.accuracy': f} into {'argmax': {'accuracy': f}}."""
    out: dict[str, Any] = {}
    for name, f in estimates.items():
        *path, last = name.split(".")
        inner = out
        for key in path:
            inner = inner.setdefault(key, {})
        inner[last] = f
    return out


def report_model(y, p, points, lesions, protocol):
    """Return (nested estimates of one model, its measure function)."""
    measure = build_measure(y, p, points)
    found = bootstrap.with_intervals(measure, lesions, DRAWS, raised=("ece",))
    out = nest({name: estimate(*v, len(y), protocol) for name, v in found.items()})
    if not points:
        out["balanced"] = {"value": None, "reason": "no operating points beside the predictions"}
    floor = metrics.ece_if_perfect(p)
    out["ece_if_perfect"] = {
        "value": floor,
        "n": len(y),
        "protocol": "labels drawn from these probabilities",
    }
    return out, measure


def compute(predictions, lesions, context):
    """Return the content of metrics.json, a function of the predictions alone.

    predictions: {model: (rows, labels, p)}, all of the same rows; context: as CONTEXT.
    """
    y, protocol = predictions["classifier"][1], context["protocol"]
    out = {
        "protocol": protocol,
        "data": context["data"],
        "views": context["views"],
        "trained_on": {name: arm["trained_on"] for name, arm in context["arms"].items()},
        "images": len(y),
        "lesions": len(set(lesions)),
        # Macro averages are taken over these classes.
        "classes": [c for c, n in zip(CLASSES, class_counts(y), strict=True) if n],
        "interval": f"95 %, percentile bootstrap over lesions, {DRAWS} draws; of ece, less its "
        "bias",
        "models": {},
        "majority_baseline": estimate_majority(y, lesions, protocol),
    }
    if "networks" in context:
        out["networks"] = context["networks"]
    measures = {}
    for name, (_, _, probabilities) in predictions.items():
        points = context["points"].get(name)
        if points and len(points["balanced_shift"]) != probabilities.shape[1]:
            raise InputError(
                f"operating points of {name}: not of {probabilities.shape[1]} classes; run "
                "train_cnn.py again"
            )
        out["models"][name], measures[name] = report_model(
            y, probabilities, points, lesions, protocol
        )
    if "control" in measures:
        out["classifier_minus_control"] = subtract(
            ("classifier", "control"), measures, len(y), lesions, context
        )
    if "clinical" in measures:
        out["clinical_minus_classifier"] = subtract(
            ("clinical", "classifier"), measures, len(y), lesions, context
        )
    if "malignancy" in measures:
        out["sum_minus_binary"] = subtract_binary(measures, len(y), lesions, context)
    return out


def estimate_majority(y, lesions, protocol):
    """Return the estimates of always deciding for the commonest class of these images."""
    majority = int(class_counts(y).argmax())
    decided = np.full(len(y), majority)
    found = bootstrap.with_intervals(
        lambda w: metrics.summarise(metrics.confusion(y, decided, len(CLASSES), w)), lesions, DRAWS
    )
    return {
        "class": CLASSES[majority],
        **{n: estimate(*v, len(y), protocol) for n, v in found.items()},
    }


def differ(arms, name, *keys):
    """Return True if the network `name` differs from the classifier in any of the keys."""
    return any(arms.get("classifier", {}).get(k) != arms.get(name, {}).get(k) for k in keys)


def describe(context, name, what):
    """Return the protocol of a paired difference between the classifier and the network `name`.

    Networks trained by different code, packages or accelerator are compared, but the protocol says
    so.
    """
    unlike = differ(context["arms"], name, "trained_by")
    warning = "; TRAINED BY DIFFERENT CODE, PACKAGES OR ACCELERATOR" if unlike else ""
    return f"{context['protocol']}; {what}{warning}"


# What two networks must share for their difference to mean something: the control has other
# images, the clinical network other inputs, that of two classes another task.
LEARNED = ("same", "trained_on", "synthetic_sha256", "synthetic_weight", "taught")
SHARED = {"control": ("same",), "clinical": LEARNED, "malignancy": LEARNED}


def subtract(pair, measures, n, lesions, context):
    """Return the first network of a pair minus the second, paired over lesions.

    One of the pair is the classifier. It is null if they differ in more than their data.
    """
    first, second = pair
    other = second if first == "classifier" else first
    if differ(context["arms"], other, *SHARED[other]):
        return {"value": None, "reason": f"{first} and {second} differ in more than their data"}

    def difference(w):
        less = measures[second](w)
        return {k: v - less[k] for k, v in measures[first](w).items() if k in less and k != "ece"}

    words = describe(context, other, "paired over lesions, one seed each")
    paired = bootstrap.with_intervals(difference, lesions, DRAWS)
    out = nest({name: estimate(*v, n, words) for name, v in paired.items()})
    # Noise raises the ECE of a well calibrated network more than that of another. In simulated
    # tables an interval of the difference, even less its bias, held the true one in only a third.
    out["ece"] = {"value": None, "reason": "not compared: its bias differs between the two"}
    return out


def subtract_binary(measures, n, lesions, context):
    """Return the AUC of the seven probabilities summed minus that of the binary network, paired."""
    if differ(context["arms"], "malignancy", *SHARED["malignancy"]):
        return {"value": None, "reason": "the two networks differ in more than their task"}

    def difference(w):
        summed, binary = measures["classifier"](w), measures["malignancy"](w)
        return {"auc_malignant": summed["auc_malignant"] - binary["auc_malignant"]}

    words = describe(
        context,
        "malignancy",
        "seven probabilities summed, less the binary network's; paired over lesions",
    )
    paired = bootstrap.with_intervals(difference, lesions, DRAWS)
    return {"auc_malignant": estimate(*paired["auc_malignant"], n, words)}


def write(folder, predictions, lesions, context):
    """Write metrics.json, per_class.csv and confusion.csv into `folder`."""
    _, y, p = predictions["classifier"]
    writing.write_json(folder / "metrics.json", compute(predictions, lesions, context))
    decided = p.argmax(axis=1)
    matrix = metrics.confusion(y, decided, len(CLASSES))
    found = bootstrap.with_intervals(
        lambda w: {
            f"{m} {c}": v
            for m, values in metrics.per_class(
                metrics.confusion(y, decided, len(CLASSES), w)
            ).items()
            for c, v in zip(CLASSES, np.moveaxis(values, -1, 0), strict=True)
        },
        lesions,
        DRAWS,
    )
    table = {"class": CLASSES, "malignant": MALIGNANT.astype(int), "n": class_counts(y)}
    for m in ("precision", "recall", "specificity", "f1"):
        for i, what in enumerate(("", "_low", "_high")):
            values = [found[f"{m} {c}"][i] for c in CLASSES]
            table[m + what] = [f"{v:.6f}" if np.isfinite(v) else "" for v in values]
    table["protocol"] = ['"{}"'.format(context["protocol"].replace('"', '""'))] * len(CLASSES)
    writing.write_csv(folder / "per_class.csv", table)
    columns = {f"decided_{c}": matrix[:, i].astype(int) for i, c in enumerate(CLASSES)}
    writing.write_csv(folder / "confusion.csv", {"true": CLASSES, **columns})


def print_summary(folder):
    """Print the few estimates of `folder`'s metrics.json that a reader wants first."""
    found = records.read_json(folder / "metrics.json", "evaluate.py", METRICS)
    say(f"  {printable(found['protocol'])}: {found['images']} images of {found['lesions']} lesions")
    if len(found["classes"]) < len(CLASSES):
        say(f"  only {', '.join(found['classes'])}: macro averages are over these")

    def show(block, name):
        f = block.get(name) or {}
        return (
            "undefined"
            if f.get("value") is None
            else f"{f['value']:.3f} [{f['low']:.3f}, {f['high']:.3f}]"
        )

    say(
        f"  majority class ({found['majority_baseline']['class']}): accuracy "
        f"{show(found['majority_baseline'], 'accuracy')}"
    )
    for name, model in found["models"].items():
        argmax, balanced = model["argmax"], model["balanced"]
        say(
            f"  {name}: accuracy {show(argmax, 'accuracy')}, balanced accuracy "
            f"{show(argmax, 'balanced_accuracy')} (most likely class), "
            f"{show(balanced, 'balanced_accuracy')} (balanced point), macro-F1 "
            f"{show(argmax, 'macro_f1')}, AUC "
            f"{show(model, 'auc' if 'auc' in model else 'auc_malignant')}, ECE {show(model, 'ece')}"
        )
    told = found.get("clinical_minus_classifier", {})
    if "argmax" in told:
        say(
            f"  with age, sex and site, less the image alone: accuracy "
            f"{show(told['argmax'], 'accuracy')}, balanced accuracy "
            f"{show(told.get('balanced', {}), 'balanced_accuracy')} (balanced point), AUC "
            f"{show(told, 'auc')}"
        )
    difference = found.get("classifier_minus_control")
    if difference and "argmax" in difference:
        if "TRAINED BY DIFFERENT" in difference["auc"]["protocol"]:
            say(
                "  note: classifier and control were trained by different code or packages; train "
                "both again"
            )
        say(
            f"  classifier minus control: accuracy {show(difference['argmax'], 'accuracy')}, "
            f"balanced accuracy {show(difference.get('balanced', {}), 'balanced_accuracy')} "
            f"(balanced point), AUC {show(difference, 'auc')}"
        )
