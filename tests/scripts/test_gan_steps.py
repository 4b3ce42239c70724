"""Each step of train_gan.py against the formula it stands for.

These are the moving average, the penalty, the schedule, the losses, the batches and the networks'
sizes.
"""

import numpy as np
import pytest

import train_gan
from lesiongan.data.tables import read_table
from lesiongan.nets import gan_augmentation
from lesiongan.run import keras_setup
from tests import oracles

SMALL = ["--batch", "16", "--width", "16"]


@pytest.fixture(scope="module")
def table(table_path):
    return read_table(table_path)


def weights(network):
    return [np.array(w) for w in network.get_weights()]


def test_the_kept_generator_averages_over_eight_epochs_or_a_tenth_of_a_short_run(
    table, monkeypatch
):
    """The weights are averaged exponentially, as by Karras et al. 2018.

    After the half-life of the average the first weights count half.
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
    # The weights did move.
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(path[0], path[1], strict=True))
    rates = [
        float(gan.optimizer._learning_rate(step)) for step in (0, epochs * each // 2, epochs * each)
    ]
    # The rate is a cosine over all steps, down to 5 %.
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
    # The step, in grey levels, stands in no options.json.
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
    # The slopes are computed by hand, as central differences of the critic at the first images of
    # the batch, as it sees them.
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
    """The critic wants D(real) above D(fake), the generator the reverse.

    This is the relativistic pairing of Jolicoeur-Martineau 2018.
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
        # Both axes have one zoom, and each has a shift of its own.
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
    # Another seed draws other latents.
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
    """The streams are frozen by hash, to two digits.

    Another stream, or another order of drawing, is another training.
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


def test_the_generator_learns_by_its_own_loss_however_far_the_critic_leads():
    """Both players share one backward pass; what is added must have softplus(lead)'s gradient."""
    import tensorflow as tf

    gan = train_gan.build_gan(16, 0.0, 0.9)
    lead = tf.linspace(-6.0, 6.0, 25)
    switch = tf.Variable(tf.zeros(25))
    seen = {"real": lead, "fake": tf.zeros(25), "switch": switch, "slopes": tf.zeros(2)}
    with tf.GradientTape() as tape:
        loss = gan.compute_loss(y_pred=seen)
    found = tape.gradient(loss, switch).numpy()
    # d generator_loss / d fake over d critic_loss / d fake: -sigmoid(lead) / sigmoid(-lead).
    np.testing.assert_allclose(found, -np.exp(lead.numpy()), rtol=1e-3)


def test_the_critic_sees_black_as_minus_one_and_white_as_one():
    critic = train_gan.build_critic()
    (scale,) = [x for x in critic.layers if type(x).__name__ == "Rescaling"]
    ends = np.asarray(scale(np.array([[0.0, 127.5, 255.0]], np.float32)))
    np.testing.assert_allclose(ends, [[-1, 0, 1]], atol=1e-6)
    slopes = {x.negative_slope for x in critic.layers if type(x).__name__ == "LeakyReLU"}
    assert {round(float(s), 6) for s in slopes} == {0.2}


def test_the_networks_are_as_large_as_the_published_ones():
    """The sizes are compared layer by layer.

    Another width or depth anywhere is another GAN, which no option would tell.
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
