"""The optimizer Muon, against Keras' own and the singular value decomposition."""

import numpy as np

from lesiongan.nets import optimizers


def test_muon_steps_along_the_orthogonal_factor_of_a_kernel_as_a_matrix():
    import keras

    rng = np.random.default_rng(0)
    start, gradient = rng.normal(size=(2, 3, 3, 5, 8)).astype(np.float32)
    kernel, matrix = keras.Variable(start), keras.Variable(start.reshape(45, 8))
    ours = optimizers.build_optimizer("muon", 0.01, 0.0)
    keras_own = keras.optimizers.Muon(0.01, weight_decay=0.0)
    for optimizer, variable, g in (
        (ours, kernel, gradient),
        (keras_own, matrix, gradient.reshape(45, 8)),
    ):
        optimizer.build([variable])
        optimizer.apply([keras.ops.convert_to_tensor(g)])
    np.testing.assert_allclose(np.asarray(kernel).reshape(45, 8), np.asarray(matrix), atol=1e-6)
    step = (start - np.asarray(kernel)).reshape(45, 8) / (0.01 * 0.2 * np.sqrt(45))
    u, _, vt = np.linalg.svd(gradient.reshape(45, 8), full_matrices=False)
    # Five Newton-Schulz steps bring every singular value to between .7 and 1.2, and keep the
    # singular vectors.
    in_its_frame = u.T @ step @ vt.T
    np.testing.assert_allclose(np.diag(in_its_frame), 1, atol=0.35)
    np.testing.assert_allclose(in_its_frame - np.diag(np.diag(in_its_frame)), 0, atol=1e-4)
