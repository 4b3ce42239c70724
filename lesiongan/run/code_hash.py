"""The hash of the code that a result comes from: a script and all that it imports.

Modules are found by reading import statements, also those of modules that are imported by others,
so nobody has to list them. What is hashed is each module's syntax tree without docstrings, help
texts and annotations. A change of prose, of layout, of a type that is only said, or of a module
that is not imported changes no hash, and the same code has the same hash under every version of
Python.
"""

import ast
import functools
import hashlib
from pathlib import Path
from typing import Any

from lesiongan import ROOT

# These modules decide how a network comes out, given its inputs. The rest reads, records and
# writes.
TRAINING = (
    "lesiongan/data/",
    "lesiongan/nets/",
    "lesiongan/measures/bootstrap.py",
    "lesiongan/measures/calibration.py",
    "lesiongan/measures/metrics.py",
    "lesiongan/measures/teacher.py",
    "lesiongan/measures/training_pool.py",
    "lesiongan/run/keras_setup.py",
    "lesiongan/run/streams.py",
    "lesiongan/run/training.py",
)


def find_module(name: str) -> Path | None:
    """Return the path of this project's module `name` (dotted), or None for one of a library."""
    path = ROOT.joinpath(*name.split("."))
    for found in (path.with_suffix(".py"), path / "__init__.py"):
        if found.is_file():
            return found
    return None


def read_closure(path: Path) -> dict[Path, str]:
    """Return {path: its syntax as text} of a file and of all modules of this project it imports.

    Modules that are imported by the imported ones are included (the import closure). The text is
    that of `canonical`.
    """
    return {path: text for path, (text, _) in read_modules(path).items()}


def read_modules(path: Path) -> dict[Path, tuple[str, list[Path]]]:
    """Return {path: (its syntax as text, the modules that it imports)} of a file's import closure.

    Every module is read once, and looked for once.
    """
    found: dict[Path, tuple[str, list[Path]]] = {}
    places: dict[str, Path | None] = {}
    pending = [path]
    while pending:
        path = pending.pop()
        if path in found:
            continue
        text, names = parse(path.read_bytes())
        for name in names:
            if name not in places:
                places[name] = find_module(name)
        found[path] = text, [p for name in names if (p := places[name])]
        pending += found[path][1]
    return found


def follow_imports(path: Path, modules: dict[Path, tuple[str, list[Path]]]) -> set[Path]:
    """Return a module and all that it imports, given those modules by read_modules."""
    found: set[Path] = set()
    pending = [path]
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += modules[path][1]
    return found


@functools.cache
def parse(content: bytes) -> tuple[str, tuple[str, ...]]:
    """Return (its syntax as text, the names that it imports) of a module's content (bytes).

    The answers are kept, because a module is asked for once for each module that imports it.
    """
    tree, names = Unannotated().visit(ast.parse(content)), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # The project has no relative imports, see tests/test_rooms.py.
            assert node.module
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return repr(canonical(tree)), tuple(names)


class Unannotated(ast.NodeTransformer):
    """Drops from a syntax tree what a type checker alone reads: annotations and their imports.

    The annotations right in the body of a class stay, because they make the fields of a dataclass.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return node.value and ast.Assign([node.target], self.visit(node.value))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        seen = (n if isinstance(n, ast.AnnAssign) else self.visit(n) for n in node.body)
        node.body = [n for n in seen if n]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module in ("typing", "collections.abc") else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def canonical(node: Any) -> tuple | str:
    """Return a syntax tree as nested tuples, without docstrings, help texts and positions.

    Empty fields are left out, too. ast.dump will not do, because what it writes differs between
    versions of Python.
    """
    if isinstance(node, list):
        return tuple(canonical(n) for n in node if not is_prose(n))
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        (name, value) for name, value in ast.iter_fields(node) if value is not None and value != []
    )
    return (type(node).__name__, *((name, canonical(value)) for name, value in fields))


def is_prose(node: Any) -> bool:
    """Return True for a docstring, any other bare string, and the help text of a flag."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.keyword) and node.arg == "help"


def find_script(name: str) -> Path:
    """Return the path of a script, which is one of the five or of the benchmarks."""
    path = ROOT / f"{name}.py"
    return path if path.is_file() else ROOT / "benchmarks" / f"{name}.py"


def hash_code(script: str) -> tuple[str, str]:
    """Return (hex SHA-256 of all code of a script, hex SHA-256 of its code that trains).

    The second is of the script itself and of the modules in TRAINING; of a subpackage named there,
    what its modules import from it. A training that was interrupted goes on only if the first is
    the same. Two networks were trained by the same code if the second is.
    """
    modules = read_modules(find_script(script))
    closure = {p.relative_to(ROOT).as_posix(): text for p, (text, _) in modules.items()}
    trains = set()
    for name in closure:
        if name.startswith(("lesiongan/run/", "lesiongan/measures/")):
            trains |= {name} & set(TRAINING)
        elif name.startswith(TRAINING):
            beside = {p.relative_to(ROOT).as_posix() for p in follow_imports(ROOT / name, modules)}
            trains |= {b for b in beside if b.rpartition("/")[0] == name.rpartition("/")[0]}
        elif not name.startswith("lesiongan/"):
            trains.add(name)
    training = {name: text for name, text in closure.items() if name in trains}
    whole, part = (
        hashlib.sha256(repr(sorted(c.items())).encode()).hexdigest() for c in (closure, training)
    )
    return whole, part
