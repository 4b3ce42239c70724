"""The hash of the code that a result comes from: a script and all that it imports.

Modules are found by reading import statements, also those of modules that are imported by others,
so nobody has to list them. What is hashed is each module's syntax tree without docstrings and help
texts. A change of prose, of layout or of a module that is not imported changes no hash, and the same
code has the same hash under every version of Python.
"""

import ast
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent

# What decides how a network comes out, given its inputs. The rest reads, records and writes.
TRAINING = {"train_gan", "train_cnn", "gan_baseline", "saved_models", "augmentation", "synthetic_set"}
TRAINING |= {"ham10000", "lesions", "calibration", "metrics"}


def find_module(name, beside):
    """Path of this project's module `name` (dotted), beside the importing file or else in ROOT.

    None for a module of a library.
    """
    for folder in (beside, ROOT):
        path = folder.joinpath(*name.split(".")).with_suffix(".py")
        if path.is_file():
            return path
    return None


def read_closure(path):
    """{path: syntax tree} of a file and of every module of this project in its import closure."""
    found, pending = {}, [path]
    while pending:
        path = pending.pop()
        if path in found:
            continue
        found[path] = ast.parse(path.read_bytes())
        for node in ast.walk(found[path]):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            pending += filter(None, (find_module(name, path.parent) for name in names))
    return found


def canonical(node):
    """A syntax tree as nested tuples, without docstrings, help texts, positions and empty fields.

    ast.dump will not do: what it writes differs between versions of Python.
    """
    if isinstance(node, list):
        return tuple(canonical(n) for n in node if not is_prose(n))
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
    return (type(node).__name__, *((name, canonical(value)) for name, value in fields))


def is_prose(node):
    """True for a docstring, any other bare string, and the help text of a flag."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.keyword) and node.arg == "help"


def hash_code(script):
    """(hex SHA-256 of all code of a script, hex SHA-256 of its modules in TRAINING alone).

    A training that was interrupted goes on only if all of its code is the same. Two networks were
    trained by the same code if the second hash is the same.
    """
    path = next(p for folder in (ROOT, ROOT / "benchmarks") if (p := folder / f"{script}.py").is_file())
    closure = read_closure(path)
    trees = {m.name: repr(canonical(closure[m])) for m in sorted(closure)}
    training = {name: tree for name, tree in trees.items() if name.removesuffix(".py") in TRAINING}
    return tuple(hashlib.sha256(repr(sorted(chosen.items())).encode()).hexdigest() for chosen in (trees, training))
