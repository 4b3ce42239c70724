"""--train-fraction and --train-share through the scripts: what is trained on, what is refused."""

import numpy as np
import pandas as pd
import pytest

import eda
import evaluate
import train_cnn
import train_gan
import visualize_results
from lesiongan.data import tables
from lesiongan.files.errors import InputError
from lesiongan.measures import predictions, synthetic_sets, training_pool
from lesiongan.nets import set_sources
from lesiongan.plots import pages
from lesiongan.run import runs
from tests import oracles
from tests.conftest import CNN, GAN, LEARNED, Pipeline

TENTH = ["--train-fraction", "0.1"]
SCRIPTS = {"train_gan": train_gan, "train_cnn": train_cnn, "eda": eda, "evaluate": evaluate}


def start(pipeline, script, *flags):
    return runs.Run(SCRIPTS[script].parse_args([*pipeline.flags, *flags]), script)


@pytest.fixture(scope="module")
def shared(table_path, tmp_path_factory):
    """A generator of the others' lesions, a judge and a classifier of one's own, evaluated."""
    run = Pipeline(table_path, tmp_path_factory.mktemp("fraction"))
    third = ["--train-fraction", "0.3"]
    assert run.run("train_gan", *GAN, *third, "--train-share", "others") == 0
    for flags in ([*LEARNED, "--role", "judge"], [*CNN, "--synthetic-weight", "1"]):
        assert run.run("train_cnn", *flags, *third) == 0
    assert run.run("evaluate", *third) == 0
    return run


def test_one_file_names_both_shares_and_has_one_hash(shared):
    own, others = (
        start(shared, "train_cnn", *TENTH, "--train-share", share) for share in ("own", "others")
    )
    assert own.inputs.split_text == others.inputs.split_text
    assert own.inputs.split["sha256"] == others.inputs.split["sha256"]
    assert "10 % of the train lesions" in own.inputs.split["protocol"]
    assert "all but 10 % of the train lesions" in others.inputs.split["protocol"]
    found = pd.read_csv(shared.outputs / "split.csv", dtype=str)
    assert set(found.part) == {"own", "others", "val", "test"}


def test_at_one_the_split_is_todays_byte_for_byte(shared):
    whole, one = (start(shared, "train_cnn", *flags) for flags in ([], ["--train-fraction", "1"]))
    assert whole.inputs.split_text == one.inputs.split_text
    assert ",train\n" in whole.inputs.split_text
    assert "train_share" not in whole.inputs.split
    assert whole.identify().fingerprint == one.identify().fingerprint


@pytest.mark.parametrize("share", ["own", "others"])
def test_training_sees_one_share_alone(shared, share):
    split = pd.read_csv(shared.outputs / "split.csv")
    images, labels = oracles.read_images(shared.table)
    run = start(shared, "train_gan", "--train-fraction", "0.3", "--train-share", share)
    found_images, found_labels = run.inputs.part("train")
    np.testing.assert_array_equal(found_images, images[split.part == share])
    np.testing.assert_array_equal(found_labels, labels[split.part == share])
    flags = ["--synthetic", "none", "--train-fraction", "0.3", "--train-share", share]
    pool = training_pool.gather(start(shared, "train_cnn", *flags))
    np.testing.assert_array_equal(pool[0], images[split.part == share])
    val, _ = run.inputs.part("val")
    np.testing.assert_array_equal(val, images[split.part == "val"])


def test_a_generator_of_others_and_a_classifier_of_own_share_no_lesion(shared):
    records = {name: oracles.read(shared.models / name / "options.json") for name in ("gan", "cnn")}
    shares = {name: record["split"]["train_share"] for name, record in records.items()}
    assert shares == {"gan": "others", "cnn": "own"}
    assert records["gan"]["split"]["sha256"] == records["cnn"]["split"]["sha256"]
    split = pd.read_csv(shared.outputs / "split.csv", dtype={"lesion": str})
    seen = {share: set(split.lesion[split.part == share]) for share in ("own", "others")}
    assert seen["own"] and seen["others"]  # noqa: PT018
    assert not seen["own"] & seen["others"]
    assert records["cnn"]["synthetic_images"] == 35
    made = records["gan"]["split"]["images"]["train"]
    assert sum(made) == (split.part == "others").sum()


def test_copies_are_looked_for_where_the_generator_learned(shared):
    split = pd.read_csv(shared.outputs / "split.csv")
    nearest = pd.read_csv(shared.outputs / "evaluation/nearest.csv")
    others = set(split.row[split.part == "others"])
    assert set(nearest.train_row) <= others
    # So are spectra compared with the train images of that share.
    quality = oracles.read(shared.outputs / "evaluation/synthetic_quality.json")
    labels = oracles.read_images(shared.table)[1][split.part == "others"]
    seen = {c: f["n_train"] for c, f in quality["spectrum"].items() if "n_train" in f}
    assert seen
    assert seen == {c: (labels == oracles.CLASSES.index(c)).sum() for c in seen}
    # The predictions are of the test part, which no fraction moves.
    rows = pd.read_csv(shared.outputs / "evaluation/predictions.csv").row
    assert set(rows) == set(split.row[split.part == "test"])


def test_a_lesion_of_either_share_in_test_is_a_leak(shared, tmp_path):
    split = pd.read_csv(shared.outputs / "split.csv", dtype=str)
    rows = split.row[split.part == "test"].astype(int).to_numpy()
    assert predictions.read_lesions(shared.outputs / "split.csv", rows)[1] is False
    for share in ("own", "others"):
        leaky = split.copy()
        leaky.loc[leaky.part == share, "lesion"] = leaky.lesion[leaky.part == "test"].iloc[0]
        leaky.to_csv(tmp_path / "split.csv", index=False)
        assert predictions.read_lesions(tmp_path / "split.csv", rows)[1] is True


def test_networks_of_the_other_share_are_refused(shared):
    flags = ["--train-fraction", "0.3", "--train-share", "others"]
    with pytest.raises(InputError, match="was trained with --train-share own"):
        shared.run("evaluate", *flags, "--if-stale")


def test_sets_are_compared_with_what_their_generator_learned_from(shared, tmp_path):
    """Here the set is copies of the others' images, which the own share knows nothing of."""
    flags = ["--train-fraction", "0.3"]
    run = start(shared, "evaluate", *flags)
    others = run.inputs.of_share("others")
    assert "all but 30 %" in others.split["protocol"]
    images, labels = others.part("train")
    assert sum(others.split["images"]["train"]) == len(labels)
    table = tables.Table("s", "hmnist_28_28_RGB", images, labels, "sha", np.arange(len(labels)))
    made = set_sources.SyntheticSet(table, "train_gan.py", {"split": {"train_share": "others"}})
    (found,) = synthetic_sets.measure(run.inputs, None, ["s"], [made])
    assert found["memorisation"]["value"] == found["copies"]["value"] == 1
    assert not found["passes_as_new"]["passes"]


def test_a_set_is_drawn_from_the_generator_of_the_share_that_is_named(shared, tmp_path):
    """Otherwise its record would say that the generator had learned from other lesions."""
    flags = [*GAN, "--train-fraction", "0.3", "--sample-only", "--out", str(tmp_path / "set")]
    with pytest.raises(InputError, match="was trained with --train-share others"):
        shared.run("train_gan", *flags)
    assert not (tmp_path / "set/provenance.json").exists()
    assert shared.run("train_gan", *flags, "--train-share", "others", "--no-png") == 0
    assert oracles.read(tmp_path / "set/provenance.json")["split"]["train_share"] == "others"


def test_another_fraction_is_another_split(shared):
    with pytest.raises(InputError, match=r"made from other (data|split)"):
        shared.run("evaluate", *TENTH)
    with pytest.raises(InputError, match="--train-fraction or --metadata differ"):
        training_pool.gather(start(shared, "train_cnn", *TENTH))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--train-share", "others"], "there are no others"),
        (["--train-fraction", "0.5", "--split", "image"], "it needs --split lesion"),
    ],
)
def test_contradictions_are_refused(shared, flags, words):
    with pytest.raises(InputError, match=words):
        start(shared, "train_cnn", *flags)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "nan", "a"])
def test_a_fraction_is_above_0_and_up_to_1(shared, value, capsys):
    with pytest.raises(SystemExit):
        train_cnn.parse_args([*shared.flags, "--train-fraction", value])
    assert "--train-fraction" in capsys.readouterr().err


def test_figures_of_the_other_share_are_not_drawn(shared):
    from lesiongan.plots.sources import Missing, Sources

    for share in ("own", "others"):
        flags = ["--train-fraction", "0.3", "--train-share", share]
        args = visualize_results.parse_args([*shared.flags, *flags])
        sources = Sources(runs.Run(args, "visualize_results"), pages.choose("paper", "own"))
        if share == "own":
            sources.check_evaluation()
        else:
            with pytest.raises(Missing, match="is of --train-share own"):
                sources.check_evaluation()
