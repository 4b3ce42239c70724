"""The study's answer for the pages, as a function of results/study.json."""

from study.answer import MEASURE_NAMES, is_of_few, signed, unsigned
from study.grid import CEILING
from study.pages.markdown import render

# Those that are not in the sentences.
OTHERS = [m for m in MEASURE_NAMES if m not in ("auc", "balanced_accuracy", "ece")]


def list_rows(found):
    """Return [{lesions, fraction, label, cells}] of all contrasts and their bases, for a table."""
    rows = []
    for arm in found["arms"]:
        key = arm["fraction"], arm["arm"], arm["backend"]
        mine = {
            c["measure"]: c
            for c in found["contrasts"]
            if (c["fraction"], c["arm"], c["backend"]) == key
        }
        cells = []
        for name in OTHERS:
            value = "-" if arm[name] is None else unsigned(arm[name])
            if name in mine:
                c = mine[name]
                value = unsigned(c["base_value"] + c["value"])
                value += f" ({signed(c['value'])} [{signed(c['low'])}, {signed(c['high'])}])"
            cells.append(value)
        cells.append("-" if arm["ece"] is None else unsigned(arm["ece"]))
        # The ceiling has more lesions than one owns.
        owned = next((c["lesions"] for c in mine.values()), arm["lesions"])
        on = f", {arm['backend']}" if len(found["environments"]) > 1 else ""
        order = (owned, arm["backend"], arm["arm"] == CEILING, bool(mine))
        label = found["labels"][arm["arm"]] + on
        rows.append({"order": order, "lesions": owned, "label": label, "cells": cells})
    return sorted(rows, key=lambda r: r["order"])


def render_study(found, whole=True):
    """Return the study's sentences as Markdown.

    found: content of study.json, or None before the first cell; whole: all sentences, for
    docs/results.md. The README has those on the family named beforehand, and the controls' AUC.
    """
    if found is None:
        return (
            "How the answer depends on the number of lesions one owns, and on whose generator it "
            "is, is what `make study` measures. Too few of its trainings have run for an answer."
        )
    named = found["family"]["arms"]
    shown = [a for a in found["answers"] if whole or a["arm"] in named]
    controls = [
        {
            "label": c["label"],
            "fraction": c["fraction"],
            "change": f"{signed(c['value'])} [{signed(c['low'])}, {signed(c['high'])}]",
        }
        for c in found["contrasts"]
        if c["source"] is None and c["arm"] != CEILING and c["measure"] == "auc"
    ]
    missing: dict[int, list[str]] = {}
    for row in found["missing"]:
        missing.setdefault(row["fraction"], []).append(row["label"])
    return render(
        "study",
        found=found,
        shown=shown,
        controls=controls,
        missing=missing,
        whole=whole,
        root="../" if whole else "",
        has_few=any(is_of_few(c) for c in found["contrasts"] if c["arm"] in named),
        says_worth=any("more real lesions" in a["sentence"] for a in shown),
        columns=[MEASURE_NAMES[name] for name in [*OTHERS, "ece"]],
        rows=list_rows(found) if whole else [],
    )
