"""What makes a result stale: every flag of every script is tried on a finished run.

The table, the inputs and the code that a result rests on are changed one at a time.
"""

import argparse
import shutil
from dataclasses import replace

import numpy as np
import pytest

import eda
import train_gan
from lesiongan.data import lesions, split, tables
from lesiongan.data.tables import read_table
from lesiongan.files import checksums, claims, writing
from lesiongan.files.errors import InputError
from lesiongan.run import code_hash, inputs, runs
from lesiongan.run.folders import ResultFolder
from tests import oracles
from tests.conftest import STAGE_OF, STAGES, Pipeline

# These flags say where things are and how a script is called, and why a result may stay current
# under another value.
HARMLESS = {
    "--data": "the table's content counts, not its name",
    "--metadata": "likewise",
    "--label-order": "likewise: what is read shows in the hash of the data",
    "--trust-row-order": "shows in the protocol of the split",
    "--train-fraction": "shows in the record of the split, as does the next",
    "--train-share": "likewise",
    "--models-dir": "a copy elsewhere is the same run",
    "--outputs-dir": "likewise",
    "--deterministic": "TensorFlow on a CPU always is",
    "--dry-run": "computes nothing",
    "--quiet": "is about the screen alone",
    "--log-json": "writes a log beside the result",
    "--tensorboard": "likewise",
    "--if-stale": "asks what is tested here",
    "--resume": "a finished run has nothing to go on with",
    "--snapshots": "keeps more of the same training",
    "--isic-submission": "is written from predictions that are there",
    "--export": "writes a network that is there in another form",
    "--image": "answers photographs, which leaves no result folder",
    "--json": "likewise",
    "--map": "likewise",
    "--crop": "likewise",
    "--age": "likewise",
    "--sex": "likewise",
    "--site": "likewise",
    "--medmnist-csv": "is written from predictions that are there",
}
ELSEWHERE = {
    "--role": "each role has a folder of its own",
    "--task": "likewise",
    "--out": "likewise",
    "--clinical": "likewise",
    "--only": "likewise",
    "--style": "likewise",
    "--columns": "likewise",
    "--external": "likewise",
    "--from-predictions": "likewise",
    "--leaky-synthetic": "allows a set, whose hash counts",
    "--soft-labels": "names networks, whose hashes count",
    "--least-agreement": "goes with --soft-labels alone; test_teacher.py shows that it counts",
    "--soft-of": "likewise",
    "--steps": "goes without --epochs; test_cnn.py shows that it counts",
    "--external-metadata": "goes with --external alone, and its hash counts there",
    "--weights": "names other networks, whose hashes count",
    "--sample-only": "trains nothing, and draws what --samples and the like say",
}
# What these flags of a script ask for is another result, in a record of its own.
OTHER_RESULTS = {("evaluate", "--synthetic")}
VALUES = {
    "--epochs": "7",
    "--subset": "150",
    "--class-mix": "train",
    "--classes": "df,mel",
    "--synthetic": "none",
    "--real": "none",
    "--split": "image",
    "--width": "24",
}


def list_flags(script, monkeypatch):
    """The argparse actions of a script, by flag."""
    found = []
    with monkeypatch.context() as m:
        m.setattr(
            argparse.ArgumentParser,
            "parse_args",
            lambda self, *a: found.append(self) or self.exit(),
        )
        with pytest.raises(SystemExit):
            __import__(script).parse_args([])
    return {a.option_strings[0]: a for a in found[0]._actions if a.dest != "help"}


def other_value(flag, action, value):
    """The words of a command line that give `flag` another value than `value`."""
    if action.nargs == 0:
        return [flag]
    if flag in VALUES:
        return [flag, VALUES[flag]]
    if action.choices:
        return [flag, str(next(c for c in action.choices if c != value))]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AssertionError(
            f"{flag} is new: name it in HARMLESS or ELSEWHERE, or give another value for it in "
            "VALUES"
        )
    return [flag, str(value + 1 if isinstance(value, int) else value * 0.6 + 0.003)]


@pytest.mark.parametrize("script", STAGE_OF)
def test_every_flag_makes_a_result_stale_unless_it_is_named_harmless_here(
    script, is_stale, monkeypatch
):
    assert not is_stale(script)
    module = __import__(script)
    values = vars(module.parse_args([*is_stale.copy.flags, *STAGES[STAGE_OF[script]][1]]))
    flags = list_flags(script, monkeypatch)
    assert len(flags) >= 12
    missed = []
    for flag, action in flags.items():
        if flag in HARMLESS or flag in ELSEWHERE or (script, flag) in OTHER_RESULTS:
            continue
        words = other_value(flag, action, values[action.dest])
        changed = vars(
            module.parse_args([*is_stale.copy.flags, *STAGES[STAGE_OF[script]][1], *words])
        )
        # What a flag changes besides itself is held, so that the flag alone makes the result stale.
        for name in changed:
            if name != action.dest and changed[name] != values[name]:
                words += [f"--{name.replace('_', '-')}", str(values[name])]
        if not is_stale(script, *words):
            missed.append(flag)
    assert not missed, f"with another {', '.join(missed)} the old result passes for current"


@pytest.mark.parametrize("script", STAGE_OF)
def test_a_run_that_lies_elsewhere_is_the_same_run(script, is_stale, tmp_path):
    table = is_stale.copy.table
    moved = is_stale.copy.copy(
        tmp_path / "moved", table=writing.ensure_folder(tmp_path / "moved") / "another_name.csv"
    )
    shutil.copy(table, moved.table)
    metadata = tmp_path / "another.csv"
    shutil.copy(table.with_name("HAM10000_metadata.csv"), metadata)
    flags = ["--metadata", str(metadata), "--deterministic"]
    assert not is_stale(script, *flags, run=moved)


def change_table(path, folder, label=False):
    """A copy of a table and its metadata with one pixel changed, or one label and its dx."""
    images, labels = oracles.read_images(path)
    meta = path.with_name("HAM10000_metadata.csv").read_text().splitlines()
    if label:
        at = int(np.flatnonzero(labels == 4)[0])
        labels[at] = 6
        meta[at + 1] = meta[at + 1].replace(",nv,", ",mel,")
    else:
        images[3, 5, 5, 1] ^= 2
    other = writing.ensure_folder(folder) / path.name
    tables.write_table(other, [(images, labels)])
    other.with_name("HAM10000_metadata.csv").write_text("\n".join(meta) + "\n")
    return other


@pytest.mark.parametrize("label", [False, True])
def test_a_changed_pixel_and_a_changed_label_make_every_result_stale(is_stale, tmp_path, label):
    other = change_table(is_stale.copy.table, tmp_path / "data", label)
    assert read_table(other).sha256 != read_table(is_stale.copy.table).sha256
    changed = Pipeline(other, tmp_path)
    for script in STAGE_OF:
        assert is_stale(script, run=changed), script


def test_a_changed_input_makes_what_was_made_from_it_stale(pipeline, tmp_path, monkeypatch):
    """Each input that a record names is part of the fingerprint."""
    for script, stage in STAGE_OF.items():
        options = {"gan": "models/gan", "cnn": "models/cnn"}.get(stage, f"outputs/{stage}")
        inputs = oracles.read(pipeline.models.parent / options / "options.json")["inputs"]
        args = __import__(script).parse_args([*pipeline.flags, *STAGES[stage][1]])
        run = runs.Run(args, script)
        seen = {run.identify().fingerprint}
        for name in ["another", *inputs]:
            run.files = inputs | {name: "0" * 64}
            seen.add(run.identify().fingerprint)
        assert len(seen) == len(inputs) + 2
    assert oracles.read(pipeline.models / "cnn/options.json")["inputs"][
        "synthetic"
    ] == checksums.file_sha256(pipeline.outputs / "synthetic/hmnist_28_28_RGB.csv")


def test_what_goes_on_asks_for_the_same_packages_backend_and_determinism(scratch):
    import train_gan

    run = runs.Run(train_gan.parse_args(scratch.flags), "train_gan")

    def training_key():
        return ResultFolder(run, "options.json", run.identify()).training_key

    keys = {training_key()}
    for name, value in (("packages", {}), ("backend", "jax"), ("deterministic", True)):
        kept = run.environment[name]
        run.environment[name] = value
        keys.add(training_key())
        run.environment[name] = kept
    run.args.batch = 1
    keys.add(training_key())
    assert len(keys) == 5


def test_the_hash_of_a_table_is_of_its_shape_pixels_and_labels(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = (
        rng.integers(0, 256, (6, 28, 28, 3), dtype=np.uint8),
        np.array([0, 1, 2, 3, 4, 5]),
    )
    seen = set()
    for pixels, codes in (
        (images, labels),
        (images, labels[::-1]),
        (images[::-1], labels),
        (255 - images, labels),
        (images[:5], labels[:5]),
    ):
        tables.write_table(tmp_path / "t.csv", [(pixels, codes)])
        seen.add(read_table(tmp_path / "t.csv").sha256)
    assert len(seen) == 5
    assert tables.read_table(tmp_path / "t.csv").sha256 in seen


def test_artifacts_of_other_data_or_another_split_are_refused_by_name(pipeline):
    import train_cnn

    run = runs.Run(train_cnn.parse_args([*pipeline.flags]), "train_cnn")
    record = pipeline.models / "gan/options.json"
    assert run.inputs.check_made_from(record, "train_gan.py")["script"] == "train_gan"
    for what in ("data", "split"):
        other = replace(run.inputs, **{what: getattr(run.inputs, what) | {"sha256": "0" * 64}})
        with pytest.raises(InputError, match=f"made from other {what}"):
            other.check_made_from(record, "train_gan.py")


def test_another_seed_of_the_sampling_alone_makes_the_synthetic_set_stale(is_stale):
    assert not is_stale("train_gan", "--sample-only")
    assert is_stale("train_gan", "--sample-only", "--seed", "1")


def test_a_record_names_the_hash_of_the_code_that_trains_apart_from_that_of_all(drawn, monkeypatch):
    run = runs.Run(train_gan.parse_args(drawn.flags), "train_gan")
    whole, training = code_hash.hash_code("train_gan")
    assert whole != training
    assert (run.all_code_sha256, run.code_sha256) == (whole, training)
    record = oracles.read(drawn.models / "gan/options.json")
    assert record["code_sha256"] == training


def test_flags_of_the_table_reach_its_reading(table_path, monkeypatch, tmp_path):
    """The order of the codes, whether to trust the metadata, and which lesions are one's own."""
    asked = []
    monkeypatch.setattr(inputs, "kept", None)

    def note(table, metadata, external=False, trust=False):
        asked.append((metadata, trust))
        return lesions.group_lesions(table, metadata)

    monkeypatch.setattr(inputs, "group_lesions", note)
    for flags, trust in (([], False), (["--trust-row-order"], True)):
        inputs.load_inputs(eda.parse_args(["--data", str(table_path), *flags]))
        assert asked.pop() == ("auto", trust)
    images, labels = oracles.read_images(table_path)
    order = sorted(oracles.CLASSES)
    codes = np.array([order.index(c) for c in oracles.CLASSES])[labels]
    path = tmp_path / "alphabetical.csv"
    tables.write_table(path, [(images, codes)])
    flags = ["--data", str(path), "--metadata", "none", "--label-order", "alphabetical"]
    table = inputs.load_inputs(eda.parse_args(flags)).table
    np.testing.assert_array_equal(table.labels, labels)
    flags = ["--data", str(table_path), "--train-fraction", "0.3", "--split-seed"]
    shares = []
    for seed in (0, 1):
        found = inputs.load_inputs(eda.parse_args([*flags, str(seed)]))
        parts = split.split_table(found.table, "lesion", seed)
        own = split.own_part(found.table, parts, 0.3, seed) == "own"
        np.testing.assert_array_equal(found.parts == "train", own)
        # With the seed left out, other lesions would be one's own.
        shares.append((own != (split.own_part(found.table, parts, 0.3) == "own")).any())
    assert shares == [False, True]


def test_what_an_earlier_longer_training_left_goes(drawn, tmp_path, monkeypatch):
    run = drawn.copy(tmp_path)
    folder = run.models / "gan"
    for name in ("snapshots/epoch_0099.keras", "samples/epoch_0099.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("old")
        claims.write_claims(folder, [*claims.read_claims(folder), name])

    def train(*a):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_gan, "train", train)
    with pytest.raises(KeyboardInterrupt):
        run.run("train_gan", *STAGES["gan"][1], "--seed", "5")
    assert not list(folder.rglob("epoch_0099.*"))
