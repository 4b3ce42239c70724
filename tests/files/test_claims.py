"""A run replaces and removes what a run wrote, and nothing of anybody else's."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from lesiongan import ROOT, clean
from lesiongan.files import claims, locks, opening, records, writing
from lesiongan.files.errors import InputError
from tests.conftest import CNN


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("script", "name", "flags"),
    [
        ("eda", "outputs/eda/samples.png", []),
        ("eda", "outputs/eda/summary.json", []),
        ("eda", "outputs/eda/options.json", []),
        ("eda", "outputs/split.csv", []),
        ("eda", "outputs/split.json", []),
        ("train_gan", "models/gan/generator.keras", ["--epochs", "1", "--samples", "7"]),
        ("train_gan", "models/gan/samples/epoch_0001.png", ["--epochs", "1", "--samples", "7"]),
        ("train_cnn", "models/control/history.csv", [*CNN, "--role", "control"]),
    ],
)
def test_a_file_of_somebody_elses_is_not_replaced(scratch, script, name, flags):
    mine = scratch.models.parent / name
    writing.ensure_folder(mine.parent)
    mine.write_text("mine")
    with pytest.raises(InputError, match=r"was not written by a run"):
        scratch.run(script, *flags)
    kept = {p for p in contents(scratch.models.parent) if not p.name.startswith(".")}
    assert mine in kept
    assert mine.read_text() == "mine"
    assert kept - {mine, scratch.outputs / "split.csv", scratch.outputs / "split.json"} == set()


def test_figures_of_somebody_elses_stay_beside_those_of_a_run(scratch):
    folder = writing.ensure_folder(scratch.outputs / "eda")
    mine = [folder / name for name in ("mine.png", "paper.pdf", "notes.csv", "data.json")]
    for path in mine:
        path.write_text("mine")
    scratch.run("eda")
    scratch.run("eda")
    assert all(path.read_text() == "mine" for path in mine)
    outputs = records.read_json(folder / "options.json", "")["outputs"]
    assert not {path.name for path in mine} & set(outputs)
    assert {p.name for p in folder.iterdir() if p.name[0] != "."} == {
        *outputs,
        "options.json",
        *(path.name for path in mine),
    }


def test_what_a_run_no_longer_draws_goes_and_a_killed_run_finds_its_own(scratch):
    scratch.run("eda")
    folder = scratch.outputs / "eda"
    assert (folder / "leakage.png").is_file()
    # A killed run leaves no record, but its list.
    (folder / "options.json").unlink()
    scratch.run("eda", "--metadata", "none", "--if-stale")
    assert not (folder / "leakage.png").exists()
    assert (folder / "samples.png").is_file()


def test_a_record_cannot_name_files_outside_its_folder(tmp_path):
    outside = tmp_path / "outside.png"
    outside.write_text("mine")
    folder = writing.ensure_folder(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.png").write_text("mine")
    (tmp_path / "elsewhere/other.png").write_text("mine")
    theirs = [outside, tmp_path / "elsewhere/x.png"]
    os.symlink(tmp_path / "elsewhere", folder / "samples")
    names = ["../outside.png", str(outside), "samples/x.png", "a/../../outside.png"]
    (folder / claims.LIST).write_text(json.dumps({"files": names}))
    mine = claims.claim(folder, ["y.png"], own=names)
    claims.remove(folder, mine)
    assert all(path.is_file() for path in theirs)
    (folder / "options.json").write_text(json.dumps({"outputs": dict.fromkeys(names, "")}))
    clean.main([str(folder)])
    assert all(path.is_file() for path in theirs)
    assert [path.read_text() for path in theirs] == ["mine", "mine"]


def test_clean_removes_what_runs_wrote_and_names_the_rest(pipeline, tmp_path, capsys):
    copy = pipeline.copy(tmp_path)
    mine = [copy.models / "cnn/notes.txt", copy.outputs / "figures/mine.png"]
    mine += [copy.outputs / "synthetic/images/nv/photo.png", copy.outputs / "README.md"]
    mine.append(copy.models / "split.csv")
    for path in mine:
        path.write_text("mine")
    clean.main([str(copy.models), str(copy.outputs), str(tmp_path / "nowhere")])
    assert set(contents(tmp_path)) == set(mine)
    assert "left 2 files that no run wrote" in capsys.readouterr().out


def test_a_set_drawn_anew_removes_its_own_pictures_alone(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    images = copy.outputs / "synthetic/images"
    before = set(images.rglob("*.png"))
    (images / "nv/photo.png").write_text("mine")
    copy.run("train_gan", "--sample-only", "--samples", "7", "--seed", "3")
    after = set(images.rglob("*.png"))
    assert len(after) == 8 < len(before)
    assert (images / "nv/photo.png").read_text() == "mine"


# ---------------------------------------------------------------- links, pipes and devices


@pytest.mark.parametrize("name", [".lock", ".writer"])
def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path, name):
    (tmp_path / "precious").write_text("mine")
    folder = writing.ensure_folder(tmp_path / "run")
    os.symlink(tmp_path / "precious", folder / name)
    with pytest.raises(InputError, match="is a link or no file"):
        locks.lock_folder(folder)
    assert (tmp_path / "precious").read_text() == "mine"


def test_no_temporary_file_can_be_put_there_before(tmp_path, monkeypatch):
    """Names are drawn at random and opened only if nothing bears them."""
    (tmp_path / "precious").write_text("mine")
    names = iter(["aaaaaaaa", "bbbbbbbb"])
    monkeypatch.setattr(writing.tempfile, "_get_candidate_names", lambda: names)
    os.symlink(tmp_path / "precious", tmp_path / f".t.aaaaaaaa{writing.MARK}.txt")
    writing.write_text(tmp_path / "t.txt", "new")
    assert (tmp_path / "t.txt").read_text() == "new"
    assert (tmp_path / "precious").read_text() == "mine"


def test_results_are_as_readable_as_any_other_file(tmp_path):
    before = os.umask(0o027)
    try:
        writing.write_text(tmp_path / "t.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "t.txt").stat().st_mode & 0o777 == 0o640


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_pipes_and_devices_are_refused_wherever_a_file_is_read(pipe, scratch, tmp_path):
    from lesiongan.data.lesions import group_lesions
    from lesiongan.data.tables import read_table
    from lesiongan.files import archives, checksums

    readers = {
        "record": lambda p: records.read_json(p, "eda.py"),
        "hash": checksums.file_sha256,
        "table": read_table,
        "arrays": lambda p: archives.read_arrays(p, ["a"], 10),
        "metadata": lambda p: group_lesions(read_table(scratch.table), p),
        "file": opening.open_regular,
    }
    for path in (pipe, "/dev/zero", tmp_path):
        for name, read in readers.items():
            with pytest.raises(InputError, match="is no file"):
                pytest.fail(f"{name} read {path}: {read(path)}")


def test_scripts_end_in_one_line_where_a_pipe_takes_a_files_place(scratch):
    for name in ("eda/options.json", "split.csv"):
        path = scratch.outputs / name
        writing.ensure_folder(path.parent)
        os.mkfifo(path)
        with pytest.raises(InputError, match=r"was not written by a run|is no file"):
            scratch.run("eda")
        path.unlink()


def test_an_interrupted_page_is_drawn_anew(pipeline, tmp_path, monkeypatch):
    """report.html stands beside the folder of the figures, whose record a run removes first."""
    from lesiongan.plots import report

    copy = pipeline.copy(tmp_path)
    flags = ["--no-models", "--if-stale", "--seed", "1"]
    with monkeypatch.context() as m:
        m.setattr(report, "build", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            copy.run("visualize_results", *flags)
    assert copy.run("visualize_results", *flags) == 0
    # Who removed the figures by hand has not made the page a stranger's.
    shutil.rmtree(copy.outputs / "figures")
    assert copy.run("visualize_results", *flags) == 0


def test_clean_touches_nothing_where_a_run_is_writing(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    code = (
        "import sys; from lesiongan.files import locks; locks.lock_folder(sys.argv[1]); "
        "print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(copy.models / "gan")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen(command, **pipes, text=True, cwd=ROOT)
    try:
        assert other.stdout.readline() == "1\n"
        before = contents(copy.models)
        with pytest.raises(InputError, match="is writing here"):
            clean.main([str(copy.models)])
        assert contents(copy.models) == before
    finally:
        other.kill()
        other.communicate()


def test_clean_leaves_a_file_that_is_not_the_one_on_record(tmp_path):
    (tmp_path / "results.csv").write_text("mine")
    record = {"outputs": {"results.csv": "0"}, "script": "eda", "environment": {}}
    (tmp_path / "options.json").write_text(json.dumps(record))
    (tmp_path / "mine").mkdir()
    clean.main([str(tmp_path)])
    assert (tmp_path / "results.csv").read_text() == "mine"
    assert (tmp_path / "mine").is_dir()
    (tmp_path / "options.json").write_text('{"outputs": {"results.csv": "0"}, "note": "mine"}')
    clean.main([str(tmp_path)])
    assert (tmp_path / "options.json").is_file()


def test_no_name_is_no_folder_to_clean(monkeypatch):
    """`clean "$RUN"`, where RUN is not set, must not clean the folder one stands in."""
    monkeypatch.setattr(clean, "clean", lambda top: pytest.fail("cleaned"))
    with pytest.raises(SystemExit):
        clean.main([""])


@pytest.mark.parametrize("folder", [".", "weights"])
def test_the_published_networks_are_not_cleaned_away(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(clean, "clean", lambda top: pytest.fail("cleaned"))
    with pytest.raises(InputError, match="holds the published networks in weights/"):
        clean.main([folder])


def test_what_is_no_folder_is_not_cleaned_in_silence(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(InputError, match=r"a\.csv: is no folder"):
        clean.main([str(tmp_path / "a.csv")])
    assert clean.main([str(tmp_path / "modles")]) == 0
    assert "modles/: is not there" in capsys.readouterr().out


def test_no_training_replaces_the_published_networks(table_path, tmp_path):
    import train_cnn

    flags = ["--data", str(table_path), "--synthetic", "none", "--steps", "1", "--width", "8"]
    before = (ROOT / "weights/cnn/options.json").read_bytes()
    with pytest.raises(InputError, match="is the place of the published networks"):
        train_cnn.main(
            [*flags, "--models-dir", str(ROOT / "weights"), "--outputs-dir", str(tmp_path)]
        )
    assert (ROOT / "weights/cnn/options.json").read_bytes() == before
