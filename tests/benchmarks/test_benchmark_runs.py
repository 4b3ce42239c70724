"""benchmarks/: what is trained and measured in this process.

The textbook DCGAN's losses are those computed by hand; the probe learns from the other half of the
train lesions than the judge.
"""

import numpy as np
import pytest

from lesiongan.nets import saved_models
from lesiongan.run import checkpoints
from tests.conftest import interrupted, load_fresh


def test_the_baseline_resumes_where_it_stopped(scratch):
    baseline = load_fresh("benchmarks.gan_baseline")

    def weights():
        return saved_models.load_generator(scratch.models / "gan/generator.keras").get_weights()

    flags = [*scratch.flags, "--epochs", "2"]
    baseline.main(flags)
    whole = weights()
    (scratch.models / "gan/options.json").unlink()
    with interrupted():
        baseline.main(flags)
    baseline.main([*flags, "--resume"])
    # They do not agree to the last bit: oneDNN's order of addition in this graph varies from step
    # to step, even within one process, and Adam makes a whole step of a gradient that is all
    # rounding. A forgotten slot or another order of the images moves most weights by about a step,
    # 2e-4.
    for a, b in zip(whole, weights(), strict=True):
        assert np.mean(np.abs(a - b)) < 1e-7


def test_the_baselines_players_want_opposite_things_of_images_under_their_labels(table_path):
    """In one step the critic tells real from generated, and the generator wants to pass for real.

    The losses are those of Goodfellow 2014.
    """
    import tensorflow as tf

    from lesiongan.data.tables import read_table

    baseline = load_fresh("benchmarks.gan_baseline")
    table = read_table(table_path)
    order = np.random.default_rng(1).permutation(len(table))
    images, labels, latents = baseline.batch_of(table.images, table.labels, 0, 0, 0, order)
    label_of = {
        np.sort(i.astype(np.float32).ravel()).tobytes(): c
        for i, c in zip(table.images, table.labels, strict=True)
    }
    assert [label_of[np.sort(i.ravel()).tobytes()] for i in images] == labels.tolist()
    assert latents.shape == (2, len(labels), baseline.LATENT)

    class Half:
        """A player with one weight w.

        The critic scores w times the mean, the generator paints w everywhere.
        """

        def __init__(self, value, paint=False):
            self.w, self.paint = tf.Variable(float(value)), paint
            self.trainable_variables = self.variables = [self.w]

        def __call__(self, inputs, training):
            if self.paint:
                return self.w * tf.ones((len(inputs[1]), 28, 28, 3))
            return self.w * tf.reshape(tf.reduce_mean(inputs[0], axis=(1, 2, 3)), (-1, 1))

    gan = baseline.Dcgan()
    gan.critic, gan.generator = Half(0.5), Half(3.0, paint=True)
    moves = []

    class Optimizer:
        def apply(self, gradients, variables):
            moves.append(float(gradients[0]))

    gan.optimizers = [Optimizer(), Optimizer()]
    bright = np.full((4, 28, 28, 3), 6.0, np.float32)
    critic_loss, generator_loss = gan._step(
        bright, np.zeros(4, np.int32), np.zeros((2, 4, 100), np.float32)
    )
    real, fake = 0.5 * 6, 0.5 * 3
    assert float(critic_loss) == pytest.approx(
        np.log1p(np.exp(-real)) + np.log1p(np.exp(fake)), rel=1e-5
    )
    assert float(generator_loss) == pytest.approx(np.log1p(np.exp(-fake)), rel=1e-5)
    # A brighter picture scores higher, so the generator goes there.
    assert moves[1] < 0


def test_the_probe_learns_from_half_b_and_measures_against_half_a(
    table_path, tmp_path, monkeypatch
):
    """The probe is the judge's counterpart with the halves swapped.

    So what is tuned by it is not tuned to the judge.
    """
    import train_cnn
    from lesiongan.run import runs
    from tests import oracles
    from tests.conftest import Pipeline
    from tests.teacher import Teacher

    probe = load_fresh("benchmarks.gan_probe")
    place = Pipeline(table_path, tmp_path)
    args = train_cnn.parse_args([*place.flags, "--role", "judge", "--if-stale"])
    args.seed, args.resume = probe.PROBE_SEED, False
    run, seen = runs.Run(args, "gan_probe"), []

    def teach(place, pool, val, shift):
        seen.extend([pool, val])
        checkpoints.save_state(place.checkpoint, [])
        return Teacher(*pool[:2], 7).build_network(), []

    monkeypatch.setattr(train_cnn, "train", teach)
    judge = probe.build_probe(run)
    a, b = oracles.Parts(place).halves()
    parts = oracles.Parts(place)
    np.testing.assert_array_equal(seen[0][0], parts.images[b])
    np.testing.assert_array_equal(seen[1][0], parts.of("val")[0])
    np.testing.assert_array_equal(np.flatnonzero(judge.floor), a)
    assert judge.held_out == "val"
