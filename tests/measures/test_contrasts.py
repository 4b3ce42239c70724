"""Contrasts between trainings: Holm, and intervals over lesions and seeds, in closed form."""

import numpy as np
import pytest

from lesiongan.measures import contrasts


def test_holm_rejects_what_the_sequential_procedure_rejects():
    """Holm 1979: from the smallest p on, reject while p_(i) <= alpha / (m - i + 1)."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.uniform(size=7) ** 3
        adjusted = contrasts.adjust(p)
        for alpha in (0.01, 0.05, 0.2, 0.5):
            rejected, left = set(), len(p)
            for i in np.argsort(p):
                if p[i] > alpha / left:
                    break
                rejected.add(i)
                left -= 1
            assert {i for i in range(7) if adjusted[i] <= alpha} == rejected
    np.testing.assert_allclose(contrasts.adjust([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])


def test_a_difference_is_the_mean_over_seeds_with_both_kinds_of_noise():
    rng = np.random.default_rng(0)
    # One resampling of the lesions is the same for every seed.
    lesions = rng.normal(0.01, 0.003, 2000)
    one = contrasts.compare(np.array([0.01]), lesions[None])
    assert (one["low"], one["high"]) == pytest.approx(tuple(np.quantile(lesions, [0.025, 0.975])))
    assert one["std"] is None
    # One training does not tell how much trainings differ.
    assert one["p"] is None
    three = contrasts.compare(np.full(3, 0.01), np.tile(lesions, (3, 1)))
    assert three["p"] == pytest.approx(2 * ((lesions <= 0).sum() + 1) / 2001)
    seeds = np.array([-0.02, 0.0, 0.01, 0.03])
    several = contrasts.compare(seeds, seeds[:, None] + lesions - 0.01)
    assert several["value"] == pytest.approx(seeds.mean())
    assert several["std"] == pytest.approx(seeds.std(ddof=1))
    # The width is that of the mean of four seeds, and of the lesions.
    width = 2 * 1.96 * np.sqrt(seeds.var(ddof=1) / 4 + 0.003**2)
    assert several["high"] - several["low"] == pytest.approx(width, rel=0.1)


def test_seeds_of_both_players_are_drawn_crossed():
    """Owen 2007, Rao and Wu 1988: the variance of the mean of a crossed table, without bias.

    For effects that add up it is the sum of the variances of both axes' means.
    """
    rng = np.random.default_rng(1)
    gan, cnn = rng.normal(0, 0.02, 4), rng.normal(0, 0.03, 5)
    table = 0.01 + gan[:, None] + cnn[None]
    found = contrasts.compare(table, np.repeat(table[..., None], 20_000, axis=-1))
    assert found["value"] == pytest.approx(table.mean())
    assert found["std"] == pytest.approx(table.std(ddof=1))
    error = np.sqrt(gan.var(ddof=1) / 4 + cnn.var(ddof=1) / 5)
    # A test at 5 % sees this difference in four studies of five: 2.80 standard errors.
    assert found["minimum_detectable"] == pytest.approx(2.8016 * error, rel=0.03)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_one_seed_of_the_gan_leaves_the_interval_to_the_classifiers():
    rng = np.random.default_rng(2)
    each = rng.normal(0, 0.02, 5)
    lesions = rng.normal(0, 0.01, 4000)
    one = contrasts.compare(each, each[:, None] + lesions)
    crossed = contrasts.compare(each[None], (each[:, None] + lesions)[None])
    for name in ("value", "low", "high"):
        assert crossed[name] == pytest.approx(one[name], rel=0.1, abs=1e-3)
    # One generator does not tell how much generators differ.
    assert one["p"] is not None
    assert crossed["p"] is None


def test_two_seeds_of_either_player_are_not_tested():
    for shape in ((3, 2), (2, 3), (2,)):
        assert contrasts.compare(np.zeros(shape), np.zeros((*shape, 50)))["p"] is None
    assert contrasts.compare(np.zeros((3, 3)), np.zeros((3, 3, 50)))["p"] == 1


def test_draws_in_which_a_measure_is_undefined_are_left_out():
    """A draw of lesions may hold no melanoma."""
    drawn = np.tile(np.linspace(0.01, 0.03, 200), (3, 1))
    whole = contrasts.compare(np.full(3, 0.02), drawn)
    drawn = np.concatenate([drawn, np.full((3, 50), np.nan)], axis=1)
    found = contrasts.compare(np.full(3, 0.02), drawn)
    for name in ("low", "high", "minimum_detectable", "p"):
        assert found[name] == pytest.approx(whole[name], abs=1e-3)


def test_measures_are_drawn_alike_for_every_key():
    """Lesions are drawn whole, and in the same draws for every arm."""
    lesions = np.array(["a", "a", "b", "c"])
    seen = {}

    def keep(name):
        def measure(w):
            seen.setdefault(name, []).append(w)
            return {"sum": w.sum(axis=1), "first": w[:, 0] - w[:, 1], "other": w[:, 0]}

        return measure

    values, drawn = contrasts.draw_measures(
        {"x": keep("x"), "y": keep("y")}, ("sum", "first"), lesions, 150
    )
    assert values["x"] == {"sum": 4.0, "first": 0.0}
    assert set(drawn["y"]) == {"sum", "first"}
    assert drawn["x"]["sum"].shape == (150,)
    np.testing.assert_array_equal(drawn["x"]["first"], np.zeros(150))
    np.testing.assert_array_equal(np.concatenate(seen["x"]), np.concatenate(seen["y"]))
