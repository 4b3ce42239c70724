"""Predictions in the format of MedMNIST's evaluator, and the two scores that their name holds.

`medmnist.Evaluator.parse_and_evaluate` (3.0.2) reads the data set, the part and the run from the
name of the file, {data set}_{part}_[AUC]{auc}_[ACC]{acc}@{run}.csv. A line is the position of an
image in the part and its score for each class, in the order of the class codes, without a header.
"""

from pathlib import Path

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.files import errors, writing
from lesiongan.files.telling import say
from lesiongan.measures import metrics


def score(codes, scores):
    """Return (AUC, accuracy) as MedMNIST defines them for several classes.

    codes: int (n,) true class; scores: float (n, k). AUC is the mean over all k columns of that of
    each class against the rest, NaN where a class has no image; accuracy is that of the highest
    score.
    """
    ones = np.ones(len(codes))
    each = [metrics.Ranking(codes == k, s).auc(ones) for k, s in enumerate(scores.T)]
    return float(np.mean(each)), float((scores.argmax(axis=1) == codes).mean())


def write(folder, test, p, run):
    """Write the predictions of an npz's whole test part into `folder`, and print where.

    test: its Table, in the order of the npz; p: float (n, 7), columns as CLASSES; run: what the
    evaluator shall call this run. The columns of the file are in the order of the npz's class codes
    and its name begins like that of the npz, by which the evaluator finds the labels.
    """
    column = np.array([CLASSES.index(name) for name in test.order])
    scores = p[:, column]
    auc, accuracy = score(np.argsort(column)[test.labels], scores)
    name = errors.printable(Path(test.path).name).removesuffix(".npz")
    path = Path(folder) / f"{name}_test_[AUC]{auc:.3f}_[ACC]{accuracy:.3f}@{run}.csv"
    lines = [",".join([str(i), *(f"{v:.9g}" for v in row)]) for i, row in enumerate(scores)]
    writing.write_text(path, "\n".join(lines) + "\n")
    say(f"  predictions for MedMNIST's evaluator -> {path}")
