"""Power spectra against closed forms."""

import numpy as np
import pytest

from lesiongan.data import spectrum

SIZE = 28


@pytest.mark.parametrize("cycles", [1, 5, 14])
def test_a_wave_has_all_its_power_in_its_own_ring(cycles):
    wave = 10 * np.cos(2 * np.pi * cycles * np.arange(SIZE) / SIZE)
    image = np.broadcast_to(100 + wave[:, None, None], (1, SIZE, SIZE, 3))
    found = spectrum.ring_powers(image)[0]
    at = np.fft.fftfreq(SIZE, 1 / SIZE)
    members = (np.rint(np.hypot(at[:, None], at[None])) == cycles).sum()
    # A wave of amplitude A is A N / 2 at each of two frequencies; at the Nyquist one, A N at one.
    total = (10 * SIZE**2) ** 2 / (2 if cycles < SIZE // 2 else 1)
    assert found[cycles - 1] == pytest.approx(total / members, rel=1e-9)
    assert np.delete(found, cycles - 1) == pytest.approx(0, abs=1e-6)


def test_white_noise_has_the_same_power_at_all_radii():
    noise = np.random.default_rng(0).normal(128, 10, (3000, SIZE, SIZE, 3))
    found = spectrum.ring_powers(noise).mean(axis=0)
    expected = SIZE**2 * 100 * (spectrum.GREY**2).sum()
    assert found == pytest.approx(np.full(14, expected), rel=0.03)
