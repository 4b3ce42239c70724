"""--export onnx: networks that are there are written in another form, and nothing is trained."""

import importlib.metadata

import numpy as np
import pytest

import train_cnn
import train_gan
from lesiongan.files import checksums, claims
from lesiongan.files.errors import InputError
from lesiongan.nets import saved_models
from lesiongan.run import flags
from tests import backends, oracles
from tests.conftest import GAN, LEARNED

FINISHED = {
    "train_gan": ("gan", "generator.onnx", [*GAN, "--if-stale"]),
    "train_cnn": ("cnn", "classifier.onnx", [*LEARNED, "--if-stale"]),
}


def run_onnx(path, given):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path)).run(None, given)[0]


@pytest.fixture
def untrained(networks, tmp_path, monkeypatch):
    """A copy of the finished run in which nothing can be trained."""
    for script in (train_gan, train_cnn):
        monkeypatch.setattr(script, "train", lambda *a, **k: pytest.fail("it was trained again"))
    return networks.copy(tmp_path)


@pytest.mark.parametrize("script", FINISHED)
def test_a_finished_network_is_exported_without_training(script, untrained, capsys):
    folder, name, words = FINISHED[script]
    folder = untrained.models / folder
    before = oracles.read(folder / "options.json")
    assert untrained.run(script, *words, "--export", "onnx") == 0
    after = oracles.read(folder / "options.json")
    assert after.pop("exports", None) == {name: checksums.file_sha256(folder / name)}
    assert after == before
    assert name in claims.read_claims(folder)
    out = capsys.readouterr().out
    assert "up to date" in out
    assert out.count("  backend: tensorflow ") == 1
    # Without the file the network is as finished as before, and it comes back as it was.
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    assert untrained.run(script, *words) == 0
    assert "backend" not in capsys.readouterr().out
    assert untrained.run(script, *words, "--export", "onnx,onnx") == 0
    assert (folder / name).read_bytes() == content


def test_what_is_exported_is_the_saved_network(untrained):
    given = backends.make_given()
    untrained.run("train_cnn", *LEARNED, "--if-stale", "--export", "onnx")
    untrained.run("train_gan", "--sample-only", "--samples", "7", "--export", "onnx")
    p, images = backends.run_networks(
        untrained.models / "cnn/classifier.keras", untrained.models / "gan/generator.keras", given
    )
    found = run_onnx(untrained.models / "cnn/classifier.onnx", {"image": given["images"]})
    assert np.abs(found - p).max() < 1e-5
    given = {"latent": given["latents"], "label": given["labels"]}
    found = run_onnx(untrained.models / "gan/generator.onnx", given)
    assert np.abs(found - images).max() < 1e-3
    assert len(oracles.read_images(untrained.outputs / "synthetic/hmnist_28_28_RGB.csv")[1]) == 7


def test_a_training_exports_what_it_saved(scratch):
    import onnxruntime

    words = ["--task", "malignancy", "--synthetic", "none", "--steps", "2", "--width", "8"]
    folder = scratch.models / "malignancy"
    assert scratch.run("train_cnn", *words, "--export", "onnx") == 0
    images = backends.make_given()["images"]
    model = saved_models.load_classifier(folder / "classifier.keras", 2)
    found = run_onnx(folder / "classifier.onnx", {"image": images})
    assert np.abs(found - model.predict_on_batch(images)).max() < 1e-5
    metadata = onnxruntime.InferenceSession(str(folder / "classifier.onnx")).get_modelmeta()
    assert metadata.custom_metadata_map["classes"] == "benign,malignant"


@pytest.mark.parametrize("script", FINISHED)
def test_an_onnx_file_does_not_stay_beside_another_network_than_its_own(script, untrained):
    folder, name, words = FINISHED[script]
    untrained.run(script, *words, "--export", "onnx")
    with pytest.raises(pytest.fail.Exception, match="it was trained again"):
        untrained.run(script, *words, "--seed", "5")
    assert not (untrained.models / folder / name).exists()


@pytest.mark.parametrize("script", FINISHED)
def test_a_file_of_somebody_elses_is_not_replaced(script, untrained):
    folder, name, words = FINISHED[script]
    path = untrained.models / folder / name
    path.write_text("mine")
    # A finished network is exported; another would be trained first, and is not.
    for flag in ([], ["--seed", "5"]):
        with pytest.raises(InputError, match="was not written by a run on record here"):
            untrained.run(script, *words, *flag, "--export", "onnx")
        assert path.read_text() == "mine"


def test_a_missing_package_is_named_before_anything_is_done(scratch, monkeypatch):
    real = importlib.metadata.version

    def pretend(name):
        if name.startswith("onnx"):
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", pretend)
    for script in FINISHED:
        with pytest.raises(InputError, match=r"--export onnx needs it; pip install 'onnx>="):
            scratch.run(script, "--export", "onnx", "--dry-run")
    assert not scratch.models.exists()


def test_formats_are_parsed_in_a_fixed_order_and_once(capsys):
    parse = flags.several_of(("onnx", "npz", "folders"))
    assert parse("folders,onnx,folders") == ("onnx", "folders")
    known = {train_gan: "npz, folders, dataset.json, onnx", train_cnn: "onnx"}
    for script, formats in known.items():
        assert script.parse_args([]).export == ()
        assert script.parse_args(["--export", "onnx"]).export == ("onnx",)
        for wrong in ("", "onnx,", "tflite"):
            with pytest.raises(SystemExit):
                script.parse_args(["--export", wrong])
            said = capsys.readouterr().err
            assert "--export" in said
            assert f"is none of {formats}" in " ".join(said.split())
