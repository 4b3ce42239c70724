"""The grids that a GAN drew while it learned: which the report shows, and which it leaves out."""

import shutil

import numpy as np
import pytest
from PIL import Image

import visualize_results
from lesiongan.files import writing
from lesiongan.plots.sources import Missing, Sources
from lesiongan.run import runs
from tests import oracles


@pytest.fixture
def sources(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    run = runs.Run(visualize_results.parse_args(copy.flags), "visualize_results")
    return Sources(run), copy.models / "gan"


def pretend(folder, epochs, every, generators=1):
    """Change the record of a training to so many epochs, with a grid for each that it drew."""
    record = oracles.read(folder / "options.json")
    record["options"] |= {"epochs": epochs, "grid_every": every}
    each, epochs = epochs, epochs * generators
    if generators > 1:
        record["options"]["generators"] = generators
    writing.write_json(folder / "options.json", record)
    for path in (folder / "samples").glob("*.png"):
        path.unlink()
    for epoch in {1, *range(every, epochs + 1, every), *range(each, epochs + 1, each)}:
        Image.new("L", (1, 1), epoch).save(folder / f"samples/epoch_{epoch:04d}.png")


@pytest.mark.parametrize(
    ("epochs", "every", "wanted"),
    [(23, 10, [1, 10, 20, 23]), (1, 10, [1]), (25, 1, [*range(1, 26)]), (200, 2, 25)],
)
def test_the_grids_are_those_of_the_epochs_spread_over_the_training(sources, epochs, every, wanted):
    found, folder = sources
    pretend(folder, epochs, every)
    grids = found.sample_grids()
    shown = [epoch for epoch, _ in grids]
    for epoch, content in grids:
        assert content == (folder / f"samples/epoch_{epoch:04d}.png").read_bytes()
    if isinstance(wanted, list):
        assert shown == wanted
    else:
        assert len(shown) == wanted
        assert (shown[0], shown[-1]) == (1, epochs)
        assert max(np.diff(shown)) <= 10


def test_the_grids_of_several_generators_are_those_of_all_their_epochs(sources):
    found, folder = sources
    pretend(folder, 7, 5, generators=3)
    assert [epoch for epoch, _ in found.sample_grids()] == [1, 5, 7, 10, 14, 15, 20, 21]


def test_grids_that_the_training_did_not_draw_are_not_its_own(sources):
    found, folder = sources
    pretend(folder, 20, 10)
    Image.new("L", (1, 1)).save(folder / "samples/epoch_0015.png")
    Image.new("L", (1, 1)).save(folder / "samples/epoch_0030.png")
    assert [epoch for epoch, _ in found.sample_grids()] == [1, 10, 20]


def test_damaged_or_missing_grids_are_left_out_with_the_reason(sources):
    found, folder = sources
    pretend(folder, 20, 10)
    (folder / "samples/epoch_0010.png").write_text("no picture")
    with pytest.raises(Missing, match=r"epoch_0010.png is damaged .*: run train_gan.py"):
        found.sample_grids()
    pretend(folder, 20, 10)
    with (folder / "generator.keras").open("ab") as f:
        f.write(b"x")
    with pytest.raises(Missing, match="is not the file its options"):
        found.sample_grids()


def test_a_training_without_grids_is_left_out_with_the_reason(sources):
    found, folder = sources
    shutil.rmtree(folder / "samples")
    with pytest.raises(Missing, match=r"no samples of the training's epochs: run train_gan\.py"):
        found.sample_grids()
