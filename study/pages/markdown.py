"""What the generated sections share: their templates, and how an estimate or a machine is written.

No function here reads a file of results/: each writes what it is given.
"""

import re
from pathlib import Path

from lesiongan.plots import report

TEMPLATES = Path(__file__).with_name("templates")


def render(section, **values):
    """Return the Markdown of a section, each paragraph and each item of a list in a line.

    In lines of their own, a value at the start of one could begin a list. An apostrophe needs no
    escape there.
    """
    template = report.environment(TEMPLATES).get_template(f"{section}.md")
    text = template.render(values).replace("&#39;", "'")
    paragraphs = [p for p in re.split(r"\n\s*\n", text.strip()) if p.strip()]
    joined = [p if p.startswith(("|", "```")) else " ".join(p.split()) for p in paragraphs]
    return re.sub(r"(?m)^(\* .*)\n\n(?=\* )", r"\1\n", "\n\n".join(joined))


def show_estimate(block, path=(), signed=False):
    """Return the estimate at `path` of a block with its interval, as in '0.712 (0.690 to 0.733)'.

    An estimate without a value is shown by its reason.
    """
    for key in path:
        block = block.get(key, block)
    if block.get("value") is None:
        return block.get("reason", "undefined")
    digits = [
        f"{v:{'+' if signed else ''}.3f}" for v in (block["value"], block["low"], block["high"])
    ]
    return "{} ({} to {})".format(*digits)


def show_mean(block, name, form=".3f"):
    """Return a mean over seeds with its standard deviation, as in '0.790 ± 0.004'.

    One seed has no standard deviation, and its mean is shown alone.
    """
    std = block.get(f"{name}_std")
    return f"{block[name]:{form}}" + (f" ± {std:{form}}" if std is not None else "")


def cores(environment):
    """Return the processors of a run: '2 CPU cores (AMD EPYC)' or '1 NVIDIA H200 (jax)'."""
    if environment.get("accelerators"):
        names = environment["accelerators"]
        return (
            " and ".join(f"{names.count(n)} {n}" for n in sorted(set(names)))
            + f" ({environment['backend']})"
        )
    n = environment["processors"]
    return f"{n} CPU core{'s' * (n > 1)} ({environment.get('processor') or environment['machine']})"


def where_trained(split):
    """Return the processors that the seeds of a split were trained on."""
    return " or ".join(sorted(set(map(cores, split["environments"]))))


def name_commit(environment):
    """Return the commit of a run, as in '`648ba9d`', with -dirty if the code had been changed."""
    commit = environment["commit"]
    return f"`{commit[:7]}{'-dirty' * commit.endswith('-dirty')}`" if commit else "a commit unknown"
