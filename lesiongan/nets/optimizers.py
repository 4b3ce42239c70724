"""Optimizers of the classifier."""

import math


def build_optimizer(name, rate, weight_decay):
    """Return keras.optimizers.AdamW, or Muon (Jordan et al. 2024) for convolutions.

    Muon makes the step of every convolution orthogonal and leaves the rest to Adam. Keras' own Muon
    takes matrices alone; here a kernel (h, w, in, out) counts as the matrix (h w in, out) that it
    is.
    """
    import keras
    from keras import ops

    class ConvolutionMuon(keras.optimizers.Muon):
        def _should_use_adamw(self, variable):
            return len(variable.shape) != 4

        def zeropower_via_newtonschulz5(self, x, steps):
            matrix = ops.reshape(x, (-1, x.shape[-1]))
            return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

        def lr_adjust(self, x):
            # This scale gives the step the root mean square of Adam's.
            return x * self.rms_rate * max(math.prod(x.shape[:-1]), x.shape[-1]) ** 0.5

    if name == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=weight_decay)
    return ConvolutionMuon(rate, weight_decay=weight_decay, adam_weight_decay=weight_decay)
