"""A classifier whose every probability is known.

It is a logistic regression on the means of the four quarters of an image. Its logits are doubled,
so it is too sure of itself, and it gives another answer for each of the eight flips and turns of an
image.
"""

import numpy as np


def quarters(images):
    """(n, 12): means of the four quarters of images (n, 28, 28, 3), scaled to [-1, 1]."""
    return (
        images.astype(float).reshape(len(images), 2, 14, 2, 14, 3).mean(axis=(2, 4)) / 127.5 - 1
    ).reshape(len(images), 12)


class Teacher:
    """Fitted by scikit-learn to images and their targets, of `k` classes in all."""

    def __init__(self, images, targets, k):
        from sklearn.linear_model import LogisticRegression

        fit = LogisticRegression(C=10, max_iter=5000).fit(quarters(images), targets)
        two = len(fit.classes_) == 2
        self.kernel, self.bias = np.zeros((12, k)), np.full(k, -9.0)
        self.kernel[:, fit.classes_] = (
            2 * (np.concatenate([0 * fit.coef_, fit.coef_]) if two else fit.coef_).T
        )
        self.bias[fit.classes_] = 2 * (np.append(0, fit.intercept_) if two else fit.intercept_)

    def logits(self, images):
        """float (n, k), by the formula."""
        return quarters(images) @ self.kernel + self.bias

    def build_network(self):
        """Return the same as a Keras network.

        It ends in the layers that train_cnn.py's networks end in.
        """
        import keras
        from keras import layers

        image = keras.Input((28, 28, 3))
        x = layers.AveragePooling2D(14)(layers.Rescaling(1 / 127.5, -1)(image))
        x = layers.Reshape((12,), name="features")(x)
        network = keras.Model(image, layers.Dense(len(self.bias), name="logits")(x))
        network.get_layer("logits").set_weights([self.kernel, self.bias])
        return network
