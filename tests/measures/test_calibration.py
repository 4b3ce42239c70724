"""Temperature and operating points, against scikit-learn and known answers."""

import numpy as np
import pytest
from sklearn.metrics import recall_score

import train_cnn
from lesiongan.measures import bootstrap, calibration, metrics


def test_calibration_inside_the_model_is_the_formula():
    import keras

    network = train_cnn.build_network(7, 8)
    x = np.random.default_rng(0).uniform(0, 255, (5, 28, 28, 3)).astype(np.float32)
    logits = network.predict(x, verbose=0)
    shift = np.linspace(-1, 1, 7)
    model = calibration.with_calibration(network, 1.7, shift)
    assert isinstance(model, keras.Model)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), calibration.softmax((logits + shift) / 1.7), atol=1e-5
    )


def test_temperature_finds_the_true_one():
    """Logits that are three times too sure must be cooled by three."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4000, 7)) * 1.5
    p = calibration.softmax(true)
    y = (rng.random((4000, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=6)

    class Network:
        def predict_on_batch(self, images):
            return 3 * true[images[:, 0, 0, 0].astype(int)]

    numbered = np.tile(np.arange(4000, dtype=np.float32)[:, None, None, None], (1, 28, 28, 3))
    t = calibration.fit_temperature(Network(), numbered, y, np.zeros(7))
    assert t == pytest.approx(3, rel=0.1)


def test_balanced_point_helps_balanced_accuracy_on_val():
    rng = np.random.default_rng(0)
    prior = np.array([0.02, 0.03, 0.1, 0.02, 0.7, 0.03, 0.1])
    y = rng.choice(7, 3000, p=prior)
    p = calibration.softmax(rng.normal(size=(3000, 7)) + 1.5 * np.eye(7)[y] + np.log(prior))
    points = calibration.fit_operating_points(p, y, prior, np.arange(3000).astype(str))
    # With calibrated probabilities the best decision takes the whole prior out.
    assert 0.7 < points["tau"] < 1.3

    def balanced(decided):
        return metrics.summarise(metrics.confusion(y, decided, 7))["balanced_accuracy"]

    assert (
        balanced(metrics.balanced_decision(p, np.array(points["balanced_shift"])))
        > balanced(p.argmax(axis=1)) + 0.1
    )
    w = np.ones(3000)
    ranking = metrics.Ranking(y == 6, p[:, 6])
    assert 0.9 <= ranking.specificity(points["melanoma_threshold_at_90_specificity"], w) < 0.905


def test_tau_is_the_mean_of_the_best_in_resampled_lesions_and_so_steadier():
    rng = np.random.default_rng(0)
    prior, taus = np.array([0.02, 0.03, 0.1, 0.02, 0.7, 0.03, 0.1]), np.linspace(0, 2, 41)
    lesions = np.repeat(np.arange(200), 2).astype(str)
    found = []
    # Eight tables of one population show how much each choice of tau varies.
    for _ in range(8):
        y = np.repeat(rng.choice(7, 200, p=prior), 2)
        p = calibration.softmax(rng.normal(size=(400, 7)) + 1.5 * np.eye(7)[y] + np.log(prior))
        decided = [np.argmax(np.log(p) - t * np.log(prior), axis=1) for t in taus]
        whole = taus[
            np.argmax([recall_score(y, d, average="macro", labels=np.unique(y)) for d in decided])
        ]
        found.append((whole, calibration.fit_tau(p, y, np.log(prior), lesions)))
    best = []
    for each in np.concatenate(list(bootstrap.lesion_weights(lesions, 5))).astype(int):
        drawn = np.repeat(np.arange(400), each)
        scores = [
            recall_score(y[drawn], d[drawn], average="macro", labels=np.unique(y[drawn]))
            for d in decided
        ]
        best.append(taus[np.argmax(scores)])
    assert calibration.fit_tau(p, y, np.log(prior), lesions, draws=5) == pytest.approx(
        np.mean(best)
    )
    whole, bagged = np.std(found, axis=0)
    assert bagged < 0.8 * whole
