"""The README's answer and the table of all arms, as functions of results/arms.json."""

from lesiongan.measures.contrasts import FEWEST_SEEDS
from study.collect_arms import ARMS
from study.pages.markdown import render, show_estimate, show_mean

NAMES = {
    "acc": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "acc_balanced": "accuracy at the balanced point",
    "auc": "AUC",
}
# The README shows these arms alone, for a short table; docs/results.md has them all.
SHOWN = ("classic", "plain", "repeated", "classic_synthetic", "synthetic_only")


def show_change(comparison, mark=True):
    """Return a difference as in '+0.001 (-0.006 to +0.008)'.

    It ends with a † if it is significant after Holm's correction: asterisks mark malignant classes.
    """
    return show_estimate(comparison, signed=True) + "†" * (
        mark and comparison.get("p_holm", 1) < 0.05
    )


def describe_verdict(gain):
    """Return which measures the synthetic images raised or lowered after Holm's correction."""
    told = {
        word: [
            NAMES[n]
            for n in NAMES
            if gain[n].get("p_holm", 1) < 0.05 and sign * gain[n]["value"] > 0
        ]
        for word, sign in (("raised", 1), ("lowered", -1))
    }
    return (
        "; ".join(f"{' and '.join(ns)} {word}" for word, ns in told.items() if ns)
        or "no difference shown"
    )


def describe_told(clinical):
    """Return what age, sex and site bring, as values of the template; None if not measured.

    clinical: `lesion_split_clinical` of classifier.json, or None.
    """
    if clinical is None:
        return None

    def change(name):
        gain, alone = clinical["difference"][name], clinical["image_alone"][name]
        words = f"{clinical[name]:.3f} instead of {alone:.3f}"
        return f"{words}, {show_estimate(gain, signed=True)}"

    return {
        "seeds": len(clinical["seeds"]),
        "auc": change("auc"),
        "balanced": change("balanced_accuracy"),
    }


def render_answer(found, train_images, majority, clinical=None, other_set=False, joined=1):
    """Return the answer as Markdown: a picture, one sentence, one short table.

    train_images: how many real images the CNNs were trained on; majority: the accuracy of always
    naming the commonest class; clinical: see describe_told; other_set: whether the picture shows
    another set than the table's; joined: of how many trainings the GAN of the picture is.
    """
    arms, ours = found["arms"], found["arms"]["classic_synthetic"]
    gain = ours["less_classic"]
    shown = []
    for arm in (arms[name] for name in SHOWN if name in arms):
        less = arm.get("less_classic")
        cells = []
        for name in ("acc", "auc"):
            cells += [show_mean(arm, name), show_change(less[name]) if less else ""]
        shown.append({"label": arm["label"], "cells": cells})
    return render(
        "answer",
        verdict=describe_verdict(gain),
        gain={name: show_change(gain[name], mark=False) for name in NAMES},
        seeds=len(ours["compared_seeds"]),
        shown=shown,
        found=found,
        train_images=train_images,
        majority=f"{majority:.3f}",
        compared=sum("less_classic" in arm for arm in arms.values()),
        other_set=other_set,
        joined=joined,
        told=describe_told(clinical),
    )


def render_arms(found, other_set, **classifier):
    """Return all arms as Markdown.

    other_set: whether their images are of another set than the published run's.
    `classifier` says what the template tells of results/classifier.json beside them: both (its
    content or None) and, unless that is None, alone, trained, readings and beside_leak.
    """
    arms, ours = found["arms"], found["arms"]["classic_synthetic"]
    rows = [
        {
            "label": arm["label"],
            "seeds": len(arm["seeds"]),
            "means": [show_mean(arm, n) for n in NAMES],
            "changes": [show_change(arm["less_classic"][n]) for n in NAMES]
            if "less_classic" in arm
            else None,
        }
        for arm in arms.values()
    ]
    return render(
        "arms",
        found=found,
        other_set=other_set,
        gain={name: show_change(ours["less_classic"][name], mark=False) for name in NAMES},
        seeds=len(ours["compared_seeds"]),
        arms=rows,
        few=min(row["seeds"] for row in rows),
        fewest_seeds=FEWEST_SEEDS,
        missing="; ".join(label for arm, label in ARMS.items() if arm not in arms),
        **classifier,
    )
