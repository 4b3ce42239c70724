"""What a clinic knows beside the image: age, sex and site, as numbers that a network takes.

Each value may be unknown. A file that lacks a column, leaves a cell empty or writes something that
is not listed here has unknown values there; nobody has to fill them in.
"""

from typing import TYPE_CHECKING

import numpy as np

from lesiongan.files.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "unknown"
SEXES = (UNKNOWN, "female", "male")
# These are HAM10000's sites. The position in the list is the number that the network takes.
SITES = (
    UNKNOWN,
    "abdomen",
    "acral",
    "back",
    "chest",
    "ear",
    "face",
    "foot",
    "genital",
    "hand",
    "lower extremity",
    "neck",
    "scalp",
    "trunk",
    "upper extremity",
)
# Ages are in years. The network takes this one for an unknown age, as for any below 0.
UNKNOWN_AGE = -1.0
OLDEST = 130
NAMES = ("age", "sex", "site")
COLUMNS = {"age": "age", "sex": "sex", "site": "localization"}
"""{input of the network: column of HAM10000_metadata.csv}."""


def unknown(n: int) -> dict[str, np.ndarray]:
    """Return {age float32 (n,), sex int32 (n,), site int32 (n,)} of which nothing is known."""
    return {
        "age": np.full(n, UNKNOWN_AGE, np.float32),
        "sex": np.zeros(n, np.int32),
        "site": np.zeros(n, np.int32),
    }


def encode(metadata: "pd.DataFrame | None", n: int) -> dict[str, np.ndarray]:
    """Return {age float32 (n,), sex int32 (n,), site int32 (n,)} of n rows of metadata.

    Ages are in years, -1 where unknown; sex and site are positions in SEXES and SITES, 0 where
    unknown. Ages outside 0 to 130 and words that are not in the lists are unknown.
    """
    import pandas as pd

    found = unknown(n)
    if metadata is None:
        return found
    if "age" in metadata:
        age = pd.to_numeric(metadata["age"], errors="coerce").to_numpy(np.float32)
        with np.errstate(invalid="ignore"):
            found["age"] = np.where((age >= 0) & (age <= OLDEST), age, UNKNOWN_AGE).astype(
                np.float32
            )
    for name, listed in (("sex", SEXES), ("site", SITES)):
        if COLUMNS[name] in metadata:
            words = metadata[COLUMNS[name]].astype(str).str.strip().str.lower()
            found[name] = np.array([find(word, listed) for word in words], np.int32)
    return found


def encode_one(
    age: float | None, sex: str | None, site: str | None
) -> dict[str, np.ndarray] | None:
    """Return {age, sex, site: (1,)} of one lesion, None where all three are None.

    sex and site are words of SEXES and SITES; None is unknown.
    """
    if age is None and sex is None and site is None:
        return None
    return {
        "age": np.array([UNKNOWN_AGE if age is None else age], np.float32),
        "sex": np.array([find(sex or UNKNOWN, SEXES)], np.int32),
        "site": np.array([find(site or UNKNOWN, SITES)], np.int32),
    }


def find(word: str, listed: tuple[str, ...]) -> int:
    """Return the position of a word in SEXES or SITES, 0 if it is not there."""
    return listed.index(word) if word in listed else 0


def take(values: dict[str, np.ndarray], index: np.ndarray) -> dict[str, np.ndarray]:
    """Return the values of the rows `index`."""
    return {name: v[index] for name, v in values.items()}


def join(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the values of several sets of rows, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in NAMES}


def forget(
    values: dict[str, np.ndarray], share: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return the values, some of them unknown.

    Half of `share` of the rows have nothing known at all, as an image without metadata. In the rest
    each value is unknown in that share of the rows.
    """
    n = len(values["age"])
    none, nothing = rng.random(n) < share / 2, unknown(n)
    return {
        name: np.where(none | (rng.random(n) < share), nothing[name], v)
        for name, v in values.items()
    }


def is_known(metadata: "pd.DataFrame | None") -> bool:
    """Return whether metadata tells the age, sex or site of an image."""
    if metadata is None:
        return False
    nothing = unknown(len(metadata))
    known = encode(metadata, len(metadata))
    return any((known[name] != nothing[name]).any() for name in NAMES)


def require(metadata: "pd.DataFrame | None", path: str) -> None:
    """Raise InputError unless the metadata of a table has age, sex or site."""
    if metadata is not None and any(c in metadata for c in COLUMNS.values()):
        if not is_known(metadata):
            raise InputError(
                f"{path}: --clinical: no age, sex or localization of its metadata can be read; "
                "write years, male or female, and the sites that evaluate.py --help lists"
            )
        return
    raise InputError(
        f"{path}: --clinical needs metadata with age, sex or localization beside the table; name "
        "HAM10000_metadata.csv by --metadata"
    )
