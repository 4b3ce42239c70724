"""Lesions: which images show one lesion, and the split that never separates them.

NumPy and pandas alone, and deterministic: which part a lesion falls in depends on the table's lesion ids and `--split-seed`
alone, never on row order, platform or library version. In another table, a subset for one, it may fall in another. Without
lesion ids, and under the image split, row numbers take their place.
"""

import hashlib
from pathlib import Path

import numpy as np

from ham10000 import CLASSES, PARTS, InputError, first_line, open_narrow

SHARES = (0.70, 0.10, 0.20)

# Pairs of photographs of one lesion that carry two lesion ids (Abhishek, Jain and Hamarneh, "Investigating the
# quality of DermaMNIST and Fitzpatrick17k", 2024). ISIC image numbers; their groups are merged.
CROSS_LESION_DUPLICATES = (
    (33481, 33421), (33556, 32634), (29152, 33173), (29036, 27027), (27820, 28209), (27689, 32647),
    (30906, 24879), (33391, 34186), (25226, 30074), (26087, 25664), (24736, 29748), (24770, 27811),
    (27162, 29061), (24602, 32283), (29625, 24629), (30000, 31392), (24437, 31299), (33374, 33417),
)  # fmt: skip

NEAR_DUPLICATE_DISTANCE = 50.0
"""L2 distance between 7 x 7 x 3 area means (grey levels) below which two images count as one photograph.
Measured on the complete table: see results/run/eda_summary.json and the README for precision and recall."""
MOST_PARTNERS = 50
GROUPING_ROW_LIMIT = 50_000  # the search is quadratic: skipped above this


# ---------------------------------------------------------------- groups


def read_metadata(path, table, external=False):
    """DataFrame of HAM10000_metadata.csv (lesion_id, image_id, dx, ...), refused unless it describes `table` row by row.

    external: of another table, which is not split: image_id alone will do, and lesions that do not look alike are noted.
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
            f"{path}: {len(meta)} rows, but {table.path} has {len(table)}; they must describe the same images "
            "(--metadata none groups near-duplicate images instead)"
        )
    expected = np.array(CLASSES)[table.labels]
    wrong = np.flatnonzero(meta["dx"].to_numpy() != expected) if "dx" in meta else []
    if len(wrong):
        i = wrong[0]
        raise InputError(
            f"{path}: line {i + 2}, column dx is {meta['dx'][i][:20]!r}, but that row of {table.path} is labelled "
            f"{expected[i]!r} ({len(wrong)} rows disagree); the files are not in the same order"
        )
    for name in meta.columns.intersection(["lesion_id", "image_id"]):
        empty = np.flatnonzero(meta[name].to_numpy() == "")
        if len(empty):
            raise InputError(f"{path}: line {empty[0] + 2}, column {name} is empty")
        odd = np.flatnonzero(meta[name].str.contains(r"[^\w.:-]").to_numpy())
        if len(odd):
            raise InputError(f"{path}: line {odd[0] + 2}, column {name} is {meta[name][odd[0]][:20]!r}; expected letters, "
                             "digits, _ . : -")  # fmt: skip
    if "lesion_id" in meta and (fault := find_other_order(table, meta["lesion_id"].to_numpy())):
        if not external:
            raise InputError(f"{path}: {fault} (--metadata none groups near-duplicate images instead)")
        table.notes.append(f"the metadata's {fault}")
    if "age" in meta:
        age = pd.to_numeric(meta["age"], errors="coerce")
        meta["age"] = age.where((age >= 0) & (age <= 130))
    return meta


def colour_signature(images):
    """float32 (n, 14): seven quantiles of log(R/G) and log(B/G), which lighting and framing hardly move."""
    logs = np.log(images.reshape(len(images), -1, images.shape[-1]).astype(np.float32) + 8)
    ratios = logs[..., ::2] - logs[..., 1:2]
    return np.quantile(ratios, [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98], axis=1).transpose(1, 0, 2).reshape(-1, 14)


ORDER_THRESHOLD = 0.62
"""Share of comparisons in which two photos of one lesion are nearer than two of different lesions of that class.
Complete table: .72 (akiec) to .88 (nv) for the true metadata, .50 +- .045 at most after a shuffle within a class."""


def row_order_scores(table, lesion_ids, least_pairs=20, draws=4000):
    """{class or 'rare': (score, pairs)}: how much nearer same-lesion pairs are than random pairs of their class.

    The score is the Mann-Whitney probability over colour_signature distances: 1/2 when the ids belong to other rows.
    Classes with fewer than `least_pairs` pairs are judged together as 'rare'.
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
    # Of the images that are compared alone: a signature takes 20 kB on its way, and a table may have a million rows.
    used = np.unique(np.concatenate([p for both in compared.values() for p in both]))
    signature = np.concatenate([colour_signature(table.images[used[i : i + 4096]]) for i in range(0, len(used), 4096)])

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
    """What says that the lesion ids are in another order than the images: photographs said to show one lesion do not look
    alike, class by class; or None. (Equal labels prove little: the table has only 25 runs of them.)"""
    for name, (score, pairs) in row_order_scores(table, lesion_ids).items():
        if score < ORDER_THRESHOLD:
            return (f"lesion ids do not fit the images of class {name}: same-lesion pairs are nearer than random pairs in "
                    f"{score:.2f} of comparisons, at least {ORDER_THRESHOLD} expected ({pairs} pairs); the rows are in "
                    "another order")  # fmt: skip
    return None


def merge_groups(n, pairs):
    """int64 (n,): the smallest index of each connected component of `pairs` (union-find)."""
    parent = np.arange(n)

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        a, b = root(a), root(b)
        parent[max(a, b)] = min(a, b)
    return np.array([root(i) for i in range(n)], dtype=np.int64)


def lesions_from_metadata(meta):
    """str (n,): lesion ids, with the groups of CROSS_LESION_DUPLICATES merged into the smaller id."""
    names, codes = np.unique(meta["lesion_id"].to_numpy().astype(str), return_inverse=True)
    at = {image: codes[i] for i, image in enumerate(meta["image_id"])}
    pairs = [(at[a], at[b]) for a, b in ((f"ISIC_{a:07d}", f"ISIC_{b:07d}") for a, b in CROSS_LESION_DUPLICATES)
             if a in at and b in at]  # fmt: skip
    return names[merge_groups(len(names), pairs)][codes]


def dihedral_views(images):
    """The 8 flips and quarter turns of a batch (n, s, s, ...), as a list of views."""
    return [turned[:, ::a, ::b] for turned in (images, images.swapaxes(1, 2)) for a in (1, -1) for b in (1, -1)]


def area_means(images):
    """float32 (n, 7, 7, c): means over 7 x 7 equal areas, the space in which copies cannot hide."""
    n, h, w, c = images.shape
    return images.reshape(n, 7, h // 7, 7, w // 7, c).mean(axis=(2, 4), dtype=np.float32)


def near_pairs(images, threshold=NEAR_DUPLICATE_DISTANCE, block=1024):
    """int64 (m, 2), i < j: image pairs whose area means are nearer than `threshold` under some flip or turn.

    Of each image only the pairs with the first MOST_PARTNERS: a thousand blank images would be half a million pairs.
    """
    means = area_means(images)
    flat = means.reshape(len(means), -1)
    views = [np.ascontiguousarray(v.reshape(len(v), -1)) for v in dihedral_views(means)]
    squares = (flat**2).sum(axis=1)
    found, partners = [], np.zeros(len(flat), dtype=np.int64)
    for start in range(0, len(flat), block):
        rows = slice(start, start + block)
        limit = (threshold**2 - squares[rows, None] - squares[None, start:]) / -2
        hit = np.zeros(limit.shape, dtype=bool)
        for view in views:
            hit |= flat[rows] @ view[start:].T > limit
        hit = np.triu(hit, k=1)
        if (partners[start:] + hit.sum(axis=0)).max() > MOST_PARTNERS:
            hit &= partners[start:] + hit.cumsum(axis=0) <= MOST_PARTNERS
        partners[start:] += hit.sum(axis=0)
        i, j = np.nonzero(hit)
        found.append(np.stack([i + start, j + start], axis=1))
    return np.concatenate(found)


def group_lesions(table, metadata="auto", external=False):
    """Fill table.lesions, .grouping, .metadata and .notes in place.

    metadata: a path; 'none'; or 'auto', which takes HAM10000_metadata.csv beside the table when it is there.
    external: see read_metadata.
    """
    beside = Path(table.path).with_name("HAM10000_metadata.csv")
    if metadata == "auto":
        metadata = beside if beside.is_file() else "none"
    if str(metadata) != "none" and table.images.shape[-1] != 3:
        table.notes.append("grey images cannot confirm the order of the metadata's rows: its lesion ids are not used")
        metadata = "none"
    if str(metadata) != "none":
        if not Path(metadata).is_file():
            raise InputError(f"{metadata}: no such file (--metadata takes HAM10000_metadata.csv, or none)")
        table.metadata = read_metadata(metadata, table, external)
    if table.metadata is not None and "lesion_id" in table.metadata:
        table.lesions = lesions_from_metadata(table.metadata)
        table.grouping = "lesion ids of the metadata, known cross-lesion duplicates merged"
    elif len(table) > GROUPING_ROW_LIMIT or table.images.shape[1] % 7:
        table.notes.append("no metadata and no near-duplicate search: photographs of one lesion may fall in two parts")
    else:
        pairs = near_pairs(table.images)
        groups = merge_groups(len(table), pairs)
        table.lesions = np.array([f"group{table.rows[g]:07d}" for g in groups])
        table.grouping = "near-duplicate images"
        many = int((np.bincount(groups) > 1).sum())
        table.notes.append(
            f"no metadata: grouped near-duplicate images instead ({many} groups of two or more); most photographs of one "
            "lesion are not near-duplicates, so lesions can still fall in two parts"
        )
    return table


# ---------------------------------------------------------------- subset and split


def hash_order(names, salt):
    """Positions of `names` in an order that depends on each name and the salt alone (SHA-256, not a random stream)."""
    keys = [hashlib.sha256(f"{salt}:{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def lesion_classes(lesions, labels):
    """(names, class of each, name code of each image): a lesion's class is the commonest label of its images (lowest code
    on a tie)."""
    names, codes = np.unique(lesions, return_inverse=True)
    votes = np.zeros((len(names), len(CLASSES)), dtype=np.int64)
    np.add.at(votes, (codes, labels), 1)
    return names, votes.argmax(axis=1), codes


def subset(table, n, seed=0, least_lesions=10):
    """Whole lesions, stratified, about `n` images in all; at least `least_lesions` a class where they exist."""
    if n >= len(table):
        return table
    names, classes, codes = lesion_classes(table.lesions, table.labels)
    sizes = np.bincount(codes)
    keep = np.zeros(len(names), dtype=bool)
    for code in range(len(CLASSES)):
        own = np.flatnonzero(classes == code)
        own = own[hash_order(names[own], f"subset{seed}")]
        before = np.cumsum(sizes[own]) - sizes[own]
        target = n * sizes[own].sum() / len(table)
        keep[own[(before < target) | (np.arange(len(own)) < least_lesions)]] = True
    return table.take(np.flatnonzero(keep[codes]))


def split_table(table, kind="lesion", seed=0):
    """str (n,): the part of each image, 70/10/20, stratified by class.

    kind 'lesion' keeps all photographs of a lesion in one part; 'image' is the leaky protocol of older work.
    """
    units = table.lesions if kind == "lesion" else table.rows.astype(str)
    names, classes, codes = lesion_classes(units, table.labels)
    sizes = np.bincount(codes)
    part = np.empty(len(names), dtype="<U5")
    for code in range(len(CLASSES)):
        own = np.flatnonzero(classes == code)
        if not len(own):
            continue
        own = own[hash_order(names[own], f"{kind}{seed}")]
        # A unit belongs where its middle image falls, the first always to train; the last two units fill an empty test or
        # val part, test first, so that no part of a class that has three lesions is empty.
        middle = (np.cumsum(sizes[own]) - sizes[own] / 2) / sizes[own].sum()
        part[own] = np.array(PARTS)[np.searchsorted(np.cumsum(SHARES)[:2], middle, side="right")]
        if len(own) >= 3:
            if "test" not in part[own]:
                part[own[-1]] = "test"
            if "val" not in part[own]:
                part[own[-2]] = "val"
    return part[codes]


def half_a(table, parts):
    """bool (n,): images of half A, every other train lesion of each class; the judge learns from these alone, and the
    other half (B) gives the floor its distances are read against."""
    names, classes, codes = lesion_classes(table.lesions, table.labels)
    chosen = np.zeros(len(names), dtype=bool)
    in_train = np.zeros(len(names), dtype=bool)
    in_train[codes[parts == "train"]] = True
    for code in range(len(CLASSES)):
        own = np.flatnonzero((classes == code) & in_train)
        chosen[own[hash_order(names[own], "half")[::2]]] = True
    return chosen[codes] & (parts == "train")


def leakage_share(labels, lesions, parts):
    """(share of test images with another photograph of their lesion in train, the same by class (7,), NaN if none)."""
    test = parts == "test"
    leaked = np.isin(lesions[test], lesions[parts == "train"])
    return leaked.mean(), np.array([leaked[labels[test] == c].mean() if (labels[test] == c).any() else np.nan
                                    for c in range(len(CLASSES))])  # fmt: skip
