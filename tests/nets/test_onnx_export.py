"""ONNX files: onnxruntime computes from them what Keras does; equal networks are equal files."""

import numpy as np
import pytest

from lesiongan.data.classes import CLASSES
from lesiongan.files.errors import InputError
from lesiongan.measures import calibration
from lesiongan.nets import onnx_export, saved_models
from tests import backends


def draw_images(n=40):
    """Images of many colours, float32 (n, 28, 28, 3), with a slope, an edge and noise."""
    rng = np.random.default_rng(3)
    colour, slope = rng.uniform(0, 255, (n, 1, 1, 3)), rng.normal(0, 4, (2, n, 1, 1, 1))
    y, x = np.mgrid[-14:14, -14:14][:, None, ..., None]
    images = colour + slope[0] * y + slope[1] * x + 40 * (x > y) + rng.normal(0, 9, (n, 28, 28, 3))
    return np.clip(images, 0, 255).astype(np.float32)


IMAGES = draw_images()


def randomise(model, seed=0):
    """Give a network weights and means unlike those of a new one, where many errors hide."""
    rng = np.random.default_rng(seed)
    backends.set_weights(model)
    for layer in model.layers:
        if "BatchNormalization" in type(layer).__name__:
            n = layer.get_weights()[0].shape
            layer.set_weights(
                [*(rng.uniform(0.5, 1.5, n) for _ in range(3)), rng.uniform(0.2, 2, n)]
            )
        elif layer.get_weights() and getattr(layer, "use_bias", False):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.2, bias.shape)])
    return model


def build_classifier(classes, stem, middle):
    """A calibrated classifier, as train_cnn.py saves it."""
    import train_cnn

    network = randomise(train_cnn.build_network(classes, 8, stem, middle))
    # No class is sure of every image.
    shift = np.linspace(-0.5, 0.5, classes) - network.predict_on_batch(IMAGES).mean(axis=0)
    return calibration.with_calibration(network, 0.5, shift)


def run(proto, given):
    """(output, session) of onnxruntime for {input name: array}."""
    import onnxruntime

    session = onnxruntime.InferenceSession(proto.SerializeToString())
    return session.run(None, given)[0], session


@pytest.mark.parametrize("stem", [1, 2])
@pytest.mark.parametrize(("classes", "middle"), [(7, 26), (7, 28), (2, 26), (2, 14)])
def test_a_classifier_gives_the_probabilities_that_keras_gives(stem, classes, middle):
    model = build_classifier(classes, stem, middle)
    proto = onnx_export.build(model, CLASSES[:classes])
    expected = model.predict_on_batch(IMAGES)
    assert expected.std(axis=0).max() > 0.02
    # Any number of images will do.
    for n in (40, 1):
        found, session = run(proto, {"image": IMAGES[:n]})
        assert found.dtype == np.float32
        assert found.shape == (n, classes)
        assert np.abs(found - expected[:n]).max() < 1e-5
    assert [i.name for i in session.get_inputs()] == ["image"]
    assert [o.name for o in session.get_outputs()] == ["probabilities"]
    assert session.get_inputs()[0].shape[1:] == [28, 28, 3]
    metadata = session.get_modelmeta()
    assert metadata.custom_metadata_map["classes"] == ",".join(CLASSES[:classes])
    assert "not for clinical use" in metadata.graph_description
    onnx_export.check(proto, model)


def test_a_generator_gives_the_images_that_keras_gives():
    import train_gan

    model = randomise(train_gan.build_generator(16))
    proto = onnx_export.build(model, CLASSES)
    given = backends.make_given()
    expected = model.predict_on_batch([given["latents"], given["labels"]])
    # Both orientations of each of the three turns occur.
    assert all(len({bool(v) for v in given["latents"][:, i] > 0}) == 2 for i in range(3))
    assert expected.std(axis=0).min() > 0.1
    for n in (14, 1):
        found, session = run(proto, {"latent": given["latents"][:n], "label": given["labels"][:n]})
        assert found.shape == (n, 28, 28, 3)
        assert np.abs(found - expected[:n]).max() < 1e-3
    assert [i.name for i in session.get_inputs()] == ["latent", "label"]
    assert [o.name for o in session.get_outputs()] == ["image"]
    onnx_export.check(proto, model)


def test_equal_networks_are_equal_files_and_others_are_not(tmp_path):
    import keras

    import train_gan

    def write(name):
        model = saved_models.load_generator(tmp_path / "generator.keras")
        onnx_export.export(tmp_path / name, model, CLASSES)
        return (tmp_path / name).read_bytes()

    saved_models.save(tmp_path / "generator.keras", randomise(train_gan.build_generator(8)))
    first = write("a.onnx")
    # Another session names and numbers its layers otherwise.
    keras.utils.clear_session()
    model = train_gan.build_generator(8)
    model.set_weights(
        saved_models.load_generator(tmp_path / "generator.keras").get_weights(),
    )
    saved_models.save(tmp_path / "generator.keras", model)
    assert write("b.onnx") == first
    weights = model.get_weights()
    weights[0] += 1e-3
    model.set_weights(weights)
    saved_models.save(tmp_path / "generator.keras", model)
    assert write("c.onnx") != first


def test_every_layer_of_this_projects_networks_has_an_onnx_form():
    # An input is no node. The sum is the critic's, which is never saved.
    named = {
        name
        for module, names in saved_models.MADE_OF.items()
        if module in ("keras.layers", "keras.src.ops.core", "keras.src.ops.numpy")
        for name in names.split()
    }
    assert set(onnx_export.LAYERS) == named - {"InputLayer", "Sum"}


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda layers: layers.MaxPooling2D(), "MaxPooling2D"),
        (lambda layers: layers.Conv2DTranspose(3, 4, strides=2), "Conv2DTranspose"),
        (lambda layers: layers.Resizing(20, 20, interpolation="nearest"), "Resizing"),
        (lambda layers: layers.Activation("gelu"), "Activation"),
    ],
)
def test_a_layer_without_an_onnx_form_is_named(layer, words, tmp_path):
    import keras

    image = keras.Input((28, 28, 3), name="image")
    x = keras.layers.GlobalAveragePooling2D()(layer(keras.layers)(image))
    with pytest.raises(InputError, match=rf"\({words}\) has no ONNX form") as e:
        onnx_export.export(tmp_path / "a.onnx", keras.Model(image, x), CLASSES)
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_would_give_other_numbers_is_not_written(tmp_path, monkeypatch):
    model = build_classifier(7, 2, 26)
    monkeypatch.setitem(onnx_export.LAYERS, "BatchNormalization", lambda g, c, w, x: x)
    with pytest.raises(InputError, match="gives other numbers than Keras"):
        onnx_export.export(tmp_path / "a.onnx", model, CLASSES)
    assert not list(tmp_path.iterdir())


def test_a_form_that_errs_for_one_class_alone_is_noticed():
    """The last row of the labels' table is wrong by a little."""
    import onnx

    import train_gan

    generator = randomise(train_gan.build_generator(16))
    proto = onnx_export.build(generator, CLASSES)
    onnx_export.check(proto, generator)
    (table,) = [c for c in proto.graph.initializer if list(c.dims)[:1] == [len(CLASSES)]]
    values = onnx.numpy_helper.to_array(table).copy()
    values[-1] += 0.01
    table.CopyFrom(onnx.numpy_helper.from_array(values, table.name))
    with pytest.raises(InputError, match="gives other numbers than Keras"):
        onnx_export.check(proto, generator)
