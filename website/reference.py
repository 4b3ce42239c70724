"""The reference: pages of the commands' --help and of the package's docstrings.

They are written from the code by each build of the site, so that they cannot be out of date. The
docstrings are read from the source text, so that no framework is imported.
"""

import ast
import contextlib
import html
import importlib
import inspect
import io
import os
import re
import sys
from unittest import mock

from lesiongan import ROOT

SCRIPTS = ("eda", "train_gan", "train_cnn", "evaluate", "visualize_results")
MODULES = ("fetch", "phantom", "photographs", "install", "clean")
ROOMS = {
    "files": "Files: atomic writes, locks, hashes, reading what may be damaged",
    "data": "Data: classes, table, metadata, lesions, split",
    "run": "Runs: flags, inputs, records, folders, training loop",
    "nets": "Networks: saving, loading, exporting, augmentation",
    "measures": "Measures: scores, bootstrap, calibration, memorisation",
    "plots": "Plots: figures and the report",
}
PAGES = ("reference/commands.md", *(f"reference/{room}.md" for room in ROOMS))


def build_pages():
    """Return {name of the page on the site: its Markdown}."""
    return dict(zip(PAGES, [build_commands(), *map(build_room, ROOMS)], strict=True))


def build_commands():
    parts = [
        "# Commands\n\nThe five scripts and the other commands, as `--help` explains them. "
        "[Use the trained networks](../use.md) and the other how-to pages show them at work."
    ]
    for name in SCRIPTS:
        parts.append(f"## {name}.py {{ #{name} }}\n\n{fence(read_help(name, f'{name}.py'))}")
    for name in MODULES:
        text = read_help(f"lesiongan.{name}", f"{name}.py")
        parts.append(f"## python -m lesiongan.{name} {{ #{name} }}\n\n{fence(text)}")
    return "\n\n".join(parts) + "\n"


def read_help(module, program):
    """Return the text that a command prints for --help on a terminal of 80 columns."""
    said = io.StringIO()
    with (
        mock.patch.object(sys, "argv", [program]),
        mock.patch.dict(os.environ, COLUMNS="80"),
        contextlib.redirect_stdout(said),
        contextlib.suppress(SystemExit),
    ):
        importlib.import_module(module).parse_args(["--help"])
    return said.getvalue()


def build_room(room):
    """Return the page of one subpackage: its modules with their public functions and classes."""
    parts = [
        f"# {ROOMS[room]}\n\nThe public functions and classes of `lesiongan.{room}`, with their "
        "docstrings. `(n,)` and the like are the shapes of arrays."
    ]
    for path in sorted((ROOT / "lesiongan" / room).glob("*.py")):
        tree = ast.parse(path.read_text())
        name = f"lesiongan.{room}" + f".{path.stem}" * (path.stem != "__init__")
        parts.append(f"## {name} {{ #{name} }}\n\n{show(ast.get_docstring(tree))}")
        for node in tree.body:
            parts += describe(node, name)
    return "\n\n".join(parts) + "\n"


def describe(node, owner):
    """Return the sections of a function, or of a class and its methods; [] of what is private."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    if not isinstance(node, kinds) or node.name.startswith("_"):
        return []
    name = f"{owner}.{node.name}"
    section = f"### {node.name} {{ #{name} }}\n\n{fence(sign(node), 'python')}\n\n" + show(
        ast.get_docstring(node)
    )
    methods = node.body if isinstance(node, ast.ClassDef) else []
    return [section, *(part for method in methods for part in describe_method(method, name))]


def describe_method(node, owner):
    found = describe(node, owner) if isinstance(node, ast.FunctionDef) else []
    return [f"#{part}" for part in found]


def sign(node):
    """Return the line that a function or class begins with, without decorators and its colon."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {node.name}" + f"({bases})" * bool(bases)
    return f"{node.name}({ast.unparse(node.args)})"


def fence(text, language="text"):
    return f"```{language}\n{text.rstrip()}\n```"


def show(docstring):
    """Return a docstring as HTML: paragraphs, and indented blocks as they are."""
    if not docstring:
        return ""
    blocks = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        text = html.escape(block, quote=False)
        if block.startswith("    "):
            blocks.append(f"<pre><code>{inspect.cleandoc(text)}</code></pre>")
        else:
            text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
            blocks.append(f"<p>{text}</p>")
    return "\n".join(blocks)
