"""The study's answer for the pages, as a function of results/study.json."""

from study.answer import signed
from study.pages.markdown import render


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
    shown = [a for a in found["answers"] if whole or a["arm"] in found["family"]["arms"]]
    controls = [
        {
            "label": c["label"],
            "fraction": c["fraction"],
            "change": f"{signed(c['value'])} [{signed(c['low'])}, {signed(c['high'])}]",
        }
        for c in found["contrasts"]
        if c["source"] is None and c["arm"] != "all_real" and c["measure"] == "auc"
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
        says_worth=any("real lesions in addition" in a["sentence"] for a in shown),
    )
