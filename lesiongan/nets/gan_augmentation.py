"""Augmentation of the GAN's images: flips and turns of real ones, shifts and zooms of both."""


def shift_and_zoom(images, geometry):
    """Resample each image along both axes by two batched matrix products, differentiably.

    Edges are repeated.

    images: float32 (n, size, size, 3); geometry: float32 (n, 2, 2), per axis the zoom (1 = none)
    and the shift in pixels.
    """
    from keras import ops

    size = images.shape[1]
    at = ops.arange(size, dtype="float32")
    middle = (size - 1) / 2
    # These are the positions at which to read, of shape (n, 2, size).
    source = (at - middle) * geometry[..., :1] + middle + geometry[..., 1:]
    source = ops.clip(source, 0, size - 1)
    # Bilinear weights have the shape (n, axis, out, in).
    weights = ops.relu(1 - ops.abs(source[..., None] - at))
    images = ops.einsum("nij,njkc->nikc", weights[:, 0], images)
    return ops.einsum("nij,nkjc->nkic", weights[:, 1], images)


def random_turns(images, rng):
    """Return a random flip or quarter turn of each image."""
    flip_rows, flip_columns, transpose = rng.random((3, len(images))) < 0.5
    images = images.copy()
    images[flip_rows] = images[flip_rows, ::-1]
    images[flip_columns] = images[flip_columns, :, ::-1]
    images[transpose] = images[transpose].swapaxes(1, 2)
    return images
