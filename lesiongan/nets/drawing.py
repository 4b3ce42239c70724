"""Drawing images from a generator: latents by a seed, and images in batches."""

import numpy as np

from lesiongan.run import streams

# So many images are drawn at once. This bounds the memory, and fixes the latents whatever --samples
# is.
SAMPLE_CHUNK = 1000


def draw_latents(generator, n, *seed):
    """Return float32 (n, z): standard normal latents for a generator, by the seed alone."""
    return np.random.default_rng(seed).standard_normal(
        (n, generator.inputs[0].shape[1]), dtype=np.float32
    )


class Widened:
    """A generator that multiplies its latents by `scale` before it draws from them.

    The latents become wider than in training above 1, and narrower below (the truncation trick of
    Brock et al. 2019, arXiv:1809.11096, section 3.1, without its limit).
    """

    def __init__(self, generator, scale):
        self.generator, self.scale, self.inputs = generator, np.float32(scale), generator.inputs

    def predict_on_batch(self, latents_and_labels):
        latents, labels = latents_and_labels
        return self.generator.predict_on_batch([self.scale * latents, labels])


def generate(generator, latents, labels):
    """Return a generator's images, uint8 (n, 28, 28, 3), for latents (n, z) and labels (n,)."""
    z, y = latents.astype(np.float32), labels.astype(np.int32)
    batches = [
        generator.predict_on_batch([z[i : i + 250], y[i : i + 250]]) for i in range(0, len(y), 250)
    ]
    images = np.concatenate(batches)
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def generate_in_chunks(generator, labels, seed):
    """Yield (images uint8 (k, 28, 28, 3), labels (k,)) for labels (n,), chunk by chunk.

    The latents depend on the seed and on the position alone.
    """
    for chunk, start in enumerate(range(0, len(labels), SAMPLE_CHUNK)):
        y = labels[start : start + SAMPLE_CHUNK]
        yield (
            generate(generator, draw_latents(generator, len(y), seed, streams.SAMPLES, chunk), y),
            y,
        )
