"""Classic augmentation of training images, as Keras layers."""

import numpy as np


def build_augmentation(kind, seed, colour_gain=0.0, sharpness=0.0):
    """Return a list of Keras layers that augment images in training only.

    Images are float32 (n, size, size, 3) in [0, 255].

    `classic` first draws for each image a turn by any angle, a mirroring, zoom, aspect and shift,
    and applies them in one bilinear resampling with mirrored edges (a chain of stock layers would
    blur a picture this small three times and cost more). Then the image moves away from its own
    3 x 3 means by a factor u of -sharpness / 5 to sharpness (unsharp masking): about 0.2 gives back
    what the resampling blurred, and the rest stands for other optics and other ways of making small
    pictures. Contrast, brightness and a little colour cast follow. Last each channel is multiplied
    by exp(u), |u| <= colour_gain, which stands for another lamp or another camera. Hue is otherwise
    left alone, because colour is diagnostic.
    """
    import keras
    from keras import layers, ops

    class RandomView(layers.Layer):
        def __init__(self):
            super().__init__()
            self.generator = keras.random.SeedGenerator(seed)

        def call(self, images, training=None):
            if not training:
                return images
            n, size = ops.shape(images)[0], images.shape[1]

            def draw(low, high, shape=()):
                return keras.random.uniform((n, *shape), low, high, seed=self.generator)

            angle, zoom, aspect = (
                draw(-np.pi, np.pi),
                ops.exp(draw(-0.2, 0.1)),
                ops.exp(draw(-0.08, 0.08)),
            )
            mirror = ops.where(draw(0, 1) < 0.5, -1.0, 1.0)
            # The output pixel (x, y) is read at (a x + b y + c, d x + e y + f).
            a, b = zoom * aspect * mirror * ops.cos(angle), -zoom * ops.sin(angle)
            d, e = zoom * aspect * mirror * ops.sin(angle), zoom * ops.cos(angle)
            middle = (size - 1) / 2
            c = middle - (a + b) * middle + draw(-0.08, 0.08) * size
            f = middle - (d + e) * middle + draw(-0.08, 0.08) * size
            zero = ops.zeros_like(a)
            images = ops.image.affine_transform(
                images,
                ops.stack([a, b, c, d, e, f, zero, zero], axis=1),
                "bilinear",
                "reflect",
                data_format="channels_last",
            )
            if sharpness:
                means = ops.average_pool(
                    images, 3, strides=1, padding="same", data_format="channels_last"
                )
                images = images + draw(-sharpness / 5, sharpness, (1, 1, 1)) * (images - means)
            mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
            contrast = draw(0.8, 1.2, (1, 1, 1)) * draw(0.95, 1.05, (1, 1, 3))
            images = (images - mean) * contrast + mean + draw(-25, 25, (1, 1, 1))
            if colour_gain:
                images = images * ops.exp(draw(-colour_gain, colour_gain, (1, 1, 3)))
            return ops.clip(images, 0, 255)

    if kind == "none":
        return []
    if kind == "classic":
        return [RandomView()]
    # Keras 3.15 decides once for both directions where one layer is asked for both. Two layers of
    # one seed would decide alike.
    return [
        layers.RandomFlip("horizontal", seed=seed),
        layers.RandomFlip("vertical", seed=seed + 1_000_003),
    ]
