"""The synthetic set, drawn again by plain Keras from the latents that it documents."""

import numpy as np
import pytest

from lesiongan.data.classes import CLASSES
from lesiongan.files import checksums, claims
from lesiongan.files.errors import InputError
from lesiongan.nets import drawing, synthetic_set
from tests import oracles


class Painter:
    """A generator whose images say what it was asked for.

    The label is in the first pixel, the latent's start in others.
    """

    inputs = (np.zeros((1, 64)), np.zeros(1))

    def predict_on_batch(self, inputs):
        z, y = inputs
        assert z.dtype == np.float32
        assert y.dtype == np.int32
        images = np.zeros((len(y), 28, 28, 3), np.float32)
        images[:, 0, 0, 0] = y
        images[:, 1, :, :] = np.clip(128 + 40 * z[:, :28, None], 0, 255)
        return images


def test_every_generated_image_has_its_own_label_and_latent_however_many_there_are():
    labels = np.random.default_rng(0).integers(0, 7, 2300).astype(np.int32)
    chunks = list(drawing.generate_in_chunks(Painter(), labels, 3))
    images, given = np.concatenate([c[0] for c in chunks]), np.concatenate([c[1] for c in chunks])
    np.testing.assert_array_equal(given, labels)
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
    # No latent is drawn twice.
    assert len({image.tobytes() for image in images[:, 1]}) == 2300
    z = [
        np.random.default_rng((3, 2, chunk)).standard_normal((n, 64), dtype=np.float32)
        for chunk, n in enumerate((1000, 1000, 300))
    ]
    expected = np.rint(np.clip(128 + 40 * np.concatenate(z)[:, :28], 0, 255))
    np.testing.assert_array_equal(images[:, 1, :, 0], expected)
    few = next(iter(drawing.generate_in_chunks(Painter(), labels[:60], 3)))[0]
    np.testing.assert_array_equal(few, images[:60])
    assert not np.array_equal(
        few, next(iter(drawing.generate_in_chunks(Painter(), labels[:60], 4)))[0]
    )


def test_wider_latents_are_drawn_from_recorded_and_measured(drawn, tmp_path, monkeypatch):
    """What is measured of fresh images must be of images that are drawn as those of the set."""
    import evaluate
    from lesiongan.measures import synthetic_quality
    from lesiongan.run import runs

    copy = drawn.copy(tmp_path)
    copy.run("train_gan", "--sample-only", "--samples", "14", "--latent-scale", "3")
    folder = copy.outputs / "synthetic"
    images, labels = oracles.read_images(folder / "hmnist_28_28_RGB.csv")
    network = oracles.load(copy.models / "gan/generator.keras")
    z = np.random.default_rng((0, 2, 0)).standard_normal((14, 64), dtype=np.float32)
    wide = network.predict([3 * z, labels.astype(np.int32)], verbose=0)
    assert np.abs(wide - network.predict([z, labels.astype(np.int32)], verbose=0)).max() > 5
    assert np.abs(images - wide).max() <= 0.51
    assert oracles.read(folder / "provenance.json")["options"]["sampling"]["latent_scale"] == 3
    assert "--seed 0 --latent-scale 3.0" in (folder / "DATASHEET.md").read_text()

    measured = []

    def measure(inputs, synthetic, judge, generator, *_, **__):
        measured.append(drawing.generate(generator, z, labels))
        return {}

    monkeypatch.setattr(synthetic_quality, "measure", measure)
    run = runs.Run(evaluate.parse_args(copy.flags), "evaluate")
    evaluate.evaluate_synthetic(run, {}, evaluate.read_synthetic(run))
    np.testing.assert_array_equal(measured[0], images)


def test_candidates_are_weighed_by_train_images_recorded_and_measured(drawn, tmp_path, monkeypatch):
    """One of three is kept, and what is measured of fresh images is of images drawn so."""
    import evaluate
    from lesiongan.measures import synthetic_quality
    from lesiongan.nets import selection
    from lesiongan.run import runs

    monkeypatch.setattr(selection, "FITTED_TO", 90)
    monkeypatch.setattr(selection, "LEAST", 2)
    copy = drawn.copy(tmp_path)
    copy.run("train_gan", "--sample-only", "--samples", "14", "--candidates", "3")
    folder = copy.outputs / "synthetic"
    images, labels = oracles.read_images(folder / "hmnist_28_28_RGB.csv")
    record = oracles.read(folder / "provenance.json")
    assert record["options"]["sampling"]["candidates"] == 3
    datasheet = (folder / "DATASHEET.md").read_text()
    assert "--seed 0 --candidates 3" in datasheet
    assert "one of 3 candidates" in " ".join(datasheet.split())

    run = runs.Run(evaluate.parse_args(copy.flags), "evaluate")
    network = oracles.load(copy.models / "gan/generator.keras")
    selected = selection.Selected(
        network, 3, selection.ClassMeans.measure(*run.inputs.part("train"))
    )
    z = np.random.default_rng((0, 2, 0)).standard_normal((14, 64), dtype=np.float32)
    np.testing.assert_array_equal(drawing.generate(selected, z, labels), images)
    assert len(selected.fitted) == 7
    assert np.abs(images - drawing.generate(network, z, labels).astype(int)).max() > 5

    measured = []

    def measure(inputs, synthetic, judge, generator, *_, **__):
        measured.append(drawing.generate(generator, z, labels))
        return {}

    monkeypatch.setattr(synthetic_quality, "measure", measure)
    evaluate.evaluate_synthetic(run, {}, evaluate.read_synthetic(run))
    np.testing.assert_array_equal(measured[0], images)


@pytest.mark.parametrize(
    "flags",
    [
        ["--latent-scale", "0"],
        ["--latent-scale", "-1"],
        ["--latent-scale", "11"],
        ["--latent-scale", "nan"],
        ["--candidates", "0"],
        ["--candidates", "101"],
    ],
)
def test_ways_of_drawing_that_cannot_be_are_refused(flags, capsys):
    import train_gan

    with pytest.raises(SystemExit) as caught:
        train_gan.parse_args(flags)
    assert caught.value.code == 2
    assert flags[0] in capsys.readouterr().err


@pytest.fixture(scope="module")
def large_set(drawn, tmp_path_factory):
    """301 images of the trained generator, of seed 5: more than are generated in one go."""
    copy = drawn.copy(tmp_path_factory.mktemp("large"))
    copy.run(
        "train_gan",
        "--sample-only",
        "--samples",
        "301",
        "--class-mix",
        "1,1,2,1,3,1,1",
        "--seed",
        "5",
    )
    return copy


def test_the_table_and_the_pictures_are_what_the_kept_generator_draws_for_their_labels(large_set):
    from PIL import Image

    folder = large_set.outputs / "synthetic"
    images, labels = oracles.read_images(folder / "hmnist_28_28_RGB.csv")
    counts = np.bincount(labels)
    assert counts.sum() == 301
    np.testing.assert_allclose(counts / 301, np.array([1, 1, 2, 1, 3, 1, 1]) / 10, atol=0.003)
    z = np.random.default_rng((5, 2, 0)).standard_normal((301, 64), dtype=np.float32)
    drawn = oracles.load(large_set.models / "gan/generator.keras").predict(
        [z, labels.astype(np.int32)], verbose=0
    )
    assert np.abs(images - drawn).max() <= 0.51
    shown = {
        p.name: (p.parent.name, np.asarray(Image.open(p)))
        for p in (folder / "images").glob("*/*.png")
    }
    assert sorted(shown) == [f"{i:05d}.png" for i in range(301)]
    for i in range(301):
        name, picture = shown[f"{i:05d}.png"]
        assert name == CLASSES[labels[i]]
        np.testing.assert_array_equal(picture, images[i])
    record = oracles.read(folder / "provenance.json")
    assert record["images"] == dict(zip(CLASSES, counts.tolist(), strict=True))
    assert record["options"]["sampling"] == {
        "samples": 301,
        "class_mix": "1,1,2,1,3,1,1",
        "no_png": False,
        "seed": 5,
    }
    assert record["generator_sha256"] == checksums.file_sha256(
        large_set.models / "gan/generator.keras"
    )


def read_grid(path, columns, scale=2):
    """uint8 (7, columns, 28, 28, 3): the pictures of a sheet that save_grid wrote."""
    from PIL import Image

    sheet = np.asarray(Image.open(path))[:, 40:]
    side = 30 * scale
    inner = [slice(i * side + scale, (i + 1) * side - scale, scale) for i in range(max(7, columns))]
    return np.array([[sheet[inner[y], inner[x]] for x in range(columns)] for y in range(7)])


def test_a_row_of_every_sheet_is_the_class_it_is_named_by(large_set, drawn):
    folder = large_set.outputs / "synthetic"
    images, labels = oracles.read_images(folder / "hmnist_28_28_RGB.csv")
    sheet = read_grid(folder / "contact_sheet.png", 20)
    for code in range(7):
        own = images[labels == code][:20]
        np.testing.assert_array_equal(sheet[code, : len(own)], own)
    generator = oracles.load(drawn.models / "gan/generator.keras")
    # Each column has one latent.
    z = np.random.default_rng([0]).standard_normal((12, 64), dtype=np.float32)
    grid = read_grid(drawn.models / "gan/samples/epoch_0002.png", 12)
    for code in range(7):
        shown = generator.predict([z, np.full(12, code, np.int32)], verbose=0)
        assert np.abs(grid[code] - shown).max() <= 1.01


def test_names_beside_a_grid_stand_in_the_order_of_its_rows(tmp_path, monkeypatch):
    from PIL import ImageDraw

    written = []
    real = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda self, at, text, **k: written.append((at[1], text)) or real(self, at, text, **k),
    )
    synthetic_set.save_grid(tmp_path / "g.png", np.zeros((7, 3, 28, 28, 3), np.uint8))
    names = [text for y, text in sorted(written) if text]
    assert names == ["akiec", "bcc", "bkl", "df", "nv", "vasc", "mel"]
    heights = [y for y, text in sorted(written) if text]
    assert [int(y // 60) for y in heights] == list(range(7))


def test_the_mix_train_is_that_of_the_train_part(drawn, tmp_path, monkeypatch):
    asked = []

    def stop(text, n, trained, only, least):
        asked.append((text, n, trained, only, least))
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic_set, "class_mix", stop)
    with pytest.raises(KeyboardInterrupt):
        drawn.run(
            "train_gan",
            "--samples",
            "77",
            "--class-mix",
            "train",
            "--classes",
            "mel,df",
            "--least-images",
            "9",
            "--sample-only",
            "--out",
            str(tmp_path / "set"),
        )
    ((text, n, labels, only, least),) = asked
    assert (text, n, set(only), least) == ("train", 77, {"mel", "df"}, 9)
    counts = np.bincount(oracles.Parts(drawn).of("train")[1], minlength=7)
    np.testing.assert_array_equal(labels, counts)


def test_a_folder_of_another_scripts_files_is_no_synthetic_set(tmp_path):
    """lesiongan.photographs lists its table as its own, which is of real photographs."""
    (tmp_path / "hmnist_28_28_RGB.csv").write_text("real")
    claims.write_claims(tmp_path, ["hmnist_28_28_RGB.csv"])
    with pytest.raises(InputError, match="has files that are not a synthetic set"):
        synthetic_set.check_folder(tmp_path)
    # Of a set whose making was interrupted the record is on the list.
    claims.write_claims(tmp_path, ["hmnist_28_28_RGB.csv", "provenance.json"])
    synthetic_set.check_folder(tmp_path)
