"""The commands as a user types them: help is instant, errors are one line, and every command of the
README exists and parses.
"""

import ast
import re
import shlex
import subprocess
import sys

import pytest

from runlog import ROOT

SCRIPTS = ("eda", "train_gan", "train_cnn", "evaluate", "visualize_results")
HEAVY = ("tensorflow", "keras", "pandas", "matplotlib", "seaborn", "sklearn", "scipy", "jax")


def run(*command, **kw):
    return subprocess.run([sys.executable, *command], cwd=kw.pop("cwd", ROOT), capture_output=True, text=True, **kw)


@pytest.mark.parametrize("script", [*SCRIPTS, "phantom", "fetch_data"])
def test_help_imports_nothing_heavy(script):
    code = (
        f"import sys; sys.argv = ['{script}.py', '--help']\nimport {script}\ntry:\n    {script}.main()\n"
        "except SystemExit as e:\n    assert e.code == 0\n"
        f"heavy = [m for m in {HEAVY} if m in sys.modules]\nassert not heavy, heavy"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    assert f"python {script}.py" in done.stdout


def test_help_says_what_a_flag_left_out_means():
    import train_cnn
    import train_gan

    shown = {s: " ".join(run(f"{s}.py", "--help").stdout.split()) for s in ("train_gan", "train_cnn", "evaluate")}
    for words in ("(default 64)", "(default 0.0005)", "never moves the split (default 0)"):
        assert words in shown["train_gan"]
    assert "averaged in each prediction (default 8)" in shown["evaluate"]
    epochs = train_gan.parse_args([]).epochs, train_cnn.RECIPE["epochs"], train_cnn.JUDGE_RECIPE["epochs"]
    for text in shown.values():
        assert "(default GAN {}, CNN {}, judge {})".format(*epochs) in text
        assert "None)" not in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_data_the_three_ways_are_named(script, tmp_path):
    for name in [f.name for f in ROOT.glob("*.py")]:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = run(f"{script}.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    for way in ("data/", "make data", "phantom.py", "--data"):
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
        ("evaluate", ["--external", ""], "not an empty one"),
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
        ("train_cnn", ["--colour-gain", "2"], "--colour-gain"),
        ("train_cnn", ["--sharpness", "6"], "--sharpness"),
        ("train_cnn", ["--role", "judge", "--synthetic", "s.csv"], "--role judge"),
        ("train_cnn", ["--role", "judge", "--real", "none"], "--role judge"),
        ("train_cnn", ["--role", "control", "--synthetic", "s.csv"], "--role control"),
        ("evaluate", ["--from-predictions", "p.csv", "--split", "s.csv", "--external", "t.csv"], "takes no --external"),
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
    assert word in capsys.readouterr().err


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
    assert list(tmp_path.iterdir()) == []


def readme_commands():
    """Every `python X.py ...` line of a code block in the README."""
    blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return sorted({line for line in lines if line.startswith("python ") and ".py" in line})


@pytest.mark.parametrize("line", readme_commands())
def test_readme_commands_run(line, table_path, capsys):
    """As far as each can without training, downloading or writing: --dry-run, on a phantom table."""
    script, *flags = shlex.split(line)[1:]
    assert (ROOT / script).is_file()
    if script.removesuffix(".py") in SCRIPTS:
        module = __import__(script.removesuffix(".py"))
        assert module.main([*flags, "--data", str(table_path), "--dry-run"]) == 0
    elif "/" not in script:
        module = __import__(script.removesuffix(".py"))
        module.parse_args(flags)


def test_benchmarks_that_the_results_page_names_exist():
    named = set(re.findall(r"python (benchmarks/\w+\.py)", (ROOT / "results/README.md").read_text()))
    assert len(named) >= 5
    for script in named:
        assert (ROOT / script).is_file(), script


def test_readme_make_targets_exist_and_are_in_help():
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"`make ([a-z]+)`", text)) | set(re.findall(r"^make ([a-z]+)", text, re.M))
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert {"test", "smoke", "data"} <= targets
    for target in targets:
        assert f"make {target} " in shown + " "
    ci = (ROOT / ".ci/run").read_text()
    assert "make test" in ci
    assert "make smoke" in ci


def test_scripts_never_import_one_another():
    for script in SCRIPTS:
        tree = ast.parse((ROOT / f"{script}.py").read_text())
        names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not names & set(SCRIPTS), script


def test_networks_use_keras_alone():
    """TensorFlow may be named only where its own settings are asked for, so that other backends run the same file."""
    for script in ("train_gan", "train_cnn", "evaluate", "visualize_results", "synthetic_quality", "metrics", "fidelity"):
        tree = ast.parse((ROOT / f"{script}.py").read_text())
        users = set()
        for owner in ast.walk(tree):
            for node in ast.iter_child_nodes(owner):
                names = (
                    [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""]
                )
                if isinstance(node, ast.Import | ast.ImportFrom) and any(
                    n.split(".")[0] in ("tensorflow", "jax") for n in names
                ):
                    users.add(getattr(owner, "name", "module"))
        assert users <= {"use_xla"}, (script, users)


def test_no_kaggle_within_twenty_seconds(monkeypatch):
    """A network that never answers: the check gives up in time and names the manual recipe."""
    import time

    import fetch_data
    from ham10000 import InputError

    (seconds,) = fetch_data.answers.__defaults__
    assert 5 <= seconds <= 15  # after which it waits two more
    monkeypatch.setattr("requests.head", lambda *a, **k: time.sleep(60))
    monkeypatch.setattr(fetch_data.answers, "__defaults__", (0.5,))
    began = time.time()
    with pytest.raises(InputError, match="by hand"):
        fetch_data.download(ROOT / "data")
    assert time.time() - began < 5
