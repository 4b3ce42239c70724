"""The power spectrum of images: how much detail of each size they have."""

import numpy as np

# Power is averaged over rings of these radii, in cycles per image. 14 is the finest detail that 28
# pixels can hold.
RADII = np.arange(1, 15)

# These are the weights of red, green and blue in grey (ITU-R BT.601), as in hmnist_28_28_L.csv.
GREY = np.array([0.299, 0.587, 0.114])


def ring_powers(images: np.ndarray) -> np.ndarray:
    """Return float64 (n, 14): the power of each image in rings of integer radius 1 to 14.

    images: (n, 28, 28, 3). The image is turned grey, its mean is taken away, and the squared
    absolute value of its discrete Fourier transform is averaged over the frequencies whose distance
    from zero rounds to the radius.
    """
    size = images.shape[1]
    at = np.fft.fftfreq(size, 1 / size)
    radius = np.rint(np.hypot(at[:, None], at[None])).astype(int).ravel()
    rings = np.stack([(radius == r) / (radius == r).sum() for r in RADII], axis=1)
    out = []
    for some in np.array_split(images, -(-len(images) // 2000)):
        grey = np.asarray(some, dtype=np.float64) @ GREY
        power = np.abs(np.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True))) ** 2
        out.append(power.reshape(len(some), -1) @ rings)
    return np.concatenate(out)
