"""All figures: how they are saved, their notes and captions, and when they are not drawn."""

import numpy as np
import pytest
from PIL import Image

import visualize_results
from lesiongan.files import checksums, writing
from lesiongan.plots import style, table_figures
from lesiongan.plots.paper import FIGURES
from lesiongan.plots.sources import Missing, Sources
from lesiongan.run import runs
from lesiongan.run.inputs import Inputs
from tests import oracles
from tests.plots.drawn import picture


def test_colours_are_drawn_as_they_are_and_grey_as_grey():
    fig, axes = style.subplots(1, 2)
    image = np.zeros((28, 28, 3), np.uint8)
    image[:] = 200, 30, 60
    style.show_image(axes[0], image)
    np.testing.assert_array_equal(picture(axes[0]), image)
    style.show_image(axes[1], image[..., :1])
    assert (axes[1].images[0].get_clim(), axes[1].images[0].get_cmap().name) == ((0, 255), "gray")
    assert fig is not None


def test_every_saved_figure_carries_its_note(tmp_path):
    fig, _ = style.subplots()
    style.save(fig, tmp_path, "x", "PHANTOM DATA")
    assert [t.get_text() for t in fig.texts] == ["PHANTOM DATA"]
    assert {p.name for p in tmp_path.iterdir()} == {"x.png", "x.pdf"}


def test_each_figure_is_drawn_by_its_own_function_under_its_own_caption():
    """Words that only this figure's caption has."""
    own = {
        "real_and_synthetic": "Real training images and synthetic",
        "class_grid": "shares its latent vector",
        "interpolation": "interpolation",
        "gan_training": "losses of both players",
        "embedding": "t-SNE",
        "label_agreement": "agreement with the labels",
        "spectrum": "by spatial frequency",
        "nearest_pairs": "nearest to training images",
        "cnn_training": "Classifier training",
        "confusion": "Confusion matrix",
        "roc_and_pr": "ROC and precision-recall",
        "calibration": "Reliability",
        "mistakes": "most confident mistakes",
    }
    assert set(FIGURES) == set(own)
    for name, (draw, caption) in FIGURES.items():
        assert draw.__name__ == ("draw_curves" if name == "roc_and_pr" else f"draw_{name}")
        assert own[name] in caption
        assert sum(own[name] in c for _, c in FIGURES.values()) == 1


def test_figures_of_a_leaky_split_of_guessed_lesions_and_of_phantoms_say_so(pipeline):
    def note(*flags):
        return runs.Run(
            visualize_results.parse_args([*pipeline.flags, *flags]), "visualize_results"
        ).inputs.figure_note

    assert note().startswith("PHANTOM DATA: drawn by code, no medical meaning; row order of the")
    assert "LEAKY image split" in note("--split", "image")
    assert "LEAKY" not in note("--metadata", "none")
    assert "no lesion ids: grouped by near-duplicate images" in note("--metadata", "none")


def test_every_figure_of_a_run_carries_the_runs_note_and_eda_uses_the_seed_of_the_split(
    pipeline, tmp_path, monkeypatch
):
    notes, seeds = [], []
    monkeypatch.setattr(Inputs, "figure_note", "NOTE")

    def save(fig, folder, name, note=""):
        notes.append(note)
        path = folder / f"{name}.png"
        for suffix in (".png", ".pdf"):
            Image.new("RGB", (3, 2)).save(path.with_suffix(suffix), "PNG")
        return path

    monkeypatch.setattr(style, "save", save)
    real = table_figures.draw_leakage
    monkeypatch.setattr(
        table_figures, "draw_leakage", lambda t, seed, k: seeds.append(seed) or real(t, seed, k)
    )
    other = type(pipeline)(pipeline.table, tmp_path / "other")
    other.run("eda", "--seed", "5", "--split-seed", "2")
    assert seeds == [2]
    assert len(notes) >= 6
    pipeline.copy(tmp_path).run("visualize_results", "--no-models")
    assert len(notes) >= 14
    assert set(notes) == {"NOTE"}


def test_figures_of_an_evaluation_are_not_drawn_beside_networks_made_since(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    inputs = Sources(runs.Run(visualize_results.parse_args(copy.flags), "visualize_results"))
    inputs.check_evaluation()
    # As if a clinical network had been scored, too.
    writing.write_text(copy.models / "clinical/classifier.keras", "a network")
    record = oracles.read(copy.outputs / "evaluation/options.json")
    record["inputs"]["clinical"] = checksums.file_sha256(copy.models / "clinical/classifier.keras")
    writing.write_json(copy.outputs / "evaluation/options.json", record)
    inputs.check_evaluation()
    for path in (
        copy.models / "cnn/classifier.keras",
        copy.models / "control/classifier.keras",
        copy.models / "judge/classifier.keras",
        copy.models / "clinical/classifier.keras",
        copy.models / "gan/generator.keras",
        copy.outputs / "synthetic/hmnist_28_28_RGB.csv",
    ):
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        with pytest.raises(Missing, match="was made from another"):
            inputs.check_evaluation()
        path.write_bytes(whole)
    inputs.check_evaluation()
