"""The random streams: each use of chance has a number of its own beside the seed.

`np.random.default_rng([seed, streams.IMAGE_ORDER, epoch])` is independent of every other stream and
of how much of it was drawn, so that a resumed run repeats what it would have drawn. The numbers are
part of every published result: a new stream takes a new number.
"""

GAN_BATCHES = 1  # seed, epoch, step: images, labels, latents and geometry of one step of the GAN
SAMPLES = 2  # seed, chunk: latents of the synthetic set
REPEATED_IMAGES = 3  # seed: which real images --repeat-real repeats
IMAGE_ORDER = 4  # seed, pass over the pool: the order of the training images
BALANCED_BATCHES = 5  # seed, step: classes and images of a batch of --sampler balanced
JUDGED_SAMPLES = 6  # draw: latents of the images that the judge measures
JUDGED_REAL = 7  # draw: which real images they are measured beside

# Latents that every run draws alike, whatever its seed: these are whole seeds.
FIXED_GRID = 0  # sample grids of the training
CLASS_GRID = 1  # the figure of all classes
INTERPOLATION = 2  # the figure of latent interpolation
