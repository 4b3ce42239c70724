"""Saved networks: equal networks are equal files with one hash, and others are not.

A network with a weight that is not a number is never used; hostile files are refused before Keras
sees them.
"""

import io
import json
import zipfile

import pytest

from lesiongan.files.errors import InputError
from lesiongan.nets import saved_models
from tests.stress import damaged_files


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return damaged_files.save_two_models(tmp_path_factory.mktemp("models"))


def test_damaged_models_load_or_are_refused_in_one_line(models, tmp_path):
    tried, wrong = damaged_files.try_models(models, 8, tmp_path, seed=1)
    assert tried == 8
    assert not wrong


def rewrite(path, target, change):
    """Copy a .keras file with `change` applied to its {member: bytes}."""
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, content in members.items():
            archive.writestr(n, content)
    return target


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.layers", "Lambda"),
        ("keras.layers", "TFSMLayer"),
        ("os", "system"),
        ("keras.saving", "load_model"),
        ("keras.utils", "get_file"),
        (None, "Mine"),
        ("keras", "function"),
        (None, "__lambda__"),
    ],
)
def test_a_model_that_names_code_is_refused_before_keras_sees_it(
    models, tmp_path, monkeypatch, module, name
):
    import keras

    def change(members):
        config = json.loads(members["config.json"])
        layer = config["config"]["layers"][-1]
        layer["module"], layer["class_name"], layer["registered_name"] = module, name, None
        members["config.json"] = json.dumps(config).encode()

    monkeypatch.setattr(keras.saving, "load_model", lambda *a, **k: pytest.fail("Keras saw it"))
    for path, load in models.items():
        with pytest.raises(InputError, match="could run code"):
            getattr(saved_models, load)(rewrite(path, tmp_path / "bad.keras", change))


def test_a_real_lambda_is_refused(tmp_path):
    import keras

    image = keras.Input((28, 28, 3))
    model = keras.Model(image, keras.layers.Lambda(lambda x: x[:, 0, 0, :1])(image))
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(InputError, match="could run code"):
        saved_models.load_classifier(tmp_path / "lambda.keras")


def test_paths_links_and_bombs_in_a_model_are_refused(models, tmp_path):
    import h5py

    path, load = next(iter(models.items()))

    def refuse(change, words):
        with pytest.raises(InputError, match=words) as e:
            getattr(saved_models, load)(rewrite(path, tmp_path / "bad.keras", change))
        assert "\n" not in str(e.value)

    refuse(lambda m: m.update({"../../escaped": b"x"}), "members")
    refuse(lambda m: m.pop("config.json"), "members")
    refuse(lambda m: m.update({"config.json": b"[" * (17 << 20)}), "unpacks to more")
    refuse(lambda m: m.update({"config.json": b"[" * 100_000}), "not a readable model")

    def widen(members):
        config = json.loads(members["config.json"])
        for layer in config["config"]["layers"]:
            if "units" in layer["config"]:
                layer["config"]["units"] = 16_000_000
        members["config.json"] = json.dumps(config).encode()

    refuse(widen, "wants more weights than it holds")

    def weights(write):
        def change(members):
            f = io.BytesIO(members["model.weights.h5"])
            with h5py.File(f, "r+") as file:
                write(file)
            members["model.weights.h5"] = f.getvalue()

        return change

    refuse(weights(lambda f: f.update({"x": h5py.ExternalLink("/etc/passwd", "/")})), "link")
    refuse(weights(lambda f: f.update({"x": h5py.SoftLink("/layers")})), "link")
    refuse(
        weights(
            lambda f: f.create_dataset("x", (1 << 33,), "f4", chunks=(1 << 20,), compression="gzip")
        ),
        "bearable",
    )
    refuse(
        weights(lambda f: f.create_dataset("x", (4,), "f4", external=[("/etc/passwd", 0, 16)])),
        "bearable|readable",
    )

    def endless(file):
        file["self"] = file["/"]

    refuse(weights(endless), "no end")


def test_a_classifier_is_no_generator_and_the_other_way_round(models):
    generator, classifier = sorted(models, key=lambda p: p.name, reverse=True)
    with pytest.raises(InputError, match="is no generator"):
        saved_models.load_generator(classifier)
    with pytest.raises(InputError, match="is no classifier"):
        saved_models.load_classifier(generator)
    with pytest.raises(InputError, match="no classifier of 2 classes"):
        saved_models.load_classifier(classifier, 2)


def test_networks_that_would_fill_the_memory_are_refused_before_keras_makes_them(models, tmp_path):
    path = next(p for p in models if p.name == "generator.keras")

    def refuse(words, change):
        def edit(members):
            config = json.loads(members["config.json"])
            change({layer["class_name"]: layer for layer in config["config"]["layers"]})
            members["config.json"] = json.dumps(config).encode()

        with pytest.raises(InputError, match=words):
            saved_models.load_generator(rewrite(path, tmp_path / "bad.keras", edit))

    more = "wants more weights than it holds"
    refuse(
        more, lambda layers: layers["Dense"]["build_config"].update(input_shape=[None, 40_000_000])
    )
    refuse(more, lambda layers: layers["Conv2D"]["config"].update(filters=1 << 40))
    refuse(more, lambda layers: layers["Embedding"]["config"].update(input_dim=1 << 40))
    refuse("not a readable model", lambda layers: layers["Dense"]["config"].update(units=-(10**12)))
    refuse(
        "not a readable model",
        lambda layers: layers["Reshape"]["config"].update(target_shape=[50_000_000]),
    )
    refuse(
        "longer steps",
        lambda layers: layers["Conv2DTranspose"]["config"].update(strides=[1000, 1000]),
    )
    path = next(p for p in models if p.name == "classifier.keras")
    refuse(
        "larger images",
        lambda layers: layers["Resizing"]["config"].update(height=40_000, width=40_000),
    )
    refuse("larger images", lambda layers: layers["CenterCrop"]["config"].update(height=40_000))
    path = next(p for p in models if p.name == "generator.keras")
    for name in ("DepthwiseConv2D", "UpSampling2D", "EinsumDense", "MultiHeadAttention"):
        refuse(
            "no network of this project",
            lambda layers, name=name: layers["Dense"].update(class_name=name),
        )


def test_weights_are_counted_whatever_makes_them_many(tmp_path):
    """A wide input flattened into a dense layer: no number in the configuration is large."""
    from keras import Sequential, layers

    with pytest.raises(InputError, match="more weights"), saved_models.bounded_weights(1 << 20):
        Sequential([layers.Input((400, 400, 3)), layers.Flatten(), layers.Dense(7)])
    assert (
        Sequential([layers.Input((400, 400, 3)), layers.Flatten(), layers.Dense(1)]).count_params()
        == 480_001
    )


def test_a_network_of_two_outputs_is_refused(models, tmp_path):
    import keras

    image = keras.Input((28, 28, 3))
    p = keras.layers.Dense(7)(keras.layers.GlobalAveragePooling2D()(image))
    keras.Model(image, [p, p]).save(tmp_path / "two.keras")
    for load, words in (
        ("load_classifier", "is no classifier"),
        ("load_generator", "is no generator"),
    ):
        with pytest.raises(InputError, match=words):
            getattr(saved_models, load)(tmp_path / "two.keras")


def test_equal_networks_are_equal_files(tmp_path):
    import keras

    import train_gan

    keras.utils.clear_session()
    model = train_gan.build_generator(8)
    for name in ("a.keras", "b.keras"):
        saved_models.save(tmp_path / name, model)
        keras.utils.clear_session()
        model = train_gan.build_generator(8)
        model.set_weights(saved_models.load_generator(tmp_path / "a.keras").get_weights())
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert saved_models.weights_sha256(model) == saved_models.weights_sha256(
        saved_models.load(tmp_path / "b.keras", "")
    )
    model.set_weights([w + 1 for w in model.get_weights()])
    assert saved_models.weights_sha256(model) != saved_models.weights_sha256(
        saved_models.load(tmp_path / "b.keras", "")
    )


def test_the_hash_of_the_weights_is_of_every_array_and_a_weight_that_is_no_number_is_refused(
    models, tmp_path
):
    for path, load in models.items():
        model = getattr(saved_models, load)(path)
        whole, seen = model.get_weights(), {saved_models.weights_sha256(model)}
        for i in range(len(whole)):
            weights = [w.copy() for w in whole]
            weights[i].flat[0] += 1
            model.set_weights(weights)
            seen.add(saved_models.weights_sha256(model))
        assert len(seen) == len(whole) + 1
        for i in (0, len(whole) - 1):
            weights = [w.copy() for w in whole]
            weights[i].flat[0] = float("nan")
            model.set_weights(weights)
            saved_models.save(tmp_path / "nan.keras", model)
            with pytest.raises(InputError, match="not finite"):
                getattr(saved_models, load)(tmp_path / "nan.keras")


# The names that Keras 3.13.2 said it does not know, of a network that 3.15.1 wrote.
REFUSED = ("input_axes", "output_axes", "renorm", "renorm_clipping", "renorm_momentum")


def names_refused(path):
    """Which of REFUSED a .keras file's configuration has."""
    with zipfile.ZipFile(path) as archive:
        text = archive.read("config.json").decode()
    return [name for name in REFUSED if f'"{name}"' in text]


def test_a_saved_network_has_no_setting_that_keras_3_13_refuses(models, tmp_path):
    import keras

    for path, load in models.items():
        model = getattr(saved_models, load)(path)
        model.save(tmp_path / "stock.keras")
        saved_models.save(tmp_path / "ours.keras", model)
        assert names_refused(tmp_path / "ours.keras") == []
        # Stock Keras reads it, and it is the same network.
        again = keras.saving.load_model(tmp_path / "ours.keras", safe_mode=True)
        assert again.get_config() == model.get_config()
        assert saved_models.weights_sha256(again) == saved_models.weights_sha256(model)
    assert names_refused(tmp_path / "stock.keras")


def test_a_setting_that_changes_the_network_is_not_forgotten():
    kept = {"config": [{"renorm": True, "renorm_momentum": 0.9, "input_axes": [0]}]}
    wanted = json.loads(json.dumps(kept))
    assert saved_models.forget_news(kept) == wanted


def test_the_published_networks_are_read_by_an_older_keras(tmp_path, monkeypatch):
    """As they are, and as stock Keras saves them, too."""
    import keras

    from lesiongan.run import published

    path = tmp_path / "stock.keras"
    for network in sorted(published.FOLDER.glob("*/*.keras")):
        assert names_refused(network) == []
        saved_models.load(network, "").save(path)
        assert names_refused(path)
        whole = saved_models.load(path, "")
        with monkeypatch.context() as m:
            m.setattr(keras, "__version__", "3.13.2")
            with saved_models.readable_by("3.13.2", path) as copy:
                assert names_refused(copy) == []
            assert not copy.exists()
            older = saved_models.load(path, "")
        assert saved_models.weights_sha256(older) == saved_models.weights_sha256(whole)
        with saved_models.readable_by("3.16", path) as same:
            assert same == path
