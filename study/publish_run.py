"""Copy a finished run: small files to results/run/, networks to weights/; write the pages' tables.

    python -m study.publish_run [--models-dir models --outputs-dir outputs] [--data TABLE]
    python -m study.publish_run --tables-only

The text between a page's marks is a function of results/ alone. A test checks that it is up to
date.
"""

import shutil
from pathlib import Path

import numpy as np

from lesiongan import ROOT
from lesiongan.data import metadata
from lesiongan.data.classes import HAM10000_COUNTS
from lesiongan.data.tables import read_table
from lesiongan.files import checksums, records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures.networks import FOLDERS
from lesiongan.run import flags, script
from lesiongan.run.inputs import find_table
from study import publish_weights
from study.gather import pack
from study.pages import build as pages

RUN = pages.RUN

MODEL_FILES = [
    (f, n) for f in ("gan", "cnn", "control", "judge") for n in ("options.json", "history.csv")
]
OUTPUT_FILES = [
    f"evaluation/{n}"
    for n in (
        "predictions.csv",
        "predictions_control.csv",
        "context.json",
        "metrics.json",
        "per_class.csv",
        "confusion.csv",
        "synthetic_quality.json",
        "subgroups.json",
    )
]
# The picture is of synthetic images alone, because the table's licence keeps real ones out.
PICTURE = "figures/class_grid.png"


def check_split(evaluated, outputs):
    """Raise InputError unless a whole HAM10000 under the lesion split of seed 0 was evaluated."""
    split = evaluated["split"]
    whole = np.sum([*split["images"].values()], axis=0).tolist() == list(HAM10000_COUNTS)
    if (
        evaluated["data"]["phantom"]
        or not whole
        or (split["protocol"], split["split_seed"]) != ("lesion split", 0)
    ):
        raise InputError(
            f"{outputs}: of phantom data, a subset or another split; only full runs on HAM10000 "
            "are published"
        )


def check_models(evaluated, models):
    """Raise InputError unless the models are those that were evaluated."""
    names = ["classifier", "control", "judge"]
    names += ["malignancy"] if "malignancy" in evaluated["inputs"] else []
    files = {name: models / FOLDERS.get(name, name) / "classifier.keras" for name in names}
    for name, path in (files | {"generator": models / "gan" / "generator.keras"}).items():
        if checksums.file_sha256(path) != evaluated["inputs"].get(name):
            raise InputError(f"{path}: is not the one that was evaluated; run evaluate.py again")


def list_copies(evaluated, models, outputs):
    """Return {file of the run: its name in results/run/}, without the picture."""
    copies = {models / folder / name: f"{folder}_{name}" for folder, name in MODEL_FILES}
    copies |= {outputs / name: Path(name).name for name in OUTPUT_FILES}
    copies |= {p: p.name for p in (outputs / "evaluation").glob("predictions_malignancy*.csv")}
    if "malignancy" in evaluated["inputs"]:
        copies |= {
            models / "malignancy" / name: f"malignancy_{name}"
            for name in ("options.json", "history.csv")
        }
    copies[outputs / "eda" / "summary.json"] = "eda_summary.json"
    copies |= {
        outputs / f / "options.json": f"{f}_options.json" for f in ("eda", "evaluation", "figures")
    }
    copies[outputs / "synthetic" / "provenance.json"] = "synthetic_provenance.json"
    return copies


def check_outputs(evaluated, outputs):
    """Raise InputError unless set, evaluation and picture are those that their records describe."""
    made = records.read_json(outputs / "synthetic" / "provenance.json", "train_gan.py")
    if made["table_sha256"] != evaluated["inputs"].get("synthetic"):
        raise InputError(
            f"{outputs}/synthetic: is not the set that was evaluated; run evaluate.py again"
        )
    for folder, names in (("evaluation", OUTPUT_FILES), ("figures", [PICTURE])):
        record = records.read_json(outputs / folder / "options.json", f"the script of {folder}")[
            "outputs"
        ]
        for name in names:
            if record.get(Path(name).name) != checksums.file_sha256(outputs / name):
                raise InputError(
                    f"{outputs / name}: is not the file its options.json describes; make it again"
                )


def copy_run(models, outputs):
    """Copy the small files of a run to results/run/; larger ones and images stay out of git."""
    from PIL import Image

    evaluated = records.read_json(outputs / "evaluation" / "options.json", "evaluate.py")
    check_split(evaluated, outputs)
    check_models(evaluated, models)
    copies, picture = list_copies(evaluated, models, outputs), outputs / PICTURE
    for path in [*copies, outputs / "split.csv", picture]:
        if not path.is_file():
            raise InputError(f"{path}: no such file; finish the run first")
    check_outputs(evaluated, outputs)
    new = RUN.with_name(f"{RUN.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for path, name in copies.items():
        if name.startswith("predictions"):
            pack(path, new / f"{name}.gz")
        else:
            shutil.copyfile(path, new / name)
    pack(outputs / "split.csv", RUN.parent / "splits" / "lesion_split.csv.gz")
    with Image.open(picture) as image:
        image.convert("RGB").quantize(256).save(new / picture.name, optimize=True)
    shutil.rmtree(RUN, ignore_errors=True)
    new.rename(RUN)


def read_image_ids(path):
    """Return the image id of each row of the metadata."""
    return metadata.read_frame(path, [])["image_id"].tolist()


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("--models-dir", type=Path, default=ROOT / "models")
    p.add_argument("--outputs-dir", type=Path, default=ROOT / "outputs")
    p.add_argument("--data", help="table of the run (default: the one in data/)")
    p.add_argument("--metadata", type=Path, default=ROOT / "data" / "HAM10000_metadata.csv")
    p.add_argument("--tables-only", action="store_true", help="leave results/run/ and the networks")
    args = p.parse_args(argv)
    if not args.tables_only:
        # They are read first, so that nothing is published without them.
        table = read_table(find_table(args.data))
        ids = read_image_ids(args.metadata)
        copy_run(args.models_dir, args.outputs_dir)
        publish_weights.publish(args.models_dir, args.outputs_dir, ids, table)
    else:
        publish_weights.refresh()
    for page, sections in pages.PAGES.items():
        writing.write_text(ROOT / page, pages.insert_sections((ROOT / page).read_text(), sections))
    print(f"results -> {RUN}, tables -> {', '.join(pages.PAGES)}")


if __name__ == "__main__":
    script.script_main(main)
