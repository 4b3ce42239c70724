"""The file that evaluate.py writes about the synthetic images is computed again.

It is computed from the networks and tables on disk, by plain Keras, NumPy, SciPy and scikit-learn.
"""

import numpy as np
import pandas as pd
import pytest

from tests import oracles
from tests.oracles import CLASSES


@pytest.fixture(scope="module")
def parts(evaluated):
    return oracles.Parts(evaluated)


@pytest.fixture(scope="module")
def folder(evaluated):
    return evaluated.outputs / "evaluation"


@pytest.fixture(scope="module")
def quality(folder):
    return oracles.read(folder / "synthetic_quality.json")


class Seen:
    """The judge's features and decisions, by stock Keras and scikit-learn.

    The components are fitted on half A.
    """

    def __init__(self, evaluated, parts):
        import keras
        from sklearn.decomposition import PCA

        judge = oracles.load(evaluated.models / "judge/classifier.keras")
        self.features_of = keras.Model(judge.input, judge.get_layer("features").output)
        self.judge, (self.a, self.b) = judge, parts.halves()
        self.pca = PCA(svd_solver="full").fit(self.raw(parts.images[self.a]))

    def raw(self, images):
        return self.features_of.predict(images.astype(np.float32), verbose=0).astype(float)

    def features(self, images):
        return self.pca.transform(self.raw(images))

    def decide(self, images):
        return self.judge.predict(images.astype(np.float32), verbose=0).argmax(axis=1)


@pytest.fixture(scope="module")
def seen(evaluated, parts):
    return Seen(evaluated, parts)


@pytest.fixture(scope="module")
def synthetic(evaluated):
    return oracles.read_images(evaluated.outputs / "synthetic/hmnist_28_28_RGB.csv")


def test_agreement_is_of_synthetic_images_by_their_label_and_recall_of_test_images_by_theirs(
    parts, quality, seen, synthetic
):
    images, labels = synthetic
    fake, real = seen.decide(images), seen.decide(parts.of("test")[0])
    y = parts.of("test")[1]
    for code, c in enumerate(CLASSES):
        found = quality["label_agreement"][c]
        assert found["value"] == pytest.approx((fake[labels == code] == code).mean()), c
        assert found["n"] == (labels == code).sum()
        assert found["real_recall"]["value"] == pytest.approx((real[y == code] == code).mean()), c
        assert found["real_recall"]["n"] == (y == code).sum()
        p, n = found["value"], found["n"]
        assert found["se_of_difference"] == pytest.approx(
            np.sqrt(p * (1 - p) / n + found["real_recall"]["se"] ** 2)
        )


def test_diversity_is_the_spread_of_synthetic_images_over_that_of_one_photograph_a_test_lesion(
    parts, quality, seen, synthetic
):
    from scipy.spatial.distance import pdist

    rows = parts.rows("test")
    first = parts.split.loc[rows].groupby("lesion").row.min().to_numpy()
    assert len(first) < len(rows)
    for code, c in enumerate(CLASSES):
        found = quality["diversity"][c]
        real = first[parts.labels[first] == code]
        if len(real) < 2:
            assert found["value"] is None
            continue
        spreads = [
            pdist(seen.features(x)).mean()
            for x in (synthetic[0][synthetic[1] == code], parts.images[real])
        ]
        assert found["value"] == pytest.approx(spreads[0] / spreads[1], rel=1e-3), c
        assert (found["n"], found["real_n"]) == (5, len(real))


def coarse(images):
    return images.astype(float).reshape(len(images), 7, 4, 7, 4, 3).mean(axis=(2, 4))


def nearest(images, others):
    """(distance, position) by the plain definition, one image after another."""
    d = np.min(
        [
            [np.sqrt(((v[None] - coarse(others)) ** 2).sum(axis=(1, 2, 3))) for v in view]
            for view in oracles.eight_views(coarse(images))
        ],
        axis=0,
    )
    return d.min(axis=1), d.argmin(axis=1)


def test_nearest_pairs_name_the_row_of_the_training_image_and_memorisation_counts_them(
    parts, folder, quality, synthetic
):
    distance, at = nearest(synthetic[0], parts.of("train")[0])
    table = pd.read_csv(folder / "nearest.csv")
    assert table.synthetic_row.tolist() == list(range(35))
    assert table.label.tolist() == synthetic[1].tolist()
    np.testing.assert_allclose(table.distance, distance, rtol=1e-4)
    assert table.train_row.tolist() == parts.rows("train")[at].tolist()
    # Whole lesions are split, so that none is in both parts.
    held = np.quantile(nearest(parts.of("test")[0], parts.of("train")[0])[0], 0.01)
    found = quality["memorisation"]
    assert found["threshold"] == pytest.approx(held, rel=1e-4)
    assert found["value"] == pytest.approx((distance < held).mean())
    assert found["n"] == 35


def test_the_judges_name_is_of_its_weights(evaluated, quality):
    import hashlib

    digest = hashlib.sha256()
    for w in oracles.load(evaluated.models / "judge/classifier.keras").get_weights():
        digest.update(f"{w.dtype.str} {w.shape}".encode() + w.tobytes())
    assert quality["judge_sha256"] == digest.hexdigest()


def test_distances_are_to_the_test_part_and_their_floor_is_half_bs(
    evaluated, parts, quality, seen, synthetic
):
    """The distances agree with those of fresh images, to within the draws.

    The squared distance of the means of features is the first term of Frechet's.
    """
    import scipy.linalg
    from sklearn.metrics.pairwise import polynomial_kernel

    test = seen.features(parts.of("test")[0])
    mix = np.bincount(parts.of("train")[1], minlength=7) / len(parts.rows("train"))
    generator = oracles.load(evaluated.models / "gan/generator.keras")
    rng = np.random.default_rng(5)
    # As many as half B has in the train part's mix without one of them twice.
    n = int(min((parts.labels[seen.b] == c).sum() / m for c, m in enumerate(mix)))
    assert quality["distances"]["frechet"]["n"] == n

    def draw_real():
        by_class = [
            rng.choice(own, min(len(own), round(m * n)), replace=False)
            for c, m in enumerate(mix)
            for own in [seen.b[parts.labels[seen.b] == c]]
        ]
        return seen.features(parts.images[np.concatenate(by_class)])

    def draw_fake():
        y = np.repeat(np.arange(7), np.rint(mix * n).astype(int)).astype(np.int32)
        images = generator.predict(
            [rng.standard_normal((len(y), 64), dtype=np.float32), y], verbose=0
        )
        return seen.features(np.rint(images))

    def frechet(a, b):
        sa, sb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
        root = scipy.linalg.sqrtm(sa @ sb + 1e-9 * np.eye(len(sa))).real
        return ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(sa + sb - 2 * root)

    def kid(a, b):
        k = [
            polynomial_kernel(x, y, degree=3, gamma=1 / a.shape[1], coef0=1)
            for x, y in ((a, a), (b, b), (a, b))
        ]
        n, m = len(a), len(b)
        return (
            (k[0].sum() - np.trace(k[0])) / (n * (n - 1))
            + (k[1].sum() - np.trace(k[1])) / (m * (m - 1))
            - 2 * k[2].mean()
        )

    d = quality["distances"]
    for end, draw in (("", draw_fake), ("_floor", draw_real)):
        several = np.array([(frechet(x, test), kid(x, test)) for x in (draw() for _ in range(8))])
        for name, values in zip(("frechet", "kid"), several.T, strict=True):
            assert d[name + end]["value"] == pytest.approx(
                values.mean(), abs=4 * values.std() + 1e-3
            ), name + end
    # After two epochs a GAN's images are far from real ones.
    assert d["frechet"]["value"] > 2 * d["frechet_floor"]["value"]
    assert d["frechet_ratio"]["value"] == pytest.approx(
        d["frechet"]["value"] / d["frechet_floor"]["value"], rel=0.2
    )
    assert d["precision"]["value"] < d["precision_half_b"]["value"]
    assert d["density_ratio"]["value"] < 1


def test_memorisation_by_class_counts_what_was_flagged_within_the_class(parts, quality, synthetic):
    images, labels = parts.of("train")
    names = parts.lesions("train")
    for code, c in enumerate(CLASSES):
        own, lesions = images[labels == code], names[labels == code]
        d = np.min(
            [
                [np.sqrt(((v[None] - coarse(own)) ** 2).sum(axis=(1, 2, 3))) for v in view]
                for view in oracles.eight_views(coarse(own))
            ],
            axis=0,
        )
        d[lesions[:, None] == lesions[None]] = np.inf
        limit = np.quantile(d.min(axis=1), 0.01)
        found = quality["memorisation"]["by_class"][c]
        assert found["threshold"] == pytest.approx(limit, rel=1e-4), c
        fake = nearest(synthetic[0][synthetic[1] == code], own)[0]
        assert (found["value"], found["n"]) == (pytest.approx((fake < limit).mean()), 5), c


def test_the_protocol_names_part_images_and_mix(parts, quality):
    n = quality["distances"]["frechet"]["n"]
    words = (
        f"{n} images in the train part's class mix against the {len(parts.rows('test'))} of "
        "the test part"
    )
    assert words in quality["protocol"]
    assert quality["source"] == "fresh draws from the saved generator"
    assert "components fitted on half A" in quality["protocol"]


def ring_means(images):
    """Mean power of grey images in rings of integer radius, ring by ring, with SciPy."""
    import scipy.fft

    grey = images @ np.array([0.299, 0.587, 0.114])
    power = np.abs(scipy.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True))) ** 2
    found = []
    for radius in range(1, 15):
        inside = [
            power[:, i, j]
            for i in range(28)
            for j in range(28)
            if round(float(np.hypot(min(i, 28 - i), min(j, 28 - j)))) == radius
        ]
        found.append(np.mean(inside))
    return np.array(found)


def test_the_spectrum_is_the_generators_over_the_train_parts(evaluated, parts, quality):
    generator = oracles.load(evaluated.models / "gan/generator.keras")
    rng = np.random.default_rng(0)
    images, labels = parts.of("train")
    measured = [c for c in CLASSES if "to_train" in quality["spectrum"][c]]
    assert measured
    for c in measured:
        code = CLASSES.index(c)
        latents = rng.standard_normal((2000, generator.inputs[0].shape[1]), dtype=np.float32)
        made = generator.predict([latents, np.full(2000, code, np.int32)], verbose=0)
        expected = ring_means(np.clip(np.rint(made), 0, 255)) / ring_means(images[labels == code])
        assert quality["spectrum"][c]["to_train"] == pytest.approx(list(expected), rel=0.25), c
        farthest = max(quality["spectrum"][c]["to_train"], key=lambda v: abs(np.log(v)))
        assert quality["spectrum"][c]["deviation"]["value"] == farthest
    for c in set(CLASSES) - set(measured):
        assert "are needed" in quality["spectrum"][c]["deviation"]["reason"]


def test_patches_of_a_generator_of_two_epochs_are_far_from_real_ones(quality):
    patches = quality["patches"]
    assert patches["swd_ratio"]["value"] > 2
    for level in (28, 14):
        ratio = patches[f"swd_{level}"]["value"] / patches[f"swd_{level}_floor"]["value"]
        assert patches[f"swd_{level}_ratio"]["value"] == pytest.approx(ratio, rel=0.1)
        assert patches[f"swd_{level}_control"]["value"] == pytest.approx(1, abs=0.5)
