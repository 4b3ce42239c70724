"""The published networks: whole, of the run in results/run, and used without the table.

What is in weights/ is checked by hashlib, NumPy and pandas. How it is used is tried on a folder of
the same layout that is built from the tests' shared run, so that its table is at hand.
"""

import functools
import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest

import evaluate
import train_cnn
import train_gan
from lesiongan import ROOT
from lesiongan.data import tables
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.measures import synthetic_quality, training_pool
from lesiongan.nets import selection, synthetic_set
from lesiongan.phantom import draw_table, write_phantom
from lesiongan.run import inputs, published, runs, script
from study import publish_weights
from tests import oracles
from tests.conftest import CNN

WEIGHTS = ROOT / "weights"
RUN = ROOT / "results" / "run"
NETWORKS = {
    "generator": "gan/generator.keras",
    "classifier": "cnn/classifier.keras",
    "judge": "judge/classifier.keras",
}
SAMPLES = ("--sample-only", "--weights", "published", "--samples", "21")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def build_weights(pipeline, folder):
    """Lay out the networks of the shared run as weights/ is; return the folder."""
    publish_weights.copy_networks(pipeline.models, pipeline.outputs, folder)
    publish_weights.write_class_means(tables.read_table(pipeline.table), pipeline.outputs, folder)
    found = {name: oracles.read(folder / name / "options.json") for name in ("gan", "cnn", "judge")}
    ids = pd.read_csv(pipeline.table.with_name("HAM10000_metadata.csv")).image_id.tolist()
    writing.write_json(
        folder / "card.json", publish_weights.build_card(pipeline.outputs, found, ids)
    )
    publish_weights.write_sums(folder)
    return folder


def use_weights(folder, monkeypatch):
    """Make --weights published mean this folder."""
    monkeypatch.setattr(published, "FOLDER", folder)
    # Hashes that were read before are of another folder.
    fresh = functools.cache(published.published_hashes.__wrapped__)
    monkeypatch.setattr(published, "published_hashes", fresh)


@pytest.fixture(scope="module", autouse=True)
def code_is_hashed_once():
    """The code stays what it is meanwhile; hashing it takes longer than what is tried here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "hash_code", functools.cache(runs.hash_code))
        yield


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory):
    return build_weights(pipeline, tmp_path_factory.mktemp("published") / "weights")


@pytest.fixture
def weights(folder, monkeypatch):
    use_weights(folder, monkeypatch)
    return folder


@pytest.fixture
def no_table(monkeypatch):
    """No table is read, and none is looked for in data/."""

    def fail(*_, **__):
        pytest.fail("a table was read")

    for module, name in ((runs, "load_inputs"), (inputs, "read_table"), (inputs, "find_table")):
        monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(evaluate, "find_table", fail)


# ---------------------------------------------------------------- what is in weights/


def test_every_published_file_is_listed_with_its_hash_and_none_is_large():
    lines = (WEIGHTS / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = {p.relative_to(WEIGHTS).as_posix(): p for p in WEIGHTS.rglob("*") if p.is_file()}
    del files["SHA256SUMS"]
    assert listed == {name: sha256(path) for name, path in files.items()}
    others = {"nearest.npz", "class_means.npz", "card.json", "LICENSE", "MODEL_CARD.md"}
    assert {*NETWORKS.values(), *others} <= set(files)
    for name, path in files.items():
        assert path.stat().st_size < (8_000_000 if name.endswith(".keras") else 2_000_000), name


def test_the_published_networks_are_those_of_the_published_results():
    found = {name: sha256(WEIGHTS / file) for name, file in NETWORKS.items()}
    for name in ("classifier", "judge"):
        stem = {"classifier": "cnn"}.get(name, name)
        record = oracles.read(RUN / f"{stem}_options.json")
        assert record["model_sha256"] == record["outputs"]["classifier.keras"] == found[name]
        assert oracles.read(WEIGHTS / NETWORKS[name].split("/")[0] / "options.json") == record
    record = oracles.read(RUN / "gan_options.json")
    assert record["outputs"]["generator.keras"] == found["generator"]
    assert oracles.read(WEIGHTS / "gan/options.json") == record
    evaluation = oracles.read(RUN / "evaluation_options.json")
    assert {name: evaluation["inputs"][name] for name in found} == found
    assert evaluation["outputs"]["nearest.npz"] == sha256(WEIGHTS / "nearest.npz")
    for name in ("metrics.json", "synthetic_quality.json"):
        said = oracles.read(RUN / name)["networks"]
        for network, digest in found.items():
            assert said[network]["sha256"] == digest


def test_the_card_says_what_the_networks_were_trained_on():
    card = oracles.read(WEIGHTS / "card.json")
    for name in ("gan", "cnn", "judge", "evaluation"):
        record = oracles.read(RUN / f"{name}_options.json")
        assert card["data"] == record["data"]
        assert card["split"] == record["split"]
    assert card["commit"] == oracles.read(RUN / "gan_options.json")["environment"]["commit"]
    assert (card["data"]["rows"], card["data"]["phantom"]) == (10015, False)
    split = pd.read_csv(ROOT / "results/splits/lesion_split.csv.gz")
    train = split[split.part == "train"]
    lines = "".join(f"{row}\n" for row in sorted(train.row.tolist()))
    assert card["train_rows_sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    assert sum(card["split"]["images"]["train"]) == len(train)
    with np.load(WEIGHTS / "nearest.npz") as file:
        rows, labels, lesions = (file[name] for name in ("rows", "labels", "lesions"))
    assert rows.tolist() == train.row.tolist()
    assert np.bincount(labels, minlength=7).tolist() == card["split"]["images"]["train"]
    # Equal numbers for equal lesions, and for these alone.
    pairs = set(zip(lesions.tolist(), train.lesion, strict=True))
    assert len(pairs) == len(set(lesions.tolist())) == train.lesion.nunique()


def test_the_licence_and_the_card_say_what_the_networks_may_be_used_for():
    card, licence = ((WEIGHTS / name).read_text() for name in ("MODEL_CARD.md", "LICENSE"))
    for text in (card, licence):
        assert "not for clinical use" in " ".join(text.lower().split())
    assert "CC BY-NC 4.0" in licence
    assert published.LICENCE.startswith("CC BY-NC 4.0")
    for file in NETWORKS.values():
        assert f"`{file}`" in card
        assert sha256(WEIGHTS / file)[:16] in card


@pytest.mark.parametrize("source", ["weights", "built"])
def test_images_are_drawn_without_a_table_as_plain_keras_draws_them(
    source, folder, tmp_path, monkeypatch, no_table
):
    place = WEIGHTS if source == "weights" else folder
    use_weights(place, monkeypatch)
    before = contents(place)
    flags = ["--outputs-dir", str(tmp_path / "o"), *SAMPLES]
    assert train_gan.main([*flags, "--classes", "mel,df,nv", "--seed", "3"]) == 0
    drawn = tmp_path / "o" / "synthetic"
    images, labels = oracles.read_images(drawn / "hmnist_28_28_RGB.csv")
    assert np.bincount(labels, minlength=7).tolist() == [0, 0, 0, 7, 7, 0, 7]
    generator = oracles.load(place / "gan/generator.keras")
    numbers = generator.input_shape[0][1]
    z = np.random.default_rng((3, 2, 0)).standard_normal((21, numbers), dtype=np.float32)
    expected = generator.predict([z, labels.astype(np.int32)], verbose=0)
    assert np.abs(images - expected).max() <= 0.51
    assert {p.name for p in (tmp_path / "o").iterdir()} == {"synthetic"}
    record, card = oracles.read(drawn / "provenance.json"), oracles.read(place / "card.json")
    network = sha256(place / "gan/generator.keras")
    assert record["networks"] == {"generator": {"sha256": network, "published": True}}
    assert record["generator_sha256"] == record["inputs"]["generator"] == network
    assert (record["data"], record["split"]) == (card["data"], card["split"])
    note = "PHANTOM DATA: drawn by code, no medical meaning"
    assert record["note"] == note * (source == "built")
    # Nothing is written beside the networks.
    assert contents(place) == before


# ---------------------------------------------------------------- a set drawn without the table


def test_a_set_drawn_without_the_table_is_taken_for_its_split_and_for_no_other(
    pipeline, weights, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(runs, "load_inputs", lambda _: pytest.fail("a table was read"))
        train_gan.main(["--outputs-dir", str(tmp_path), *SAMPLES])
    table = tmp_path / "synthetic/hmnist_28_28_RGB.csv"
    images, labels = oracles.read_images(table)

    def gather(*flags):
        given = ["--data", str(pipeline.table), *CNN, "--synthetic", str(table), *flags]
        return training_pool.gather(runs.Run(train_cnn.parse_args(given), "train_cnn"))

    pool, targets, _, synthetic = gather()
    assert synthetic == 21
    np.testing.assert_array_equal(pool[-21:], images)
    np.testing.assert_array_equal(targets[-21:], labels)
    real = oracles.Parts(pipeline).of("train")[0]
    np.testing.assert_array_equal(pool[:-21], real)
    for flags in (("--split-seed", "1"), ("--split", "image"), ("--subset", "150")):
        with pytest.raises(InputError, match=r"provenance.json: made from other split"):
            gather(*flags)
    # And the same set, drawn with the table at hand, is the same to the byte.
    copy = pipeline.copy(tmp_path / "with")
    copy.run("train_gan", "--sample-only", "--samples", "21", "--out", str(tmp_path / "other"))
    assert (tmp_path / "other/hmnist_28_28_RGB.csv").read_bytes() == table.read_bytes()
    ours, theirs = (
        oracles.read(tmp_path / name / "provenance.json") for name in ("synthetic", "other")
    )
    assert ours["fingerprint"] == theirs["fingerprint"]


def test_candidates_are_weighed_by_what_the_published_generator_learned_from(
    pipeline, weights, tmp_path, monkeypatch
):
    """Without the table the set is the same, and so is what is measured of fresh images."""
    monkeypatch.setattr(selection, "FITTED_TO", 90)
    monkeypatch.setattr(selection, "LEAST", 2)
    several = [*SAMPLES, "--candidates", "3"]
    with monkeypatch.context() as patch:
        patch.setattr(runs, "load_inputs", lambda _: pytest.fail("a table was read"))
        train_gan.main(["--outputs-dir", str(tmp_path), *several])
    drawn = tmp_path / "synthetic"
    copy = pipeline.copy(tmp_path / "with")
    own = ("--sample-only", "--samples", "21", "--candidates", "3")
    copy.run("train_gan", *own, "--out", str(tmp_path / "other"))
    name = "hmnist_28_28_RGB.csv"
    assert (drawn / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    train_gan.main(["--outputs-dir", str(tmp_path / "one"), *SAMPLES])
    assert (drawn / name).read_bytes() != (tmp_path / "one/synthetic" / name).read_bytes()
    # Of a network of weights/, the table that is scored is not what it learned from.
    learned = []
    monkeypatch.setattr(synthetic_quality, "measure", lambda *a, **_: learned.append(a[3]) or {})
    given = ["--data", str(pipeline.table), "--weights", "published"]
    run = runs.Run(evaluate.parse_args([*given, "--outputs-dir", str(tmp_path)]), "evaluate")
    real = runs.Run(evaluate.parse_args(copy.flags), "evaluate").inputs.part("train")
    counts = np.bincount(real[1], minlength=7)
    monkeypatch.setattr(type(run.inputs), "part", lambda *_: pytest.fail("train was read"))
    evaluate.evaluate_synthetic(run, {}, evaluate.read_synthetic(run))
    np.testing.assert_array_equal(learned[0].learned.images, counts)


def test_the_published_class_means_are_of_the_images_of_the_card():
    found = selection.read_published()
    assert found.images.tolist() == oracles.read(WEIGHTS / "card.json")["split"]["images"]["train"]
    assert found.means.shape == (7, 190)
    assert np.isfinite(found.means).all()


def test_a_set_of_published_networks_is_not_drawn_twice(weights, no_table, tmp_path, capsys):
    flags = ["--outputs-dir", str(tmp_path), *SAMPLES, "--if-stale"]
    for words in ("21 synthetic images", "up to date"):
        assert train_gan.main(flags) == 0
        said = capsys.readouterr().out
        assert words in said
        assert "published networks of weights/" in said
        assert "CC BY-NC 4.0" in said
    # Images of one's own generator are not replaced.
    record = tmp_path / "synthetic/provenance.json"
    ours = record.read_text()
    own = {"networks": {"generator": {"sha256": "0" * 64, "published": False}}}
    record.write_text(json.dumps(json.loads(ours) | own))
    with pytest.raises(InputError, match=r"another generator than the published one; .* --out"):
        train_gan.main(flags[:-1])
    record.write_text("{}")
    with pytest.raises(InputError, match="another generator than the published one"):
        train_gan.main(flags)
    assert train_gan.main([*flags, "--out", str(tmp_path / "more")]) == 0
    assert len(list((tmp_path / "more").glob("*.csv"))) == 1


def test_a_set_that_was_not_finished_or_of_weights_before_is_drawn_anew(
    weights, no_table, tmp_path, monkeypatch, capsys
):
    flags = ["--outputs-dir", str(tmp_path), *SAMPLES, "--no-png"]

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(synthetic_set.tables, "write_table", stop)
        with pytest.raises(KeyboardInterrupt):
            train_gan.main(flags)
    record = tmp_path / "synthetic/provenance.json"
    assert oracles.read(record)["what"] == "an unfinished synthetic set"
    train_gan.main(flags)
    found = oracles.read(record)
    assert found["networks"]["generator"]["published"]
    before = {"generator": {"sha256": "0" * 64, "published": True}}
    record.write_text(json.dumps(found | {"generator_sha256": "0" * 64, "networks": before}))
    train_gan.main([*flags, "--samples", "14"])
    assert oracles.read(record)["networks"] == found["networks"]


def test_the_card_is_written_anew_only_beside_the_published_files(folder, tmp_path, monkeypatch):
    place = tmp_path / "weights"
    shutil.copytree(folder, place)
    use_weights(place, monkeypatch)
    monkeypatch.setattr(publish_weights, "render_card", lambda *_: "a card\n")
    (place / "stray.tmp").write_text("left over")
    publish_weights.refresh()
    assert (place / "MODEL_CARD.md").read_text() == "a card\n"
    sums = published.read_sums()
    assert sums["MODEL_CARD.md"] == sha256(place / "MODEL_CARD.md")
    assert "stray.tmp" not in sums
    flip(place / NETWORKS["generator"])
    with pytest.raises(InputError, match="is not the published file"):
        publish_weights.refresh()
    assert published.read_sums() == sums


@pytest.mark.parametrize(
    ("main", "flags", "words"),
    [
        (train_gan, ["--weights", "published"], "add --sample-only"),
        (train_gan, [*SAMPLES, "--data", "x.csv"], "draws without a table"),
        (train_gan, [*SAMPLES, "--metadata", "m.csv"], "draws without a table"),
        (train_gan, [*SAMPLES, "--subset", "100"], "draws without a table"),
        (train_gan, [*SAMPLES, "--split", "image"], "draws without a table"),
        (train_gan, [*SAMPLES, "--split-seed", "1"], "draws without a table"),
        (train_gan, [*SAMPLES, "--train-share", "others"], "draws without a table"),
        (train_gan, [*SAMPLES, "--label-order", "alphabetical"], "draws without a table"),
        (train_gan, [*SAMPLES, "--trust-row-order"], "draws without a table"),
        (train_gan, [*SAMPLES, "--models-dir", "m"], "--models-dir both name the networks"),
        (train_gan, [*SAMPLES, "--resume"], "--sample-only and --resume"),
        (train_gan, ["--sample-only", "--weights", "mine"], "invalid choice: 'mine'"),
        (
            evaluate,
            ["--weights", "published", "--models-dir", "m"],
            "--models-dir both name the networks",
        ),
    ],
)
def test_flags_that_contradict_published_networks_are_refused(main, flags, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main.main([*flags, "--outputs-dir", str(tmp_path)])
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: " in last
    assert words in last


# ---------------------------------------------------------------- damaged files


def run_script(main, flags, capsys):
    """(exit code, lines on stderr) of a script called from the command line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        script.script_main(lambda: main(flags))
    return caught.value.code, capsys.readouterr().err.splitlines()


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def remove(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


ARRAYS = ("nearest.npz", "class_means.npz")
FILES = (*NETWORKS.values(), "cnn/options.json", "gan/history.csv", *ARRAYS, "card.json")


@pytest.mark.parametrize("name", FILES)
def test_a_changed_cut_or_missing_file_is_one_line_and_exit_code_2(
    folder, name, tmp_path, monkeypatch, capsys
):
    place = tmp_path / "weights"
    use_weights(place, monkeypatch)
    commands = (
        (train_gan.main, [*SAMPLES]),
        (evaluate.main, ["--weights", "published", "--image", str(ROOT / "README.md")]),
        (evaluate.main, ["--weights", "published", "--external", "none.csv"]),
    )
    for i, (damage, what) in enumerate(
        (
            (flip, "is not the published file"),
            (cut, "is not the published file"),
            (empty, "is not the published file"),
            (remove, "no such file"),
        )
    ):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)
        damage(place / name)
        main, flags = commands[i % 3]
        code, lines = run_script(main, [*flags, "--outputs-dir", str(tmp_path / "o")], capsys)
        assert code == 2
        assert len(lines) == 1
        assert f"error: {place / name}: {what} (SHA256SUMS)" in lines[0]
        assert "git checkout weights" in lines[0]
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("damage", ["missing", "empty", "no list", "half a line", "half the lines"])
def test_a_damaged_list_of_hashes_is_one_line_and_exit_code_2(
    folder, damage, tmp_path, monkeypatch, capsys
):
    place = tmp_path / "weights"
    shutil.copytree(folder, place)
    use_weights(place, monkeypatch)
    sums = place / "SHA256SUMS"
    text = sums.read_text()
    lines = text.splitlines(keepends=True)
    if damage == "missing":
        sums.unlink()
    else:
        sums.write_text(
            {
                "empty": "",
                "no list": "<html>not found</html>\n",
                "half a line": text[: len(text) // 2],
                "half the lines": "".join(lines[: len(lines) // 2]),
            }[damage]
        )
    code, said = run_script(
        train_gan.main, [*SAMPLES, "--outputs-dir", str(tmp_path / "o")], capsys
    )
    assert code == 2
    assert len(said) == 1
    assert "SHA256SUMS" in said[0]
    assert not (tmp_path / "o").exists()


def test_a_card_without_what_a_run_needs_is_refused(folder, tmp_path, monkeypatch):
    card = oracles.read(folder / "card.json")
    place = tmp_path / "weights"
    shutil.copytree(folder, place)
    use_weights(place, monkeypatch)
    for change in (
        {"data": None},
        {"split": {**card["split"], "images": {}}},
        {"data": {**card["data"], "sha256": 5}},
        {"commit": None},
    ):
        writing.write_json(place / "card.json", card | change)
        publish_weights.write_sums(place)
        with pytest.raises(InputError, match=r"card\.json: .* (missing|is|no object)") as caught:
            published.read_card()
        assert len(str(caught.value).splitlines()) == 1


# ---------------------------------------------------------------- known by their hashes


def test_networks_are_known_wherever_they_lie(pipeline, weights):
    hashes = {name: sha256(pipeline.models / file) for name, file in NETWORKS.items()}
    other = sha256(pipeline.models / "control/classifier.keras")
    found = published.identify_networks({**hashes, "control": other})
    assert found.pop("control") == {"sha256": other, "published": False}
    assert found == {name: {"sha256": h, "published": True} for name, h in hashes.items()}


def test_without_published_networks_none_is_published(tmp_path, monkeypatch):
    use_weights(tmp_path / "none", monkeypatch)
    assert published.published_hashes() == {}
    assert published.identify_networks({"judge": "5"}) == {
        "judge": {"sha256": "5", "published": False}
    }


def test_an_ordinary_run_names_its_networks_which_are_not_the_published_ones(pipeline):
    files = {**NETWORKS, "control": "control/classifier.keras"}
    expected = {
        name: {"sha256": sha256(pipeline.models / file), "published": False}
        for name, file in files.items()
    }
    for name in ("metrics.json", "synthetic_quality.json", "context.json"):
        assert oracles.read(pipeline.outputs / "evaluation" / name)["networks"] == expected, name
    record = oracles.read(pipeline.outputs / "synthetic/provenance.json")
    assert record["networks"] == {"generator": expected["generator"]}


# ---------------------------------------------------------------- evaluate.py --weights published


def call(outputs, *flags):
    return evaluate.main(["--weights", "published", "--outputs-dir", str(outputs), *flags])


def nearest_train(place, images):
    """float (n,): Mahalanobis distances to the train part by plain Keras, NumPy and SciPy."""
    import keras
    from scipy.spatial.distance import cdist

    judge = oracles.load(place / "judge/classifier.keras")
    network = keras.Model(judge.input, judge.get_layer("features").output)
    with np.load(place / "nearest.npz") as file:
        features, limit = file["features"].astype(float), float(file["copy"])
    inverse = np.linalg.inv(np.cov(features, rowvar=False, bias=True))
    found = oracles.average_of_views(network, images)
    return cdist(found, features, "mahalanobis", VI=inverse).min(axis=1), limit


def test_without_a_table_copies_of_training_images_are_found_by_their_features(
    pipeline, weights, tmp_path, no_table
):
    images, labels, _ = draw_table(90, seed=7)
    parts = oracles.Parts(pipeline)
    copied = {2: 0, 31: 1, 44: 2, 85: 3}
    for at, turn in copied.items():
        row = parts.rows("train")[at]
        turned = np.rot90(parts.images[row], turn)
        images[at] = turned[:, ::-1] if at % 2 else turned
        labels[at] = parts.labels[row]
    tables.write_table(tmp_path / "other.csv", [(images, labels)])
    isic = tmp_path / "isic.csv"
    call(
        tmp_path / "o",
        "--external",
        str(tmp_path / "other.csv"),
        "--isic-submission",
        str(isic),
    )
    distance, limit = nearest_train(weights, images)
    copies = distance < limit
    assert copies[list(copied)].all()
    # Others are not all taken for copies.
    assert copies.sum() < 15
    (place,) = (tmp_path / "o/evaluation").glob("external_other_*")
    predicted = pd.read_csv(place / "predictions.csv")
    assert predicted.row.tolist() == np.flatnonzero(~copies).tolist()
    np.testing.assert_array_equal(predicted.label, labels[~copies])
    network = oracles.load(weights / "cnn/classifier.keras")
    expected = oracles.average_of_views(network, images)
    np.testing.assert_allclose(predicted[oracles.P], expected[~copies], atol=2e-6)
    found = oracles.read(place / "metrics.json")
    assert f"{copies.sum()} of 90 images dropped" in found["protocol"]
    assert found["images"] == (~copies).sum()
    assert found["networks"] == {
        "classifier": {"sha256": sha256(weights / "cnn/classifier.keras"), "published": True}
    }
    assert "PHANTOM" in oracles.read(place / "context.json")["data"]["note"]
    card, record = oracles.read(weights / "card.json"), oracles.read(place / "options.json")
    assert (record["data"], record["split"]) == (card["data"], card["split"])
    assert not (tmp_path / "o/split.csv").exists()
    # The challenge wants every image.
    assert len(isic.read_text().splitlines()) == 91


def test_another_table_is_an_external_one_with_its_own_metadata(weights, tmp_path):
    other = write_phantom(tmp_path / "other", 90, seed=7)
    metadata = pd.read_csv(other.with_name("HAM10000_metadata.csv"))
    assert call(tmp_path / "o", "--data", str(other)) == 0
    (place,) = (tmp_path / "o/evaluation").glob("external_*")
    found, rows = oracles.read(place / "metrics.json"), pd.read_csv(place / "predictions.csv").row
    assert found["protocol"].startswith("external table hmnist_28_28_RGB.csv")
    assert found["lesions"] == metadata.lesion_id[rows].nunique() < found["images"] == len(rows)
    assert oracles.read(place / "options.json")["inputs"]["external_metadata"]
    assert not (tmp_path / "o/split.csv").exists()
    assert not (tmp_path / "o/evaluation/metrics.json").exists()
    # Without its metadata it is grouped by its images.
    call(tmp_path / "none", "--data", str(other), "--metadata", "none")
    (place,) = (tmp_path / "none/evaluation").glob("external_*")
    assert "near-duplicate" in oracles.read(place / "metrics.json")["protocol"]
    with pytest.raises(InputError, match="is not the table that the published networks"):
        call(tmp_path / "two", "--data", str(other), "--external", str(other))


def test_classes_of_another_table_are_in_the_order_that_is_asked_for(weights, tmp_path):
    images, labels, _ = draw_table(90, seed=7)
    alphabetical = [sorted(oracles.CLASSES).index(c) for c in oracles.CLASSES]
    codes = np.array(alphabetical, np.int32)[labels]
    tables.write_table(tmp_path / "other.csv", [(images, codes)])
    flags = ("--label-order", "alphabetical", "--metadata", "none")
    call(tmp_path / "o", "--data", str(tmp_path / "other.csv"), *flags)
    (place,) = (tmp_path / "o/evaluation").glob("external_*")
    predicted = pd.read_csv(place / "predictions.csv")
    np.testing.assert_array_equal(predicted.label, labels[predicted.row])


def test_their_own_table_under_their_split_is_evaluated_as_ever(pipeline, weights, tmp_path):
    before = contents(weights)
    assert call(tmp_path, "--data", str(pipeline.table)) == 0
    place = tmp_path / "evaluation"
    ours, theirs = (
        folder / "predictions.csv" for folder in (place, pipeline.outputs / "evaluation")
    )
    assert ours.read_bytes() == theirs.read_bytes()
    found = oracles.read(place / "metrics.json")
    assert found["protocol"].startswith("lesion split")
    assert found["networks"] == {
        name: {"sha256": sha256(weights / NETWORKS[name]), "published": True}
        for name in ("classifier", "judge")
    }
    assert (tmp_path / "split.csv").read_bytes() == (pipeline.outputs / "split.csv").read_bytes()
    assert contents(weights) == before


@pytest.mark.parametrize(
    "flags",
    [
        ("--split", "image"),
        ("--split-seed", "1"),
        ("--subset", "150"),
        ("--metadata", "none"),
    ],
)
def test_their_own_table_under_another_split_is_refused(pipeline, weights, tmp_path, flags, capsys):
    command = ["--weights", "published", "--data", str(pipeline.table), *flags]
    code, lines = run_script(evaluate.main, [*command, "--outputs-dir", str(tmp_path)], capsys)
    assert code == 2
    assert len(lines) == 1
    assert "were trained under another split" in lines[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--data", "OTHER", "--subset", "50"), "--subset: the published networks score every row"),
        (("--data", "OTHER", "--split", "image"), "--split: "),
        (("--data", "OTHER", "--split-seed", "7"), "--split-seed: "),
        (("--data", "OTHER", "--train-fraction", "0.1"), "--train-fraction: "),
        (("--data", "OTHER", "--train-share", "others"), "--train-share: "),
        (("--data", "OTHER", "--trust-row-order"), "--trust-row-order: "),
        (("--data", "OTHER", "--predictions-only"), "--predictions-only: is of the test part"),
        (("--data", "OTHER", "--external-metadata", "m.csv"), "--data takes --metadata instead"),
        (
            ("--external", "OTHER", "--metadata", "m.csv"),
            "--external takes --external-metadata instead",
        ),
        (("--external", "OTHER", "--subset", "50"), "--subset: "),
    ],
)
def test_a_flag_that_would_do_nothing_to_another_table_is_refused(weights, tmp_path, flags, words):
    other = write_phantom(tmp_path / "other", 90, seed=7)
    with pytest.raises(InputError, match=words):
        call(tmp_path / "o", *(str(other) if f == "OTHER" else f for f in flags))
    assert not (tmp_path / "o").exists()


def test_an_external_tables_classes_are_in_the_order_that_is_asked_for(weights, tmp_path):
    images, labels, _ = draw_table(90, seed=7)
    alphabetical = [sorted(oracles.CLASSES).index(c) for c in oracles.CLASSES]
    codes = np.array(alphabetical, np.int32)[labels]
    tables.write_table(tmp_path / "other.csv", [(images, codes)])
    flags = ("--label-order", "alphabetical")
    call(tmp_path / "o", "--external", str(tmp_path / "other.csv"), *flags)
    (place,) = (tmp_path / "o/evaluation").glob("external_*")
    predicted = pd.read_csv(place / "predictions.csv")
    np.testing.assert_array_equal(predicted.label, labels[predicted.row])
