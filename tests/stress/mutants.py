"""Mutation testing: plant bugs, one at a time in a copy, and see whether the tests notice.

    python -m tests.stress.mutants                     # those not yet tried: hours for all
    python -m tests.stress.mutants --only calibration  # bugs of this list, or that mention it
    python -m tests.stress.mutants --minutes 20        # begin no other after so long
    python -m tests.stress.mutants --find              # search for tests that catch the rest

The bugs are listed in mutants/*.toml: the file, its text before and after, how the bug would spoil
an experiment, what kind of thing it confuses (KINDS), and the tests that must fail. A bug counts as
caught only if one of its tests fails by an assertion. An exception does not count, since it does
not say what is wrong. Each test must pass without the bug, and each text must stand in its file
exactly once. At most three bugs may be listed for one function, so that the list is spread over the
code.

Each verdict goes to results/mutants.csv at once. A bug is tried again when its file, its text or
its tests have changed since, or with --again; so an interrupted run goes on, here or elsewhere.
When all have a verdict, their counts go to results/reliability.json. Bugs that no test caught are
printed last.
"""

import ast
import concurrent.futures
import csv
import functools
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import xml.etree.ElementTree as xml
from collections import Counter
from pathlib import Path

from lesiongan import ROOT
from lesiongan.files import writing
from lesiongan.run import code_hash, flags, machine
from tests.conftest import STAGES
from tests.stress.reliability import note

KINDS = (
    "part",
    "average",
    "prior",
    "weight",
    "label",
    "half",
    "point",
    "split",
    "column",
    "record",
)
"""What a bug confuses.

part = which images are seen; average = what the GAN learns from and keeps; prior = prior,
temperature and calibration; weight = weights, flags and staleness; label = labels of images; half =
halves, floors and recall; point = operating points and views; split = frozen constants; column =
columns, pictures and words that are shown; record = rows, definitions and what is written down.
"""
LISTS = Path(__file__).with_name("mutants")
MOST_IN_A_FUNCTION = 3
TRIED = ROOT / "results" / "mutants.csv"
COLUMNS = ("file", "what", "verdict", "test", "state", "commit")
# The tests of one bug may take this many seconds.
SECONDS = 600
ASSERTIONS = ("AssertionError", "Failed", "assert ")

# --find and random_mutants.py look here for a test of a file, the likeliest and quickest first.
LIKELY = {
    "train_gan": "gan_steps gan_loop gan synthetic_set commands parts identity",
    "train_cnn": "cnn_loop cnn_training cnn calibration augmentation optimizers commands parts",
    "evaluate": "recomputed compared_networks from_predictions external_tables evaluate estimates",
    "eda": "table_figures figures pipeline",
    "visualize_results": "figures classifier_figures gan_figures pipeline report",
    "lesiongan/__init__": "pipeline",
    "lesiongan/phantom": "phantom tables commands",
    "lesiongan/fetch": "fetch commands",
    "lesiongan/clean": "claims",
    "lesiongan/photographs": "photographs_command",
    "lesiongan/files/archives": "tables files_of_tools hostile_files",
    "lesiongan/files/claims": "claims",
    "lesiongan/files/compressed": "tables files_of_tools hostile_files",
    "lesiongan/files/errors": "errors external_tables evaluate from_predictions",
    "lesiongan/files/journal": "journal photographs_command",
    "lesiongan/files": (
        "claims disks_and_folders tables fetch recomputed predictions hostile_files pipeline "
        "identity"
    ),
    "lesiongan/data/lesions": (
        "lesions grouping near_duplicates tables memorisation synthetic_quality table_figures"
    ),
    "lesiongan/data/metadata": (
        "lesions grouping files_of_tools row_order tables fetch hostile_files"
    ),
    "lesiongan/data/row_order": "row_order grouping tables fetch hostile_files",
    "lesiongan/data/near_duplicates": (
        "near_duplicates grouping memorisation synthetic_quality table_figures"
    ),
    "lesiongan/data/photographs": "photographs",
    "lesiongan/data/photograph_labels": "photograph_labels photographs_command",
    "lesiongan/data/protocols": "official_split official_inputs figures from_predictions pipeline",
    "lesiongan/data/split": (
        "train_fraction lesions official_split synthetic_quality memorisation table_figures"
    ),
    "lesiongan/data/clinical": "clinical",
    "lesiongan/data": "tables files_of_tools phantom fetch lesions grouping identity hostile_files",
    "lesiongan/run/checkpoints": "checkpoints hostile_files gan_loop cnn_loop",
    "lesiongan/run/code_hash": "code_hash pipeline",
    "lesiongan/run/machine": "machine gan_steps pipeline",
    "lesiongan/run/keras_setup": "interrupts gan_steps machine backends pipeline",
    "lesiongan/run/packages": "packages",
    "lesiongan/run": "identity commands pipeline parts",
    "lesiongan/nets/augmentation": "augmentation cnn cnn_loop",
    "lesiongan/nets/clinical_network": "clinical",
    "lesiongan/nets/croissant": "croissant loading",
    "lesiongan/nets/data_card": "data_card croissant",
    "lesiongan/nets/gan_augmentation": "gan_steps gan gan_loop",
    "lesiongan/nets/inference": "cnn_training metrics recomputed",
    "lesiongan/nets/onnx_export": "onnx_export export own_code",
    "lesiongan/nets/optimizers": "optimizers cnn_loop cnn_training cnn",
    "lesiongan/nets/saved_models": "saved_models hostile_files",
    "lesiongan/nets/synthetic_set": "synthetic_set gan_loop gan pipeline",
    "lesiongan/measures/calibration": "cnn_training calibration cnn",
    "lesiongan/measures/bootstrap": "metrics recomputed estimates",
    "lesiongan/measures/metrics": "metrics recomputed estimates",
    "lesiongan/measures/predictions": (
        "predictions recomputed from_predictions external_tables evaluate"
    ),
    "lesiongan/measures/medmnist": "medmnist_format medmnist_csv",
    "lesiongan/measures/estimates": "estimates recomputed compared_networks evaluate",
    "lesiongan/measures/recompute": "from_predictions recomputed estimates evaluate",
    "lesiongan/measures/contrasts": "contrasts arms collect",
    "lesiongan/measures/image_space": "image_space texture recomputed_synthetic",
    "lesiongan/measures/teacher": "teacher",
    "lesiongan/measures/training_pool": "cnn cnn_training clinical cnn_loop teacher",
    "lesiongan/measures/texture": "texture recomputed_synthetic gan_figures",
    "lesiongan/measures": (
        "distances memorisation synthetic_quality judge_must_work recomputed_synthetic evaluate "
        "from_predictions"
    ),
    "lesiongan/plots/headless": "packages figures",
    "lesiongan/plots/alt_texts": "findings report",
    "lesiongan/plots/findings": "findings report",
    "lesiongan/plots/glossary": "report",
    "lesiongan/plots/pictures": "report pipeline",
    "lesiongan/plots/provenance": "findings report",
    "lesiongan/plots/report": "report findings pipeline",
    "lesiongan/plots/sources": "findings figures pipeline gan_figures classifier_figures",
    "lesiongan/plots": "classifier_figures gan_figures table_figures figures pipeline",
    "benchmarks": "benchmark_runs gan_speed independent_eye other_generators",
    "study/collect_arms": "collect_arms",
    "study/collect_classifier": "collect_classifier records",
    "study/collect_gan": "collect_gan records",
    "study/collect_clinical": "collect_clinical",
    "study/gather": "records collect_gan collect_classifier",
    "study/pages": "page_pieces collect_gan collect_classifier collect_arms results committed",
    "study/publish": "publish published committed",
    "study/run_one": "records",
    "study/runs": "records",
    "study/collect": "collect",
    "study/answer": "collect",
    "study": "grid run_group collect choose",
}


def likely_tests(file):
    """Return paths of the test files likeliest to notice a change of `file`.

    They are those of LIKELY's longest name that the path begins with.
    """
    name = max((n for n in LIKELY if file.startswith(n)), key=len)
    return [find_test(f"test_{stem}.py") for stem in LIKELY[name].split()]


def find_test(name):
    """Path from ROOT of the test file of this name, in whatever room it is."""
    (path,) = (ROOT / "tests").rglob(name)
    return path.relative_to(ROOT).as_posix()


def read_mutants(folder):
    """The bugs of all lists, each a dict; SystemExit naming whatever breaks the rules."""
    mutants = [
        m | {"list": path.stem}
        for path in sorted(folder.glob("*.toml"))
        for m in tomllib.loads(path.read_text())["mutant"]
    ]
    crowd, faults = Counter(), []
    for m in mutants:
        text = (ROOT / m["file"]).read_text()
        if text.count(m["before"]) != 1:
            faults.append(
                f"{m['file']}: {m['what']}: the text stands there {text.count(m['before'])} times"
            )
            continue
        changed = text.replace(m["before"], m["after"])
        is_code = m["file"].endswith(".py")
        if is_code and ast.dump(ast.parse(changed)) == ast.dump(ast.parse(text)):
            faults.append(f"{m['file']}: {m['what']}: changes nothing")
        m["function"] = find_function(text, m["before"], changed) if is_code else ""
        crowd[m["file"], m["function"]] += 1
        if m.get("kind") not in KINDS:
            faults.append(f"{m['file']}: {m['what']}: is of no kind of {KINDS}")
        for test in m["tests"]:
            path, _, name = test.partition("::")
            if name and f"def {name.partition('[')[0]}(" not in (ROOT / path).read_text():
                faults.append(f"{m['file']}: {m['what']}: there is no test {test}")
    faults += [
        f"{file}: {n} bugs in {f}" for (file, f), n in crowd.items() if n > MOST_IN_A_FUNCTION and f
    ]
    modules = [
        *ROOT.glob("*.py"),
        *(
            p
            for room in ("lesiongan", "study")
            for p in (ROOT / room).rglob("*.py")
            if p.name != "__init__.py"
        ),
    ]
    modules = {p.relative_to(ROOT).as_posix() for p in modules} - {m["file"] for m in mutants}
    # Any other list need not cover everything.
    if folder == LISTS:
        faults += [f"{name}: has no bug" for name in sorted(modules)]
    if faults:
        raise SystemExit("\n".join(faults))
    return mutants


def find_function(text, before, changed):
    """Name of the innermost function in which two texts first differ; '' outside of all."""
    at = next(
        i for i, (a, b) in enumerate(zip(text + "\0", changed + "\1", strict=False)) if a != b
    )
    line, found = text[:at].count("\n") + 1, ("", 0)
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef)
            and node.lineno <= line <= node.end_lineno
        ):
            found = max(found, (node.name, node.lineno), key=lambda f: f[1])
    return found[0]


# From here on, tests run in copies of the project.


def copy_project(folder):
    """The project's files, as they are in the working tree, in `folder`.

    Nothing is a link, because a planted bug might write through it.
    """
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in names.stdout.splitlines():
        if not (ROOT / name).is_file():
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    return folder


def run_tests(project, tests, given, stop=False, workers=0):
    """Return {test: how it went with the first line of what it said} in a copy of the project.

    How it went is 'passed', 'assertion' or another word.
    """
    report = project / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
    ]
    command += [
        f"--basetemp={project / 'tmp'}",
        *["-x"] * stop,
        f"-n{workers}",
        "--dist=loadfile",
        *tests,
    ]
    environment = (
        os.environ
        | {"PYTHONDONTWRITEBYTECODE": "1"}
        | ({"PIPELINE_FROM": str(given)} if given else {})
    )
    with open(project / "log", "w") as log:
        try:
            subprocess.run(
                command, cwd=project, stdout=log, stderr=log, env=environment, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return {"": ("timeout", f"over {SECONDS} s")}
    if not report.is_file():
        return {"": ("crashed", "".join(Path(log.name).read_text()[-300:].splitlines()))}
    found = {}
    for case in xml.parse(report).iter("testcase"):
        name = f"{case.get('classname').replace('.', '/')}.py::{case.get('name')}"
        words, said = "passed", ""
        for kind in ("failure", "error", "skipped"):
            if (node := case.find(kind)) is not None:
                said = (node.get("message") or "").replace("\n", " ")[:160]
                words = "assertion" if kind == "failure" and said.startswith(ASSERTIONS) else kind
        found[name] = words, said
    return found


def make_given(folder):
    """A folder with every stage of the tests' shared run, made by the code as it is."""
    for script in {script for script, _, _ in STAGES.values()}:
        # The imports are read here, since Python 3.11 cannot parse in two threads at once.
        imports_of(script)
    code = (
        "import sys; from tests import conftest; from pathlib import Path; here = "
        "Path(sys.argv[1]); "
        "conftest.run_together(conftest.Pipeline(conftest.write_phantom(here / 'data', 200), "
        "here), conftest.STAGES)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    shutil.rmtree(folder / "data")
    return folder


@functools.cache
def imports_of(script):
    """Return paths from ROOT of a script and of all modules that it imports.

    The imports are direct or through others.
    """
    return {p.relative_to(ROOT).as_posix() for p in code_hash.read_closure(ROOT / f"{script}.py")}


def keep_unaffected(given, folder, file):
    """Return a copy of `given` without the marks of the stages that a change of `file` could alter.

    Returns None if it alters all.
    """
    # report.py renders the templates, so a change of theirs is one of its own.
    file = re.sub(r"templates/.*", "report.py", file)
    affected = set()
    for name, (script, _, needs) in STAGES.items():
        if file in imports_of(script) | {"lesiongan/phantom.py"} or affected & set(needs):
            affected.add(name)
    if affected == set(STAGES):
        return None
    shutil.copytree(given, folder)
    for name in affected:
        (folder / "stages" / f"{name}.done").unlink()
        for place in ("models", "outputs"):
            shutil.rmtree(folder / place / name, ignore_errors=True)
    if "gan" in affected:
        shutil.rmtree(folder / "outputs/synthetic", ignore_errors=True)
    return folder


def try_mutant(mutant, given, find=False):
    """(mutant, 'caught' or what happened instead, the test and what it said)."""
    with tempfile.TemporaryDirectory(prefix="mutant") as folder:
        project = copy_project(Path(folder) / "project")
        path = project / mutant["file"]
        path.write_text(path.read_text().replace(mutant["before"], mutant["after"]))
        start = keep_unaffected(given, Path(folder) / "given", mutant["file"])
        tests = mutant.get("tests") or likely_tests(mutant["file"])
        for group in [[t] for t in tests] if find else [tests]:
            found = run_tests(project, group, start, stop=True)
            for verdict in ("assertion", "failure", "error", "timeout", "crashed"):
                for test, (words, said) in found.items():
                    if words == verdict:
                        if verdict == "assertion" or not find:
                            return (
                                mutant,
                                "caught" if verdict == "assertion" else verdict,
                                f"{test}: {said}",
                            )
                        mutant.setdefault("seen", f"{verdict}: {test}: {said}")
            shutil.rmtree(project / "tmp", ignore_errors=True)
    return mutant, "survived", mutant.get("seen", "")


def read_tried(path):
    """Return {(file, what): row} of the verdicts on record, each a dict of COLUMNS."""
    if not path.is_file():
        return {}
    with path.open(newline="") as f:
        return {(row["file"], row["what"]): row for row in csv.DictReader(f)}


def state_of(mutant):
    """Return a hash of a bug, of its file and of its tests' files: what a verdict depends on."""
    tests = sorted({name.split("::")[0] for name in mutant["tests"]})
    texts = [(ROOT / name).read_text() for name in [mutant["file"], *tests]]
    whole = "\0".join([mutant["before"], mutant["after"], *mutant["tests"], *texts])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def is_current(mutant, tried):
    """Return whether the verdict on record is of this bug, file and tests as they are."""
    row = tried.get((mutant["file"], mutant["what"]))
    return row is not None and row["state"] == state_of(mutant)


def write_tried(path, tried, mutants):
    """Write the verdicts in the order of the lists; those of bugs that are listed no more go."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(tried[key] for m in mutants if (key := (m["file"], m["what"])) in tried)
    writing.write_text(path, text.getvalue())


def main():
    p = flags.Parser(__doc__)
    p.add_argument(
        "--only", default="", metavar="WORD", help="bugs whose list, file or description has this"
    )
    p.add_argument(
        "--find",
        action="store_true",
        help="look for tests that go off, instead of running those named",
    )
    p.add_argument(
        "--lists", type=Path, default=LISTS, metavar="DIR", help="another folder of lists"
    )
    p.add_argument("--jobs", type=int, default=os.cpu_count(), help="bugs tried at once")
    p.add_argument("--again", action="store_true", help="also those that have a verdict")
    p.add_argument("--minutes", type=float, help="begin no other bug after so many minutes")
    args = p.parse_args()
    end = time.monotonic() + 60 * args.minutes if args.minutes else float("inf")
    listed = read_mutants(args.lists)
    # Verdicts are kept of our own lists alone, tried by their own tests.
    kept = args.lists == LISTS and not args.find
    tried = read_tried(TRIED) if kept else {}
    chosen = [m for m in listed if args.only in " ".join((m["list"], m["file"], m["what"]))]
    mutants = [m for m in chosen if args.again or not is_current(m, tried)]
    print(f"{len(mutants)} bugs to try, {len(chosen) - len(mutants)} have a verdict", flush=True)
    commit = machine.environment()["commit"]
    with (
        tempfile.TemporaryDirectory(prefix="mutants") as folder,
        concurrent.futures.ThreadPoolExecutor(args.jobs) as pool,
    ):
        given = make_given(Path(folder) / "given") if mutants else None
        if mutants and not args.find:
            tests = sorted({t for m in mutants for t in m["tests"]})
            passed = run_tests(
                copy_project(Path(folder) / "whole"), tests, given, workers=args.jobs
            )
            wrong = [f"{t}: {w} {said}" for t, (w, said) in passed.items() if w != "passed"]
            if wrong:
                raise SystemExit("without any bug:\n" + "\n".join(wrong))
            print(f"{len(passed)} tests pass without any bug", flush=True)
        states = {id(m): state_of(m) for m in mutants} if kept else {}

        def attempt(m):
            """Return what try_mutant does, or None after the last minute."""
            return try_mutant(m, given, args.find) if time.monotonic() < end else None

        for m, verdict, said in filter(None, pool.map(attempt, mutants)):
            print(f"{verdict:9} {m['file']}: {m['what']}\n          {said}", flush=True)
            key = (m["file"], m["what"])
            test = said.partition(": ")[0] if verdict == "caught" else ""
            row = (*key, verdict, test, states.get(id(m), ""), commit)
            tried[key] = dict(zip(COLUMNS, row, strict=True))
            if kept:
                write_tried(TRIED, tried, listed)
    rows = [tried[key] for m in chosen if (key := (m["file"], m["what"])) in tried]
    counts = Counter(row["verdict"] for row in rows)
    print(f"{len(rows)} of {len(chosen)} tried, {counts['caught']} caught; {dict(counts)}")
    for row in rows:
        if row["verdict"] != "caught":
            print(f"  {row['verdict']}: {row['file']}: {row['what']}")
    if kept and all(is_current(m, tried) for m in listed):
        verdicts = Counter(tried[m["file"], m["what"]]["verdict"] for m in listed)
        note(
            "python -m tests.stress.mutants",
            mutants_tried=len(listed),
            mutants_caught=verdicts["caught"],
        )


if __name__ == "__main__":
    main()
