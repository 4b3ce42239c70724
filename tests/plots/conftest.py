"""What the tests of the figures share: the files of one run, read by pandas and NumPy."""

import pandas as pd
import pytest

import visualize_results
from lesiongan.plots.sources import Sources
from lesiongan.run import runs
from tests import oracles
from tests.oracles import P


@pytest.fixture(scope="module")
def inputs(pipeline):
    return Sources(runs.Run(visualize_results.parse_args(pipeline.flags), "visualize_results"))


@pytest.fixture(scope="module")
def parts(pipeline):
    return oracles.Parts(pipeline)


@pytest.fixture(scope="module")
def synthetic(pipeline):
    return oracles.read_images(pipeline.outputs / "synthetic/hmnist_28_28_RGB.csv")


@pytest.fixture(scope="module")
def predicted(pipeline):
    table = pd.read_csv(pipeline.outputs / "evaluation/predictions.csv")
    return table.row.to_numpy(), table.label.to_numpy(), table[P].to_numpy()
