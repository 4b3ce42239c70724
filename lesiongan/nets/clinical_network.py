"""The network that takes age, sex and site, made into one that takes the image alone."""

import numpy as np

from lesiongan.data import clinical


def fix(model, values):
    """Return keras model: image float32 (n, 28, 28, 3) -> probabilities (n, k), for fixed values.

    model: a network of train_cnn.py --clinical; values: {age, sex, site: (1,)} as in
    data/clinical.py. What the values say is a constant that the last layer adds, so it becomes part
    of that layer's bias. All that works on a network of images (maps, views) works on this one.
    """
    import keras

    known = model.get_layer("logits").input
    features = model.get_layer("features").output
    at = [model.input[name] for name in clinical.NAMES]
    told = [model.get_layer(f"{name}_embedding").output for name in clinical.NAMES]
    embedded = keras.Model(at, told).predict_on_batch([values[name] for name in clinical.NAMES])
    kernel, bias = model.get_layer("logits").get_weights()
    width = features.shape[-1]
    # The features come first among the inputs of the last layer.
    assert known.shape[-1] == width + sum(e.shape[-1] for e in embedded)
    constant = bias + np.concatenate(embedded, axis=-1)[0] @ kernel[width:]
    last = keras.layers.Dense(len(bias), name="logits")
    out = keras.layers.Softmax(name="probabilities")(last(features))
    last.set_weights([kernel[:width], constant])
    return keras.Model(model.input["image"], out, name="classifier")
