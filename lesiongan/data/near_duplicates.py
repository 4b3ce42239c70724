"""Near-duplicate images, found as near neighbours in the space of 7 x 7 area means."""

import hashlib

import numpy as np

from lesiongan.files.progress import progress

NEAR_DUPLICATE_DISTANCE = 50.0
"""L2 distance of 7 x 7 x 3 area means (grey levels) below which images count as one photograph.

It was measured on the complete table: see results/run/eda_summary.json and docs/leakage.md for
precision and recall.
"""

MOST_PARTNERS = 50

# A tree of more dimensions leaves fewer candidates to compare and takes longer to search. 12 of 30
# was fastest on a million images drawn between pairs of HAM10000's.
TREE_DIMENSIONS = 12
MOST_CANDIDATES = 500_000
SHOW_PROGRESS_ABOVE = 50_000


def dihedral_views(images: np.ndarray) -> list[np.ndarray]:
    """Return the 8 flips and quarter turns of a batch (n, s, s, ...) as a list of views."""
    return [
        turned[:, ::a, ::b]
        for turned in (images, images.swapaxes(1, 2))
        for a in (1, -1)
        for b in (1, -1)
    ]


def area_means(images: np.ndarray) -> np.ndarray:
    """Return float32 (n, 7, 7, c): the means over 7 x 7 equal areas, in which copies lie near."""
    n, h, w, c = images.shape
    return images.reshape(n, 7, h // 7, 7, w // 7, c).mean(axis=(2, 4), dtype=np.float32)


def exact_pairs(images: np.ndarray) -> np.ndarray:
    """Return int64 (m, 2), i < j: each image j that equals an earlier one, with the first i."""
    first: dict[bytes, int] = {}
    pairs = []
    for j, image in enumerate(images):
        # An array is a buffer, which NumPy's types say from Python 3.12 on.
        whole = np.ascontiguousarray(image)
        digest = hashlib.blake2b(whole, digest_size=16).digest()  # type: ignore[arg-type]
        i = first.setdefault(digest, j)
        if i != j:
            pairs.append((i, j))
    return np.reshape(np.array(pairs, dtype=np.int64), (-1, 2))


def invariant_means(means: np.ndarray) -> np.ndarray:
    """Return float32 (n, 10 c): a projection of area means that no flip or turn changes.

    Cells that flips and turns carry into one another are averaged and weighted by the root of
    their number. This is an orthogonal projection, so that no distance of two images, under any
    flip or turn of one, is less than their distance here.
    """
    n, size, _, channels = means.shape
    cells = np.arange(size * size).reshape(1, size, size)
    orbit = np.min([view.ravel() for view in dihedral_views(cells)], axis=0)
    names, orbit = np.unique(orbit, return_inverse=True)
    weights = np.zeros((size * size, len(names)), np.float32)
    weights[np.arange(size * size), orbit] = np.bincount(orbit)[orbit] ** -0.5
    cells = means.reshape(n, size * size, channels)
    return np.einsum("nkc,kj->njc", cells, weights).reshape(n, -1)


def least_distances(
    means: np.ndarray, i: np.ndarray, j: np.ndarray, enough: float = 0
) -> np.ndarray:
    """Return float32 (m,): the distances of area means i and j, least over flips and turns of j.

    A pair that is nearer than `enough` under one of them is not asked about the rest.
    """
    n, size, _, channels = means.shape
    flat = means.reshape(n, size * size, channels)
    cells = np.arange(size * size).reshape(1, size, size)
    least = np.full(len(i), np.inf, np.float32)
    # A hundred thousand pairs at a time take 60 MB.
    for start in range(0, len(i), 100_000):
        part = np.arange(start, min(start + 100_000, len(i)))
        for view in dihedral_views(cells):
            squares = ((flat[i[part]] - flat[j[part]][:, view.ravel()]) ** 2).sum(axis=(1, 2))
            least[part] = np.minimum(least[part], squares)
            part = part[least[part] >= enough**2]
    return np.sqrt(least)


def near_pairs(
    images: np.ndarray, threshold: float = NEAR_DUPLICATE_DISTANCE, block: int = 1024
) -> np.ndarray:
    """Return int64 (m, 2), i < j: the image pairs whose area means are nearer than `threshold`.

    The distance of a pair is the least under all flips and turns. Of each image only the pairs with
    the first MOST_PARTNERS are kept: a thousand blank images would be half a million pairs. Exact
    copies are found first, and of each image one is compared with others: among these the limit
    holds, too.
    """
    copies = exact_pairs(images)
    if not len(copies):
        return near_pairs_of_distinct(images, threshold, block)
    of = np.arange(len(images))
    of[copies[:, 1]] = copies[:, 0]
    first, group, sizes = np.unique(of, return_inverse=True, return_counts=True)
    pairs = near_pairs_of_distinct(images[first], threshold, block)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    # Pairs of an image that has no copy, and is near to none that has one, stay as they are.
    copied = sizes > 1
    copied[both[sizes[both[:, 0]] > 1, 1]] = True
    found = [first[pairs[~copied[pairs[:, 1]]]]]
    both = both[copied[both[:, 0]]]
    both = both[np.argsort(both[:, 0], kind="stable")]
    rows, ends = np.argsort(group, kind="stable"), np.cumsum(sizes)
    for k in np.flatnonzero(copied):
        near = both[slice(*np.searchsorted(both[:, 0], [k, k + 1])), 1]
        members = [rows[ends[m] - sizes[m] : ends[m]] for m in (k, *near)]
        alike = np.sort(np.concatenate([m[: MOST_PARTNERS + 1] for m in members]))
        for j in members[0]:
            i = alike[: np.searchsorted(alike, j)][:MOST_PARTNERS]
            found.append(np.stack([i, np.full(len(i), j)], axis=1))
    pairs = np.concatenate(found)
    return pairs[np.lexsort(pairs.T[::-1])]


def near_pairs_of_distinct(images: np.ndarray, threshold: float, block: int) -> np.ndarray:
    """Return int64 (m, 2): near_pairs of images none of which equals another.

    A k-d tree of a projection that only shortens distances names the candidates, so that none is
    missed.
    """
    from scipy.spatial import cKDTree

    means = area_means(images)
    projected = invariant_means(means)
    projected -= projected.mean(axis=0)
    axes = np.linalg.svd(projected.T @ projected)[2]
    projected = np.ascontiguousarray(projected @ axes.T)
    key = projected[:, :TREE_DIMENSIONS]
    # Rounding must not lose a pair that lies on the threshold.
    reach = threshold * (1 + 1e-4) + 1e-3
    there, tree = np.arange(len(key)), cKDTree(key)
    partners, found, start = np.zeros(len(key), dtype=np.int64), [], 0
    shown = len(key) > SHOW_PROGRESS_ABOVE
    bar = progress(len(key), 0, "near-duplicates", "image", shown)
    while start < len(key):
        rows = np.arange(start, min(start + block, len(key)))
        many = tree.query_ball_point(key[rows], reach, return_length=True, workers=-1)
        rows = rows[: max(1, int(np.searchsorted(np.cumsum(many), MOST_CANDIDATES)))]
        lists = tree.query_ball_point(key[rows], reach, workers=-1)
        i = np.repeat(rows, [len(candidates) for candidates in lists])
        j = there[np.concatenate([np.array(c, dtype=np.int64) for c in lists])]
        keep = (j > i) & (partners[j] < MOST_PARTNERS)
        i, j = i[keep], j[keep]
        keep = ((projected[i] - projected[j]) ** 2).sum(axis=1) < reach**2
        i, j = i[keep], j[keep]
        keep = least_distances(means, i, j, threshold) < threshold
        order = np.lexsort((i[keep], j[keep]))
        i, j = i[keep][order], j[keep][order]
        keep = partners[j] + np.arange(len(j)) - np.searchsorted(j, j) < MOST_PARTNERS
        i, j = i[keep], j[keep]
        np.add.at(partners, j, 1)
        found.append(np.stack([i, j], axis=1))
        start = int(rows[-1]) + 1
        bar.update(len(rows))
        # Images that can take no more pairs leave the tree once they are a quarter of it.
        done = (there < start) | (partners[there] >= MOST_PARTNERS)
        if done.all():
            break
        if done.mean() > 0.25:
            there = there[~done]
            tree = cKDTree(key[there])
    bar.close()
    pairs = np.concatenate(found)
    return pairs[np.lexsort(pairs.T[::-1])]
