"""benchmarks/: the commands that they would run have the right seed, split, images and half of the
train lesions; the textbook DCGAN's losses are those computed by hand.
"""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.workplace import Workplace
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.nets import saved_models
from lesiongan.run import checkpoints, classifier_flags
from tests.conftest import interrupted, load_benchmark


@pytest.fixture(scope="module")
def bars():
    return load_benchmark("gan_bars")


def test_the_image_split_has_its_recipe_and_leakage_that_of_the_lesion_split(tmp_path, monkeypatch):
    bars, calls = load_benchmark("classifier_bars"), []
    place = Workplace("classifier", tmp_path)
    monkeypatch.setattr(place, "call", lambda *flags: calls.append([*map(str, flags)]))
    monkeypatch.setattr(
        place, "evaluate", lambda name, why, *flags: calls.append([name, *map(str, flags)])
    )
    monkeypatch.setattr(bars, "write_row", lambda place, *what: calls.append([*map(str, what)]))
    bars.measure_image(place, 3)
    bars.measure_leak(place, 3)
    (image, *image_rest), (leak, *leak_rest) = calls[:3], calls[3:]
    flags = ["--seed", "3", "--split", "image"]
    assert image == [
        "train_cnn.py",
        "image_3",
        "--epochs",
        "90",
        "--learning-rate",
        "0.004",
        *flags,
        *image[-3:],
    ]
    assert leak == ["train_cnn.py", "leak_3", *flags, *leak[-3:]]
    assert image[-3:] == leak[-3:] == ["--synthetic", "none", "--resume"]
    assert image_rest == [["image_3", *flags], ["image_split", "image_3", "3"]]
    assert leak_rest == [["leak_3", *flags], ["leak_split", "leak_3", "3"]]
    assert "--deterministic" in place.flags("leak_3")


def test_a_reading_of_test_is_noted_once(tmp_path, monkeypatch):
    from benchmarks import workplace

    monkeypatch.setattr(workplace, "ROOT", tmp_path)
    log = tmp_path / "results/TEST_LOG.md"
    log.parent.mkdir()
    log.write_text("")
    place = Workplace("gan")
    record = place.outputs("x") / "evaluation/options.json"
    record.parent.mkdir(parents=True)
    # Of the record after each call: the second had nothing to do.
    commits = iter(["a", "a", "b", "c"])
    rows = iter([10015, 10015, 10015, 600])

    def call(*_):
        data = {"name": "t.csv", "phantom": False, "rows": next(rows)}
        environment = {"commit": next(commits)}
        record.write_text(
            json.dumps({"date": "2026-01-02 03:04:05", "data": data, "environment": environment})
        )

    monkeypatch.setattr(place, "call", call)
    for lines in (1, 1, 2):
        place.evaluate("x", "why")
        assert log.read_text().count("x: why") == lines
    with pytest.raises(InputError, match=r"t\.csv: is not HAM10000"):
        place.evaluate("x", "why")
    assert log.read_text().count("x: why") == 2


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
    # Not to the last bit: oneDNN's order of addition in this graph varies from step to step, even
    # within one process, and Adam makes a whole step of a gradient that is all rounding. A
    # forgotten slot or another order of the images moves most weights by about a step, 2e-4.
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


def test_the_arms_of_a_seed_learn_from_that_seeds_synthetic_images(tmp_path):
    place = Workplace("arms", tmp_path)
    for seed in (0, 3):
        path = place.outputs(f"lesion_{seed}") / "synthetic/hmnist_28_28_RGB.csv"
        writing.write_text(path, str(seed))
        assert place.synthetic(seed) == path
    with pytest.raises(InputError, match="lesion 1"):
        place.synthetic(1)


class Calls:
    """A Workplace that notes the commands it is asked for instead of running them."""

    def __init__(self, folder):
        self.place, self.made = Workplace("x", folder), []
        self.place.call = lambda script, name, *flags: self.made.append(
            [script, name, *map(str, flags)]
        )
        self.place.evaluate = lambda name, why, *flags: self.made.append(
            ["evaluate.py", name, *map(str, flags)]
        )


def test_every_arm_is_trained_with_its_own_flags_on_its_own_seeds_images(tmp_path, monkeypatch):
    arms = load_benchmark("arms")
    calls = Calls(tmp_path)
    synthetic = calls.place.outputs("lesion_3") / "synthetic/hmnist_28_28_RGB.csv"
    writing.write_text(synthetic, "")
    monkeypatch.setattr(writing, "write_text", lambda *a: None)
    monkeypatch.setattr(type(tmp_path), "read_text", lambda self: "")
    packed = []
    monkeypatch.setattr(arms, "pack", lambda source, target: packed.append((source, target)))
    own = {
        "plain": ["--synthetic", "none", "--augment", "none"],
        "balanced": ["--synthetic", "none", "--sampler", "balanced"],
        "repeated": ["--synthetic", "none", "--repeat-real", "1000"],
        "plain_synthetic": ["--augment", "none", "--synthetic", str(synthetic)],
        "full_weight": ["--synthetic-weight", "1", "--synthetic", str(synthetic)],
        "synthetic_only": ["--real", "none", "--synthetic", str(synthetic)],
    }
    for arm, flags in own.items():
        calls.made.clear()
        arms.measure_arm(calls.place, arm, 3)
        assert calls.made == [
            ["train_cnn.py", f"arm_{arm}_3", "--seed", "3", *flags, "--resume"],
            ["evaluate.py", f"arm_{arm}_3", "--seed", "3"],
        ]
        outputs = calls.place.outputs(f"arm_{arm}_3")
        assert packed[-2:] == [
            (
                outputs / "evaluation/predictions.csv",
                calls.place.results / f"{arm}_3/predictions.csv.gz",
            ),
            (outputs / "split.csv", calls.place.results / "splits/lesion_split.csv.gz"),
        ]
    assert {a for a, (_, flags) in arms.ARMS.items() if flags is None} == {
        "classic",
        "classic_synthetic",
    }
    with pytest.raises(InputError, match="which trains it"):
        arms.measure_arm(calls.place, "classic", 3)


def test_a_gan_is_measured_by_one_judge_and_by_networks_of_its_own_seed(
    bars, tmp_path, monkeypatch
):
    calls = Calls(tmp_path)
    monkeypatch.setattr(
        bars.shutil,
        "copytree",
        lambda source, target, **k: calls.made.append([str(source), str(target)]),
    )
    monkeypatch.setattr(bars, "read_row", lambda models, outputs: (models, outputs))
    place = calls.place
    assert bars.evaluate_gan(place, "seed_2", 2) == (
        place.models("seed_2"),
        place.outputs("seed_2"),
    )
    by_script = [c for c in calls.made if c[0].endswith(".py")]
    judge, real, few, many, synthetic, evaluation = by_script
    assert judge == ["train_cnn.py", "judge", "--role", "judge", "--resume"]
    assert real[:6] == ["train_cnn.py", "real_2", "--seed", "2", "--role", "control"]
    assert few == ["train_gan.py", "seed_2", "--seed", "2", "--sample-only", "--samples", "1000"]
    table = place.outputs("seed_2") / "cas"
    assert many == [*few[:-1], "20000", "--no-png", "--out", str(table)]
    path = str(table / "hmnist_28_28_RGB.csv")
    assert synthetic[:8] == [
        "train_cnn.py",
        "seed_2",
        "--seed",
        "2",
        "--real",
        "none",
        "--synthetic",
        path,
    ]
    # Alike but for what they learn from.
    for network in (real, synthetic):
        assert {
            "--sampler=balanced",
            "--synthetic-weight=1.0",
            "--optimizer=adamw",
            "--stem=1",
        } <= set(network)
        assert network[network.index("--keep") : network.index("--keep") + 2] == ["--keep", "last"]
        assert network[-2:] == ["--epochs", "20"]
    assert evaluation == ["evaluate.py", "seed_2", "--seed", "2"]
    copied = [c for c in calls.made if not c[0].endswith(".py")]
    folders = [(place.models("judge"), "judge"), (place.models("real_2"), "control")]
    assert copied == [
        [str(source / role), str(place.models("seed_2") / role)] for source, role in folders
    ]


def test_the_arms_of_the_main_result_draw_their_images_with_their_own_seed(tmp_path, monkeypatch):
    classifier = load_benchmark("classifier_bars")
    calls, place = Calls(tmp_path), None
    place = calls.place
    monkeypatch.setattr(
        classifier, "write_row", lambda place, *what: calls.made.append([*map(str, what)])
    )
    with pytest.raises(InputError, match="no GAN"):
        classifier.measure_lesion(place, 2)
    writing.write_text(place.models("seed_0") / "gan/generator.keras", "")
    classifier.measure_lesion(place, 2)
    assert (place.models("lesion_2") / "gan/generator.keras").is_file()
    seed = ["lesion_2", "--seed", "2"]
    assert calls.made == [
        ["train_gan.py", *seed, "--sample-only", "--no-png"],
        ["train_cnn.py", *seed, "--role", "control", "--resume"],
        ["train_cnn.py", *seed, "--resume"],
        ["evaluate.py", *seed],
        ["lesion_split", "lesion_2", "2"],
    ]


def test_every_gan_is_trained_with_its_own_seed(bars, tmp_path, monkeypatch):
    calls = Calls(tmp_path)
    for name in ("evaluate_gan", "score_snapshots"):
        monkeypatch.setattr(
            bars, name, lambda *a, name=name: {"made": name} if name == "evaluate_gan" else [a[1]]
        )
    bars.measure(calls.place, "seed", 3)
    bars.measure(calls.place, "baseline", 3)
    assert calls.made == [
        ["train_gan.py", "seed_3", "--seed", "3", "--snapshots", "--resume"],
        ["benchmarks/gan_baseline.py", "baseline", "--resume"],
    ]
    assert records.read_json(calls.place.results / "seed_3.json", "") == {
        "made": "evaluate_gan",
        "curve": ["seed_3"],
    }


def test_a_recipe_on_file_is_every_choice_of_the_training():

    classifier = load_benchmark("classifier_bars")
    choices = set(classifier_flags.RECIPE) | {
        "learning_rate",
        "weight_decay",
        "width",
        "batch",
        "augment",
    }
    assert choices <= set(classifier.RECIPE)


def test_the_baselines_players_want_opposite_things_of_images_under_their_labels(table_path):
    """One step: the critic's loss is of real against generated, the generator's of passing for
    real (Goodfellow 2014).
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
        """A player with one weight w: the critic scores w times the mean, the generator paints w
        everywhere.
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
    # A brighter picture scores higher: the generator goes there.
    assert moves[1] < 0


def test_the_probe_learns_from_half_b_and_measures_against_half_a(
    table_path, tmp_path, monkeypatch
):
    """The judge's counterpart with the halves swapped, so that what is tuned by it is not tuned
    to the judge.
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
        "split": record["split"] | {"images": {"all": publish.HAM10000_COUNTS}},
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
