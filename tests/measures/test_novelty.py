"""Memorised, copied and mixed sets do not pass as new, and the record says which and why."""

from types import SimpleNamespace

import numpy as np
import pytest

from lesiongan.data.split import split_table
from lesiongan.data.tables import Table
from lesiongan.measures import copies, mixtures, novelty
from lesiongan.phantom import draw_table


@pytest.fixture(scope="module")
def inputs():
    images, labels, meta = draw_table(500)
    lesions, rows = np.array(meta["lesion_id"]), np.arange(len(labels))
    table = Table("t.csv", "hmnist_28_28_RGB", images, labels, "s", rows, lesions)
    parts = split_table(table)
    return SimpleNamespace(
        table=table,
        parts=parts,
        split={"protocol": "p"},
        part=lambda name: (images[parts == name], labels[parts == name]),
        lesions=lambda name: lesions[parts == name],
    )


def as_set(images, labels):
    images = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    return Table("s", "hmnist_28_28_RGB", images, labels, "", np.arange(len(labels)))


def noisy(images, sd):
    return images + np.random.default_rng(0).normal(0, sd, images.shape)


def mixed(images):
    weight = np.random.default_rng(0).uniform(0.3, 0.7, (len(images), 1, 1, 1))
    return weight * images + (1 - weight) * images[::-1]


@pytest.mark.parametrize(
    ("make", "which"),
    [
        (lambda x: noisy(x, 2), "memorisation"),
        (lambda x: noisy(x, 10), "memorisation"),
        (lambda x: noisy(np.rot90(x, axes=(1, 2)), 10), "memorisation"),
        (lambda x: noisy(np.clip(x * 0.9 - 20, 0, 255), 2), "copies"),
        (mixed, "mixtures"),
    ],
)
def test_a_set_made_of_training_images_does_not_pass_as_new(inputs, make, which):
    images, labels = (x[:80] for x in inputs.part("train"))
    found = novelty.report(inputs, as_set(make(images.astype(float)), labels), "val")
    assert found[which]["value"] >= 0.9
    assert found["passes_as_new"]["passes"] is False
    assert (
        f"{100 * found[which]['value']:.1f} % {novelty.FOUND[which]}"
        in (found["passes_as_new"]["reason"])
    )


def test_new_lesions_pass_as_new(inputs):
    found = novelty.report(inputs, as_set(*draw_table(150, seed=4)[:2]), "test")
    for name in novelty.FOUND:
        assert found[name]["value"] < 0.1, name
        assert found[name]["n"] == 150
    assert found["passes_as_new"]["passes"] is True
    assert "which unseen lesions may have" in found["passes_as_new"]["reason"]


def test_a_share_fails_when_its_interval_is_above_what_unseen_lesions_may_have():
    def of(low):
        return {name: {"value": 0.05, "low": 0.0} for name in novelty.FOUND} | {
            "mixtures": {"value": 0.05, "low": low}
        }

    for n in (60, 1003):
        # The share of unseen lesions below the 1st percentile of n others, simulated.
        draws = np.quantile(np.random.default_rng(0).random((20_000, n)), 0.01, axis=1)
        decided = novelty.decide(of(0.0), n)
        limit = decided["limit"]
        assert decided["passes"] is True
        # The Beta is of the order statistic next above the percentile, so it is on the safe side.
        assert np.quantile(draws, 0.975) < limit < 1.8 * np.quantile(draws, 0.975)
        assert novelty.decide(of(limit - 1e-6), n)["passes"] is True
        decided = novelty.decide(of(limit + 1e-6), n)
        assert decided["passes"] is False
        assert decided["reason"] == f"5.0 % {novelty.FOUND['mixtures']}"


@pytest.mark.parametrize("module", [copies, mixtures])
def test_the_threshold_is_the_1st_percentile_of_the_held_out_part(inputs, module):
    synthetic = as_set(*draw_table(50, seed=4)[:2])
    measure = module.ruler(inputs.part("train")[0], inputs.lesions("train"))
    for part in ("val", "test"):
        found = novelty.report_share(inputs, synthetic, part, module)
        held = measure(inputs.part(part)[0], inputs.lesions(part))
        assert found["threshold"] == pytest.approx(np.quantile(held, 0.01))
        assert found["value"] == (measure(synthetic.images) < found["threshold"]).mean()
        assert found["definition"] == module.DEFINITION
