"""Framings and lamps against Pillow and arithmetic; scores against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, roc_auc_score

from benchmarks import framing
from study.pages import classifier


def test_the_middle_is_enlarged_and_the_edge_is_gone():
    images = np.zeros((2, 28, 28, 3), np.uint8)
    # The frame of three pixels is white, and so is a spot in the middle of the second image.
    images[:, :3] = images[:, -3:] = images[:, :, :3] = images[:, :, -3:] = 255
    images[1, 12:16, 12:16] = 255
    first, second = framing.enlarge(images)
    # Pixels at the edge are interpolated with the frame beside them.
    assert (first[:, 1:-1][1:-1] == 0).all()
    assert first.max() < 64
    # Four of 22 pixels become five of 28, at the same middle.
    assert (second[14, :, 0] > 127).sum() == pytest.approx(4 * 28 / 22, abs=1)
    np.testing.assert_array_equal(second, second[::-1, ::-1])


def test_the_other_lamp_is_warmer_and_weaker():
    found = framing.tint(np.array([[[[100, 100, 100]], [[255, 3, 200]]]], np.uint8))
    assert found.tolist() == [[[[98, 92, 82]], [[255, 0, 172]]]]


def test_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(7), rng.integers(0, 7, 93)])
    p = rng.dirichlet(np.ones(7), 100)
    shift = np.linspace(-1, 1, 7)
    found = framing.score(y, p, {"balanced_shift": shift.tolist(), "train_prior": [1 / 7] * 7})
    decided = (np.log(p) + shift).argmax(axis=1)
    assert found == pytest.approx(
        {
            "accuracy": accuracy_score(y, p.argmax(axis=1)),
            "balanced_accuracy": balanced_accuracy_score(y, decided),
            "auc": roc_auc_score(y, p, multi_class="ovr"),
            "log_loss": log_loss(y, p),
        }
    )


def test_the_page_has_means_over_seeds_by_view_and_by_what_a_network_is_told():
    rows = [
        {"network": n, "told": t, "view": v, "accuracy": str(a), "auc": str(a / 2)}
        for n, t, base in (("cnn", "image alone", 0.2), ("clinical", "all known", 0.4))
        for v, more in (("whole", 0.2), ("enlarged", 0.0))
        for a in (base + more, base + more + 0.1)
    ]
    found = classifier.describe_framing(rows)
    assert found["heads"] == ["the image-only network", "the clinical network, all known"]
    assert found["rows"] == [
        ("whole", "0.450 / 0.225", "0.650 / 0.325"),
        ("enlarged", "0.250 / 0.125", "0.450 / 0.225"),
    ]
    assert classifier.describe_framing([]) is None
