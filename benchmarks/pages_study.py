"""The study's answer for the pages, as a function of results/study.json."""

from benchmarks.pages_markdown import render


def render_study(found, family=None):
    """Return the study's sentences as Markdown.

    found: content of study.json, or None before the first cell; family: the arms whose sentences
    are shown, or None for all of them.
    """
    if found is None:
        return (
            "How the answer depends on the number of lesions one owns, and on whose generator it "
            "is, is what `make study` measures. Too few of its trainings have run for an answer."
        )
    shown = [a for a in found["answers"] if family is None or a["arm"] in family]
    says_worth = any("more real lesions" in a["sentence"] for a in shown)
    return render(
        "study",
        found=found,
        shown=shown,
        base=found["base"],
        whole=family is None,
        says_worth=says_worth,
    )
