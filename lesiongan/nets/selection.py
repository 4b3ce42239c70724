"""Keeping one of several candidates, so that a class looks on average as its train images do.

Images of a generator have on average a little less contrast and fine detail than the images it
learned from. Here each image of a set is one of K candidates, kept by chance in proportion to
exp(w . f), where f are features of the candidate (sampling-importance-resampling, Rubin 1987). The
weights w of a class are those under which the kept images have the mean features of its train
images. They are the minimum of a convex loss: among all ways to weigh the candidates, this one
changes their distribution least (exponential tilting, Csiszar 1975, Annals of Probability 3:146).

No network that was trained has a part in it. The features are the power spectrum and the mean
responses of random convolutions, as random as the patches of lesiongan/measures/texture.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lesiongan.data import spectrum
from lesiongan.data.classes import CLASSES, IMAGE_SHAPE
from lesiongan.files import archives, writing
from lesiongan.nets import drawing, inference
from lesiongan.run import published, streams

# Channels and stride of each layer of random convolutions.
LAYERS = ((48, 1), (64, 2), (64, 2))
# The weights of a class are fitted to this many candidates, regrouped so many times.
FITTED_TO, REGROUPED = 6000, 4
# A class with fewer train images has no mean worth matching; its images are drawn as they come.
LEAST = 20
# Latents of the candidates are from as wide as in training to this many times as wide, because
# real images vary more than those of a generator.
WIDEST = 1.2
# A penalty on the squared weights, over the number of train images: their mean is as uncertain.
RIDGE, LEAST_RIDGE = 4.0, 0.01
# Features are cut off at so many standard deviations.
LIMIT = 8.0
# The most bytes that the file of a ClassMeans may say it needs.
LARGEST = 10**6


def build_random_features():
    """Return a keras model: image (n, 28, 28, 3) in [0, 255] -> (n, 176), the same in every run.

    It gives the mean of each channel of three layers of random convolutions.
    """
    import keras
    from keras import layers

    rng = np.random.default_rng([streams.RANDOM_FEATURES])
    image = keras.Input(IMAGE_SHAPE, name="image")
    x, means = layers.Rescaling(1 / 64, -2)(image), []
    for channels, stride in LAYERS:
        layer = layers.Conv2D(channels, 3, strides=stride, padding="same")
        x = layer(x)
        kernel, bias = layer.get_weights()
        spread = np.sqrt(2 / np.prod(kernel.shape[:3]))
        layer.set_weights([rng.normal(0, spread, kernel.shape), rng.normal(0, 0.3, bias.shape)])
        x = layers.LeakyReLU(0.1)(x)
        means.append(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Concatenate()(means), name="random_features")


@dataclass(frozen=True)
class Features:
    """The features of images by which candidates are weighed."""

    network: Any

    def __call__(self, images):
        """Return float64 (n, 190) for images, uint8 (n, 28, 28, 3)."""
        power = spectrum.ring_powers(images)
        return np.concatenate([power, inference.predict(self.network, images)], axis=1)


@dataclass(frozen=True)
class ClassMeans:
    """What candidates are weighed by.

    means: float64 (7, 190), the mean features of each class's train images, 0 for a class without;
    images: int64 (7,), how many these are.
    """

    means: np.ndarray
    images: np.ndarray

    @classmethod
    def measure(cls, images, labels):
        """Return the ClassMeans of images, uint8 (n, 28, 28, 3), and their labels (n,)."""
        found = Features(build_random_features())(images)
        of_class = np.eye(len(CLASSES))[labels]
        counts = of_class.sum(axis=0)
        means = of_class.T @ found / np.maximum(counts, 1)[:, None]
        return cls(means, counts.astype(np.int64))

    def write(self, path):
        """Write it as .npz, so that equal ones are equal files."""
        with writing.atomic(path) as t:
            np.savez(t, means=self.means, images=self.images)


def read_published():
    """Return the ClassMeans of the images that the generator of weights/ learned from."""
    published.read_card()
    path = published.FOLDER / published.CLASS_MEANS
    return ClassMeans(**archives.read_arrays(path, ["means", "images"], LARGEST))


class Selected:
    """A generator that draws `candidates` images for each latent and keeps one.

    It draws as keras models do, by predict_on_batch. The latent serves as the seed of the
    candidates' latents, so equal latents give equal images.
    """

    def __init__(self, generator, candidates, learned, own_width=1.0):
        """Take a generator, and the ClassMeans of the images that it learned from.

        generator: keras model, or drawing.Widened; own_width: how many times as wide as in training
        the keras model makes its latents. The weights of a class are fitted when it is drawn for
        the first time.
        """
        self.generator, self.inputs, self.candidates = generator, generator.inputs, candidates
        self.learned = learned
        self.features = Features(build_random_features())
        self.scales = np.linspace(1, WIDEST, candidates, dtype=np.float32) / np.float32(own_width)
        self.fitted: dict[int, tuple | None] = {}

    def weights_of(self, code):
        """Return (centre, scale, weights), each (190,), of a class; None if its images are few."""
        if code not in self.fitted:
            many = self.learned.images[code] >= LEAST
            self.fitted[code] = self.fit(code) if many else None
        return self.fitted[code]

    def fit(self, code):
        """Return (centre, scale, weights), each (190,), of a class."""
        rng = np.random.default_rng([streams.CANDIDATES, code])
        each = -(-FITTED_TO // self.candidates)
        latents = [self.draw(rng) for _ in range(each)]
        made = self.features(self.make(np.concatenate(latents), np.full(each, code)))
        # Features are deviations from the mean of the train images, so the target is 0.
        centre, scale = self.learned.means[code], made.std(axis=0) + 1e-9
        made = standardise(made, centre, scale).reshape(each, self.candidates, -1)
        columns = np.arange(self.candidates)
        groups = [
            made[rng.permuted(np.tile(np.arange(each)[:, None], self.candidates), axis=0), columns]
            for _ in range(REGROUPED)
        ]
        ridge = max(LEAST_RIDGE, RIDGE / self.learned.images[code])
        return centre, scale, match_means(np.concatenate(groups), np.zeros(len(centre)), ridge)

    def draw(self, rng):
        """Return float32 (candidates, z): the latents of the candidates of one image."""
        shape = self.candidates, self.inputs[0].shape[1]
        return self.scales[:, None] * rng.standard_normal(shape, dtype=np.float32)

    def make(self, latents, labels):
        """Return uint8 (candidates * n, 28, 28, 3) for latents (candidates * n, z), labels (n,)."""
        return drawing.generate(self.generator, latents, np.repeat(labels, self.candidates))

    def predict_on_batch(self, latents_and_labels):
        latents, labels = (np.asarray(x) for x in latents_and_labels)
        streams_of = [np.random.default_rng(z.view(np.uint32)) for z in latents]
        images = self.make(np.concatenate([self.draw(rng) for rng in streams_of]), labels)
        features = self.features(images).reshape(len(labels), self.candidates, -1)
        kept = np.zeros(len(labels), dtype=int)
        for code in np.unique(labels):
            fitted = self.weights_of(code)
            if fitted is None:
                continue
            centre, scale, weights = fitted
            at = np.flatnonzero(labels == code)
            scores = standardise(features[at], centre, scale) @ weights
            # The largest of scores with Gumbel noise is a draw in proportion to their exponentials.
            noise = np.stack([streams_of[i].gumbel(size=self.candidates) for i in at])
            kept[at] = (scores + noise).argmax(axis=1)
        images = images.reshape(len(labels), self.candidates, *IMAGE_SHAPE)
        return images[np.arange(len(labels)), kept].astype(np.float32)


def standardise(features, centre, scale):
    """Return features (n, d) as deviations from `centre` in units of `scale`, cut off at LIMIT."""
    return np.clip((features - centre) / scale, -LIMIT, LIMIT)


def match_means(groups, target, ridge):
    """Return float (d,): weights by which the kept candidates have the mean features `target`.

    groups: float (n, k, d), the candidates of n images; target: (d,); ridge: the weight of half
    the squared weights in the loss. One of each group is kept with probabilities softmax(f . w).
    The gradient of the loss, mean of log sum exp(f . w) less target . w, is the mean of what is
    kept less the target, so its minimum is where they agree.
    """
    from scipy.optimize import minimize

    def loss(w):
        scores = groups @ w
        most = scores.max(axis=1, keepdims=True)
        odds = np.exp(scores - most)
        total = odds.sum(axis=1, keepdims=True)
        kept = np.tensordot(odds / total, groups, axes=((0, 1), (0, 1))) / len(groups)
        value = np.mean(most + np.log(total)) - target @ w + ridge / 2 * w @ w
        return value, kept - target + ridge * w

    return minimize(loss, np.zeros(len(target)), jac=True, method="L-BFGS-B").x
