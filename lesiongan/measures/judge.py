"""The judge: the network that measures synthetic images, and what it measures them against."""

import numpy as np

from lesiongan.data.split import half_a
from lesiongan.files.errors import InputError
from lesiongan.measures import distances
from lesiongan.nets import inference, saved_models


class Judge:
    """The judge's features and decisions for images, and the images it measures against.

    model: keras classifier with a layer `features`; half: bool (n,), the train images it learned
    from, on which its components are fitted (default half A); held_out: the part that is measured
    against; floor: bool (n,), the train images it never saw, which give the real-vs-real reference;
    sha256: of its weights, so that one judge has one name however often it is saved.
    """

    def __init__(self, model, inputs, half=None, held_out="test"):
        import keras

        features = next((layer for layer in model.layers if layer.name == "features"), None)
        if features is None or len(features.output.shape) != 2:
            raise InputError(
                "the judge has no layer `features` of vectors; run train_cnn.py --role judge again"
            )
        half = half_a(inputs.table, inputs.parts) if half is None else half
        self.sha256, self.held_out = saved_models.weights_sha256(model), held_out
        self.floor = (inputs.parts == "train") & ~half
        self.model = keras.Model(model.input, [features.output, model.output])
        self.components = distances.Components(self.look(inputs.table.images[half])[0])

    def look(self, images):
        """Return (raw features float64 (n, d), probabilities float64 (n, 7)) of images.

        images: uint8 (n, 28, 28, 3).
        """
        return [o.astype(np.float64) for o in inference.predict(self.model, images)]

    def features(self, images):
        """Return float64 (n, 64): the components of the features of images."""
        return self.components(self.look(images)[0])

    def decide(self, images):
        """Return int (n,): the class to which the judge gives the highest probability."""
        return self.look(images)[1].argmax(axis=1)
