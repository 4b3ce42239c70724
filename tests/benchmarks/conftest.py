"""What the tests of the benchmarks share."""

import pytest

from tests.conftest import load_benchmark


@pytest.fixture(scope="module")
def bars():
    return load_benchmark("gan_bars")
