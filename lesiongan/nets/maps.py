"""Maps of a classifier's decision: which part of an image speaks for a class.

Every map is the mean of those of the eight flips and turns, each turned back, as the answer is the
mean of the eight.
"""

import functools

import numpy as np

from lesiongan.data.near_duplicates import dihedral_views
from lesiongan.nets import inference

PATCH, STRIDE = 6, 2
BORDER = 2


def draw(kind, model, image, code):
    """Return the map float64 (28, 28) of an image uint8 (28, 28, 3) for the class `code`.

    kind: 'occlusion' or 'gradcam'. Positive values speak for the class; zero is no influence.
    """
    views = [view[0] for view in dihedral_views(image[None])]
    if kind == "gradcam":
        maps = gradcam(model, np.stack(views), code)
    else:
        maps = [occlusion(model, view, code) for view in views]
    return np.mean([turn_back(m, i) for i, m in enumerate(maps)], axis=0)


def turn_back(view, number):
    """Return dihedral_views' view of that number, (s, s, ...), as it was before."""
    a, b = (1, -1)[number // 2 % 2], (1, -1)[number % 2]
    view = view[::a, ::b]
    return view.swapaxes(0, 1) if number >= 4 else view


def occlusion(model, image, code):
    """Return float64 (28, 28): how much the class's probability falls where the image is covered.

    A patch of PATCH x PATCH pixels in the mean colour of the image's border, which is skin on most
    photographs, is put at every STRIDE-th place. A pixel has the mean fall of the patches that
    cover it (Zeiler and Fergus 2014, section 4.2).
    """
    size = image.shape[0]
    frame = np.ones(image.shape[:2], dtype=bool)
    frame[BORDER:-BORDER, BORDER:-BORDER] = False
    colour = np.rint(image[frame].mean(axis=0)).astype(np.uint8)
    places = [(y, x) for y in places_along(size) for x in places_along(size)]
    covered = np.repeat(image[None], len(places) + 1, axis=0)
    for i, (y, x) in enumerate(places):
        covered[i, y : y + PATCH, x : x + PATCH] = colour
    p = inference.predict(model, covered)[:, code].astype(np.float64)
    total, count = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
    for (y, x), value in zip(places, p[-1] - p[:-1], strict=True):
        total[y : y + PATCH, x : x + PATCH] += value
        count[y : y + PATCH, x : x + PATCH] += 1
    return total / count


def places_along(size):
    """Return the first pixels of the patches along one side."""
    return range(0, size - PATCH + 1, STRIDE)


@functools.lru_cache(maxsize=1)
def last_convolution(model):
    """Return the keras model of a classifier's features before the average over all places."""
    import keras

    return keras.Model(model.input, model.get_layer("features").input)


def gradcam(model, images, code):
    """Return float64 (n, 28, 28): Grad-CAM of the last convolution's features for the class.

    images: uint8 (n, 28, 28, 3). After the average over all places stands one dense layer, so the
    gradient of a logit with respect to a feature is that layer's weight at every place, and needs
    no differentiation (Selvaraju et al. 2017, section 3.1; CAM, Zhou et al. 2016). What the network
    crops away is zero.
    """
    import keras
    from PIL import Image

    features = inference.predict(last_convolution(model), images).astype(np.float64)
    weights = model.get_layer("logits").get_weights()[0][:, code]
    small = np.maximum(features @ weights, 0).astype(np.float32)
    crops = [layer for layer in model.layers if isinstance(layer, keras.layers.CenterCrop)]
    size = images.shape[1]
    side = crops[0].height if crops else size
    left = (size - side) // 2
    out = np.zeros(images.shape[:3])
    for place, each in zip(out, small, strict=True):
        seen = Image.fromarray(each).resize((side, side), Image.Resampling.BILINEAR)
        place[left : left + side, left : left + side] = seen
    return out
