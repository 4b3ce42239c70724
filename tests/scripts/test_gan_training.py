"""Each step of train_gan.py against the formula it stands for (moving average, penalty, schedule,
batches); its training loop, seen by a stub GAN that records its calls; and the synthetic set, drawn
again by plain Keras from the latents that it documents.
"""

import numpy as np
import pandas as pd
import pytest

import train_gan
from lesiongan.data.classes import CLASSES
from lesiongan.data.tables import read_table
from lesiongan.files import checksums
from lesiongan.nets import gan_augmentation, saved_models, synthetic_set
from lesiongan.run import gan_flags, keras_setup, runs
from lesiongan.run.folders import ResultFolder
from tests import oracles
from tests.conftest import interrupted
from tests.stress.damaged_files import Variable

SMALL = ["--batch", "16", "--width", "16"]


@pytest.fixture(scope="module")
def table(table_path):
    return read_table(table_path)


def weights(network):
    return [np.array(w) for w in network.get_weights()]


def test_the_kept_generator_averages_over_eight_epochs_or_a_tenth_of_a_short_run(
    table, monkeypatch
):
    """Karras et al. 2018: an exponential moving average of the weights; after its half-life the
    first counts half.
    """
    asked, build = [], train_gan.build_gan
    monkeypatch.setattr(train_gan, "build_gan", lambda *a: asked.append(a) or build(*a))
    short, epochs, half_life = 20, 200, 8
    for n in (short, epochs):
        args = train_gan.parse_args(
            [*SMALL, "--epochs", str(n), "--penalty", "0.02", "--learning-rate", "1e-3"]
        )
        gan, batches, each = train_gan.prepare(table.images, table.labels, args)
        assert each == round(len(table) / 16)
    assert [a[:2] for a in asked] == [(16, 0.02)] * 2
    assert asked[0][2] ** (2 * each) == pytest.approx(0.5)
    path = [weights(gan.generator)]
    for a, b in zip(path[0], weights(gan.ema), strict=True):
        np.testing.assert_array_equal(a, b)
    for i in range(3):
        gan.train_on_batch(batches(0, i))
        path.append(weights(gan.generator))
    kept = 0.5 ** (1 / (half_life * each))
    for i, average in enumerate(weights(gan.ema)):
        # Each step averages in the weights that it found.
        expected = path[0][i]
        for found in (path[0][i], path[1][i], path[2][i]):
            expected = kept * expected + (1 - kept) * found
        moved = np.abs(path[2][i] - path[0][i]).max()
        np.testing.assert_allclose(average, expected, atol=1e-7 + 1e-3 * (1 - kept) * moved)
    # It did move.
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(path[0], path[1], strict=True))
    rates = [
        float(gan.optimizer._learning_rate(step)) for step in (0, epochs * each // 2, epochs * each)
    ]
    # A cosine over all steps, down to 5 %
    assert rates == pytest.approx([1e-3, 1e-3 * 0.525, 1e-3 * 0.05], rel=1e-3)
    assert (gan.optimizer.beta_1, gan.optimizer.beta_2) == (0, 0.99)


def test_the_penalty_is_the_weighted_mean_square_of_the_slopes_at_real_and_at_generated_images(
    table,
):
    """And it is the critic's alone: the generator's gradient does not depend on it."""
    import tensorflow as tf

    batch = train_gan.build_batches(
        table.images, table.labels, train_gan.parse_args(["--batch", "64", "--width", "16"])
    )(0, 0)
    batch = {k: tf.convert_to_tensor(v) for k, v in batch.items()}
    k = len(batch["noise"]) // 2
    assert k == 4
    losses, gradients, players = [], [], None
    for penalty in (0.0, 3.0):
        gan = train_gan.build_gan(16, penalty, 0.9)
        if players:
            gan.generator.set_weights(players[0])
            gan.critic.set_weights(players[1])
        players = weights(gan.generator), weights(gan.critic)
        with tf.GradientTape(persistent=True) as tape:
            out = gan(batch, training=True)
            losses.append(float(loss := gan.compute_loss(x=batch, y_pred=out)))
        gradients.append(
            [
                tape.gradient(loss, gan.generator.trainable_variables),
                tape.gradient(loss, gan.critic.trainable_variables),
            ]
        )
    # Grey levels; it stands in no options.json.
    assert train_gan.PENALTY_STEP == 4
    slopes = out["slopes"].numpy()
    assert slopes.shape == (2 * k,)
    assert losses[1] - losses[0] == pytest.approx(3 * (slopes**2).mean(), rel=1e-3)
    for a, b in zip(gradients[0][0], gradients[1][0], strict=True):
        a, b = tf.convert_to_tensor(a).numpy(), tf.convert_to_tensor(b).numpy()
        np.testing.assert_allclose(a, b, atol=1e-6 + 1e-4 * np.abs(a).max())
    largest = (
        [tf.convert_to_tensor(g).numpy() for g in gradients[0][1]],
        [tf.convert_to_tensor(g).numpy() for g in gradients[1][1]],
    )
    assert any(np.abs(a - b).max() > 1e-3 * np.abs(a).max() for a, b in zip(*largest, strict=True))
    # The slopes by hand: central differences of the critic at the first images of the batch, as it
    # sees them.
    seen = [
        gan_augmentation.shift_and_zoom(images, batch[f"{kind}_geometry"])[:k].numpy()
        for kind, images in (
            ("real", batch["image"]),
            ("fake", gan.generator([batch["latent"], batch["label"]])),
        )
    ]
    at, y = np.concatenate(seen), np.tile(batch["label"][:k], 2)
    step = train_gan.PENALTY_STEP * batch["noise"].numpy()
    ahead, behind = (gan.critic([at + sign * step, y]).numpy() for sign in (1, -1))
    np.testing.assert_allclose(
        slopes, (ahead - behind) / (2 * train_gan.PENALTY_STEP) * 127.5, rtol=1e-3, atol=1e-4
    )


def test_losses_and_accuracy_on_file_are_those_of_real_against_generated(table):
    """Relativistic pairing (Jolicoeur-Martineau 2018): the critic wants D(real) above D(fake),
    the generator the reverse.
    """
    gan = train_gan.build_gan(16, 0.5, 0.9)
    lead = np.array([2.0, -1.0, 0.5, 3.0], np.float32)
    real = np.array([5.0, 1.0, 0.0, -2.0], np.float32)
    out = {
        "real": real,
        "fake": real - lead,
        "switch": np.zeros(4, np.float32),
        "slopes": np.array([1.0, 3.0], np.float32),
    }
    loss = float(gan.compute_loss(y_pred=out))
    found = {name: float(mean.result()) for name, mean in gan.means.items()}
    critic, generator = np.log1p(np.exp(-lead)).mean(), np.log1p(np.exp(lead)).mean()
    assert found == pytest.approx(
        {"critic_loss": critic, "generator_loss": generator, "penalty": 5, "accuracy": 0.75},
        rel=1e-5,
    )
    assert loss == pytest.approx(critic + 0.5 * 5, rel=1e-5)
    assert train_gan.HISTORY[1:5] == tuple(found)


def test_a_batch_is_turned_real_images_of_its_labels_under_geometries_of_their_own(table):
    args = train_gan.parse_args(["--batch", "400", "--augment", "0.3", "--seed", "7"])
    batches = train_gan.build_batches(table.images, table.labels, args)
    batch = batches(0, 0)
    views = {}
    for image, label in zip(table.images, table.labels, strict=True):
        for i, view in enumerate(oracles.eight_views(image[None])):
            views.setdefault(view.astype(np.float32).tobytes(), set()).add((i, label))
    turns = set()
    for image, label in zip(batch["image"], batch["label"], strict=True):
        known = views[image.tobytes()]
        assert label in {code for _, code in known}, "an image stands under another class's label"
        turns |= {i for i, _ in known}
    assert turns == set(range(8))
    for name in ("real_geometry", "fake_geometry"):
        zoom, shift = batch[name][..., 0], batch[name][..., 1]
        used = (zoom != 1).any(axis=1)
        assert used.mean() == pytest.approx(0.3, abs=0.08)
        assert (shift[~used] == 0).all()
        # One zoom for both axes, a shift for each.
        np.testing.assert_array_equal(zoom[:, 0], zoom[:, 1])
        assert 0.15 < np.abs(np.log(zoom)).max() <= 0.2
        assert 3 < np.abs(shift).max() <= 4
        assert np.abs(shift[used][:, 0] - shift[used][:, 1]).min() > 0
    assert not np.array_equal(batch["real_geometry"], batch["fake_geometry"])
    latent = batch["latent"]
    assert latent.shape == (400, train_gan.LATENT)
    assert (latent.mean(), latent.std()) == pytest.approx((0, 1), abs=0.02)
    assert (batch["noise"].mean(), batch["noise"].std()) == pytest.approx((0, 1), abs=0.02)
    other = train_gan.build_batches(
        table.images, table.labels, train_gan.parse_args(["--batch", "400"])
    )(0, 0)
    # Of another seed.
    assert not np.array_equal(other["latent"], latent)
    later = [batches(*at)["latent"] for at in ((0, 1), (1, 0), (1, 1))]
    # Each step of each epoch draws anew.
    assert len({x.tobytes() for x in (latent, *later)}) == 4


def test_each_axis_is_moved_by_its_own_shift_and_zoom():
    """Against Pillow's bilinear transform, away from the edges."""
    from PIL import Image

    smooth = np.random.default_rng(0).uniform(0, 255, (7, 7, 3)).astype(np.float32)
    image = np.stack(
        [
            np.asarray(Image.fromarray(smooth[..., c]).resize((28, 28), Image.Resampling.BICUBIC))
            for c in range(3)
        ],
        axis=-1,
    )
    zoom_y, shift_y, zoom_x, shift_x = 1.1, 2.0, 0.9, -3.0
    found = np.asarray(
        gan_augmentation.shift_and_zoom(
            image[None], np.float32([[[zoom_y, shift_y], [zoom_x, shift_x]]])
        )
    )[0]
    # Pillow reads output pixel centre x + 1/2 at a (x + 1/2) + c.
    c = 14 - zoom_x * 14 + shift_x, 14 - zoom_y * 14 + shift_y
    expected = np.stack(
        [
            np.asarray(
                Image.fromarray(image[..., i]).transform(
                    (28, 28),
                    Image.Transform.AFFINE,
                    (zoom_x, 0, c[0], 0, zoom_y, c[1]),
                    Image.Resampling.BILINEAR,
                )
            )
            for i in range(3)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(found[6:22, 6:22], expected[6:22, 6:22], atol=0.5)


# ---------------------------------------------------------------- the training loop


class Notes:
    """A GAN that notes its batches; its generator and its average have a weight each, the number
    of steps and of epochs.
    """

    def __init__(self):
        self.batches, self.means = (
            [],
            dict.fromkeys(("critic_loss", "generator_loss", "penalty", "accuracy")),
        )
        self.generator, self.critic, self.ema = (
            type("Network", (), {"variables": [Variable(np.zeros(1))]})() for _ in range(3)
        )
        self.optimizer = type("Optimizer", (), {"variables": [Variable(np.zeros(1))]})()

    @property
    def variables(self):
        return [v for network in (self.generator, self.critic, self.ema) for v in network.variables]

    def train_on_batch(self, batch, return_dict):
        self.batches.append(batch)
        for add, variable in (
            (1, self.generator.variables[0]),
            (0.5, self.ema.variables[0]),
            (2, self.optimizer.variables[0]),
        ):
            variable.assign(variable.value + add)
        n = float(len(self.batches))
        return {"critic_loss": n, "generator_loss": 2 * n, "penalty": 3 * n, "accuracy": n % 2}


@pytest.fixture
def loop(table_path, tmp_path, monkeypatch):
    """Function: run the training loop for four epochs of three steps: (notes, history, [(file,
    network) saved]).
    """

    def run_loop(*flags, resuming=False, seen=None):
        args = train_gan.parse_args(
            ["--data", str(table_path), "--epochs", "4", "--grid-every", "2", *flags]
        )
        run = runs.Run(args, "train_gan")
        place = ResultFolder(run, tmp_path / "options.json", run.identify(gan_flags.SAMPLING))
        notes, saved = Notes(), []

        def prepare(images, labels, args):
            if seen is not None:
                seen.extend([images, labels])
            return notes, lambda epoch, i: (epoch, i), 3

        monkeypatch.setattr(train_gan, "prepare", prepare)
        monkeypatch.setattr(
            saved_models, "save", lambda path, network: saved.append((path.name, network))
        )
        monkeypatch.setattr(synthetic_set, "fixed_grid", lambda network: network)
        monkeypatch.setattr(
            synthetic_set,
            "save_grid",
            lambda path, network, note: saved.append((path.name, network)),
        )
        history = train_gan.train(place, resuming)
        return notes, history, saved

    return run_loop


def test_the_gan_learns_from_the_train_part_alone(loop, drawn):
    seen = []
    loop(seen=seen)
    images, labels = oracles.Parts(drawn).of("train")
    np.testing.assert_array_equal(seen[0], images)
    np.testing.assert_array_equal(seen[1], labels)


def test_each_step_of_each_epoch_is_trained_once_and_the_average_is_what_is_kept_and_shown(loop):
    notes, history, saved = loop("--snapshots")
    assert notes.batches == [(epoch, i) for epoch in range(4) for i in range(3)]
    # Means over the epoch's steps, not its last.
    assert [h["critic_loss"] for h in history] == [2, 5, 8, 11]
    assert [h["generator_loss"] for h in history] == [4, 10, 16, 22]
    assert [h["penalty"] for h in history] == [6, 15, 24, 33]
    assert [name for name, _ in saved] == [
        f"epoch_{e:04d}.{kind}" for e in (1, 2, 4) for kind in ("png", "keras")
    ] + ["generator.keras"]
    assert all(network is notes.ema for _, network in saved), (
        "another network than the moving average is kept or shown"
    )


def test_a_resumed_gan_has_every_epoch_once_and_every_network_and_the_optimizer_back(
    loop, tmp_path
):
    whole = loop()
    table = pd.read_csv(tmp_path / "history.csv")
    for stop_after in (1, 3):
        with interrupted(stop_after):
            loop()
        notes, history, _ = loop(resuming=True)
        assert notes.batches == whole[0].batches[3 * stop_after :]
        assert [h["epoch"] for h in history] == [1, 2, 3, 4]
        assert [h["critic_loss"] for h in history[:stop_after]] == [
            h["critic_loss"] for h in whole[1][:stop_after]
        ]
        for name in ("generator", "ema", "optimizer"):
            ours, theirs = (getattr(n, name).variables[0].value for n in (notes, whole[0]))
            np.testing.assert_array_equal(ours, theirs, f"{name} was not restored")
        assert (
            pd.read_csv(tmp_path / "history.csv").epoch.tolist()
            == table.epoch.tolist()
            == [1, 2, 3, 4]
        )


# ---------------------------------------------------------------- the synthetic set


class Painter:
    """A generator whose images say what it was asked for: the label in the first pixel, the
    latent's start in others.
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
    chunks = list(synthetic_set.generate_in_chunks(Painter(), labels, 3))
    images, given = np.concatenate([c[0] for c in chunks]), np.concatenate([c[1] for c in chunks])
    np.testing.assert_array_equal(given, labels)
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
    # No latent twice.
    assert len({image.tobytes() for image in images[:, 1]}) == 2300
    z = [
        np.random.default_rng((3, 2, chunk)).standard_normal((n, 64), dtype=np.float32)
        for chunk, n in enumerate((1000, 1000, 300))
    ]
    expected = np.rint(np.clip(128 + 40 * np.concatenate(z)[:, :28], 0, 255))
    np.testing.assert_array_equal(images[:, 1, :, 0], expected)
    few = next(iter(synthetic_set.generate_in_chunks(Painter(), labels[:60], 3)))[0]
    np.testing.assert_array_equal(few, images[:60])
    assert not np.array_equal(
        few, next(iter(synthetic_set.generate_in_chunks(Painter(), labels[:60], 4)))[0]
    )


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
    # One latent a column.
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


def test_another_seed_starts_from_other_weights():
    first = []
    for seed in (0, 1, 1):
        keras_setup.seed_everything(seed)
        first.append(weights(train_gan.build_gan(16, 0.0, 0.9).generator))
    assert not all(np.array_equal(a, b) for a, b in zip(first[0], first[1], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first[1], first[2], strict=True))


def test_the_gans_seed_and_determinism_reach_the_machine(table, monkeypatch):
    asked = []
    real = keras_setup.seed_everything
    monkeypatch.setattr(keras_setup, "seed_everything", lambda *a: asked.append(a) or real(*a))
    train_gan.prepare(table.images, table.labels, train_gan.parse_args([*SMALL, "--seed", "9"]))
    assert asked == [(9, False)]


def test_random_streams_of_the_batches_are_those_of_published_networks(table):
    """Frozen by hash, to two digits: another stream, or another order of drawing, is another
    training.
    """
    import hashlib

    batch = train_gan.build_batches(
        table.images, table.labels, train_gan.parse_args(["--seed", "3"])
    )(2, 1)
    drawn = [
        batch["label"],
        *(
            batch[n].round(2)
            for n in ("latent", "real_geometry", "fake_geometry", "noise", "image")
        ),
    ]
    digest = hashlib.sha256(
        b"".join(np.ascontiguousarray(x + 0).astype("<f4").tobytes() for x in drawn)
    ).hexdigest()
    assert digest[:16] == "a0e37fe95d4a6f60"


def test_the_mix_train_is_that_of_the_train_part(drawn, tmp_path, monkeypatch):
    asked = []

    def stop(text, n, labels):
        asked.append((text, n, labels))
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic_set, "class_mix", stop)
    with pytest.raises(KeyboardInterrupt):
        drawn.run(
            "train_gan",
            "--samples",
            "77",
            "--class-mix",
            "train",
            "--sample-only",
            "--out",
            str(tmp_path / "set"),
        )
    ((text, n, labels),) = asked
    assert (text, n) == ("train", 77)
    np.testing.assert_array_equal(labels, oracles.Parts(drawn).of("train")[1])


def test_the_networks_are_as_large_as_the_published_ones():
    """Layer by layer: another width or depth anywhere is another GAN, which no option would
    tell.
    """
    sizes = [
        network.count_params()
        for network in (train_gan.build_generator(), train_gan.build_critic())
    ]
    assert sizes == [570_851, 465_825]
    shapes = [
        tuple(layer.output.shape[1:])
        for layer in train_gan.build_critic().layers
        if "conv2d" in layer.name
    ]
    assert shapes == [(14, 14, 32), (7, 7, 64), (7, 7, 64), (4, 4, 128)]
