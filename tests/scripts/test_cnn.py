"""train_cnn.py: what may enter training, by the split and the files, and reruns byte for byte."""

import numpy as np
import pytest

import train_cnn
from lesiongan.data import tables
from lesiongan.data.tables import read_table
from lesiongan.files import checksums, records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import copies, training_pool
from lesiongan.nets import set_sources
from lesiongan.phantom import draw_table
from lesiongan.run import classifier_flags, runs
from lesiongan.run.folders import ResultFolder
from tests import oracles
from tests.conftest import CNN, LEARNED, STAGES, interrupted


def build_run(networks, *extra):
    args = train_cnn.parse_args([*networks.flags, *CNN, *extra])
    return runs.Run(args, "train_cnn")


def hashes(images):
    return {image.tobytes() for image in images}


def test_pool_is_train_plus_synthetic_and_nothing_else(networks):
    run = build_run(networks)
    images, labels, weights, count = training_pool.gather(run)
    synthetic = read_table(networks.outputs / "synthetic/hmnist_28_28_RGB.csv")
    train, train_labels = run.inputs.part("train")
    np.testing.assert_array_equal(images, np.concatenate([train, synthetic.images]))
    np.testing.assert_array_equal(labels, np.concatenate([train_labels, synthetic.labels]))
    np.testing.assert_array_equal(
        weights, np.repeat([1, np.float32(run.args.synthetic_weight)], [len(train), count])
    )
    assert 0 < run.args.synthetic_weight < 1
    assert count == len(synthetic)
    # No held-out photograph is learned from, and no synthetic row is in what selects or scores.
    held_out = hashes(run.inputs.part("val")[0]) | hashes(run.inputs.part("test")[0])
    assert not held_out & hashes(images)
    assert not held_out & hashes(synthetic.images)


def test_judge_and_control_never_see_synthetic_rows(networks):
    for role in ("judge", "control"):
        run = build_run(networks, "--role", role)
        images, _, _, _ = training_pool.gather(run)
        assert hashes(images) <= hashes(run.inputs.part("train")[0])
    assert len(images) == (run.inputs.parts == "train").sum()
    options = records.read_json(networks.models / "judge/options.json", "")
    assert sum(options["trained_on"]) < 0.7 * (run.inputs.parts == "train").sum()
    assert options["options"]["seed"] == classifier_flags.JUDGE_SEED


def test_synthetic_table_of_another_split_is_refused(networks, tmp_path):
    flags = ["--synthetic", str(networks.outputs / "synthetic/hmnist_28_28_RGB.csv")]
    for other in (["--split-seed", "1"], ["--split", "image"], ["--metadata", "none"]):
        run = build_run(networks, *flags, *other)
        with pytest.raises(InputError, match="made from other split"):
            training_pool.gather(run)


def test_a_changed_synthetic_table_is_refused(networks, tmp_path):
    folder = tmp_path / "synthetic"
    folder.mkdir()
    for name in ("hmnist_28_28_RGB.csv", "provenance.json"):
        (folder / name).write_bytes((networks.outputs / "synthetic" / name).read_bytes())
    with open(folder / "hmnist_28_28_RGB.csv", "a") as f:
        f.write(",".join(["0"] * 2353) + "\n")
    with pytest.raises(InputError, match="is not the table"):
        training_pool.gather(
            build_run(networks, "--synthetic", str(folder / "hmnist_28_28_RGB.csv"))
        )


def test_a_synthetic_table_replaced_while_it_is_read_is_refused(networks, tmp_path, monkeypatch):
    for name in ("hmnist_28_28_RGB.csv", "provenance.json"):
        (tmp_path / name).write_bytes((networks.outputs / "synthetic" / name).read_bytes())
    read = set_sources.read_table

    def replace_and_read(path):
        table = read(path)
        with open(path, "a") as f:
            f.write(",".join(["0"] * 2353) + "\n")
        return table

    run = build_run(networks, "--synthetic", str(tmp_path / "hmnist_28_28_RGB.csv"))
    monkeypatch.setattr(set_sources, "read_table", replace_and_read)
    with pytest.raises(InputError, match=r"was replaced while train_cnn\.py ran"):
        training_pool.gather(run)


@pytest.mark.parametrize("environment", [None, "odd", [1]])
def test_a_record_without_its_environment_is_not_current(networks, tmp_path, environment):
    folder = networks.models / "control"
    for path in folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    run = build_run(networks, *LEARNED, "--role", "control", "--if-stale", "--deterministic")
    place = ResultFolder(
        run, tmp_path / "options.json", run.identify(train_cnn.list_unnamed(run.args))
    )
    record = records.read_json(tmp_path / "options.json", "")
    assert record["fingerprint"] == place.identity.fingerprint
    writing.write_json(tmp_path / "options.json", record | {"environment": {"deterministic": True}})
    assert place.is_current()
    writing.write_json(tmp_path / "options.json", record | {"environment": environment})
    assert not place.is_current()


def test_held_out_photographs_are_refused_as_extra_real_data(networks, tmp_path):
    run = build_run(networks)
    for part in ("val", "test"):
        images, labels = run.inputs.part(part)
        tables.write_table(
            tmp_path / f"{part}.csv", [(np.ascontiguousarray(images[:3, ::-1]), labels[:3])]
        )
        # These are photographs saved again, a little brighter.
        near = np.clip(images[3:5].astype(int) + 2, 0, 255).astype(np.uint8)
        tables.write_table(tmp_path / f"near_{part}.csv", [(near, labels[3:5])])
        with pytest.raises(InputError, match="2 of its 2 images are val or test"):
            training_pool.gather(
                build_run(
                    networks, "--real", str(tmp_path / f"near_{part}.csv"), "--synthetic", "none"
                )
            )
        with pytest.raises(InputError, match="3 of its 3 images are val or test"):
            training_pool.gather(
                build_run(networks, "--real", str(tmp_path / f"{part}.csv"), "--synthetic", "none")
            )


def test_what_is_odd_about_extra_real_data_is_said(networks, tmp_path, capsys):
    """Mostly vascular lesions: their codes are in another order, more likely than not."""
    images, labels, _ = draw_table(120, seed=9)
    labels[:100] = oracles.CLASSES.index("vasc")
    tables.write_table(tmp_path / "t.csv", [(images, labels)])
    training_pool.gather(
        build_run(networks, "--real", str(tmp_path / "t.csv"), "--synthetic", "none")
    )
    said = capsys.readouterr().out
    assert f"note: {tmp_path / 't.csv'}: " in said
    assert "vasc" in said


def test_repeat_real_adds_images_and_real_none_leaves_the_synthetic_ones(networks):
    run = build_run(networks, "--repeat-real", "30", "--synthetic", "none")
    images, _, _, _ = training_pool.gather(run)
    assert len(images) == (run.inputs.parts == "train").sum() + 30
    images, _, weights, _ = training_pool.gather(
        build_run(networks, "--real", "none", "--synthetic-weight", "0.5")
    )
    assert len(images) == 35
    assert (weights == 0.5).all()


def test_batches_cover_the_pool_and_follow_the_step(table_path):
    table = read_table(table_path)
    args = train_cnn.parse_args(["--batch", "32", "--synthetic", "none"])
    w = np.arange(len(table), dtype=np.float32)
    build = training_pool.build_batches
    # The batches make four passes over 200 images.
    whole = [build(table.images, table.labels, w, args)(i) for i in range(25)]
    seen = np.concatenate([b[2] for b in whole])
    np.testing.assert_array_equal(np.bincount(seen.astype(int)), np.full(200, 4))
    for a, b in zip(build(table.images, table.labels, w, args)(8), whole[8], strict=True):
        np.testing.assert_array_equal(a, b)
    balanced = train_cnn.parse_args(
        ["--batch", "700", "--sampler", "balanced", "--synthetic", "none"]
    )
    y = build(table.images, table.labels, w, balanced)(0)[1]
    assert np.bincount(y, minlength=7).min() > 70


def test_the_trained_network_sees_the_middle_enlarged_and_training_the_whole():
    from PIL import Image

    images = np.random.default_rng(0).uniform(0, 255, (3, 28, 28, 3)).astype(np.float32)

    def enlarge(channel):
        return np.asarray(
            Image.fromarray(channel[1:27, 1:27]).resize((28, 28), Image.Resampling.BILINEAR)
        )

    middles = np.stack([[enlarge(image[..., c]) for c in range(3)] for image in images]).transpose(
        0, 2, 3, 1
    )
    args = train_cnn.parse_args(["--synthetic", "none", "--width", "8"])
    model, network = train_cnn.prepare(args, 7, 10)
    whole = train_cnn.build_network(7, 8)
    whole.set_weights(network.get_weights())
    np.testing.assert_allclose(
        network.predict(images, verbose=0), whole.predict(middles, verbose=0), atol=1e-4
    )
    np.testing.assert_allclose(
        model.predict(images, verbose=0), whole.predict(images, verbose=0), atol=1e-6
    )
    assert train_cnn.parse_args(["--synthetic", "none", "--augment", "flips"]).middle == 28
    assert train_cnn.parse_args(["--role", "judge"]).middle == 28


# The control has Muon and natural batches, the judge AdamW, balanced ones and --keep best.
@pytest.mark.parametrize("role", ["control", "judge"])
def test_same_seed_same_model_and_resume_is_exact(networks, scratch, role):
    import pandas as pd

    with interrupted(after=3):
        scratch.run_stage(role)
    scratch.run("train_cnn", *STAGES[role][1], "--resume")
    a, b = (p.models / role / "classifier.keras" for p in (scratch, networks))
    assert a.read_bytes() == b.read_bytes()
    ours, theirs = (
        pd.read_csv(p.models / role / "history.csv").drop(columns="seconds")
        for p in (scratch, networks)
    )
    assert ours.equals(theirs), "a row of the history was lost or changed on resuming"


def test_a_training_that_ends_in_no_numbers_stops_with_one_line(scratch):
    """The losses are of before each update; only the probabilities tell of the last."""
    flags = ["--width", "8", "--role", "control", "--steps", "2", "--learning-rate", "1e30"]
    with pytest.raises(InputError, match="not finite; lower --learning-rate"):
        scratch.run("train_cnn", *flags)
    assert not list((scratch.models / "control").glob("[!.]*"))


def test_other_steps_make_a_network_stale(scratch, capsys):
    for steps, trained in ((1, True), (1, False), (2, True)):
        flags = ["--width", "8", "--role", "control", "--steps", str(steps), "--if-stale"]
        assert scratch.run("train_cnn", *flags) == 0
        assert ("up to date" not in capsys.readouterr().out) == trained
        options = records.read_json(scratch.models / "control/options.json", "")
        assert options["options"]["steps"] == steps


def test_the_judge_keeps_its_recipe():
    """The recipe is as it was when results/gan/ was measured.

    Change it, and every row there has to be measured again.
    """
    recipe = {
        "optimizer": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 0.02,
        "stem": 1,
        "width": 32,
        "epochs": 40,
        "batch": 128,
        "sampler": "balanced",
        "augment": "classic",
        "colour_gain": 0,
        "sharpness": 0,
        "keep": "best",
        "middle": 28,
        "seed": 10015,
    }
    args = vars(train_cnn.parse_args(["--role", "judge"]))
    assert {name: args[name] for name in recipe} == recipe


def test_one_copy_of_a_held_out_image_among_many_is_one_too_many(networks):
    """One in 300 is below the share that may come near such an image by chance."""
    run = build_run(networks)
    images = np.random.default_rng(0).integers(0, 256, (300, 28, 28, 3), dtype=np.uint8)
    copies.refuse_held_out(run.inputs, "--synthetic", "s.csv", images)
    images[7] = run.inputs.part("test")[0][3]
    with pytest.raises(InputError, match="1 of its 300 images"):
        copies.refuse_held_out(run.inputs, "--synthetic", "s.csv", images)


def test_a_synthetic_table_that_holds_held_out_images_is_refused_whatever_its_provenance(
    pipeline, tmp_path
):
    copy = pipeline.copy(tmp_path)
    path = copy.outputs / "synthetic/hmnist_28_28_RGB.csv"
    record = path.with_name("provenance.json")
    made = read_table(path)
    parts = oracles.Parts(copy)
    for part in ("val", "test"):
        photographs, labels = parts.of(part)
        # One photograph, turned, among honest images.
        images = np.concatenate([made.images[:-1], photographs[:1].swapaxes(1, 2)])
        tables.write_table(path, [(images, np.append(made.labels[:-1], labels[0]))])
        forged = records.read_json(record, "") | {"table_sha256": checksums.file_sha256(path)}
        writing.write_json(record, forged)
        with pytest.raises(InputError, match=r"--synthetic .*: 1 of its .* val or test images"):
            copy.run("train_cnn", "--steps", "2")
