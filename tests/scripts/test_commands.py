"""The commands as a user types them: help is instant, and errors are one line.

Every command of the README exists and parses.
"""

import argparse
import ast
import importlib
import re
import shlex
import subprocess
import sys

import pytest
from PIL import Image

from lesiongan import ROOT
from lesiongan.run import classifier_flags
from tests.conftest import copy_code

SCRIPTS = ("eda", "train_gan", "train_cnn", "evaluate", "visualize_results")
HEAVY = ("tensorflow", "keras", "pandas", "matplotlib", "seaborn", "sklearn", "scipy", "jax")


def run(*command, **kw):
    return subprocess.run(
        [sys.executable, *command], cwd=kw.pop("cwd", ROOT), capture_output=True, text=True, **kw
    )


@pytest.mark.parametrize(
    "script", [*SCRIPTS, "lesiongan.phantom", "lesiongan.fetch", "lesiongan.photographs"]
)
def test_help_imports_nothing_heavy(script):
    code = (
        f"import sys; sys.argv = ['{script}', '--help']\nimport {script}\ntry:\n    "
        f"{script}.main()\nexcept SystemExit as e:\n    assert e.code == 0\nheavy = [m for m "
        f"in {HEAVY} if m in sys.modules]\nassert not heavy, heavy"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    assert (
        f"python {'-m ' if '.' in script else ''}{script}{'' if '.' in script else '.py'}"
        in done.stdout
    )


def test_help_says_what_a_flag_left_out_means():
    import train_gan

    shown = {
        s: " ".join(run(f"{s}.py", "--help").stdout.split())
        for s in ("train_gan", "train_cnn", "evaluate")
    }
    for words in ("(default 64)", "(default 0.0005)", "never moves the split (default 0)"):
        assert words in shown["train_gan"]
    assert "averaged in each prediction (default 8)" in shown["evaluate"]
    epochs = (
        train_gan.parse_args([]).epochs,
        classifier_flags.RECIPE["epochs"],
        classifier_flags.JUDGE_RECIPE["epochs"],
    )
    for text in shown.values():
        assert "(default GAN {}, CNN {}, judge {})".format(*epochs) in text
        assert "None)" not in text


def test_flags_with_a_second_name_mean_the_same_under_both():
    import train_cnn

    for names, value in ((("--stem", "--stem-stride"), "1"), (("--middle", "--centre-crop"), "24")):
        assert len({str(vars(train_cnn.parse_args([name, value]))) for name in names} | {""}) == 2


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_data_the_three_ways_are_named(script, tmp_path):
    copy_code(tmp_path)
    done = run(f"{script}.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    for way in ("data/", "make data", "lesiongan.phantom", "--data"):
        assert way in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_bad_table_is_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    done = run("eda.py", "--data", str(tmp_path / "t.csv"), "--outputs-dir", str(tmp_path / "o"))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "t.csv" in done.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("script", "flags", "word"),
    [
        ("train_gan", ["--sample-only", "--resume"], "contradict"),
        ("train_gan", ["--augment", "2"], "--augment"),
        ("train_gan", ["--epochs", "0"], "--epochs"),
        ("train_gan", ["--width", "12"], "--width"),
        ("train_gan", ["--learning-rate", "0"], "--learning-rate"),
        ("train_gan", ["--penalty", "-1"], "--penalty"),
        ("train_gan", ["--label-power", "1.5"], "--label-power"),
        ("train_cnn", ["--learning-rate", "-1"], "--learning-rate"),
        ("train_cnn", ["--weight-decay", "-0.1"], "--weight-decay"),
        ("train_cnn", ["--repeat-real", "-1"], "--repeat-real"),
        ("train_cnn", ["--repeat-real", "5", "--real", "none"], "--repeat-real"),
        ("train_cnn", ["--repeat-real", str(10**9 + 1)], "--repeat-real"),
        ("train_cnn", ["--colour-gain", "2"], "--colour-gain"),
        ("train_cnn", ["--sharpness", "6"], "--sharpness"),
        ("train_cnn", ["--augment", "flips", "--sharpness", "0"], "--augment classic"),
        ("train_cnn", ["--augment", "none", "--colour-gain", "0.1"], "--augment classic"),
        ("train_cnn", ["--epochs", "2", "--steps", "9"], "--epochs and --steps"),
        ("train_cnn", ["--role", "judge", "--synthetic", "s.csv"], "--role judge"),
        ("train_cnn", ["--role", "judge", "--real", "none"], "--role judge"),
        ("train_cnn", ["--role", "control", "--synthetic", "s.csv"], "--role control"),
        (
            "evaluate",
            ["--from-predictions", "p.csv", "--split", "s.csv", "--external", "t.csv"],
            "takes no --external",
        ),
        ("eda", ["--seed", "-1"], "--seed"),
        ("train_cnn", ["--seed", "5000000000"], "--seed"),
        ("train_cnn", ["--role", "judge", "--task", "malignancy"], "--role judge"),
        ("train_cnn", ["--real", "none", "--synthetic", "none"], "nothing to train on"),
        ("train_cnn", ["--synthetic-weight", "0"], "--synthetic-weight"),
        ("evaluate", ["--from-predictions", "p.csv"], "--split PATH"),
        ("evaluate", ["--split", "lesions"], "--split"),
        ("eda", ["--split", "lesions"], "--split"),
    ],
)
def test_contradictory_flags_name_the_flag(script, flags, word, capsys):
    with pytest.raises(SystemExit) as e:
        __import__(script).parse_args(flags)
    assert e.value.code == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (["train_gan.py", "--epochs"], "--epochs"),
        (["train_cnn.py", "--epoch-s", "3"], "--epoch-s"),
        (["evaluate.py", "a\nb"], "a b"),
        (["-m", "lesiongan.photographs"], "--out"),
        (["-m", "lesiongan.clean"], "DIR"),
        (["-m", "study.plan", "a.yaml", "--stages", "x"], "--stages"),
    ],
)
def test_a_command_line_that_does_not_parse_is_one_line(command, word):
    done = run(*command)
    assert done.returncode == 2
    assert word in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("; --help lists the flags\n")


def test_all_commands_parse_by_the_same_parser():
    folders = [ROOT / f for f in ("lesiongan", "study", "benchmarks", "tests", "website")]
    paths = [*ROOT.glob("*.py"), *(p for f in folders for p in f.rglob("*.py"))]
    by_hand = "ArgumentParser" + "("
    found = [p for p in paths if by_hand in p.read_text(encoding="utf-8")]
    assert not found, "lesiongan.run.flags.Parser is the one whose errors are one line"


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_flag_takes_an_empty_value(script, monkeypatch, capsys):
    """Such as comes of a variable that is not set: `--data "$TABLE"`."""
    taking, real = {}, argparse.ArgumentParser.parse_args

    def note(parser, argv):
        taking[parser] = [a for a in parser._actions if a.option_strings and a.nargs in (None, "+")]
        return real(parser, argv)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", note)
    __import__(script).parse_args([])
    ((parser, actions),) = taking.items()
    assert {"--data", "--outputs-dir", "--split"} <= {a.option_strings[0] for a in actions}
    for action in actions:
        with pytest.raises(SystemExit):
            real(parser, [action.option_strings[0], ""])
        assert f"argument {action.option_strings[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("script", SCRIPTS)
def test_dry_run_prints_the_options_and_writes_nothing(script, table_path, tmp_path, capsys):
    flags = [
        "--data",
        str(table_path),
        "--dry-run",
        "--models-dir",
        str(tmp_path / "m"),
        "--outputs-dir",
        str(tmp_path / "o"),
    ]
    assert __import__(script).main(flags) == 0
    out = capsys.readouterr().out
    assert '"split_seed": 0' in out
    assert "backend:" not in out
    assert list(tmp_path.iterdir()) == []


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def list_commands():
    """Return every line of a shell block in the README and in docs/.

    Comments, and variables before it, are left out.
    """
    for page in PAGES:
        for block in re.findall(r"```(?:bash|sh)\n(.*?)```", page.read_text(), re.S):
            for line in [
                part.split("#")[0] for whole in block.splitlines() for part in whole.split(" && ")
            ]:
                line = re.sub(r"^(\w+=\S+ )+", "", line.strip())
                if line and not line.startswith(
                    ("for ", "python3 -m venv", "source ", "pip install")
                ):
                    yield line


@pytest.mark.parametrize("line", sorted(set(list_commands())))
def test_commands_of_the_pages_run(line, table_path, npz_path, capsys, tmp_path, monkeypatch):
    """Each runs as far as it can without training, downloading or writing.

    That is with --dry-run, on a phantom table, which is an npz where its own split is asked for.
    Photographs that a page names are there.
    """
    if "--image " in line:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "folder").mkdir()
        for name in ("a.jpg", "lesion.jpg", "folder/other.png"):
            Image.new("RGB", (60, 45)).save(name)
    command, *words = shlex.split(line)
    if command == "make":
        done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif words[0] == "-m":
        for name in re.findall(r"python -m (\S+)", line):
            module = importlib.import_module(name)
            assert callable(module.main)
        if words[1].startswith("lesiongan."):
            module.parse_args(words[2:])
    else:
        assert command == "python"
        assert words[0].removesuffix(".py") in SCRIPTS
        module = importlib.import_module(words[0].removesuffix(".py"))
        table = npz_path if "--split official" in line else table_path
        # The published generator is drawn from without a table.
        data = [] if "--sample-only --weights" in line else ["--data", str(table)]
        assert module.main([*words[1:], *data, "--dry-run"]) == 0


def test_benchmarks_and_modules_of_the_study_that_the_pages_name_exist():
    text = "".join(p.read_text() for p in [*PAGES, ROOT / "study/README.md"])
    named = set(re.findall(r"python -m (benchmarks|study)\.(\w+)", text))
    assert {room for room, _ in named} == {"benchmarks", "study"}
    for room, name in named:
        assert (ROOT / room / f"{name}.py").is_file(), name


def test_make_targets_that_the_pages_name_exist_and_are_in_help():
    text = "".join(p.read_text() for p in PAGES)
    targets = set(re.findall(r"`make ([a-z]+)`", text)) | set(
        re.findall(r"^make ([a-z]+)", text, re.M)
    )
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert {"test", "smoke", "data"} <= targets
    for target in targets:
        assert f"make {target} " in shown + " "
    ci = (ROOT / ".ci/run").read_text()
    assert "make test" in ci
    assert "make smoke" in ci


def test_links_of_the_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "results/README.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, heading = target.partition("#")
            if target.startswith("http"):
                continue
            file = page.parent / path if path else page
            assert file.exists(), f"{page.name}: {target}"
            if heading:
                headings = re.findall(r"^#+ (.*)", file.read_text(), re.M)
                assert heading in [h.lower().replace(" ", "-") for h in headings], (
                    f"{page.name}: {target}"
                )


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def list_texts():
    """Every text in the product's code, with a gap where a value is put in."""
    for path in [*ROOT.glob("*.py"), *(ROOT / "lesiongan").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(v.value if isinstance(v, ast.Constant) else "\0" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_heading_of_the_troubleshooting_page_is_an_error_message():
    headings = re.findall(r"^## (.*)", (ROOT / "docs/troubleshooting.md").read_text(), re.M)
    assert len(headings) >= 10
    texts = list(list_texts())
    for heading in headings:
        assert any(heading in text for text in texts), heading


def test_networks_use_keras_alone():
    """TensorFlow may be named only where its own settings are asked for.

    So other backends run the same file.
    """
    allowed = {
        "lesiongan/run/keras_setup.py": {
            "seed_everything",
            "quiet_tensorflow",
            "use_xla",
            "full_precision",
        },
        "lesiongan/run/machine.py": {"accelerators"},
        "lesiongan/run/steps.py": {"build_loop", "build_scan"},
    }
    for path in [*ROOT.glob("*.py"), *(ROOT / "lesiongan").rglob("*.py")]:
        users = set()
        for owner in ast.walk(ast.parse(path.read_text())):
            for node in ast.iter_child_nodes(owner):
                names = []
                if isinstance(node, ast.Import):
                    names = [a.name for a in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module]
                if {n.split(".")[0] for n in names} & {"tensorflow", "jax"}:
                    users.add(getattr(owner, "name", None) or find_function(path, node.lineno))
        name = path.relative_to(ROOT).as_posix()
        assert users <= allowed.get(name, set()), (name, users)


def find_function(path, line):
    """Name of the innermost function of a file that holds a line; 'module' outside of all."""
    found = [
        n
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.FunctionDef) and n.lineno <= line <= n.end_lineno
    ]
    return max(found, key=lambda n: n.lineno).name if found else "module"


def test_no_kaggle_within_twenty_seconds(monkeypatch, tmp_path):
    """A network that never answers: the check gives up in time and names the manual recipe."""
    import time

    from lesiongan import fetch
    from lesiongan.files.errors import InputError

    (seconds,) = fetch.answers.__defaults__
    # fetch.answers waits two seconds more after these.
    assert 5 <= seconds <= 15
    monkeypatch.setattr("requests.head", lambda *a, **k: time.sleep(60))
    monkeypatch.setattr(fetch.answers, "__defaults__", (0.5,))
    began = time.time()
    with pytest.raises(InputError, match="by hand"):
        fetch.download(tmp_path)
    assert time.time() - began < 5
