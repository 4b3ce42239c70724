"""The classifier that takes age, sex and site beside the image: taught, saved, scored, compared."""

import shutil

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

import train_cnn
from lesiongan.data import clinical
from lesiongan.files.errors import InputError
from lesiongan.measures import training_pool
from lesiongan.nets import clinical_network, onnx_export, saved_models
from lesiongan.run import runs
from tests import oracles
from tests.conftest import LEARNED
from tests.oracles import P

SITES = ["unknown", *sorted(set(clinical.SITES) - {"unknown"})]


def inputs_of(images, meta):
    """What the network takes, by pandas: ages in years, sexes and sites by number, or unknown."""
    return {
        "image": images.astype(np.float32),
        "age": meta.age.fillna(-1).to_numpy(np.float32),
        "sex": meta.sex.map({"female": 1, "male": 2}).fillna(0).to_numpy(np.int32),
        "site": np.array([SITES.index(s) for s in meta.localization], np.int32),
    }


@pytest.fixture(scope="module")
def run(networks, tmp_path_factory):
    """A run with a clinical network beside the others, evaluated."""
    copy = networks.copy(tmp_path_factory.mktemp("clinical"))
    flags = [*LEARNED, "--clinical", "--epochs", "6", "--repeat-real", "5"]
    assert copy.run("train_cnn", *flags) == 0
    return copy


@pytest.fixture(scope="module")
def meta(run):
    return pd.read_csv(run.table.with_name("HAM10000_metadata.csv"))


@pytest.fixture(scope="module")
def scored(run):
    shutil.rmtree(run.models / "control")
    assert run.run("train_cnn", *LEARNED, "--epochs", "6", "--repeat-real", "5") == 0
    assert run.run("evaluate") == 0
    return run


def read_p(run, name):
    return pd.read_csv(run.outputs / f"evaluation/predictions{name}.csv")


def flags_of(run, *more):
    return train_cnn.parse_args([*run.flags, "--clinical", *more])


def test_it_takes_four_named_inputs_and_loads_in_stock_keras(run):
    path = run.models / "clinical/classifier.keras"
    model = oracles.load(path)
    shapes = {name: tuple(i.shape) for name, i in model.input.items()}
    assert shapes == {
        "image": (None, 28, 28, 3),
        "age": (None,),
        "sex": (None,),
        "site": (None,),
    }
    assert model.input["age"].dtype == "float32"
    assert {model.input["sex"].dtype, model.input["site"].dtype} == {"int32"}
    saved_models.load_classifier(path, takes_clinical=True)
    with pytest.raises(InputError, match="is no classifier of 7 classes"):
        saved_models.load_classifier(path)
    with pytest.raises(InputError, match=r"is no clinical classifier.*train_cnn.py --clinical"):
        saved_models.load_classifier(run.models / "cnn/classifier.keras", takes_clinical=True)


def test_each_value_reaches_the_probabilities_and_ages_do_by_decade(run, meta):
    images, _ = oracles.read_images(run.table)
    model = oracles.load(run.models / "clinical/classifier.keras")
    base = inputs_of(images[:6], meta[:6]) | clinical.unknown(6)

    def ask(**values):
        changed = base | {k: np.full_like(base[k], v) for k, v in values.items()}
        return model.predict(changed, verbose=0)

    for value in ({"age": 45}, {"sex": 1}, {"site": 3}):
        assert np.abs(ask(**value) - ask()).max() > 1e-4
    np.testing.assert_array_equal(ask(age=40), ask(age=49))
    np.testing.assert_array_equal(ask(age=80), ask(age=120))
    assert np.abs(ask(age=0) - ask()).max() > 1e-4
    assert np.abs(ask(age=39) - ask(age=40)).max() > 1e-4


def test_the_pool_knows_of_real_and_repeated_images_and_not_of_synthetic_ones(run, meta):
    parts = oracles.Parts(run)
    own = runs.Run(flags_of(run, "--repeat-real", "40"), "train_cnn")
    images, _, _, synthetic = training_pool.gather(own)
    pool, val = training_pool.gather_clinical(own, len(images))
    rows = parts.rows("train")
    expected = inputs_of(images[: len(rows)], meta.iloc[rows])
    theirs = inputs_of(parts.of("val")[0], meta.iloc[parts.rows("val")])
    last = len(images) - synthetic
    for name, nothing in (("age", -1), ("sex", 0), ("site", 0)):
        np.testing.assert_array_equal(pool[name][: len(rows)], expected[name])
        np.testing.assert_array_equal(val[name], theirs[name])
        assert (pool[name][last:] == nothing).all()
    # A repeated image carries the values of the image that it repeats.
    at = {image.tobytes(): i for i, image in enumerate(images[: len(rows)])}
    again = [at[image.tobytes()] for image in images[len(rows) : last]]
    assert len(again) == 40
    for name in clinical.NAMES:
        np.testing.assert_array_equal(pool[name][len(rows) : last], pool[name][again])
    alone = runs.Run(flags_of(run, "--real", "none"), "train_cnn")
    drawn = len(training_pool.gather(alone)[0])
    assert (training_pool.gather_clinical(alone, drawn)[0]["age"] == -1).all()


def test_what_is_known_of_the_train_part_reaches_its_batches_and_of_val_the_temperature(
    run, meta, monkeypatch, tmp_path
):
    parts, seen = oracles.Parts(run), []

    def batches(images, targets, weights, args, known=None, finish=None):
        seen.append(known)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_pool, "build_batches", batches)
    words = [*LEARNED, "--clinical", "--synthetic", "none", "--models-dir", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        run.run("train_cnn", *words)
    wanted = inputs_of(parts.of("train")[0], meta.iloc[parts.rows("train")])
    assert len(set(wanted["age"])) > 3
    for name in clinical.NAMES:
        np.testing.assert_array_equal(seen[0][name], wanted[name])
    # The temperature is fitted for val, told what is known of it.
    fitted = []

    def fit(network, images, targets, shift, clinical=None):
        fitted.append(clinical)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_cnn, "train", lambda *a: (None, []))
    monkeypatch.setattr(train_cnn.calibration, "fit_temperature", fit)
    with pytest.raises(KeyboardInterrupt):
        run.run("train_cnn", *words)
    wanted = inputs_of(parts.of("val")[0], meta.iloc[parts.rows("val")])
    for name in clinical.NAMES:
        np.testing.assert_array_equal(fitted[0][name], wanted[name])


def test_batches_forget_values_and_no_others(run):
    n = 300
    args = flags_of(run, "--batch", "200")
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 28, 28, 3), np.uint8)
    known = {
        "age": np.arange(n).astype(np.float32),
        "sex": np.full(n, 2, np.int32),
        "site": np.arange(n).astype(np.int32),
    }
    y, w = np.arange(n) % 7, np.ones(n, np.float32)
    batch = training_pool.build_batches(images, y, w, args, known)
    x, targets, _ = batch(3)
    seen = x["site"] > 0
    # Image, age and site of a row belong together.
    np.testing.assert_array_equal(x["image"][seen, 0, 0, 0], x["site"][seen].astype(np.uint8))
    np.testing.assert_array_equal(targets[seen], x["site"][seen] % 7)
    both = seen & (x["age"] >= 0)
    np.testing.assert_array_equal(x["age"][both], x["site"][both])
    assert 0.2 < np.mean(~seen) < 0.6
    again = training_pool.build_batches(images, y, w, args, known)(3)[0]
    for name, values in x.items():
        np.testing.assert_array_equal(values, again[name])
    assert (batch(4)[0]["site"] != x["site"]).any()


def test_a_diagnosis_that_the_site_alone_tells_is_learned_from_it(run):
    """All images are alike; without the site the network can but guess."""
    args = flags_of(run, "--width", "8", "--batch", "64", "--augment", "flips")
    n = 640
    site = np.arange(n) % 2 + 1
    known = clinical.unknown(n) | {"site": site.astype(np.int32)}
    images, y = np.full((n, 28, 28, 3), 120, np.uint8), (site == 1).astype(np.int32)
    model, network = train_cnn.prepare(args, 2, 60)
    batch = training_pool.build_batches(images, y, np.ones(n, np.float32), args, known)
    for step in range(60):
        model.train_on_batch(*batch(step))
    told = network.predict({"image": images.astype(np.float32), **known}, verbose=0)
    assert (told.argmax(axis=1) == y).all()
    blind = network.predict({"image": images.astype(np.float32), **clinical.unknown(n)}, verbose=0)
    assert np.ptp(blind, axis=0).max() < 1e-4
    margin = np.abs(blind[:, 0] - blind[:, 1]).mean()
    assert margin < 0.3 * np.abs(told[:, 0] - told[:, 1]).mean()


def test_predictions_are_the_networks_with_and_without_what_is_known(scored, meta):
    parts = oracles.Parts(scored)
    model = oracles.load(scored.models / "clinical/classifier.keras")
    images, labels = parts.of("test")
    known = inputs_of(images, meta.iloc[parts.rows("test")])
    for name, values in (
        ("_clinical", known),
        ("_clinical_unknown", clinical.unknown(len(images))),
    ):
        found = read_p(scored, name)
        views = [
            model.predict({**known, **values, "image": v.astype(np.float32)}, verbose=0)
            for v in oracles.eight_views(images)
        ]
        np.testing.assert_allclose(found[P], np.mean(views, axis=0), atol=1e-5)
        assert found.row.tolist() == parts.rows("test").tolist()
        assert found.label.tolist() == labels.tolist()


def test_it_is_calibrated_and_kept_with_its_own_points(run, meta):
    parts = oracles.Parts(run)
    options = oracles.read(run.models / "clinical/options.json")
    images, labels = parts.of("val")
    known = inputs_of(images, meta.iloc[parts.rows("val")])
    model = oracles.load(run.models / "clinical/classifier.keras")
    views = [
        model.predict({**known, "image": v.astype(np.float32)}, verbose=0).astype(float)
        for v in oracles.eight_views(images)
    ]
    expected = oracles.log_loss(labels, np.mean(views, axis=0))
    assert options["val"]["log_loss"] == pytest.approx(expected, rel=1e-4)
    assert options["options"]["clinical"] is True
    assert set(options["inputs"]) == {"synthetic", "metadata"}


def test_it_is_decided_at_its_own_points(scored):
    points = oracles.read(scored.outputs / "evaluation/context.json")["points"]
    for label, folder in (
        ("classifier", "cnn"),
        ("clinical", "clinical"),
        ("clinical_unknown", "clinical"),
    ):
        own = oracles.read(scored.models / folder / "options.json")["operating_points"]
        assert points[label] == own
    assert points["clinical"] != points["classifier"]


def test_it_is_compared_with_the_image_alone(scored):
    found = oracles.read(scored.outputs / "evaluation/metrics.json")
    told = found["clinical_minus_classifier"]
    tables = {name: read_p(scored, name) for name in ("", "_clinical", "_clinical_unknown")}
    auc = {}
    for name, table in tables.items():
        present = sorted(set(table.label))
        auc[name] = np.mean([sk.roc_auc_score(table.label == c, table[P[c]]) for c in present])
        model = found["models"]["classifier" if not name else name[1:]]
        assert model["auc"]["value"] == pytest.approx(auc[name])
    assert told["auc"]["value"] == pytest.approx(auc["_clinical"] - auc[""])
    assert told["auc"]["low"] < told["auc"]["value"] < told["auc"]["high"]
    assert "paired over lesions" in told["auc"]["protocol"]
    page = (scored.outputs / "evaluation/metrics.json").read_text()
    assert "clinical_unknown" in page


def test_a_network_of_another_recipe_is_not_compared(networks, run, tmp_path):
    other = networks.copy(tmp_path)
    shutil.copytree(run.models / "clinical", other.models / "clinical")
    assert other.run("evaluate") == 0
    told = oracles.read(other.outputs / "evaluation/metrics.json")["clinical_minus_classifier"]
    # The clinical network has other steps and other real images than the shared run's classifier.
    assert told["value"] is None
    assert "differ in more than their data" in told["reason"]


def test_without_metadata_it_says_what_is_missing(run, tmp_path):
    with pytest.raises(InputError, match=r"--clinical needs metadata with age"):
        run.run("train_cnn", "--clinical", "--metadata", "none", "--outputs-dir", str(tmp_path),
                "--synthetic", "none", "--models-dir", str(tmp_path))  # fmt: skip
    assert not (tmp_path / "clinical").exists()


@pytest.mark.parametrize(
    "flags", [("--role", "control"), ("--role", "judge"), ("--task", "malignancy")]
)
def test_it_is_a_network_of_its_own(run, flags, capsys):
    with pytest.raises(SystemExit):
        flags_of(run, *flags)
    assert "--clinical goes with --role classifier and --task dx" in capsys.readouterr().err


def test_other_ages_of_the_same_lesions_make_it_stale(run, tmp_path, capsys):
    copy = run.copy(tmp_path)
    flags = [*LEARNED, "--clinical", "--epochs", "6", "--repeat-real", "5", "--if-stale"]
    assert copy.run("train_cnn", *flags) == 0
    assert "up to date" in capsys.readouterr().out
    other = tmp_path / "other.csv"
    text = run.table.with_name("HAM10000_metadata.csv").read_text()
    other.write_text(text.replace(",female,", ",male,"))
    assert copy.run("train_cnn", *flags, "--metadata", str(other)) == 0
    assert "up to date" not in capsys.readouterr().out


# ---------------------------------------------------------------- in use


@pytest.fixture(scope="module")
def photograph(run, tmp_path_factory):
    """(path of a picture of 28 x 28 pixels, the picture)."""
    from PIL import Image

    image = oracles.read_images(run.table)[0][5]
    path = tmp_path_factory.mktemp("photographs") / "a.png"
    Image.fromarray(image).save(path)
    return path, image


def test_with_fixed_values_it_is_a_network_of_images(run, meta):
    images, _ = oracles.read_images(run.table)
    model = oracles.load(run.models / "clinical/classifier.keras")
    known = inputs_of(images[:9], meta[:9])
    for i in range(9):
        one = {name: v[i : i + 1] for name, v in known.items()}
        fixed = clinical_network.fix(model, one)
        np.testing.assert_allclose(
            fixed.predict(one["image"], verbose=0), model.predict(one, verbose=0), atol=1e-5
        )
    assert fixed.get_layer("features").output.shape[-1] == fixed.get_layer("logits").input.shape[-1]


@pytest.mark.parametrize(
    ("flags", "values"),
    [
        (["--age", "61", "--sex", "female", "--site", "lower extremity"], (61, 1, 10)),
        (["--site", "face"], (-1, 0, 6)),
        (["--age", "0", "--sex", "unknown"], (0, 0, 0)),
    ],
)
def test_a_photograph_is_answered_with_what_is_told(run, photograph, tmp_path, flags, values):
    path, image = photograph
    out = tmp_path / "answers.json"
    assert run.run("evaluate", "--image", str(path), "--json", str(out), *flags) == 0
    found = oracles.read(out)
    model = oracles.load(run.models / "clinical/classifier.keras")
    age, sex, site = values
    assert [clinical.SITES[site], clinical.SEXES[sex]] == [
        found["told"]["site"] or "unknown",
        found["told"]["sex"] or "unknown",
    ]
    views = [
        model.predict(
            {
                "image": v.astype(np.float32),
                "age": np.float32([age]),
                "sex": np.int32([sex]),
                "site": np.int32([site]),
            },
            verbose=0,
        )[0]
        for v in oracles.eight_views(image[None])
    ]
    p = list(found["images"][0]["probabilities"].values())
    np.testing.assert_allclose(p, np.mean(views, axis=0), atol=1e-5)
    assert set(found["networks"]) >= {"clinical"}


def test_an_image_alone_is_answered_by_the_network_of_images(run, photograph, tmp_path):
    path, image = photograph
    out = tmp_path / "answers.json"
    assert run.run("evaluate", "--image", str(path), "--json", str(out)) == 0
    found = oracles.read(out)
    model = oracles.load(run.models / "cnn/classifier.keras")
    p = list(found["images"][0]["probabilities"].values())
    np.testing.assert_allclose(p, oracles.average_of_views(model, image[None])[0], atol=1e-5)
    assert found["told"] is None


def test_maps_are_drawn_for_what_is_told(run, photograph, tmp_path):
    path, _ = photograph
    for kind in ("occlusion", "gradcam"):
        out = tmp_path / kind
        flags = ["--map", kind, "--age", "40", "--outputs-dir", str(out)]
        assert run.run("evaluate", "--image", str(path), *flags) == 0
        (drawn,) = (out / "predictions").glob("*.png")
        assert drawn.stat().st_size > 1000


def test_values_without_their_network_or_their_photograph_are_refused(
    networks, run, photograph, capsys
):
    path, _ = photograph
    with pytest.raises(InputError, match=r"clinical.*no such file; run train_cnn.py --clinical"):
        networks.run("evaluate", "--image", str(path), "--age", "50")
    import evaluate

    with pytest.raises(InputError, match="the published networks take the image alone"):
        evaluate.main(["--image", str(path), "--age", "50", "--weights", "published"])
    for flags, words in (
        (["--sex", "female"], "--age, --sex and --site belong to --image"),
        (["--image", str(path), "--age", "131"], "an age in years, from 0 to 130"),
        (["--image", str(path), "--age", "-1"], "an age in years, from 0 to 130"),
        (["--image", str(path), "--site", "tail"], "invalid choice: 'tail'"),
    ):
        with pytest.raises(SystemExit) as stopped:
            run.run("evaluate", *flags)
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err


def test_an_external_table_with_metadata_is_scored_with_it(run, tmp_path):
    from lesiongan.phantom import write_phantom

    table = write_phantom(tmp_path / "other", 90, seed=11)
    other = table.with_name("HAM10000_metadata.csv")
    copy = run.copy(tmp_path / "copy")
    flags = ["--external", str(table), "--external-metadata", str(other)]
    assert copy.run("evaluate", *flags) == 0
    (folder,) = (copy.outputs / "evaluation").glob("external_*")
    found = pd.read_csv(folder / "predictions_clinical.csv")
    images, _ = oracles.read_images(table)
    model = oracles.load(copy.models / "clinical/classifier.keras")
    known = inputs_of(images[found.row], pd.read_csv(other).iloc[found.row])
    views = [
        model.predict({**known, "image": v.astype(np.float32)}, verbose=0)
        for v in oracles.eight_views(images[found.row])
    ]
    np.testing.assert_allclose(found[P], np.mean(views, axis=0), atol=1e-5)
    assert "clinical" in oracles.read(folder / "metrics.json")["models"]
    context, record = (
        oracles.read(p) for p in (folder / "context.json", copy.models / "clinical/options.json")
    )
    assert context["points"]["clinical"] == record["operating_points"]
    trained_on = context["arms"]["clinical"]["trained_on"]
    assert trained_on.startswith(f"{record['real_images']} real")
    # Without metadata there is nothing to tell it.
    assert copy.run("evaluate", "--external", str(table)) == 0
    assert not (folder / "predictions_clinical.csv").exists()


def test_its_onnx_form_takes_the_same_four_inputs(run, meta):
    from onnx.reference import ReferenceEvaluator

    model = oracles.load(run.models / "clinical/classifier.keras")
    proto = onnx_export.build(model, oracles.CLASSES)
    assert {i.name for i in proto.graph.input} == {"image", "age", "sex", "site"}
    images, _ = oracles.read_images(run.table)
    known = inputs_of(images[:12], meta[:12])
    known["age"][:6] = [-1, 0, 9, 10, 89, 130]
    (found,) = ReferenceEvaluator(proto).run(None, known)
    np.testing.assert_allclose(found, model.predict(known, verbose=0), atol=1e-4)


def test_the_report_has_a_table_of_it(scored):
    assert scored.run("visualize_results", "--no-models") == 0
    page = (scored.outputs / "report.html").read_text()
    assert "image, age, sex, site" in page
    rows = (scored.outputs / "figures/tables/clinical.md").read_text()
    found = oracles.read(scored.outputs / "evaluation/metrics.json")
    auc = found["models"]["clinical"]["auc"]
    assert f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]" in rows
