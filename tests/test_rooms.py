"""The house: rooms import downwards only, and scripts meet through files.

Nothing but the five scripts stands at the top.
"""

import ast

import pytest

from lesiongan import ROOT

# The rooms stand here from the ground up.
ROOMS = ("files", "data", "run", "nets", "measures", "plots")
SCRIPTS = {"eda", "train_gan", "train_cnn", "evaluate", "visualize_results"}
COMMANDS = {"phantom", "fetch", "clean", "photographs", "install"}
FILES = sorted((ROOT / "lesiongan").rglob("*.py"))


def imported(path):
    """Dotted names that a file imports anywhere in it; of `from a import b` both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_package_has_six_rooms_and_its_commands_alone():
    folders = {p.name for p in (ROOT / "lesiongan").iterdir() if p.is_dir()} - {"__pycache__"}
    assert folders == set(ROOMS)
    assert {p.stem for p in (ROOT / "lesiongan").glob("*.py")} == {"__init__"} | COMMANDS
    assert {p.stem for p in ROOT.glob("*.py")} == SCRIPTS


@pytest.mark.parametrize("path", FILES, ids=[p.relative_to(ROOT).as_posix() for p in FILES])
def test_a_room_imports_from_rooms_below_it_alone(path):
    room = path.relative_to(ROOT).parts[1]
    below = ROOMS[: ROOMS.index(room) + 1] if room in ROOMS else ROOMS
    for name in imported(path):
        first, *rest = name.split(".")
        assert first not in SCRIPTS | {"benchmarks", "tests"}, f"{path} imports {name}"
        if first == "lesiongan" and rest and rest[0] != "ROOT":
            assert rest[0] in below or (room not in ROOMS and rest[0] in COMMANDS), (
                f"{path} imports {name}"
            )


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_scripts_never_import_one_another_or_a_command(script):
    names = set(imported(ROOT / f"{script}.py"))
    assert not {name.split(".")[0] for name in names} & (SCRIPTS | {"benchmarks", "tests"})
    assert not names & {f"lesiongan.{command}" for command in COMMANDS}


def test_no_file_edits_the_path_of_imports():
    places = [*FILES, *ROOT.glob("*.py")]
    places += [p for name in ("benchmarks", "website") for p in (ROOT / name).rglob("*.py")]
    for path in [
        *places,
        *(p for p in (ROOT / "tests").rglob("*.py") if p.name != "test_rooms.py"),
    ]:
        tree = ast.parse(path.read_text())
        edits = [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.Attribute) and ast.unparse(n) == "sys.path"
        ]
        assert not edits, f"{path}, line {edits[0].lineno}"
