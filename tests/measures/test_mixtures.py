"""Images mixed of two training images are shown as such, and new ones are not."""

import numpy as np
import pytest

from lesiongan.measures import mixtures
from lesiongan.phantom import draw_table
from tests import oracles


@pytest.fixture(scope="module")
def lesions():
    """(train images, their lesions, images of other lesions, theirs)."""
    images, _, meta = draw_table(400)
    names = np.array(meta["lesion_id"])
    held = np.isin(names, np.unique(names)[::4])
    return images[~held], names[~held], images[held], names[held]


def mix(images, others, weight):
    return np.rint(weight * images + (1 - weight) * others).astype(np.uint8)


def share(lesions, images):
    train, names, held, held_names = lesions
    measure = mixtures.ruler(train, names)
    return (measure(images) < np.quantile(measure(held, held_names), 0.01)).mean()


@pytest.mark.parametrize("weight", [0.3, 0.5, 0.7])
def test_mixtures_are_found_in_whatever_turns(lesions, weight):
    train = lesions[0]
    rng = np.random.default_rng(0)
    a, b = (train[rng.permutation(len(train))[:40]].astype(float) for _ in range(2))
    assert share(lesions, mix(a, b, weight)) == 1
    turned = np.rot90(a, axes=(1, 2)), b[:, ::-1]
    assert share(lesions, mix(*turned, weight)) == 1
    # The mixture is turned as a whole and brightened.
    again = np.ascontiguousarray(np.rot90(mix(a, b, weight), 3, axes=(1, 2)))
    assert share(lesions, np.clip(again.astype(int) + 4, 0, 255).astype(np.uint8)) > 0.9


def test_new_lesions_are_no_mixtures_and_copies_are(lesions):
    assert share(lesions, draw_table(120, seed=8)[0]) < 0.15
    assert share(lesions, lesions[0][:40]) == 1


def test_smooth_images_are_no_mixtures_for_being_smooth(lesions):
    from scipy import ndimage

    fresh = draw_table(120, seed=8)[0].astype(float)
    assert share(lesions, ndimage.gaussian_filter(fresh, (0, 1.5, 1.5, 0)).astype(np.uint8)) < 0.15


def test_the_distance_to_a_line_is_that_of_the_plain_definition():
    from scipy.optimize import minimize_scalar

    rng = np.random.default_rng(0)
    points, ends = rng.normal(size=(6, 5)), rng.normal(size=(6, 4, 5)) + 1
    found = mixtures.to_lines(points, ends)
    for point, own, d in zip(points, ends, found, strict=True):
        plain = min(
            minimize_scalar(
                lambda w, a=a, b=b, p=point: np.linalg.norm(p - w * a - (1 - w) * b),
                bounds=(0, 1),
                method="bounded",
            ).fun
            for a in own
            for b in own
        )
        assert d == pytest.approx(plain, abs=1e-4)
    # Past its end a line has no points: the end itself is the nearest.
    assert mixtures.to_lines(np.array([[3.0, 4.0]]), np.array([[[0.0, 0], [-1, 0]]])) == 5


def test_turning_all_training_images_changes_nothing(lesions):
    train, names, held, held_names = lesions
    here = mixtures.ruler(train, names)(held[:20], held_names[:20])
    for view in oracles.eight_views(train)[1:3]:
        there = mixtures.ruler(np.ascontiguousarray(view), names)(held[:20], held_names[:20])
        np.testing.assert_allclose(there, here, atol=5e-3)


def test_components_are_whitened_over_all_views(lesions):
    """The moment of all views of the training images is 1, or less where there is hardly any."""
    means = mixtures.fine_means(lesions[0])
    whitening = mixtures.fit_whitening(means)
    views = np.concatenate([mixtures.flat(v) @ whitening for v in oracles.eight_views(means)])
    moment = views.T @ views / len(views)
    np.testing.assert_allclose(moment, np.diag(np.diag(moment)), atol=1e-2)
    variance = np.linalg.norm(whitening, axis=0) ** -2
    np.testing.assert_allclose(np.diag(moment), 1 - mixtures.NOISE**2 / variance, atol=1e-2)


def test_other_photographs_of_the_lesion_are_passed_over(lesions):
    train, names, *_ = lesions
    measure = mixtures.ruler(train, names)
    assert measure(train[:10]).max() < 1e-3
    assert measure(train[:10], names[:10]).min() > 0.1
