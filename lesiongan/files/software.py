"""What this software is called, and its version: CITATION.cff says it, and nothing else does."""

import re

from lesiongan import ROOT

CITATION = ROOT / "CITATION.cff"
FIELDS = {
    "title": r'^title: "(.+)"$',
    "authors": r"^authors:\n  - name: (.+)$",
    "version": r"^version: (\d+\.\d+\.\d+)$",
    "released": r"^date-released: (\d{4}-\d\d-\d\d)$",
}


def read_citation() -> dict[str, str]:
    """Return {title, authors, version, released (a date)} of CITATION.cff, each as it is there."""
    text = CITATION.read_text(encoding="utf-8")
    found = {name: re.search(form, text, re.MULTILINE) for name, form in FIELDS.items()}
    missing = [name for name, match in found.items() if not match]
    assert not missing, f"CITATION.cff has no {', '.join(missing)} in the form that is read here"
    return {name: match[1] for name, match in found.items() if match}
