"""The lines of docs/use.md that load the synthetic set, run as they stand there."""

import re

from lesiongan import ROOT


def read_blocks():
    """[(comment, code)] of the page's blocks, each of one statement."""
    text = (ROOT / "docs/use.md").read_text()
    marked = text.partition("<!-- one-liners: start")[2].partition("<!-- one-liners: end")[0]
    return re.findall(r"```python\n# ([^\n]*)\n(.*?)\n```", marked, re.DOTALL)


def run_line(begins, **modules):
    """Run the line whose comment begins so, in the current folder; return what it loads."""
    (code,) = (code for comment, code in read_blocks() if comment.startswith(begins))
    name = code.partition(" = ")[0]
    exec(code, modules)
    return modules[name]
