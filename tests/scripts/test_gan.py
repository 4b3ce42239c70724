"""What the GAN's networks and commands do: the label reaches both networks.

One backward pass gives each player the gradient of its own loss (against TensorFlow's tape). A
rerun and a resumed run give the same bytes; JAX runs the same file.
"""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import train_gan
from lesiongan import ROOT
from lesiongan.data.classes import CLASSES
from lesiongan.data.tables import read_table
from lesiongan.files import records
from lesiongan.files.errors import InputError
from lesiongan.nets import gan_augmentation, synthetic_set
from tests import oracles
from tests.conftest import GAN, interrupted


@pytest.fixture(scope="module")
def args():
    return train_gan.parse_args(["--batch", "16", "--width", "16"])


@pytest.fixture
def batch(args, table_path):
    table = read_table(table_path)
    return train_gan.build_batches(table.images, table.labels, args)(0, 0)


def latents(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, train_gan.LATENT)).astype(np.float32)


def test_label_reaches_generator_and_critic():
    generator, critic = train_gan.build_generator(16), train_gan.build_critic(16)
    z, y = np.repeat(latents(1), 7, axis=0), np.arange(7, dtype=np.int32)
    images = generator.predict([z, y], verbose=0)
    # One latent under seven labels gives seven pictures.
    for i in range(7):
        for j in range(i):
            assert np.abs(images[i] - images[j]).max() > 0.5
    scores = critic.predict([np.repeat(images[:1], 7, axis=0), y], verbose=0)
    assert len(np.unique(scores.round(6))) == 7


def test_each_image_keeps_its_own_label():
    """The output for (z, y) must not depend on its neighbours.

    Keras' own example scrambles labels over the batch.
    """
    generator, critic = train_gan.build_generator(16), train_gan.build_critic(16)
    z, y = latents(7), np.array([3, 1, 4, 1, 5, 2, 6], np.int32)
    together = generator.predict([z, y], verbose=0)
    scores = critic.predict([together, y], verbose=0)
    for i in (0, 3, 6):
        np.testing.assert_allclose(
            generator.predict([z[i : i + 1], y[i : i + 1]], verbose=0)[0], together[i], atol=1e-2
        )
        np.testing.assert_allclose(
            critic.predict([together[i : i + 1], y[i : i + 1]], verbose=0)[0], scores[i], atol=1e-4
        )


def test_images_leave_in_zero_to_255():
    images = train_gan.build_generator(16).predict(
        [20 * latents(50), np.zeros(50, np.int32)], verbose=0
    )
    assert images.dtype == np.float32
    assert 0 <= images.min() < 120 < images.max() <= 255


def test_first_three_latent_signs_turn_the_picture():
    generator = train_gan.build_generator(16)
    dense = next(layer for layer in generator.layers if "dense" in layer.name)
    kernel, bias = dense.get_weights()
    # The signs' other use, as part of the style, is taken away, so that the turn is left.
    kernel[:3] = 0
    dense.set_weights([kernel, bias])
    z = -np.abs(latents(1))
    turns = (lambda x: x[::-1], lambda x: x[:, ::-1], lambda x: x.swapaxes(0, 1))
    flat = generator.predict([z, np.array([4], np.int32)], verbose=0)[0]
    for i, turn in enumerate(turns):
        w = z.copy()
        w[0, i] *= -1
        turned = generator.predict([w, np.array([4], np.int32)], verbose=0)[0]
        np.testing.assert_allclose(turned, turn(flat), atol=1e-3)
        assert not np.allclose(turned, flat, atol=1)


def test_networks_of_64_pixels_can_be_built():
    """benchmarks/gan_bars.py asks what 64 x 64 would cost."""
    generator, critic = train_gan.build_generator(16, 64), train_gan.build_critic(16, 64)
    images = generator.predict([latents(2), np.array([0, 6], np.int32)], verbose=0)
    assert images.shape == (2, 64, 64, 3)
    assert critic.predict([images, np.array([0, 6], np.int32)], verbose=0).shape == (2,)


def test_random_turns_are_the_eight_views():
    x = gan_augmentation.random_turns(
        np.arange(2352, dtype=np.float32).reshape(1, 28, 28, 3).repeat(64, axis=0),
        np.random.default_rng(0),
    )
    # The turns are all eight views, and no others.
    assert len({v.tobytes() for v in x}) == 8


def test_one_backward_pass_gives_both_players_their_own_gradients(args, batch):
    """Oracle: the two losses, each differentiated alone with respect to its own player."""
    import tensorflow as tf

    gan = train_gan.build_gan(16, penalty=0.0, ema_momentum=0.9)
    batch = {k: tf.convert_to_tensor(v) for k, v in batch.items()}
    with tf.GradientTape() as tape:
        loss = gan.compute_loss(x=batch, y_pred=gan(batch, training=True))
    joint = tape.gradient(loss, gan.generator.trainable_variables + gan.critic.trainable_variables)

    def losses():
        fake = gan_augmentation.shift_and_zoom(
            gan.generator([batch["latent"], batch["label"]]), batch["fake_geometry"]
        )
        real = gan_augmentation.shift_and_zoom(batch["image"], batch["real_geometry"])
        lead = gan.critic([real, batch["label"]]) - gan.critic([fake, batch["label"]])
        return tf.reduce_mean(tf.nn.softplus(-lead)), tf.reduce_mean(tf.nn.softplus(lead))

    with tf.GradientTape(persistent=True) as tape:
        critic_loss, generator_loss = losses()
    alone = tape.gradient(generator_loss, gan.generator.trainable_variables)
    alone += tape.gradient(critic_loss, gan.critic.trainable_variables)
    assert float(loss) == pytest.approx(float(critic_loss), rel=1e-5)
    for a, b in zip(joint, alone, strict=True):
        a, b = tf.convert_to_tensor(a).numpy(), tf.convert_to_tensor(b).numpy()
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 + 1e-3 * np.abs(b).max())
    assert (
        max(
            np.abs(tf.convert_to_tensor(g)).max()
            for g in alone[: len(gan.generator.trainable_variables)]
        )
        > 0
    )


def test_slopes_are_directional_derivatives(table_path, monkeypatch):
    """The finite differences of the penalty against TensorFlow's exact gradient."""
    import tensorflow as tf

    # The step is short because the network is piecewise linear.
    monkeypatch.setattr(train_gan, "PENALTY_STEP", 0.05)
    gan = train_gan.build_gan(16, penalty=0.0, ema_momentum=0.9)
    table = read_table(table_path)
    batch = train_gan.build_batches(
        table.images, table.labels, train_gan.parse_args(["--batch", "64"])
    )(0, 0)
    k = len(batch["noise"]) // 2
    batch["real_geometry"] = np.tile(np.float32([1, 0]), (64, 2, 1))
    slopes = gan({n: tf.convert_to_tensor(v) for n, v in batch.items()}, training=True)["slopes"][
        :k
    ].numpy()
    x = tf.convert_to_tensor(batch["image"][:k])
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = gan.critic([x, tf.convert_to_tensor(batch["label"][:k])])
    exact = (tape.gradient(score, x).numpy() * 127.5 * batch["noise"][:k]).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(slopes, exact, rtol=0.05, atol=0.1 * np.abs(exact).max())


def test_a_shift_repeats_the_edge_and_no_shift_changes_nothing():
    image = np.random.default_rng(0).uniform(0, 255, (1, 28, 28, 3)).astype(np.float32)

    def warp(zoom_y, shift_y, zoom_x, shift_x):
        return np.asarray(
            gan_augmentation.shift_and_zoom(
                image, np.float32([[[zoom_y, shift_y], [zoom_x, shift_x]]])
            )
        )

    np.testing.assert_allclose(warp(1, 0, 1, 0), image, atol=1e-3)
    np.testing.assert_allclose(warp(1, 3, 1, 0)[:, :25], image[:, 3:], atol=1e-3)
    np.testing.assert_allclose(warp(1, 0, 1, -2)[:, :, 2:], image[:, :, :26], atol=1e-3)
    # Edges are repeated.
    np.testing.assert_allclose(warp(1, 40, 1, 0)[:, 5], image[:, 27], atol=1e-3)


def test_batches_depend_on_seed_epoch_and_position_alone(args, table_path):
    table = read_table(table_path)
    a, b = (train_gan.build_batches(table.images, table.labels, args) for _ in range(2))
    a(0, 0), a(0, 1)
    first = b(1, 1)
    for name, value in a(1, 1).items():
        np.testing.assert_array_equal(value, first[name])
    assert not np.array_equal(a(1, 0)["latent"], first["latent"])
    assert not np.array_equal(a(0, 1)["latent"], first["latent"])


def test_sampler_follows_label_power(table_path):
    table = read_table(table_path)
    natural, balanced = (
        np.bincount(np.concatenate([b(0, i)["label"] for i in range(40)]), minlength=7)
        for power in ("1", "0")
        for b in [
            train_gan.build_batches(
                table.images, table.labels, train_gan.parse_args(["--label-power", power])
            )
        ]
    )
    np.testing.assert_allclose(
        natural / natural.sum(), np.bincount(table.labels) / len(table), atol=0.04
    )
    np.testing.assert_allclose(balanced / balanced.sum(), np.full(7, 1 / 7), atol=0.03)


@pytest.mark.parametrize(
    ("mix", "n", "counts"),
    [
        ("balanced", 1000, [143, 143, 143, 143, 143, 143, 142]),
        ("train", 10, [1, 1, 1, 1, 4, 1, 1]),
        ("0,0,0,1,0,0,3", 8, [0, 0, 0, 2, 0, 0, 6]),
        ("balanced", 3, [1, 1, 1, 0, 0, 0, 0]),
    ],
)
def test_a_mix_gives_each_class_its_share_and_the_largest_remainders_the_rest(mix, n, counts):
    train = [1, 1, 1, 1, 4, 1, 1]
    assert np.bincount(synthetic_set.class_mix(mix, n, train), minlength=7).tolist() == counts


@pytest.mark.parametrize(
    "mix", ["1,2,3", "a,b", "0,0,0,0,0,0,0", "-1,1,1,1,1,1,1", "nan,1,1,1,1,1,1"]
)
def test_a_bad_class_mix_is_refused(mix):
    with pytest.raises(InputError, match="class-mix"):
        synthetic_set.class_mix(mix, 10, np.ones(7))


def test_synthetic_table_is_labelled_and_in_kaggles_layout(drawn):
    path = drawn.outputs / "synthetic" / "hmnist_28_28_RGB.csv"
    table = read_table(path)
    assert np.bincount(table.labels, minlength=7).tolist() == [5] * 7
    from PIL import Image

    for i in (0, 17, 34):
        name = CLASSES[table.labels[i]]
        png = np.asarray(Image.open(path.parent / "images" / name / f"{i:05d}.png"))
        np.testing.assert_array_equal(png, table.images[i])
    provenance = records.read_json(path.with_name("provenance.json"), "")
    assert provenance["images"] == dict.fromkeys(CLASSES, 5)
    assert "PHANTOM" in provenance["note"]
    assert (path.with_name("contact_sheet.png")).is_file()


def test_same_seed_same_bytes_and_other_seed_other_images(drawn, scratch):
    scratch.run("train_gan", *GAN)
    ours = (scratch.outputs / "synthetic/hmnist_28_28_RGB.csv").read_bytes()
    assert ours == (drawn.outputs / "synthetic/hmnist_28_28_RGB.csv").read_bytes()
    for name in ("samples/epoch_0002.png",):
        assert (scratch.models / "gan" / name).read_bytes() == (
            drawn.models / "gan" / name
        ).read_bytes()
    scratch.run(
        "train_gan", *GAN, "--sample-only", "--seed", "1", "--out", str(scratch.outputs / "other")
    )
    other = read_table(scratch.outputs / "other/hmnist_28_28_RGB.csv")
    assert not np.array_equal(
        other.images, read_table(scratch.outputs / "synthetic/hmnist_28_28_RGB.csv").images
    )


def test_two_generators_are_those_of_two_seeds(drawn, scratch):
    alone = drawn.copy(scratch.models.parent / "alone")
    alone.run("train_gan", *GAN, "--seed", "1")
    scratch.run("train_gan", *GAN, "--generators", "2")
    both = oracles.load(scratch.models / "gan/generator.keras")
    for number, run in enumerate((drawn, alone)):
        expected = oracles.load(run.models / "gan/generator.keras").get_weights()
        for ours, theirs in zip(
            both.get_layer(f"member_{number}").get_weights(), expected, strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    history, first, second = (
        pd.read_csv(p.models / "gan/history.csv") for p in (scratch, drawn, alone)
    )
    theirs = pd.concat([first, second]).drop(columns=["epoch", "seconds"])
    assert history.drop(columns=["epoch", "seconds"]).to_numpy().tolist() == (
        theirs.to_numpy().tolist()
    )
    sheet = " ".join((scratch.outputs / "synthetic/DATASHEET.md").read_text().split())
    assert "joins 2 generators, trained with the seeds 0 to 1" in sheet
    assert "| seed of the training | 0 to 1 |" in sheet
    assert "joins" not in (drawn.outputs / "synthetic/DATASHEET.md").read_text()
    # A record of one generator says nothing of several, so those of before there could be stay
    # current.
    assert oracles.read(scratch.models / "gan/options.json")["options"]["generators"] == 2
    assert "generators" not in oracles.read(drawn.models / "gan/options.json")["options"]


def test_interrupted_and_resumed_run_is_the_uninterrupted_one(drawn, scratch):
    with interrupted():
        scratch.run("train_gan", *GAN)
    assert not (scratch.models / "gan/options.json").exists()
    with pytest.raises(InputError, match="other data, options, code"):
        scratch.run("train_gan", *GAN, "--resume", "--learning-rate", "2e-3")
    scratch.run("train_gan", *GAN, "--resume")
    ours, theirs = (
        pd.read_csv(p.models / "gan/history.csv").drop(columns="seconds") for p in (scratch, drawn)
    )
    assert ours.equals(theirs), "a row of the history was lost or changed on resuming"
    ours = (scratch.outputs / "synthetic/hmnist_28_28_RGB.csv").read_bytes()
    assert ours == (drawn.outputs / "synthetic/hmnist_28_28_RGB.csv").read_bytes()


STRANGER = """
import sys, numpy as np, keras
assert r"{root}" not in sys.path
g = keras.saving.load_model(r"{models}/gan/generator.keras", safe_mode=True)
x = g.predict([np.zeros((2, 64), "f4"), np.array([0, 6], "i4")], verbose=0)
assert x.shape == (2, 28, 28, 3) and x.dtype == np.float32 and 0 <= x.min() and x.max() <= 255
for name in ("cnn", "judge"):
    c = keras.saving.load_model(r"{models}/" + name + "/classifier.keras", safe_mode=True)
    p = c.predict(np.full((2, 28, 28, 3), 128, "f4"), verbose=0)
    assert p.shape == (2, 7) and np.allclose(p.sum(axis=1), 1, atol=1e-5)
    assert len(c.get_layer("features").output.shape) == 2
"""


def test_saved_models_load_in_a_process_without_our_code(networks, tmp_path):
    code = STRANGER.format(root=ROOT, models=networks.models)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_class_that_was_never_seen_is_never_generated():
    """The generator knows nothing of a class that the train part lacks.

    So it never draws it, whatever mix is asked for.
    """
    train = [1, 1, 1, 0, 1, 1, 1]
    for mix in ("balanced", "train", "1,1,1,9,1,1,1"):
        labels = synthetic_set.class_mix(mix, 60, train)
        assert len(labels) == 60
        assert 3 not in labels
    with pytest.raises(InputError, match="no images in the train part"):
        synthetic_set.class_mix("0,0,0,1,0,0,0", 60, train)


def test_the_last_of_several_generators_needs_a_seed_too(capsys):
    assert train_gan.parse_args(["--seed", str(2**32 - 2), "--generators", "2"]).generators == 2
    with pytest.raises(SystemExit) as e:
        train_gan.parse_args(["--seed", str(2**32 - 1), "--generators", "2"])
    assert e.value.code == 2
    assert "has no seed left" in capsys.readouterr().err


def test_flags_left_out_mean_the_recipe_of_the_published_run():
    """But for those that `make weights` gives."""
    published = json.loads((ROOT / "results/run/gan_options.json").read_text())
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    given = re.search("^weights: GAN_FLAGS = (.*)$", makefile, re.MULTILINE)[1].split()
    assert [f for f in given if f.startswith("--")] == ["--generators"]
    args = vars(train_gan.parse_args(given))
    for flag, value in published["options"].items():
        assert args[flag] == value, flag
    made = json.loads((ROOT / "results/run/synthetic_provenance.json").read_text())
    for flag in ("samples", "class_mix", "no_png", "seed"):
        assert args[flag] == made["options"]["sampling"][flag], flag
