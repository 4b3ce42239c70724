"""Reading a synthetic set, whoever made it, and saying where it comes from."""

from dataclasses import dataclass
from pathlib import Path

from lesiongan.data.picture_folders import read_pictures
from lesiongan.data.tables import Table, read_table
from lesiongan.files import records
from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.nets.synthetic_set import WHAT, Drawing

OURS, ELSEWHERE = "train_gan.py", "made elsewhere"
OTHER_DATA = "of a generator trained on other data"
LEAKY = "LEAKY: of a generator that was trained under another split of this data"


@dataclass(frozen=True)
class SyntheticSet:
    """A synthetic set and what is known of it.

    table: Table of 28 x 28 colour images; origin: OURS, ELSEWHERE, OTHER_DATA or LEAKY; provenance:
    the record beside a set of train_gan.py, {} for any other.
    """

    table: Table
    origin: str
    provenance: dict

    @property
    def drawing(self):
        """Return the Drawing by which it was drawn, as far as its record says."""
        given = {}
        for name, kind in (("latent_scale", records.NUMBER), ("candidates", int)):
            shape = {"options": {"sampling": {name: kind}}}
            if not records.find_fault(self.provenance, shape, ""):
                given[name] = self.provenance["options"]["sampling"][name]
        return Drawing(**given)


def find_provenance(folder):
    """Return the path of a folder's provenance.json if train_gan.py wrote it, else None."""
    path = folder / "provenance.json"
    if not path.is_file():
        return None
    what = str(records.read_json(path, "train_gan.py").get("what"))
    return path if what.startswith(WHAT) else None


def read_set(run, name, path):
    """Return the SyntheticSet of a table or of a folder of pictures, and note its hash as `name`.

    A set of train_gan.py must be what its provenance.json describes. If its generator was trained
    on other data, or is not known, run.origins notes it. If it was trained on this data under
    another split, it may have seen the test part: that is refused, unless --leaky-synthetic asks
    for it. The hash of a set made elsewhere is of pixels and labels. Raises InputError for what is
    no such set, and for images of another size.
    """
    path = Path(path)
    if path.is_dir():
        for folder in (path, path.parent):
            if find_provenance(folder):
                raise InputError(
                    f"{path}: holds pictures of a set of train_gan.py; name its table, the .csv in "
                    f"{folder}"
                )
        return note_elsewhere(run, name, read_pictures(path))
    if not path.is_file():
        raise InputError(
            f"{path}: no synthetic table; run train_gan.py first, or pass --synthetic none or the "
            "path of a table or of a folder of pictures"
        )
    provenance = find_provenance(path.parent)
    if provenance is None:
        return note_elsewhere(run, name, read_rgb28(path))
    digest = run.hash_file(name, path)
    made = records.read_json(provenance, OURS, {"data": {"sha256": str}, "split": {"sha256": str}})
    origin = OURS
    if made["data"]["sha256"] != run.inputs.data["sha256"]:
        origin = OTHER_DATA
    elif made["split"]["sha256"] != run.inputs.split["sha256"]:
        if not getattr(run.args, "leaky_synthetic", False):
            # evaluate.py has no such flag.
            or_allow = ""
            if hasattr(run.args, "leaky_synthetic"):
                or_allow = ", or add --leaky-synthetic, which every output will say"
            raise InputError(
                f"{provenance}: made from other split (--subset, --split, --split-seed, "
                "--train-fraction or --metadata differ), so the generator may have seen test "
                f"images; draw from one of this split (train_gan.py){or_allow}"
            )
        origin = LEAKY
    table = read_rgb28(path)
    run.check_not_replaced(name, path)
    if made.get("table_sha256") != digest:
        raise InputError(
            f"{path}: is not the table its provenance.json describes; run train_gan.py again, or "
            "move a set made elsewhere to a folder of its own"
        )
    if origin != OURS:
        run.origins[name] = origin
    return SyntheticSet(table, origin, made)


def note_elsewhere(run, name, table):
    """Return the SyntheticSet of a table made elsewhere, noted in the run."""
    run.files[name], run.origins[name] = table.sha256, ELSEWHERE
    for note in table.notes:
        say(f"  note: {table.path}: {note}")
    return SyntheticSet(table, ELSEWHERE, {})


def read_rgb28(path):
    """Return the Table of a file; raise InputError unless it is of 28 x 28 colour images."""
    table = read_table(path)
    if table.layout != "hmnist_28_28_RGB":
        raise InputError(f"{path}: is {table.layout}; training needs hmnist_28_28_RGB")
    return table
