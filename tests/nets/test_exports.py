"""Synthetic sets of chosen classes, and in the layouts of other tools, read as those tools do."""

import functools
import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import train_gan
from lesiongan import ROOT
from lesiongan.data.tables import read_table
from lesiongan.files.errors import InputError
from lesiongan.nets import synthetic_set
from lesiongan.run import runs
from tests import oracles
from tests.conftest import GAN
from tests.nets.test_synthetic_set import read_grid

MIX = "1,0,2,1,3,1,4"
NPZ = "dermamnist_synthetic.npz"
ALPHABETICAL = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
PARTS = ("train", "val", "test")
# What describes a set, see test_data_card.py.
CARD = {"croissant.json", "DATASHEET.md", "LICENSE"}


@pytest.fixture(scope="module", autouse=True)
def code_is_hashed_once():
    """The code stays what it is meanwhile; hashing it takes longer than drawing a few images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "hash_code", functools.cache(runs.hash_code))
        yield


def sample(run, *flags, out="set"):
    """Draw a set of the run's generator with these flags; return its folder."""
    folder = run.outputs / out
    assert run.run("train_gan", *GAN[:2], "--sample-only", "--out", str(folder), *flags) == 0
    return folder


@pytest.fixture(scope="module")
def run(drawn, tmp_path_factory):
    """A copy of the run with its GAN, to draw sets from."""
    return drawn.copy(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def exported(run):
    """48 images of six classes, in all layouts."""
    flags = ("--export", "dataset.json,npz,folders", "--image-grid")
    return sample(run, "--samples", "48", "--class-mix", MIX, *flags)


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and not p.name.startswith(".")
    }


# ---------------------------------------------------------------- the layouts


def test_the_npz_is_laid_out_as_medmnists(exported):
    images, labels = oracles.read_images(exported / "hmnist_28_28_RGB.csv")
    assert len(labels) == 48
    with np.load(exported / NPZ, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    assert set(found) == {f"{part}_{what}" for part in PARTS for what in ("images", "labels")}
    for part, n in zip(PARTS, (48, 0, 0), strict=True):
        assert (found[f"{part}_images"].dtype, found[f"{part}_labels"].dtype) == (np.uint8,) * 2
        assert found[f"{part}_images"].shape == (n, 28, 28, 3)
        assert found[f"{part}_labels"].shape == (n, 1)
    np.testing.assert_array_equal(found["train_images"], images)
    named = [ALPHABETICAL[code] for code in found["train_labels"][:, 0]]
    assert named == [oracles.CLASSES[code] for code in labels]
    assert {"mel", "nv", "vasc"} < set(named)


def test_the_npz_is_read_back_as_the_same_table(exported):
    ours, theirs = (read_table(exported / name) for name in (NPZ, "hmnist_28_28_RGB.csv"))
    np.testing.assert_array_equal(ours.images, theirs.images)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    # The hash is of pixels and labels, so the two count as one table.
    assert ours.sha256 == theirs.sha256


def test_dataset_json_names_every_picture_with_its_class(exported):
    found = oracles.read(exported / "images/dataset.json")
    assert set(found) == {"labels"}
    pictures = {
        p.relative_to(exported / "images").as_posix() for p in (exported / "images").rglob("*.png")
    }
    assert [name for name, _ in found["labels"]] == sorted(pictures, key=lambda n: n[-9:])
    assert len(pictures) == 48
    images, labels = oracles.read_images(exported / "hmnist_28_28_RGB.csv")
    for i, (name, code) in enumerate(found["labels"]):
        assert type(code) is int
        assert name.split("/")[0] == oracles.CLASSES[code]
        assert code == labels[i]
        np.testing.assert_array_equal(np.asarray(Image.open(exported / "images" / name)), images[i])


def test_the_folders_are_classes_as_keras_reads_them(exported):
    import keras

    read = keras.utils.image_dataset_from_directory(
        exported / "images", image_size=(28, 28), shuffle=False, batch_size=None, verbose=False
    )
    labels = oracles.read_images(exported / "hmnist_28_28_RGB.csv")[1]
    named = sorted(read.class_names[int(code)] for _, code in read)
    assert named == sorted(oracles.CLASSES[code] for code in labels)


def test_the_image_grid_shows_one_latent_a_column_under_every_class(run, exported):
    generator = oracles.load(run.models / "gan/generator.keras")
    z = np.random.default_rng([0]).standard_normal((12, 64), dtype=np.float32)
    grid = read_grid(exported / "image_grid.png", 12)
    for code in range(7):
        shown = generator.predict([z, np.full(12, code, np.int32)], verbose=0)
        assert np.abs(grid[code] - shown).max() <= 1.01


def test_what_is_exported_is_on_record(exported):
    record = oracles.read(exported / "provenance.json")
    extras = {NPZ, "images/dataset.json", "image_grid.png"}
    written = {"hmnist_28_28_RGB.csv", "contact_sheet.png", *extras, *CARD}
    assert set(record["outputs"]) == written
    for name, digest in record["outputs"].items():
        assert digest == hashlib.sha256((exported / name).read_bytes()).hexdigest()
    sampling = record["options"]["sampling"]
    assert sampling["export"] == ["npz", "folders", "dataset.json"]
    assert sampling["image_grid"] is True


def test_equal_runs_give_equal_bytes(run, exported):
    flags = ("--export", "npz,dataset.json", "--image-grid")
    again = sample(run, "--samples", "48", "--class-mix", MIX, *flags, out="again")
    ours, theirs = contents(again), contents(exported)
    ours.pop("provenance.json"), theirs.pop("provenance.json")
    assert ours == theirs
    assert len(ours) == 48 + 5 + 3


def test_a_set_without_exports_removes_those_of_before_and_nothing_else(run, exported):
    folder = run.outputs / "rerun"
    shutil.copytree(exported, folder)
    mine = folder / "notes.npz"
    mine.write_text("mine")
    sample(run, "--samples", "7", out="rerun")
    names = set(contents(folder))
    assert not names & {NPZ, "images/dataset.json", "image_grid.png"}
    assert mine.read_text() == "mine"
    assert len(names) == 7 + 4 + 3
    # And a file of somebody else's is not replaced by an export.
    (folder / NPZ).write_text("mine")
    with pytest.raises(InputError, match=f"{NPZ}: is there and was not written by a run"):
        sample(run, "--samples", "7", "--export", "npz", out="rerun")
    assert (folder / NPZ).read_text() == "mine"


def test_an_npz_needs_no_pictures_and_the_other_layouts_do(run, capsys):
    folder = sample(run, "--samples", "7", "--no-png", "--export", "npz", out="no_png")
    assert set(contents(folder)) == {
        "hmnist_28_28_RGB.csv",
        "contact_sheet.png",
        "provenance.json",
        NPZ,
        *CARD,
    }
    for name in ("folders", "dataset.json", "npz,folders"):
        with pytest.raises(SystemExit) as caught:
            train_gan.parse_args(["--no-png", "--export", name])
        assert caught.value.code == 2
        words = capsys.readouterr().err.splitlines()[-1]
        assert f"--export {name.split(',')[-1]} needs the PNG files" in words
    for text in ("parquet", "npz,", "npz,NPZ"):
        with pytest.raises(SystemExit):
            train_gan.parse_args(["--export", text])
        assert "is none of npz, folders, dataset.json" in capsys.readouterr().err


# ---------------------------------------------------------------- chosen classes


@pytest.mark.parametrize(
    ("flags", "counts"),
    [
        (("--classes", "mel,df"), {"mel": 4, "df": 5}),
        (("--classes", " nv"), {"nv": 9}),
        (("--classes", "mel,df", "--class-mix", "9,9,9,1,9,9,2"), {"df": 3, "mel": 6}),
    ],
)
def test_chosen_classes_are_drawn_alone(run, flags, counts):
    folder = sample(run, "--samples", "9", *flags, out="chosen")
    labels = oracles.read_images(folder / "hmnist_28_28_RGB.csv")[1]
    names, found = np.unique([oracles.CLASSES[code] for code in labels], return_counts=True)
    assert dict(zip(names.tolist(), found.tolist(), strict=True)) == counts
    record = oracles.read(folder / "provenance.json")
    assert {c: n for c, n in record["images"].items() if n} == counts
    assert set(record["options"]["sampling"]["classes"]) == set(counts)
    # The pictures are of these classes too, and none is left of the set before.
    assert {p.parent.name for p in folder.glob("images/*/*.png")} == set(counts)


def test_the_mix_train_is_of_the_chosen_classes_alone():
    train = [10, 0, 0, 20, 60, 5, 40]
    labels = synthetic_set.class_mix("train", 9, train, ("df", "mel"))
    assert np.bincount(labels, minlength=7).tolist() == [0, 0, 0, 3, 0, 0, 6]


def test_a_class_of_which_the_generator_saw_too_few_images_is_not_drawn():
    train = [10, 19, 20, 21, 60, 0, 40]
    labels = synthetic_set.class_mix("balanced", 12, train, least=20)
    assert np.bincount(labels, minlength=7).tolist() == [0, 0, 3, 3, 3, 0, 3]
    # Without the flag every class that it saw at all is drawn.
    assert set(synthetic_set.class_mix("balanced", 12, train)) == {0, 1, 2, 3, 4, 6}
    with pytest.raises(InputError, match=r"^--least-images 61: no class has so many images"):
        synthetic_set.class_mix("balanced", 12, train, least=61)
    with pytest.raises(InputError, match=r"^--classes akiec: has fewer than 20 images"):
        synthetic_set.class_mix("balanced", 12, train, ("akiec", "mel"), least=20)


def test_classes_that_cannot_be_drawn_are_refused(capsys):
    for text in ("melanoma", "mel,", "MEL", "", "mel;df"):
        with pytest.raises(SystemExit) as caught:
            train_gan.parse_args(["--classes", text])
        assert caught.value.code == 2
        words = capsys.readouterr().err
        assert "is none of akiec, bcc, bkl, df, nv, vasc, mel" in words
    with pytest.raises(InputError, match=r"^--classes df: has no images in the train part$"):
        synthetic_set.class_mix("balanced", 10, [1, 1, 1, 0, 1, 1, 1], ("df", "mel"))
    with pytest.raises(InputError, match="gives no weight to any class of --classes"):
        synthetic_set.class_mix("1,1,1,0,1,1,0", 10, [1] * 7, ("df", "mel"))


# ---------------------------------------------------------------- records of before


def fingerprint(record):
    """The hash of what a record says that its result depends on, but for the table's name."""
    same = {k: record[k] for k in ("script", "options", "data", "split", "inputs")}
    same["data"] = {**same["data"], "name": None}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def test_sets_without_the_new_flags_are_recorded_as_they_were_before_these_existed(drawn):
    published = oracles.read(ROOT / "results/run/synthetic_provenance.json")
    assert published["fingerprint"] == fingerprint(published)
    for folder, name in ((drawn.models / "gan", "gan"), (drawn.outputs / "synthetic", "synthetic")):
        file = {"gan": "options.json", "synthetic": "provenance.json"}[name]
        record = oracles.read(folder / file)
        assert record["fingerprint"] == fingerprint(record)
        theirs = {"gan": "gan_options.json", "synthetic": "synthetic_provenance.json"}[name]
        theirs = oracles.read(ROOT / "results/run" / theirs)["options"]
        # `make weights` gives this one.
        assert set(record["options"]) == set(theirs) - {"generators"}
    assert set(record["options"]["sampling"]) == {"samples", "class_mix", "no_png", "seed"}


def test_each_new_flag_makes_a_set_stale(run, monkeypatch, capsys):
    flags = {"--classes": ["mel,df"], "--export": ["npz"], "--image-grid": []}
    flags |= {"--least-images": ["2"], "--latent-scale": ["1.1"], "--candidates": ["2"]}
    every = [word for name, value in flags.items() for word in (name, *value)]
    sample(run, "--samples", "7", *every, out="stale")
    capsys.readouterr()
    drawn = []
    monkeypatch.setattr(synthetic_set, "write", lambda *_: drawn.append(True))
    sample(run, "--samples", "7", "--if-stale", *every, out="stale")
    assert not drawn
    assert "up to date" in capsys.readouterr().out
    others = [*({**flags, name: None} for name in flags), {**flags, "--classes": ["mel,nv"]}]
    for i, other in enumerate(others, 1):
        given = [word for n, v in other.items() if v is not None for word in (n, *v)]
        sample(run, "--samples", "7", "--if-stale", *given, out="stale")
        assert len(drawn) == i, given
