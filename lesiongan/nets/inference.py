"""Running a network on images, and averaging over the eight flips and turns."""

import numpy as np


def predict(model, images, batch=500):
    """Return the model's output (n, ...) for uint8 images (n, ...), or a list for several outputs.

    The batches are made here, because Keras' `predict` copies all its input twice as float32 and
    ends by waiting for tf.data.
    """
    outputs = [
        model.predict_on_batch(np.ascontiguousarray(images[i : i + batch], np.float32))
        for i in range(0, len(images), batch)
    ]
    if isinstance(outputs[0], list):
        return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
    return np.concatenate(outputs)


def predict_views(model, images, views=8):
    """Return float64 (n, k): the model's output averaged over views of each image.

    The views are the first `views` of the eight flips and turns.
    """
    from lesiongan.data.near_duplicates import dihedral_views

    return np.mean(
        [predict(model, v).astype(np.float64) for v in dihedral_views(images)[:views]], axis=0
    )
