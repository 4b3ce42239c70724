"""Running a network on images, and averaging over the eight flips and turns."""

import numpy as np


def predict(model, images, clinical=None, batch=500):
    """Return the model's output (n, ...) for uint8 images (n, ...), or a list for several outputs.

    clinical: {age, sex, site: (n,)} for a network that takes them (data/clinical.py), else None.
    The batches are made here, because Keras' `predict` copies all its input twice as float32 and
    ends by waiting for tf.data.
    """

    def some(rows):
        pixels = np.ascontiguousarray(images[rows], np.float32)
        if clinical is None:
            return pixels
        return {"image": pixels, **{name: values[rows] for name, values in clinical.items()}}

    outputs = [
        model.predict_on_batch(some(slice(i, i + batch))) for i in range(0, len(images), batch)
    ]
    if isinstance(outputs[0], list):
        return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
    return np.concatenate(outputs)


def predict_views(model, images, views=8, clinical=None):
    """Return float64 (n, k): the model's output averaged over views of each image.

    The views are the first `views` of the eight flips and turns; clinical is as in `predict`.
    """
    from lesiongan.data.near_duplicates import dihedral_views

    return np.mean(
        [predict(model, v, clinical).astype(np.float64) for v in dihedral_views(images)[:views]],
        axis=0,
    )
