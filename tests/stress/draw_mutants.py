"""Draw changes of the code at random, with Cosmic Ray's operators.

    .venv-mutants/bin/python tests/stress/draw_mutants.py 100 0 train_gan.py ...

Writes JSON for random_mutants.py on standard output. Runs in an environment of its own, which `make
mutants` makes (requirements-mutants.txt). First a place in the code is drawn, each with the same
chance, then one of the operators that can change it.
"""

import json
import random
import sys
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# These change nothing that matters here, such as `is` for `==` on numbers or another exception, or
# need arguments.
LEFT_OUT = ("ExceptionReplacer", "Variable", "_Is", "RemoveDecorator")


def list_places(text):
    """Return {(line, column): [(operator, which of its occurrences)]} of a module.

    These are the places that could be changed.
    """
    tree, found = get_ast(text), {}
    for name in operator_names():
        if any(word in name for word in LEFT_OUT):
            continue
        operator, occurrence = get_operator(name)(), 0
        for node in ast_nodes(tree):
            for start, _ in operator.mutation_positions(node):
                found.setdefault(start, []).append((name, occurrence))
                occurrence += 1
    return found


def change(path, options, rng):
    """Return (operator, changed text), or None.

    The operator is the first of `options`, in random order, that leaves a module; None if none
    does.
    """
    text = path.read_text()
    for name, occurrence in rng.sample(options, len(options)):
        changed = mutate_code(text, get_operator(name)(), occurrence)
        try:
            compile(changed, path.name, "exec")
        except SyntaxError:
            continue
        if changed != text:
            return name.partition("/")[2], changed
    return None


def main():
    count, seed, *names = sys.argv[1:]
    rng = random.Random(int(seed))
    places = {
        (n, at): options for n in names for at, options in list_places(Path(n).read_text()).items()
    }
    drawn = []
    for name, at in rng.sample(sorted(places), len(places)):
        if len(drawn) < int(count) and (found := change(Path(name), places[name, at], rng)):
            line = found[1].splitlines()[at[0] - 1].strip()[:120]
            drawn.append(
                {"file": name, "what": f"line {at[0]}, {found[0]}: {line}", "text": found[1]}
            )
    json.dump(drawn, sys.stdout)


if __name__ == "__main__":
    main()
