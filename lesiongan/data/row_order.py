"""Whether the rows of metadata stand in the order of a table's images.

Kaggle's table has no image ids, so the order is all that ties a lesion id to an image. Equal labels
prove little: the table has only 25 runs of them. Photographs of one lesion look alike, though, and
under another order they do so no more than any two of their class.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lesiongan.data.classes import CLASSES

LEAST_PAIRS = 100
"""Fewer pairs of photographs of one lesion cannot tell a right order from a wrong one."""

LEAST_CLASS_PAIRS = 20
"""A class with so many pairs is asked by itself too."""

CHANCE_Z, RIGHT_Z, LEAST_RIGHT = 2.6, 3.9, 0.72
"""A score is refused if it is no more than CHANCE_Z standard errors above 1/2, where the same
number of right pairs would score as low in at most one of 10 000 tables: RIGHT_Z standard errors
below LEAST_RIGHT, the lowest of a class of HAM10000 (akiec; nevi have .88). How often this is wrong
is in results/row_order.csv, made by benchmarks/row_order.py.
"""


@dataclass(frozen=True)
class RowOrder:
    """score: mean over same-lesion pairs of the share of random pairs of their class that are less
    alike, which is 1/2 in expectation if the ids belong to other rows; se: its standard error;
    pairs: how many.
    """

    score: float
    se: float
    pairs: int

    @property
    def is_wrong(self) -> bool:
        """Whether the pairs look no more alike than random ones would."""
        above = min(CHANCE_Z * self.se, LEAST_RIGHT - 0.5 - RIGHT_Z * self.se)
        return self.score < 0.5 + above

    def __str__(self) -> str:
        return (
            f"same-lesion pairs are more alike than random ones in {self.score:.2f} of comparisons "
            f"(standard error {self.se:.3f}, {self.pairs} pairs; 0.50 is chance)"
        )


def colour_signature(images: np.ndarray) -> np.ndarray:
    """float32 (n, 14): seven quantiles of log(R/G) and log(B/G), which lighting and framing
    hardly move.
    """
    logs = np.log(images.reshape(len(images), -1, images.shape[-1]).astype(np.float32) + 8)
    ratios = logs[..., ::2] - logs[..., 1:2]
    return (
        np.quantile(ratios, [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98], axis=1)
        .transpose(1, 0, 2)
        .reshape(-1, 14)
    )


def signatures_of(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """colour_signature of the images at `rows` alone, in that order."""
    # A signature takes 20 kB on its way, and a table may have a million rows.
    blocks = (rows[i : i + 4096] for i in range(0, len(rows), 4096))
    return np.concatenate([colour_signature(images[block]) for block in blocks])


def same_lesion_pairs(lesion_ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int64 (m, 2): pairs of images that carry one lesion id, k - 1 of a lesion with k images."""
    names = np.unique(lesion_ids, return_inverse=True)[1]
    # Neighbours in the table are of one source and look alike, whatever lesion they show: the
    # images of a lesion are paired in random order.
    order = rng.permutation(len(names))
    order = order[np.argsort(names[order], kind="stable")]
    same = names[order][1:] == names[order][:-1]
    return np.stack([order[:-1][same], order[1:][same]], axis=1)


def measure(
    labels: np.ndarray,
    lesion_ids: np.ndarray,
    signatures: Callable[[np.ndarray], np.ndarray],
    draws: int = 4000,
) -> dict[str, RowOrder]:
    """{'all' and each class that has pairs: RowOrder}.

    signatures: function of row numbers (m,) to their colour signatures (m, 14). Of each class at
    most `draws` pairs are compared, with as many random pairs.
    """
    rng = np.random.default_rng(0)
    pairs = same_lesion_pairs(lesion_ids, rng)
    compared = {}
    for code, name in enumerate(CLASSES):
        own = pairs[labels[pairs[:, 0]] == code]
        members = np.flatnonzero(labels == code)
        if not len(own) or len(members) < 3:
            continue
        own = own[np.linspace(0, len(own) - 1, min(draws, len(own))).astype(int)]
        other = rng.choice(members, (draws, 2))
        other = other[lesion_ids[other[:, 0]] != lesion_ids[other[:, 1]]]
        if len(other):
            compared[name] = own, other, len(members)
    if not compared:
        return {"all": RowOrder(np.nan, np.nan, 0)}
    used = np.unique(
        np.concatenate([p for own, other, _ in compared.values() for p in (own, other)])
    )
    signature = signatures(used)

    def distance(p: np.ndarray) -> np.ndarray:
        first, second = (signature[np.searchsorted(used, column)] for column in p.T)
        return np.linalg.norm(first - second, axis=1)

    ranks, lesions, reference = {}, {}, {}
    for name, (own, other, images) in compared.items():
        farther = 1 - np.searchsorted(np.sort(distance(other)), distance(own)) / len(other)
        ranks[name], lesions[name] = farther, lesion_ids[own[:, 0]]
        # Random pairs share images: n images make about n / 2 independent pairs.
        reference[name] = len(own) ** 2 / (12 * images / 2)
    found = {name: summarise(ranks[name], lesions[name], reference[name]) for name in compared}
    return {
        "all": summarise(
            np.concatenate([*ranks.values()]),
            np.concatenate([*lesions.values()]),
            sum(reference.values()),
        )
    } | found


def find_wrong(found: dict[str, RowOrder]) -> tuple[str, RowOrder] | None:
    """(name, RowOrder) of what says that the rows are in another order, or None.

    found: as `measure` returns it. All classes count together, and each that has pairs enough.
    """
    for name, order in found.items():
        least = LEAST_PAIRS if name == "all" else LEAST_CLASS_PAIRS
        if order.pairs >= least and order.is_wrong:
            return name, order
    return None


def summarise(ranks: np.ndarray, lesions: np.ndarray, reference: float) -> RowOrder:
    """RowOrder of the ranks of same-lesion pairs; those of one lesion vary together.

    reference: variance of the sum of ranks that comes of the finite number of random pairs.
    """
    score = ranks.mean()
    by_lesion = np.bincount(np.unique(lesions, return_inverse=True)[1], weights=ranks - score)
    # Ranks of unlike pairs are uniform, with a variance of 1/12. Those of a few like pairs may all
    # be nearly 1, which is no certainty.
    spread = max(float((by_lesion**2).sum()), len(ranks) / 24)
    return RowOrder(float(score), float(np.sqrt(spread + reference) / len(ranks)), len(ranks))
