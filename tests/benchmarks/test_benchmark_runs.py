"""benchmarks/: what is trained, measured and published in this process.

The textbook DCGAN's losses are those computed by hand; the probe learns from the other half of the
train lesions than the judge; the curve is measured against val; only whole runs are published.
"""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.workplace import Workplace
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.nets import saved_models
from lesiongan.run import checkpoints
from tests.conftest import interrupted, load_benchmark


def test_the_baseline_resumes_where_it_stopped(scratch):
    baseline = load_benchmark("gan_baseline")

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


def test_the_curve_over_training_time_is_measured_against_val_by_the_halves_judge(
    bars, pipeline, monkeypatch
):
    """The judge measures half B against val; test is read once a run, and not for the curve."""
    from lesiongan.measures import synthetic_quality
    from tests import oracles

    place = Workplace("gan", pipeline.models.parent)
    monkeypatch.setattr(place, "models", lambda name: pipeline.models)
    monkeypatch.setattr(place, "flags", lambda name: pipeline.flags)
    snapshots = writing.ensure_folder(pipeline.models / "gan/snapshots")
    (snapshots / "epoch_0002.keras").write_bytes(
        (pipeline.models / "gan/generator.keras").read_bytes()
    )
    given = []

    def measure(run, synthetic, judge, generator, fake, held_out, by_class):
        given.append((judge, held_out))
        return 1, {"frechet_ratio": {"value": 3.0}}, {}

    monkeypatch.setattr(synthetic_quality, "measure_distances", measure)
    (row,) = bars.score_snapshots(place, "seed_0")
    (snapshots / "epoch_0002.keras").unlink()
    parts = oracles.Parts(pipeline)
    ((judge, held_out),) = given
    np.testing.assert_allclose(held_out, judge.features(parts.of("val")[0]))
    assert judge.held_out == "val"
    np.testing.assert_array_equal(np.flatnonzero(judge.floor), parts.halves()[1])
    seconds = pd.read_csv(pipeline.models / "gan/history.csv").seconds
    assert row == {"epoch": 2, "minutes": pytest.approx(seconds.sum() / 60), "frechet_ratio": 3.0}


def test_the_baselines_players_want_opposite_things_of_images_under_their_labels(table_path):
    """In one step the critic tells real from generated, and the generator wants to pass for real.

    The losses are those of Goodfellow 2014.
    """
    import tensorflow as tf

    from lesiongan.data.tables import read_table

    baseline = load_benchmark("gan_baseline")
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

    probe = load_benchmark("gan_probe")
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


def test_only_a_whole_run_of_the_lesion_split_is_published(pipeline, tmp_path, monkeypatch):
    publish = load_benchmark("publish_run")
    monkeypatch.setattr(publish, "RUN", tmp_path / "published" / "run")
    copy = pipeline.copy(tmp_path)
    path = copy.outputs / "evaluation/options.json"
    record = json.loads(path.read_text())
    whole = {
        "data": record["data"] | {"phantom": False},
        "split": record["split"]
        | {"protocol": "lesion split", "images": {"all": publish.HAM10000_COUNTS}},
    }

    def offer(**change):
        new = record | whole
        for key, value in change.items():
            new = new | {key: new[key] | value}
        path.write_text(json.dumps(new))
        try:
            publish.copy_run(copy.models, copy.outputs)
        except InputError as e:
            return str(e)
        return "published"

    only = "only full runs on HAM10000 are published"
    writing.ensure_folder(publish.RUN.parent)
    assert offer() == "published"
    predictions = gzip.decompress((publish.RUN / "predictions.csv.gz").read_bytes())
    assert predictions == (copy.outputs / "evaluation/predictions.csv").read_bytes()
    split = gzip.decompress((publish.RUN.parent / "splits/lesion_split.csv.gz").read_bytes())
    assert split == (copy.outputs / "split.csv").read_bytes()
    assert only in offer(split={"protocol": "image split, leaky"})
    assert only in offer(split={"split_seed": 1})
    assert only in offer(data={"phantom": True})
    assert only in offer(split={"images": {"all": [1] * 7}})
