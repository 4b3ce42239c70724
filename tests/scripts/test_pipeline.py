"""The files that the scripts promise, end to end on phantom lesions.

The tests say which there are, what they say of themselves, when they are refused, and when they are
made again.
"""

import itertools
import json
import os
import re
import shutil
import sys
from types import SimpleNamespace

import pytest

from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.plots import report
from lesiongan.run import code_hash, machine, runs
from lesiongan.run.folders import ResultFolder
from tests.conftest import CNN, GAN, LEARNED, STAGES, Pipeline, copy_code


def test_every_artifact_is_there(pipeline):
    for path in (
        "gan/generator.keras",
        "gan/options.json",
        "gan/history.csv",
        "gan/samples/epoch_0001.png",
        "cnn/classifier.keras",
        "cnn/options.json",
        "cnn/history.csv",
        "judge/classifier.keras",
        "control/classifier.keras",
    ):
        assert (pipeline.models / path).is_file(), path
    for path in (
        "split.csv",
        "split.json",
        "eda/summary.json",
        "synthetic/hmnist_28_28_RGB.csv",
        "evaluation/predictions.csv",
        "evaluation/predictions_control.csv",
        "evaluation/metrics.json",
        "evaluation/per_class.csv",
        "evaluation/confusion.csv",
        "evaluation/synthetic_quality.json",
        "figures/confusion.pdf",
        "report.html",
    ):
        assert (pipeline.outputs / path).is_file(), path
    left = [
        p
        for root in (pipeline.models, pipeline.outputs)
        for p in root.rglob("*")
        if ".tmp" in p.name or p.stem == "checkpoint"
    ]
    assert not left


def test_every_figure_was_drawn(pipeline):
    options = records.read_json(pipeline.outputs / "figures/options.json", "")
    assert options["left_out"] == []
    assert len(options["drawn"]) == 13
    for name in options["drawn"]:
        assert (pipeline.outputs / "figures" / f"{name}.png").is_file()
        assert (pipeline.outputs / "figures" / f"{name}.pdf").is_file()


def test_phantom_runs_say_so_everywhere(pipeline):
    for path in (
        "evaluation/metrics.json",
        "evaluation/synthetic_quality.json",
        "evaluation/context.json",
        "eda/summary.json",
        "synthetic/provenance.json",
        "report.html",
    ):
        assert "PHANTOM DATA" in (pipeline.outputs / path).read_text(), path
    for path in (pipeline.models / "gan/options.json", pipeline.outputs / "split.json"):
        assert records.read_json(path, "")["data"]["phantom"] is True


def test_scripts_refuse_artifacts_of_another_split(pipeline):
    for script, extra in (
        ("eda", []),
        ("evaluate", []),
        ("visualize_results", []),
        ("train_gan", GAN),
        ("train_cnn", CNN),
    ):
        with pytest.raises(InputError, match="split"):
            pipeline.run(script, "--split-seed", "3", *extra)
    with pytest.raises(InputError, match=r"classifier\.keras: is not the model"):
        copy = pipeline.models / "cnn" / "classifier.keras"
        kept = copy.read_bytes()
        try:
            copy.write_bytes((pipeline.models / "control" / "classifier.keras").read_bytes())
            pipeline.run("evaluate")
        finally:
            copy.write_bytes(kept)


def test_if_stale_rebuilds_exactly_when_data_or_options_change(pipeline, scratch, tmp_path, capsys):
    """Staleness goes by content.

    An older-dated table after a phantom run must rebuild everything, split included.
    """
    from lesiongan.phantom import write_phantom

    def steps(run, *gan, short=("--epochs", "1"), draw=("--no-models",)):
        """How many of the six steps had nothing to do."""
        capsys.readouterr()
        for name in ("eda", "gan", "judge", "cnn", "evaluation", "figures"):
            script, flags, _ = STAGES[name]
            more = {"gan": [*short, *gan], "judge": short, "cnn": short, "figures": draw}.get(
                name, []
            )
            run.run(script, *flags, *more, "--if-stale")
        return capsys.readouterr().out.count("up to date")

    shutil.copytree(pipeline.models, scratch.models)
    shutil.copytree(pipeline.outputs, scratch.outputs)
    assert steps(scratch, short=(), draw=()) == 6
    split = (scratch.outputs / "split.csv").read_bytes()
    other = write_phantom(tmp_path / "other", 210, seed=5)
    os.utime(other, (1, 1))
    changed = Pipeline(other, tmp_path)
    # make would train the control again, which these steps leave out.
    shutil.rmtree(changed.models / "control")
    assert steps(changed) == 0
    assert (changed.outputs / "split.csv").read_bytes() != split
    assert steps(changed) == 6
    # eda and the judge do not depend on the synthetic set.
    assert steps(changed, "--samples", "21") == 2


def test_without_metadata_every_output_says_how_lesions_were_grouped(table_path, tmp_path):
    p = Pipeline(table_path, tmp_path)
    p.run("eda", "--metadata", "none")
    assert (
        "no lesion ids: grouped by near-duplicate images"
        in (p.outputs / "eda/summary.json").read_text()
    )
    # Every estimate's protocol is this one.
    assert (
        "no lesion ids" in json.loads((p.outputs / "split.json").read_text())["split"]["protocol"]
    )


def test_image_split_is_called_leaky(table_path, tmp_path):
    p = Pipeline(table_path, tmp_path)
    p.run("train_cnn", *CNN, "--split", "image", "--synthetic", "none")
    p.run("evaluate", "--split", "image", "--views", "1")
    for name in ("split.json", "evaluation/context.json", "evaluation/metrics.json"):
        assert "leaky" in (p.outputs / name).read_text(), name
    found = json.loads((p.outputs / "evaluation/metrics.json").read_text())["models"]["classifier"]
    assert all(
        "leaky" in f["protocol"] and "1 view" in f["protocol"] for f in found["argmax"].values()
    )
    lines = (p.outputs / "evaluation/per_class.csv").read_text().splitlines()
    assert all("leaky" in line for line in lines[1:])


def test_the_report_escapes_reasons_and_loads_nothing(pipeline):
    assert "&lt;script&gt;" in report.quality_section({"value": None, "reason": "<script>"})
    text = (pipeline.outputs / "report.html").read_text()
    assert text.count("data:image/png;base64,") >= 12
    assert "http://" not in text
    assert 'src="http' not in text


def test_nothing_is_left_of_a_failed_write(tmp_path):
    with pytest.raises(RuntimeError), writing.atomic(tmp_path / "a.csv") as t:
        t.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        writing.write_text(tmp_path / "file" / "x.csv", "")


def test_figures_are_drawn_from_the_files_their_records_describe(pipeline, table_path, tmp_path):
    copy = Pipeline(table_path, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    shutil.copytree(pipeline.outputs, copy.outputs)
    for path in (copy.models / "gan/history.csv", copy.outputs / "synthetic/hmnist_28_28_RGB.csv"):
        path.write_text(path.read_text() + "\n")
    (copy.outputs / "eda/foreign.png").write_bytes((copy.outputs / "eda/samples.png").read_bytes())
    copy.run("visualize_results", "--no-models")
    text = (copy.outputs / "report.html").read_text()
    assert text.count("is not the file its") >= 2
    assert "foreign" not in text.lower()


@pytest.mark.parametrize(
    "script", ["eda", "train_gan", "train_cnn", "evaluate", "visualize_results"]
)
def test_a_lost_or_changed_output_is_stale(is_stale, script):
    assert not is_stale(script)
    record = {
        "eda": "outputs/eda",
        "train_gan": "models/gan",
        "train_cnn": "models/cnn",
        "evaluate": "outputs/evaluation",
        "visualize_results": "outputs/figures",
    }[script]
    folder = is_stale.copy.models.parent / record
    # Each file is lost or changed, in turn, and the first one is both.
    names = list(records.read_json(folder / "options.json", "")["outputs"])
    for name, lost in [*zip(names, itertools.cycle((False, True))), (names[0], True)]:
        whole = (folder / name).read_bytes()
        if lost:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(whole + b" ")
        assert is_stale(script), name
        (folder / name).write_bytes(whole)
    assert not is_stale(script)


def test_other_metadata_of_the_same_lesions_is_stale(is_stale, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(
        is_stale.copy.table.with_name("HAM10000_metadata.csv")
        .read_text()
        .replace(",female,", ",male,")
    )
    assert not is_stale("eda")
    assert is_stale("eda", "--metadata", str(other))


def test_long_cells_do_not_widen_a_picture(scratch, tmp_path):
    from PIL import Image

    text = scratch.table.with_name("HAM10000_metadata.csv").read_text()
    (tmp_path / "other.csv").write_text(text.replace(",back,", "," + "b" * 100_000 + ","))
    scratch.run("eda", "--metadata", str(tmp_path / "other.csv"))
    with Image.open(scratch.outputs / "eda" / "metadata.png") as picture:
        assert picture.width < 5000


def test_what_may_not_repeat_is_stale_for_a_run_with_deterministic(is_stale, monkeypatch):
    # monkeypatch puts the variable back afterwards.
    monkeypatch.setenv("XLA_FLAGS", "")
    path, on_gpu, on_jax = (
        is_stale.copy.outputs / "eda/options.json",
        {"accelerators": ["a GPU"]},
        {"backend": "jax"},
    )
    fresh = json.loads(path.read_text())
    assert (fresh["environment"]["accelerators"], fresh["environment"]["deterministic"]) == (
        [],
        False,
    )
    asked = {"deterministic": True}
    for made_on, stale in (
        ({}, False),
        (on_gpu, True),
        (on_jax, True),
        (on_gpu | asked, False),
        (on_jax | asked, False),
    ):
        for flags in ([], ["--deterministic"]):
            path.write_text(json.dumps(fresh | {"environment": fresh["environment"] | made_on}))
            assert is_stale("eda", *flags) == (stale and bool(flags))


def test_records_name_what_keras_could_use(monkeypatch):
    class Device:
        def __init__(self, platform, device_kind):
            self.platform, self.device_kind = platform, device_kind

    def pretend(name, devices=None, error=None):
        def list_devices():
            if error:
                raise error
            return devices

        monkeypatch.setitem(
            sys.modules, "keras", SimpleNamespace(backend=SimpleNamespace(backend=lambda: name))
        )
        monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(devices=list_devices))

    pretend(
        "jax", [Device("gpu", "NVIDIA H200"), Device("cpu", "cpu"), Device("gpu", "NVIDIA H200")]
    )
    assert machine.accelerators() == {"accelerators": ["NVIDIA H200"] * 2}
    pretend("jax", error=RuntimeError("no such driver"))
    assert machine.accelerators() == {"accelerators": []}
    pretend("tensorflow")
    # The TensorFlow of requirements.txt sees no accelerator.
    assert machine.accelerators() == {"accelerators": []}
    monkeypatch.delitem(sys.modules, "keras")
    assert machine.accelerators() == {"accelerators": []}


def test_synthetic_set_never_replaces_other_files(scratch, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/hmnist_28_28_RGB.csv").write_text("precious")
    with pytest.raises(InputError, match="not a synthetic set"):
        scratch.run("train_gan", *GAN, "--out", str(tmp_path / "mine"))
    (tmp_path / "mine/provenance.json").write_text('{"source": "a download"}')
    with pytest.raises(InputError, match="not a synthetic set"):
        scratch.run("train_gan", *GAN, "--out", str(tmp_path / "mine"))
    assert (tmp_path / "mine/hmnist_28_28_RGB.csv").read_text() == "precious"


def test_resume_of_a_finished_run_trains_nothing(pipeline, table_path, tmp_path, capsys):
    copy = Pipeline(table_path, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    shutil.copytree(pipeline.outputs, copy.outputs)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    copy.run("train_gan", *GAN, "--resume")
    copy.run("train_cnn", *LEARNED, "--resume")
    assert capsys.readouterr().out.count("up to date") == 2
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    # Whoever clears outputs/ keeps the networks.
    (copy.outputs / "split.csv").unlink()
    copy.run("train_cnn", *LEARNED, "--if-stale", "--resume")
    assert capsys.readouterr().out.count("up to date") == 1
    assert (copy.outputs / "split.csv").read_bytes() == before[copy.outputs / "split.csv"]


def training_key(run):
    return ResultFolder(run, "options.json", run.identify()).training_key


def test_a_training_goes_on_only_with_its_own_code_and_packages(scratch, tmp_path, monkeypatch):
    import train_gan

    run = runs.Run(train_gan.parse_args(scratch.flags), "train_gan")
    keys = {training_key(run)}
    run.environment["packages"]["keras"] = "0"
    keys.add(training_key(run))
    copy_code(tmp_path)
    (tmp_path / "train_gan.py").write_text(
        (tmp_path / "train_gan.py").read_text().replace("PENALTY_STEP = 4", "PENALTY_STEP = 9")
    )
    monkeypatch.setattr(code_hash, "ROOT", tmp_path)
    # The key is of the code that began, whatever is there now.
    assert training_key(run) in keys
    again = runs.Run(train_gan.parse_args(scratch.flags), "train_gan")
    again.environment["packages"]["keras"] = "0"
    keys.add(training_key(again))
    assert len(keys) == 3


def test_files_changed_since_the_evaluation_are_not_shown(pipeline, table_path, tmp_path):
    copy = Pipeline(table_path, tmp_path)
    shutil.copytree(pipeline.models, copy.models)
    shutil.copytree(pipeline.outputs, copy.outputs)
    path = copy.outputs / "evaluation/metrics.json"
    path.write_text(
        path.read_text().replace('"class": "nv"', '"class": "<script>alert(1)</script>"')
    )
    copy.run("visualize_results", "--no-models")
    text = (copy.outputs / "report.html").read_text()
    assert "metrics.json has changed since it was written" in text
    assert "<script>alert" not in text
    found = json.loads(path.read_text())
    assert "<script>" not in report.metrics_section(found)
    labels = re.findall(r'<tr><th scope="row">(.*?)</th>', report.metrics_section(found))
    # No row stands twice.
    assert len(set(labels)) == len(labels) > 20
    assert sum("elanoma" in label and "at 90 % specificity" in label for label in labels) == 1
