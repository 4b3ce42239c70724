"""The arithmetic of a training step, in closed form."""

import numpy as np
import pytest

from benchmarks import gan_speed
from study.pages import gan as pages_gan


def test_multiply_adds_are_those_of_the_formulas():
    """He and Sun 2015: k^2 c_in c_out for each place of the output, of the input if transposed."""
    import keras
    from keras import layers

    x = keras.Input((10, 8, 3))
    y = layers.Conv2D(5, 3, strides=2, padding="same")(x)
    y = layers.Conv2DTranspose(7, 4, strides=2, padding="same")(layers.ReLU()(y))
    y = layers.Dense(11)(layers.GlobalAveragePooling2D()(y))
    wanted = 9 * 3 * 5 * (5 * 4) + 16 * 5 * 7 * (5 * 4) + 7 * 11
    assert gan_speed.count_products(keras.Model(x, y)) == wanted


def test_a_step_is_of_the_images_that_the_two_networks_see(monkeypatch):
    class Gan:
        generator, critic = "generator", "critic"

    monkeypatch.setattr(
        gan_speed, "count_products", lambda name: {"generator": 10, "critic": 1000}[name]
    )
    # 64 real and 64 generated images, and two points beside each of 8 for their slopes.
    batch = {"label": np.zeros(64), "noise": np.zeros((8, 28, 28, 3))}
    found = gan_speed.step_arithmetic(Gan, batch)
    assert found == pytest.approx(3 * 2 * (64 * 10 + (128 + 16) * 1000) / 1e9)


def test_the_rate_of_matrix_products_is_that_of_the_median_product(monkeypatch):
    """A product of two matrices of n x n takes 2 n^3 operations; the first one warms up."""
    ends = iter([0, 9, 10, 11, 20, 24, 30, 32])
    monkeypatch.setattr(gan_speed.time, "perf_counter", lambda: next(ends))
    # The products take 9, 1, 4 and 2 seconds.
    assert gan_speed.matrix_rate(64, repeats=3) == pytest.approx(2 * 64**3 / 2 / 1e9)


def test_the_page_shows_arithmetic_where_it_was_measured():
    found = {
        "minutes_200_epochs": 40.0,
        "train_images_per_second": 500.0,
        "sample_images_per_second": 4000.0,
    }
    rows = pages_gan.build_rows({"ours": found}, pages_gan.COST, "")
    assert [row[1] for row in rows] == ["40", "500", "4000"]
    reached = {"gflops": 160.4, "gflops_of_matrix_products": 380.0}
    gans = {"ours": found | {"arithmetic": reached}, "other": {"minutes_200_epochs": 9.0}}
    rows = pages_gan.build_rows(gans, pages_gan.COST, "")
    assert rows[0][1:] == ("40", "9")
    assert rows[-1][1:] == ("160 of 380", "")
