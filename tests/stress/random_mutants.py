"""Mutation testing at random: change one place of the code, and see whether the tests notice.

    make mutants  # makes the environment of the mutation tool, runs both lists
    python -m tests.stress.random_mutants [--count 100] [--seed 0]

The changes are made one at a time in a copy, in the code of measures, calibration, split and
training. draw_mutants.py picks them at random from Cosmic Ray's mutation operators. The test files
likeliest to notice are run until one test fails; any failure counts here, for most such changes end
in an exception. Changes that no test noticed are printed and written to results/random_mutants.csv.
Some of them do not change behaviour; the others need a new test.
"""

import concurrent.futures
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from lesiongan.run import flags
from tests.stress.mutants import (
    ROOT,
    copy_project,
    keep_unaffected,
    likely_tests,
    make_given,
    run_tests,
)

FILES = (
    "train_gan.py",
    "train_cnn.py",
    *(
        f"lesiongan/{name}.py"
        for name in (
            "data/lesions",
            "data/metadata",
            "data/near_duplicates",
            "data/split",
            "nets/augmentation",
            "nets/gan_augmentation",
            "nets/inference",
            "nets/optimizers",
            "measures/metrics",
            "measures/bootstrap",
            "measures/calibration",
            "measures/estimates",
            "measures/distances",
            "measures/memorisation",
            "measures/judge",
            "measures/synthetic_quality",
        )
    ),
)
# The tests left out take a minute each and are of other matters.
QUICK = "not jax and not resumed and not resume_is_exact and not damaged"
TOOL = ROOT / ".venv-mutants" / "bin" / "python"


def draw(count, seed):
    """The changes: a list of {file, what, text}."""
    if not TOOL.exists():
        raise SystemExit(f"{TOOL}: no such file; `make mutants` makes it")
    command = [TOOL, Path(__file__).with_name("draw_mutants.py"), str(count), str(seed), *FILES]
    return json.loads(
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )


def try_change(mutant, given, files):
    """The test of these test files that noticed, or None."""
    with tempfile.TemporaryDirectory(prefix="mutant") as folder:
        project = copy_project(Path(folder) / "project")
        (project / mutant["file"]).write_text(mutant["text"])
        for path in files:
            start = keep_unaffected(
                given, Path(folder) / f"given_{Path(path).stem}", mutant["file"]
            )
            found = run_tests(project, [path, "-k", QUICK], start, stop=True)
            for test, (words, _) in found.items():
                if words not in ("passed", "skipped"):
                    return test or words
    return None


def main():
    p = flags.Parser(__doc__)
    p.add_argument("--count", type=int, default=100)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--jobs", type=int, default=2, help="changes tried at once")
    args = p.parse_args()
    from lesiongan.files import writing
    from tests.stress.reliability import note

    drawn = draw(args.count, args.seed)
    command = "python -m tests.stress.random_mutants " + " ".join(sys.argv[1:])

    def record(tried, lived):
        """Counts and survivors so far, so that a run that is stopped has said something."""
        note(command, random_mutants_tried=tried, random_mutants_noticed=tried - len(lived))
        words = ['"' + m["what"].replace('"', '""') + '"' for m in lived]
        survivors = {"file": [m["file"] for m in lived], "change": words}
        writing.write_csv(ROOT / "results" / "random_mutants.csv", survivors)

    with (
        tempfile.TemporaryDirectory(prefix="mutants") as folder,
        concurrent.futures.ThreadPoolExecutor(args.jobs) as pool,
    ):
        given = make_given(Path(folder) / "given")
        lived = []
        # The likeliest file is run for all changes, then the other files for what is left.
        for first, last, asked in ((0, 1, drawn), (1, None, lived)):

            def ask(m, first=first, last=last):
                return try_change(m, given, likely_tests(m["file"])[first:last])

            asked = list(asked)
            for i, (m, test) in enumerate(zip(asked, pool.map(ask, asked), strict=True), 1):
                print(
                    f"{'noticed ' if test else 'SURVIVED'} {m['file']} {m['what']}  {test or ''}",
                    flush=True,
                )
                if first == 0 and not test:
                    lived.append(m)
                elif first and test:
                    lived.remove(m)
                if first or i % 5 == 0 or i == len(asked):
                    record(len(drawn) if first else i, lived)
    print(f"{len(drawn)} changes, {len(lived)} survived")


if __name__ == "__main__":
    main()
