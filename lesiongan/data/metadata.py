"""HAM10000_metadata.csv, which is read, and refused unless it describes the table row by row."""

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.files.compressed import open_narrow
from lesiongan.files.errors import InputError, first_line


def read_metadata(path, table, external=False):
    """Return the DataFrame of HAM10000_metadata.csv (lesion_id, image_id, dx, ...).

    Raises InputError unless the file describes `table` row by row.

    external: True for the metadata of another table, which is not split. Then image_id alone is
    enough, and lesions whose photographs do not look alike are noted instead of refused.
    """
    import pandas as pd

    try:
        with open_narrow(path) as f:
            meta = pd.read_csv(f, dtype=str, keep_default_na=False)
    except InputError:
        raise
    except Exception as e:
        raise InputError(f"{path}: not a readable CSV ({first_line(e)})") from None
    for name in ("lesion_id", "image_id", "dx"):
        if name not in meta and not (external and name != "image_id"):
            raise InputError(f"{path}: no column {name!r}; expected HAM10000_metadata.csv")
    if len(meta) != len(table):
        raise InputError(
            f"{path}: {len(meta)} rows, but {table.path} has {len(table)}; they must describe the "
            "same images (--metadata none groups near-duplicate images instead)"
        )
    expected = np.array(CLASSES)[table.labels]
    wrong = np.flatnonzero(meta["dx"].to_numpy() != expected) if "dx" in meta else []
    if len(wrong):
        i = wrong[0]
        raise InputError(
            f"{path}: line {i + 2}, column dx is {meta['dx'][i][:20]!r}, but that row of "
            f"{table.path} is labelled {expected[i]!r} ({len(wrong)} rows disagree); the files are "
            "not in the same order"
        )
    for name in meta.columns.intersection(["lesion_id", "image_id"]):
        empty = np.flatnonzero(meta[name].to_numpy() == "")
        if len(empty):
            raise InputError(f"{path}: line {empty[0] + 2}, column {name} is empty")
        odd = np.flatnonzero(meta[name].str.contains(r"[^\w.:-]").to_numpy())
        if len(odd):
            raise InputError(
                f"{path}: line {odd[0] + 2}, column {name} is {meta[name][odd[0]][:20]!r}; "
                "expected letters, digits, _ . : -"
            )
    if "lesion_id" in meta and (fault := find_other_order(table, meta["lesion_id"].to_numpy())):
        if not external:
            raise InputError(
                f"{path}: {fault} (--metadata none groups near-duplicate images instead)"
            )
        table.notes.append(f"the metadata's {fault}")
    if "age" in meta:
        age = pd.to_numeric(meta["age"], errors="coerce")
        meta["age"] = age.where((age >= 0) & (age <= 130))
    return meta


def colour_signature(images):
    """Return float32 (n, 14): seven quantiles of log(R/G) and of log(B/G) of each image.

    Lighting and framing hardly move them.
    """
    logs = np.log(images.reshape(len(images), -1, images.shape[-1]).astype(np.float32) + 8)
    ratios = logs[..., ::2] - logs[..., 1:2]
    return (
        np.quantile(ratios, [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98], axis=1)
        .transpose(1, 0, 2)
        .reshape(-1, 14)
    )


ORDER_THRESHOLD = 0.62
"""Least score, in every class, of metadata that is taken to be in the order of the images.

The score is the share of comparisons in which two photographs of one lesion are nearer than two of
different lesions of that class. On the complete table it is .72 (akiec) to .88 (nv) for the true
metadata, and .50 +- .045 at most after a shuffle within a class.
"""


def row_order_scores(table, lesion_ids, least_pairs=20, draws=4000):
    """Score by class how often same-lesion pairs are nearer than random pairs of their class.

    Returns {class or 'rare': (score, number of same-lesion pairs)}. The score is the Mann-Whitney
    probability over colour_signature distances: 1/2 when the ids belong to other rows. Classes with
    fewer than `least_pairs` pairs are scored together as 'rare'.
    """
    import pandas as pd

    rng = np.random.default_rng(0)
    order = np.argsort(pd.factorize(lesion_ids)[0], kind="stable")
    same = lesion_ids[order][1:] == lesion_ids[order][:-1]
    pairs = np.stack([order[:-1][same], order[1:][same]], axis=1)
    compared = {}
    for code, name in enumerate(CLASSES):
        own = pairs[table.labels[pairs[:, 0]] == code]
        if not len(own):
            continue
        own = own[np.linspace(0, len(own) - 1, min(draws, len(own))).astype(int)]
        other = rng.choice(np.flatnonzero(table.labels == code), (draws, 2))
        compared[name] = own, other[lesion_ids[other[:, 0]] != lesion_ids[other[:, 1]]]

    if not compared:
        return {}
    # Only images that are compared get a signature, because computing one takes 20 kB and a table
    # may have a million rows.
    used = np.unique(np.concatenate([p for both in compared.values() for p in both]))
    signature = np.concatenate(
        [colour_signature(table.images[used[i : i + 4096]]) for i in range(0, len(used), 4096)]
    )

    def distance(p):
        first, second = (signature[np.searchsorted(used, column)] for column in p.T)
        return np.linalg.norm(first - second, axis=1)

    wins, scores = [], {}
    for name, (own, other) in compared.items():
        if not len(other):
            continue
        nearer = 1 - np.searchsorted(np.sort(distance(other)), distance(own)) / len(other)
        if len(own) >= least_pairs:
            scores[name] = (float(nearer.mean()), len(own))
        else:
            wins.append(nearer)
    if wins and sum(map(len, wins)) >= least_pairs:
        pooled = np.concatenate(wins)
        scores["rare"] = (float(pooled.mean()), len(pooled))
    return scores


def find_other_order(table, lesion_ids):
    """Return in words why the lesion ids must be in another order than the images, or None.

    They are if, in some class, photographs that are said to show one lesion do not look alike.
    (Equal labels prove little: the table has only 25 runs of them.)
    """
    for name, (score, pairs) in row_order_scores(table, lesion_ids).items():
        if score < ORDER_THRESHOLD:
            return (
                f"lesion ids do not fit the images of class {name}: same-lesion pairs are "
                f"nearer than random pairs in {score:.2f} of comparisons, at least "
                f"{ORDER_THRESHOLD} expected ({pairs} pairs); the rows are in another order"
            )
    return None
