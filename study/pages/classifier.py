"""The section of the classifier over seeds, as a function of results/classifier.json."""

import statistics

from study.pages.markdown import (
    cores,
    name_commit,
    render,
    show_estimate,
    show_mean,
    where_trained,
)

CLASSIFIER_ROWS = (
    ("accuracy", "acc"),
    ("macro AUC, one against the rest", "auc"),
    ("balanced accuracy", "balanced_accuracy_argmax"),
    ("balanced accuracy, balanced point", "balanced_accuracy"),
    ("accuracy, balanced point", "acc_balanced"),
    ("macro F1", "macro_f1"),
    ("melanoma: sensitivity at 90 % specificity", "melanoma_sensitivity_at_90_specificity"),
    ("the same at val's threshold", "melanoma_sensitivity_at_val_threshold_90"),
    ("specificity there, .90 intended", "melanoma_specificity_at_val_threshold_90"),
    ("melanoma: sensitivity at 95 % specificity", "melanoma_sensitivity_at_95_specificity"),
    ("the same at val's threshold", "melanoma_sensitivity_at_val_threshold_95"),
    ("specificity there, .95 intended", "melanoma_specificity_at_val_threshold_95"),
    ("melanoma: average precision", "average_precision_mel"),
    ("malignant: sensitivity at 90 % specificity", "malignant_sensitivity_at_90_specificity"),
    ("the same at val's threshold", "malignant_sensitivity_at_val_threshold_90"),
    ("specificity there, .90 intended", "malignant_specificity_at_val_threshold_90"),
    ("malignant: sensitivity at 95 % specificity", "malignant_sensitivity_at_95_specificity"),
    ("the same at val's threshold", "malignant_sensitivity_at_val_threshold_95"),
    ("specificity there, .95 intended", "malignant_specificity_at_val_threshold_95"),
    ("expected calibration error", "ece"),
    ("were it perfectly calibrated", "ece_if_perfect"),
)

NOT_COMPARED = {"value": None, "reason": "not compared"}
CLINICAL_ROWS = (
    ("macro AUC", "auc"),
    ("accuracy", "acc"),
    ("balanced accuracy, balanced point", "balanced_accuracy"),
    ("accuracy, balanced point", "acc_balanced"),
    ("expected calibration error", "ece"),
)


def recipe(split):
    """Return the recipe of a split, as in '36 epochs, learning rate 0.006'."""
    return f"{split['recipe']['epochs']} epochs, learning rate {split['recipe']['learning_rate']:g}"


def describe_split(split):
    """Return the protocol, the recipe and the seeds of a split."""
    seeds = ", ".join(map(str, split["seeds"]))
    if split.get("control", split)["seeds"] != split["seeds"]:
        seeds += f", of them real alone {', '.join(map(str, split['control']['seeds']))}"
    return f"{split['protocol']}, {recipe(split)}, seeds {seeds}"


def beside_leak(found):
    """Return what is to be read beside the numbers of the image split.

    It is that split's recipe, and what the lesion split's recipe gives there.
    """
    other, leak = recipe(found["image_split"]), found.get("leak_split")
    text = (
        f"{other}: see Limits" if other != recipe(found["lesion_split"]) else "by the same recipe"
    )
    return text + (
        f"; by the lesion split's recipe {leak['acc']:.3f} and {leak['auc']:.3f}" if leak else ""
    )


def beside_binary(lesion):
    """Return the end of the sentence on malignancy: a binary network's AUC and the difference.

    The difference is paired. The text is '' if no binary network was trained.
    """
    if "malignancy" not in lesion:
        return ""
    auc, apart = lesion["malignancy"]["auc_malignant"], lesion["malignancy"]["sum_minus_binary"]
    better = (
        "the sum is better"
        if apart["low"] > 0
        else "the binary network is better"
        if apart["high"] < 0
        else "no difference shown"
    )
    seed = lesion["malignancy"]["seeds"][0]
    gap = show_estimate(apart, signed=True)
    return f", {auc:.3f} by a binary network; of seed {seed}, sum less binary {gap}: {better}"


def score_rows(image, lesion):
    """Return the rows of all measures, and of the average of the seeds' probabilities."""
    arms = (image, lesion["control"], lesion)
    rows = [(label, *(show_mean(arm, name) for arm in arms)) for label, name in CLASSIFIER_ROWS]
    counts = ", ".join(str(len(arm["seeds"])) for arm in arms)
    label = (
        f"average of the seeds' probabilities ({counts} of them): accuracy, AUC, calibration error"
    )
    ensembles = ["{acc:.3f}, {auc:.3f}, {ece:.3f}".format(**arm["ensemble"]) for arm in arms]
    return [*rows, (label, *ensembles)]


def name_measures():
    """Return {name: label} of all measures, each label to be understood without its neighbours."""
    named, about = {}, ""
    # A label "the same at ..." or "specificity there" belongs to the row above it.
    for label, name in CLASSIFIER_ROWS:
        about = label if "sensitivity at 9" in label else about
        is_of_row_above = label.startswith(("the same", "specificity there"))
        named[name] = f"{label} ({about})" if is_of_row_above else label
    return named


def describe_gain(gain):
    """Return what the synthetic images change, and which measures agree in every seed.

    Both are values of the template: gain and always.
    """
    named = name_measures()
    always = {
        word: ", ".join(named[n] for n in gain[f"{word}_in_every_seed"] if n in named) or "none"
        for word in ("better", "worse")
    }
    changes = {
        name: show_mean(gain, name) for name in ("acc", "auc", "balanced_accuracy", "acc_balanced")
    }
    changes |= {
        "seeds": len(gain["seeds"]),
        "measures": sum(n in gain for n in named),
    }
    return {"gain": changes, "always": always}


def describe_time(found):
    """Return what a training took: minutes, memory and where."""
    lesion = found["lesion_split"]
    if "alone" in found:
        return (
            f"{found['minutes']:.1f} minutes and {found['alone']['peak_gib']:.1f} GiB alone on "
            f"{cores(found['alone']['environment'])}; beside others, on "
            f"{where_trained(lesion)}, {show_mean(lesion, 'minutes', '.2f')} minutes"
        )
    return (
        f"{show_mean(found, 'minutes', '.1f')} minutes and {found['peak_gib']:.1f} GiB "
        f"({where_trained(lesion)})"
    )


def describe_cost(found):
    """Return what a step costs beside MedMNIST's ResNet-18; '' if that has not been measured."""
    if "cost" not in found:
        return ""
    cost = found["cost"]
    alone, ratio, step = cost["minutes"]["ours"], cost["ratio"], cost["seconds_a_step"]
    return (
        f" From the time of a single step, alone on {cores(cost['environment'])}, one would expect "
        f"{alone:.1f} minutes. A step of MedMNIST's ResNet-18 (rebuilt in Keras) takes "
        f"{step['resnet18'] / step['ours']:.0f} times as long, its 100 epochs {ratio:.0f} "
        "times."
    )


def describe_price(found):
    """Return the price of leakage as values of the template, or None if there is none."""
    leakage = found["lesion_split"].get("price_of_leakage")
    if not leakage:
        return None

    def span(name):
        value, half = leakage[name], leakage[f"{name}_half_width"]
        return (
            f"{value:+.3f} (95 % interval over lesions {value - half:+.3f} to {value + half:+.3f})"
        )

    leak = found["leak_split"]
    return {
        "epochs": leak["recipe"]["epochs"],
        "leak_acc": show_mean(leak, "acc"),
        "leak_auc": show_mean(leak, "auc"),
        "seeds": len(leakage["seeds"]),
        "acc": span("acc"),
        "auc": span("auc"),
        "unclear": all(abs(leakage[n]) < leakage[f"{n}_half_width"] for n in ("acc", "auc")),
    }


def describe_clinical(found):
    """Return what age, sex and site bring as values of the template; None if not measured."""
    told = found.get("lesion_split_clinical")
    if told is None:
        return None
    rows = [
        (
            label,
            show_mean(told["image_alone"], name),
            show_mean(told, name),
            show_estimate(told["difference"].get(name, NOT_COMPARED), signed=True),
            show_mean(told["unknown"], name),
        )
        for label, name in CLINICAL_ROWS
    ]
    return {
        "rows": rows,
        "seeds": ", ".join(map(str, told["seeds"])),
        "where": where_trained(told),
        "protocol": told["protocol"],
        "steps": told["steps"],
    }


def describe_framing(rows):
    """Return the rows of the table of framings and lamps; None if there are none.

    rows: those of results/framing.csv, a dict each. Every cell is accuracy / AUC, means over seeds.
    """
    if not rows:
        return None
    kinds = {(row["network"], row["told"]): None for row in rows}
    views = {row["view"]: None for row in rows}
    found: dict[tuple, list] = {}
    for row in rows:
        found.setdefault((row["network"], row["told"], row["view"]), []).append(row)

    def show(*key):
        means = (statistics.mean(float(row[m]) for row in found[key]) for m in ("accuracy", "auc"))
        return " / ".join(f"{value:.3f}" for value in means)

    names = {"cnn": "the image-only network", "clinical": "the clinical network"}
    table = [(view, *(show(network, told, view) for network, told in kinds)) for view in views]
    heads = [
        names.get(network, network) + ("" if told == "image alone" else f", {told}")
        for network, told in kinds
    ]
    return {"heads": heads, "rows": table}


def describe_makers(found):
    """Return the backends and commits by which the seeds of all splits were trained."""
    ran = [
        environment
        for name in ("image_split", "leak_split", "lesion_split")
        for environment in found.get(name, {}).get("environments", ())
    ]
    return " and ".join(
        sorted({f"with KERAS_BACKEND={e['backend']} at {name_commit(e)}" for e in ran})
    )


def render_classifier(found, framing=()):
    """Return the classifier over seeds under both splits as Markdown.

    framing: the rows of results/framing.csv.
    """
    image, lesion = found["image_split"], found["lesion_split"]
    return render(
        "classifier",
        found=found,
        image=describe_split(image),
        lesion=describe_split(lesion),
        rows=score_rows(image, lesion),
        price=describe_price(found),
        recipe=lesion["recipe"],
        **describe_gain(lesion["classifier_minus_control"]),
        malignant=show_mean(lesion, "auc_malignant"),
        binary=beside_binary(lesion),
        clinical=describe_clinical(found),
        framing=describe_framing(framing),
        took=describe_time(found),
        cost=describe_cost(found),
        made=describe_makers(found),
    )
