"""The data set: classes, loading and checking the table, lesion groups, the split.

HAM10000 (Tschandl et al., Scientific Data 2018, doi:10.1038/sdata.2018.161) at 28 x 28, as Kaggle's
`hmnist_28_28_RGB.csv`: 2352 pixel columns in row-major (height, width, channel) order and `label`.

Everything here is NumPy and pandas and deterministic: which part a lesion falls in depends on its name and
`--split-seed` alone, never on row order, platform or library version.
"""

import gzip
import hashlib
import io
import lzma
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

CLASSES = ("akiec", "bcc", "bkl", "df", "nv", "vasc", "mel")  # code in the CSV = position here
CLASS_NAMES = {
    "akiec": "actinic keratosis / intraepithelial carcinoma",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis-like lesion",
    "df": "dermatofibroma",
    "nv": "melanocytic nevus",
    "vasc": "vascular lesion",
    "mel": "melanoma",
}
MALIGNANT = np.array([c in ("akiec", "bcc", "mel") for c in CLASSES])  # malignant or pre-malignant
MEL = CLASSES.index("mel")
IMAGE_SHAPE = (28, 28, 3)
PARTS = ("train", "val", "test")
SHARES = (0.70, 0.10, 0.20)

HAM10000_COUNTS = (327, 514, 1099, 115, 6705, 142, 1113)
"""Images per class in the complete table; used to recognise a verified download, never to alter a result."""

# DermaMNIST (MedMNIST v2) numbers the classes alphabetically: 4 mel, 5 nv, 6 vasc.
DERMAMNIST_TO_HAM = np.array([0, 1, 2, 3, MEL, CLASSES.index("nv"), CLASSES.index("vasc")])

# Pixel columns -> (layout, image shape). Only rgb28 feeds the networks; eda.py draws them all.
LAYOUTS = {
    2352: ("hmnist_28_28_RGB", (28, 28, 3)),
    784: ("hmnist_28_28_L", (28, 28, 1)),
    192: ("hmnist_8_8_RGB", (8, 8, 3)),
    64: ("hmnist_8_8_L", (8, 8, 1)),
}

# Pairs of photographs of one lesion that carry two lesion ids (Abhishek, Jain and Hamarneh, "Investigating the
# quality of DermaMNIST and Fitzpatrick17k", 2024). ISIC image numbers; their groups are merged.
CROSS_LESION_DUPLICATES = (
    (33481, 33421), (33556, 32634), (29152, 33173), (29036, 27027), (27820, 28209), (27689, 32647),
    (30906, 24879), (33391, 34186), (25226, 30074), (26087, 25664), (24736, 29748), (24770, 27811),
    (27162, 29061), (24602, 32283), (29625, 24629), (30000, 31392), (24437, 31299), (33374, 33417),
)  # fmt: skip

NEAR_DUPLICATE_DISTANCE = 50.0
"""L2 distance between 7 x 7 x 3 area means (grey levels) below which two images count as one photograph.
Measured on the complete table: see results/grouping.json and the README for precision and recall."""
GROUPING_ROW_LIMIT = 50_000  # the search is quadratic: skipped above this
MAX_ROWS = 5_000_000  # about 12 GB of pixels: a larger table is refused rather than left to swap


class InputError(Exception):
    """Bad input or a contradiction between inputs: one line saying what, where and what to do (exit code 2)."""


@dataclass
class Table:
    """A checked table of images.

    images: uint8 (n, h, w, c) in [0, 255]; labels: int32 (n,) positions in CLASSES; rows: int64 (n,) row numbers in
    the file (0 is the first after the header); lesions: str (n,) name of the lesion each image shows; grouping: how
    the lesions are known; metadata: DataFrame with one row an image, or None; sha256: of pixels and labels, so the
    same for .csv, .csv.gz and .npz of one table.
    """

    path: str
    layout: str
    images: np.ndarray
    labels: np.ndarray
    sha256: str
    rows: np.ndarray = None
    lesions: np.ndarray = None
    grouping: str = "none"
    metadata: object = None
    notes: list = field(default_factory=list)

    def __len__(self):
        return len(self.labels)

    def take(self, index):
        """The same table restricted to `index` (positions), in that order."""
        index = np.asarray(index)
        meta = None if self.metadata is None else self.metadata.iloc[index].reset_index(drop=True)
        return Table(self.path, self.layout, self.images[index], self.labels[index], self.sha256, self.rows[index],
                     self.lesions[index], self.grouping, meta, self.notes)  # fmt: skip

    @property
    def is_phantom(self):
        """True if the images carry phantom.py's mark; no photograph does, save with probability 2^-56 each."""
        return bool(len(self) and self.layout == "hmnist_28_28_RGB" and has_phantom_mark(self.images[:100]))


def class_counts(labels):
    """int64 (7,) images of each class."""
    return np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(CLASSES))


PHANTOM_BITS = np.unpackbits(np.frombuffer(b"PHANTOM", dtype=np.uint8))  # in the lowest bits of the last 56 values


def mark_as_phantom(images):
    """A copy of uint8 (n, 28, 28, 3) whose last 56 values carry PHANTOM_BITS in their lowest bits."""
    flat = images.reshape(len(images), -1).copy()
    flat[:, -len(PHANTOM_BITS) :] = (flat[:, -len(PHANTOM_BITS) :] & 0xFE) | PHANTOM_BITS
    return flat.reshape(images.shape)


def has_phantom_mark(images):
    """True if every image carries the mark."""
    return bool((images.reshape(len(images), -1)[:, -len(PHANTOM_BITS) :] & 1 == PHANTOM_BITS).all())


# ---------------------------------------------------------------- reading


def open_table(path):
    """A binary stream of the table's text, decompressed by content (gzip, xz, zstd) whatever the name says."""
    with open(path, "rb") as f:
        magic = f.read(6)
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(path, "rb")
    if magic == b"\xfd7zXZ\x00":
        return lzma.open(path, "rb")
    if magic[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(open(path, "rb"), closefd=True))
    return open(path, "rb")


def read_layout(path, header):
    """(layout name, image shape, column names) of a header line, or InputError saying how it is wrong."""
    try:
        text = header.decode("ascii").strip()
    except UnicodeDecodeError:
        raise InputError(f"{path}: line 1 is not text; expected the header of Kaggle's hmnist_28_28_RGB.csv") from None
    if not text:
        raise InputError(f"{path}: the file is empty; expected Kaggle's hmnist_28_28_RGB.csv")
    columns = [c.strip('"') for c in text.split(",")]
    if len(columns) == 1:
        for name, mark in (("semicolon", ";"), ("tab", "\t"), ("space", " ")):
            if mark in text:
                raise InputError(f"{path}: line 1 is separated by {name}s; expected commas")
    n = len(columns) - 1
    if n not in LAYOUTS:
        raise InputError(
            f"{path}: line 1 has {len(columns)} columns; expected 2353 (pixel0000 to pixel2351, label) as in Kaggle's "
            "hmnist_28_28_RGB.csv"
        )
    for i, (found, wanted) in enumerate(zip(columns, [f"pixel{i:04d}" for i in range(n)] + ["label"], strict=True)):
        if found != wanted:
            raise InputError(f"{path}: line 1, column {i + 1} is {found[:40]!r}; expected {wanted!r}")
    return (*LAYOUTS[n], columns)


def locate_fault(path, columns):
    """The first fault of a CSV body in words, found line by line (slow, so only once reading has failed)."""
    width = len(columns)
    with open_table(path) as f:
        f.readline(1 << 20)
        for number, line in enumerate(iter(lambda: f.readline(1 << 20), b""), start=2):
            cells = line.rstrip(b"\r\n").split(b",")
            where = f"{path}: line {number}"
            if cells[0].strip(b'"') == columns[0].encode():
                return f"{where} repeats the header; expected pixel values (was the file joined from two?)"
            if len(cells) != width:
                return f"{where} has {len(cells)} values; expected {width} (is the file truncated?)"
            for name, cell in zip(columns, cells, strict=True):
                shown = cell[:20].decode("ascii", "replace")
                top = len(CLASSES) - 1 if name == "label" else 255
                try:
                    value = float(cell)
                except ValueError:
                    return f"{where}, column {name}: {shown!r} is not a number"
                if not (value == int(value) if abs(value) < 1e9 else False) or not 0 <= value <= top:
                    return f"{where}, column {name}: {shown} is not a whole number from 0 to {top}"
    return f"{path}: not readable as a table of whole numbers"


def read_csv(path):
    """(layout, uint8 (n, h, w, c), int32 (n,)) of a Kaggle-layout CSV, plain or compressed; InputError if malformed."""
    import pandas as pd

    pixels, labels, n = [], [], 0
    columns = None
    try:
        with open_table(path) as f:
            layout, shape, columns = read_layout(path, f.readline(1 << 20))
            first = f.readline(1 << 20)
            if not first.strip():
                raise InputError(f"{path}: has a header and no rows")
            if first.count(b",") + 1 != len(columns):
                raise InputError(locate_fault(path, columns))
        with open_table(path) as f:
            # int64, then a range check: pandas wraps 256 to 0 when asked for uint8 directly.
            for chunk in pd.read_csv(f, dtype="int64", chunksize=4096, skip_blank_lines=False):
                values = chunk.to_numpy()
                if values.min() < 0 or values.max() > 255 or values[:, -1].max() >= len(CLASSES):
                    raise InputError(locate_fault(path, columns))
                n += len(values)
                if n > MAX_ROWS:
                    raise InputError(f"{path}: more than {MAX_ROWS} rows; split the table into smaller files")
                pixels.append(values[:, :-1].astype(np.uint8))
                labels.append(values[:, -1].astype(np.int32))
    except (EOFError, OSError, lzma.LZMAError, zipfile.BadZipFile) as e:
        raise InputError(f"{path}: cannot be read to its end ({e}); fetch the file again") from None
    except InputError:
        raise
    except Exception as e:  # whatever pandas or zstandard call it: a body that does not parse
        if columns is None:
            raise InputError(f"{path}: cannot be decompressed ({e}); fetch the file again") from None
        raise InputError(locate_fault(path, columns)) from None
    return layout, np.concatenate(pixels).reshape(-1, *shape), np.concatenate(labels)


def read_npz(path):
    """(layout, images, labels) of MedMNIST's dermamnist.npz, all parts joined, labels in this project's order."""
    names = [f"{part}_{kind}" for part in PARTS for kind in ("images", "labels")]
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(i.file_size for i in archive.infolist()) > MAX_ROWS * 2352:
                raise InputError(f"{path}: unpacks to more than {MAX_ROWS} images; not dermamnist.npz")
        with np.load(path, allow_pickle=False) as archive:
            missing = [n for n in names if n not in archive.files]
            if missing:
                raise InputError(f"{path}: no array {missing[0]!r}; expected MedMNIST's dermamnist.npz")
            arrays = {n: archive[n] for n in names}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as e:
        raise InputError(f"{path}: not a readable .npz ({str(e)[:120]}); fetch dermamnist.npz again") from None
    for part in PARTS:
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.shape[1:] != IMAGE_SHAPE or images.dtype != np.uint8:
            raise InputError(
                f"{path}: {part}_images is {images.dtype} {images.shape}; expected uint8 (n, 28, 28, 3) (the 28-pixel file)"
            )
        if labels.size != len(images) or labels.dtype.kind not in "iu":
            raise InputError(f"{path}: {part}_labels is {labels.dtype} {labels.shape}; expected one integer an image")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(CLASSES):
            raise InputError(f"{path}: {part}_labels has values outside 0 to {len(CLASSES) - 1}")
    images = np.concatenate([arrays[f"{p}_images"] for p in PARTS])
    labels = np.concatenate([arrays[f"{p}_labels"].reshape(-1) for p in PARTS])
    if not len(labels):
        raise InputError(f"{path}: holds no images")
    return "hmnist_28_28_RGB", images, DERMAMNIST_TO_HAM[labels].astype(np.int32)


def read_table(path):
    """Table of any supported file, checked, without lesion groups (each image its own lesion)."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with open(path, "rb") as f:
        is_zip = f.read(4) == b"PK\x03\x04"
    layout, images, labels = (read_npz if is_zip else read_csv)(path)
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images))
    digest.update(labels.astype("<i4").tobytes())
    rows = np.arange(len(labels))
    return Table(str(path), layout, images, labels, digest.hexdigest(), rows, rows.astype(str), "each image alone")


# ---------------------------------------------------------------- lesions


def read_metadata(path, table):
    """DataFrame of HAM10000_metadata.csv (lesion_id, image_id, dx, ...), refused unless it describes `table` row by row."""
    import pandas as pd

    try:
        meta = pd.read_csv(path, dtype=str, keep_default_na=False)
    except Exception as e:
        raise InputError(f"{path}: not a readable CSV ({str(e).splitlines()[0][:120]})") from None
    for name in ("lesion_id", "image_id", "dx"):
        if name not in meta:
            raise InputError(f"{path}: no column {name!r}; expected HAM10000_metadata.csv")
    if len(meta) != len(table):
        raise InputError(
            f"{path}: {len(meta)} rows, but {table.path} has {len(table)}; they must describe the same images "
            "(--metadata none groups near-duplicate images instead)"
        )
    expected = np.array(CLASSES)[table.labels]
    wrong = np.flatnonzero(meta["dx"].to_numpy() != expected)
    if len(wrong):
        i = wrong[0]
        raise InputError(
            f"{path}: line {i + 2}, column dx is {meta['dx'][i][:20]!r}, but that row of {table.path} is labelled "
            f"{expected[i]!r} ({len(wrong)} rows disagree); the files are not in the same order"
        )
    for name in ("lesion_id", "image_id"):
        empty = np.flatnonzero(meta[name].to_numpy() == "")
        if len(empty):
            raise InputError(f"{path}: line {empty[0] + 2}, column {name} is empty")
    check_row_order(path, table, meta["lesion_id"].to_numpy())
    if "age" in meta:
        meta["age"] = pd.to_numeric(meta["age"], errors="coerce")
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

    if table.images.shape[-1] != 3:
        return {}
    signature = colour_signature(table.images)
    rng = np.random.default_rng(0)
    order = np.argsort(pd.factorize(lesion_ids)[0], kind="stable")
    same = lesion_ids[order][1:] == lesion_ids[order][:-1]
    pairs = np.stack([order[:-1][same], order[1:][same]], axis=1)

    def distance(p):
        return np.linalg.norm(signature[p[:, 0]] - signature[p[:, 1]], axis=1)

    wins, scores = [], {}
    for code, name in enumerate(CLASSES):
        own = pairs[table.labels[pairs[:, 0]] == code]
        members = np.flatnonzero(table.labels == code)
        if not len(own):
            continue
        other = rng.choice(members, (draws, 2))
        other = np.sort(distance(other[lesion_ids[other[:, 0]] != lesion_ids[other[:, 1]]]))
        if not len(other):
            continue
        nearer = 1 - np.searchsorted(other, distance(own)) / len(other)
        if len(own) >= least_pairs:
            scores[name] = (float(nearer.mean()), len(own))
        else:
            wins.append(nearer)
    if wins and sum(map(len, wins)) >= least_pairs:
        pooled = np.concatenate(wins)
        scores["rare"] = (float(pooled.mean()), len(pooled))
    return scores


def check_row_order(path, table, lesion_ids):
    """InputError unless photographs said to show one lesion look alike, class by class: equal labels prove little,
    because the table has only 25 runs of them."""
    for name, (score, pairs) in row_order_scores(table, lesion_ids).items():
        if score < ORDER_THRESHOLD:
            raise InputError(
                f"{path}: its lesion ids do not fit the images of class {name}: same-lesion pairs are nearer than random "
                f"pairs in {score:.2f} of comparisons, at least {ORDER_THRESHOLD} expected ({pairs} pairs); the rows are "
                "in another order (--metadata none groups near-duplicate images instead)"
            )


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
    """int64 (m, 2), i < j: image pairs whose area means are nearer than `threshold` under some flip or turn."""
    means = area_means(images)
    flat = means.reshape(len(means), -1)
    views = [np.ascontiguousarray(v.reshape(len(v), -1)) for v in dihedral_views(means)]
    squares = (flat**2).sum(axis=1)
    found = []
    for start in range(0, len(flat), block):
        rows = slice(start, start + block)
        limit = (threshold**2 - squares[rows, None] - squares[None, start:]) / -2
        hit = np.zeros(limit.shape, dtype=bool)
        for view in views:
            hit |= flat[rows] @ view[start:].T > limit
        i, j = np.nonzero(np.triu(hit, k=1))
        found.append(np.stack([i + start, j + start], axis=1))
    return np.concatenate(found)


def group_lesions(table, metadata="auto"):
    """Fill table.lesions, .grouping, .metadata and .notes in place.

    metadata: a path; 'none'; or 'auto', which takes HAM10000_metadata.csv beside the table when it is there.
    """
    beside = Path(table.path).with_name("HAM10000_metadata.csv")
    if metadata == "auto":
        metadata = beside if beside.is_file() else "none"
    if str(metadata) != "none":
        if not Path(metadata).is_file():
            raise InputError(f"{metadata}: no such file (--metadata takes HAM10000_metadata.csv, or none)")
        table.metadata = read_metadata(metadata, table)
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
    """(names, class of each): a lesion's class is the commonest label of its images (lowest code on a tie)."""
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
        # A unit belongs where its middle image falls; the first three units go to train, test, val so that no part
        # of a class that has three lesions is empty.
        middle = (np.cumsum(sizes[own]) - sizes[own] / 2) / sizes[own].sum()
        part[own] = np.array(PARTS)[np.searchsorted(np.cumsum(SHARES)[:2], middle, side="right")]
        if len(own) >= 3:
            if "val" not in part[own]:
                part[own[-2]] = "val"
            if "test" not in part[own]:
                part[own[-1]] = "test"
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
