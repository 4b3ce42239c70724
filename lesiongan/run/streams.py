"""The random streams: each use of chance has a number of its own beside the seed.

`np.random.default_rng([seed, streams.IMAGE_ORDER, epoch])` is independent of every other stream and
of how much of it was drawn, so that a resumed run repeats what it would have drawn. The numbers are
part of every published result: a new stream takes a new number.
"""

# Seed, epoch and step give the images, labels, latents and geometry of one step of the GAN.
GAN_BATCHES = 1
# Seed and chunk give the latents of the synthetic set.
SAMPLES = 2
# The seed alone gives the real images that --repeat-real repeats.
REPEATED_IMAGES = 3
# Seed and pass over the pool give the order of the training images.
IMAGE_ORDER = 4
# Seed and step give the classes and images of a batch of --sampler balanced.
BALANCED_BATCHES = 5
# The number of the draw gives the latents of the images that the judge measures.
JUDGED_SAMPLES = 6
# The number of the draw gives the real images beside which they are measured.
JUDGED_REAL = 7
# The number of the draw gives the images whose patches are compared, and the patches.
PATCHES = 8
# The class gives the latents of the images whose spectrum is measured.
SPECTRA = 9
# Seed and step give which ages, sexes and sites the network is not told.
FORGOTTEN = 10
# The class gives the latents of the candidates to which its selection is fitted.
CANDIDATES = 11
# The number alone gives the random convolutions by whose means candidates are weighed.
RANDOM_FEATURES = 12

# The numbers below are whole seeds: every run draws these latents alike, whatever its seed. The
# first gives the sample grids of the training.
FIXED_GRID = 0
# This one gives the figure of all classes.
CLASS_GRID = 1
# This one gives the figure of latent interpolation.
INTERPOLATION = 2
