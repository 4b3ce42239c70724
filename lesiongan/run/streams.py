"""The random streams: each use of chance has a number of its own beside the seed.

`np.random.default_rng([seed, streams.IMAGE_ORDER, epoch])` is independent of every other stream and
of how much of it was drawn, so that a resumed run repeats what it would have drawn. The numbers are
part of every published result: a new stream takes a new number.
"""

# Seed, epoch, step: images, labels, latents and geometry of one step of the GAN.
GAN_BATCHES = 1
# Seed, chunk: latents of the synthetic set.
SAMPLES = 2
# Seed: which real images --repeat-real repeats.
REPEATED_IMAGES = 3
# Seed, pass over the pool: the order of the training images.
IMAGE_ORDER = 4
# Seed, step: classes and images of a batch of --sampler balanced.
BALANCED_BATCHES = 5
# Draw: latents of the images that the judge measures.
JUDGED_SAMPLES = 6
# Draw: which real images they are measured beside.
JUDGED_REAL = 7

# Latents that every run draws alike, whatever its seed: these are whole seeds.
# Sample grids of the training.
FIXED_GRID = 0
# The figure of all classes.
CLASS_GRID = 1
# The figure of latent interpolation.
INTERPOLATION = 2
