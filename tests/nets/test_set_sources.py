"""Any synthetic set is read, and what train_gan.py did not draw is called made elsewhere."""

import numpy as np
import pytest
from PIL import Image

import train_cnn
from lesiongan.data import tables
from lesiongan.files import checksums, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import networks
from lesiongan.nets import set_sources
from lesiongan.nets.synthetic_set import WHAT
from lesiongan.phantom import draw_table
from lesiongan.run import runs
from tests.oracles import CLASSES


@pytest.fixture
def run(table_path, tmp_path):
    flags = ["--data", str(table_path), "--outputs-dir", str(tmp_path / "outputs")]
    return runs.Run(train_cnn.parse_args(flags), "train_cnn")


@pytest.fixture
def table(tmp_path):
    """The path of a synthetic table of 14 images in a folder of its own."""
    images = draw_table(40, seed=3)[0][:14]
    tables.write_table(tmp_path / "mine.csv", [(images, np.arange(14, dtype=np.int32) % 7)])
    return tmp_path / "mine.csv"


def describe(run, path, **changes):
    """Write the provenance.json of train_gan.py for the table at `path`."""
    record = {
        "what": f"{WHAT[1]} drawn by a GAN",
        "data": run.inputs.data,
        "split": run.inputs.split,
        "table_sha256": checksums.file_sha256(path),
    }
    writing.write_json(path.with_name("provenance.json"), record | changes)


def test_a_table_without_provenance_is_made_elsewhere(run, table):
    made = set_sources.read_set(run, "synthetic", table)
    assert (made.origin, made.provenance) == ("made elsewhere", {})
    assert run.origins == {"synthetic": "made elsewhere"}
    # The hash is of pixels and labels, and so of the set in any container.
    assert run.files == {"synthetic": made.table.sha256}
    assert made.table.sha256 == tables.read_table(table).sha256
    # A record of somebody else's says nothing about it.
    table.with_name("provenance.json").write_text('{"what": "a diffusion model"}')
    assert set_sources.read_set(run, "synthetic", table).origin == "made elsewhere"


def test_a_set_of_ours_is_what_its_provenance_says(run, table):
    describe(run, table)
    made = set_sources.read_set(run, "synthetic", table)
    assert made.origin == "train_gan.py"
    assert made.provenance["split"]["sha256"] == run.inputs.split["sha256"]
    assert run.origins == {}
    assert run.files == {"synthetic": checksums.file_sha256(table)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": {"sha256": "0"}}, "made from other split"),
        ({"table_sha256": "0"}, r"mine\.csv: is not the table its provenance\.json describes"),
        ({"what": WHAT[0], "data": None}, "data is no object"),
    ],
)
def test_a_set_of_ours_that_is_another_is_refused_and_never_made_elsewhere(
    run, table, changes, message
):
    describe(run, table, **changes)
    with pytest.raises(InputError, match=message):
        set_sources.read_set(run, "synthetic", table)
    assert run.origins == {}


def test_a_set_of_a_generator_of_other_data_says_so(run, table):
    describe(run, table, data={"sha256": "0"})
    made = set_sources.read_set(run, "synthetic", table)
    assert "other data" in made.origin
    assert run.origins == {"synthetic": made.origin}


def test_a_leaky_set_is_taken_only_where_it_is_asked_for_and_says_so(run, table):
    describe(run, table, split={"sha256": "0"})
    # Only train_cnn.py has the flag, and so only its message names it.
    del run.args.leaky_synthetic
    for flags in ({}, {"leaky_synthetic": False}):
        vars(run.args).update(flags)
        with pytest.raises(InputError) as refused:
            set_sources.read_set(run, "synthetic", table)
        assert ("--leaky-synthetic" in str(refused.value)) == bool(flags)
    run.args.leaky_synthetic = True
    made = set_sources.read_set(run, "synthetic", table)
    assert made.origin.startswith("LEAKY")
    assert run.origins == {"synthetic": made.origin}
    trained = {"synthetic_origin": made.origin}
    words = networks.name_protocol(run, 8, {"classifier": trained, "control": {}})
    assert words.endswith(f"; synthetic images {made.origin}")
    # A network beside the classifier is named.
    words = networks.name_protocol(run, 8, {"classifier": {}, "clinical": trained})
    assert words.endswith(f"; synthetic images of the clinical network: {made.origin}")
    assert "LEAKY" not in networks.name_protocol(run, 8, {"classifier": {}})


def write_pictures(folder, table):
    for i, (image, label) in enumerate(zip(table.images, table.labels, strict=True)):
        path = folder / "images" / CLASSES[label] / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def test_a_folder_of_pictures_is_a_set_made_elsewhere(run, table, tmp_path):
    given = tables.read_table(table)
    write_pictures(tmp_path / "drawn", given)
    made = set_sources.read_set(run, "synthetic", tmp_path / "drawn")
    assert made.origin == run.origins["synthetic"] == "made elsewhere"
    assert run.files["synthetic"] == made.table.sha256
    # The pictures come in the order of the classes' names.
    order = np.argsort([CLASSES[label] for label in given.labels], kind="stable")
    np.testing.assert_array_equal(made.table.images, given.images[order])
    np.testing.assert_array_equal(made.table.labels, given.labels[order])


def test_the_pictures_of_a_set_of_ours_are_led_to_its_table(run, table, tmp_path):
    write_pictures(tmp_path, tables.read_table(table))
    describe(run, table)
    for folder in (tmp_path, tmp_path / "images"):
        with pytest.raises(InputError, match=r"pictures of a set of train_gan\.py; name its"):
            set_sources.read_set(run, "synthetic", folder)


def test_what_is_no_synthetic_set_is_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"no synthetic table; run train_gan\.py first"):
        set_sources.read_set(run, "synthetic", tmp_path / "none.csv")
    grey = ",".join([f"pixel{i:04d}" for i in range(784)] + ["label"])
    (tmp_path / "grey.csv").write_text(grey + "\n" + ",".join(["1"] * 784 + ["0"]) + "\n")
    with pytest.raises(InputError, match="needs hmnist_28_28_RGB"):
        set_sources.read_set(run, "synthetic", tmp_path / "grey.csv")
