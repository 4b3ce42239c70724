"""The published networks: copy those of a finished run to weights/, with card, hashes and licence.

`make weights` repeats the published run and calls this by study.publish_run. The card is a
function of the files of results/, so that its numbers are those of the same run.
"""

import hashlib
import html
import json
import shutil

import numpy as np

from lesiongan import ROOT
from lesiongan.files import checksums, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import likeness, subgroups
from lesiongan.nets import selection
from lesiongan.plots import report, tables
from lesiongan.run import published
from study.pages.markdown import TEMPLATES, cores, show_estimate

WHAT = {
    "generator": "latent vector and class -> image",
    "classifier": "image -> calibrated probabilities of seven diagnoses",
    "judge": "the same, the instrument that measures synthetic images",
}
LOWEST = (
    ("accuracy", "accuracy"),
    ("sensitivity", "malignant_sensitivity_at_val_threshold_90"),
    ("specificity", "malignant_specificity_at_val_threshold_90"),
)
# At this operating point the terminal says of a photograph whether it may be malignant.
AT_THRESHOLD = [
    (
        f"Malignant / benign, where 90 % of the benign val images stay below: {score}",
        (f"malignant_{score}_at_val_threshold_90",),
    )
    for score in ("sensitivity", "specificity")
]
MOST_BYTES = {"keras": 8_000_000, "npz": 2_000_000}
LICENCE = """\
The networks and features in this folder were computed from the images of HAM10000 and are licensed
as HAM10000 is: Creative Commons Attribution-NonCommercial 4.0 International (CC BY-NC 4.0),
https://creativecommons.org/licenses/by-nc/4.0/legalcode

Attribution: Tschandl, P., Rosendahl, C. & Kittler, H. The HAM10000 dataset, a large collection of
multi-source dermatoscopic images of common pigmented skin lesions. Scientific Data 5, 180161
(2018). doi:10.1038/sdata.2018.161. Changes: the networks were trained on the images at 28 x 28
pixels.

For research only, not for clinical use. They come without warranty of any kind.
"""


def copy_networks(models, outputs, folder):
    """Copy networks, their records and the features of the training images into `folder`."""
    for name in published.NETWORKS.values():
        source, target = models / name, folder / name
        target.parent.mkdir(parents=True)
        for file in (source.name, "options.json", "history.csv"):
            shutil.copyfile(source.with_name(file), target.with_name(file))
    shutil.copyfile(outputs / "evaluation" / likeness.FILE, folder / published.NEAREST)
    for path in [*folder.rglob("*.keras"), folder / published.NEAREST]:
        if path.stat().st_size > MOST_BYTES[path.suffix[1:]]:
            raise InputError(f"{path}: is larger than {MOST_BYTES[path.suffix[1:]]} bytes")


def list_train_rows(outputs):
    """Return int64 (n,): the rows of the table that split.csv has in train."""
    lines = (outputs / "split.csv").read_text().splitlines()[1:]
    return np.array([int(line.split(",")[0]) for line in lines if line.endswith(",train")])


def write_class_means(table, outputs, folder):
    """Write the mean features of each class's train images, by which --candidates weighs images.

    table: the Table of the run. Raises InputError if it is another.
    """
    made = json.loads((folder / "gan" / "options.json").read_text())
    if table.sha256 != made["data"]["sha256"]:
        raise InputError(f"{table.path}: is not the table of the run; name that by --data")
    own = np.isin(table.rows, list_train_rows(outputs))
    means = selection.ClassMeans.measure(table.images[own], table.labels[own])
    means.write(folder / published.CLASS_MEANS)


def hash_lines(values):
    """Return the hex SHA-256 of sorted values, one a line."""
    return hashlib.sha256("".join(f"{v}\n" for v in sorted(values)).encode()).hexdigest()


def build_card(outputs, records, image_ids):
    """Return the content of card.json.

    records: {folder of a network: its options.json}; image_ids: {row: image id} of the metadata.
    """
    rows = list_train_rows(outputs).tolist()
    first = records["gan"]
    return {
        "licence": published.LICENCE,
        "commit": first["environment"]["commit"],
        "command": "make weights",
        "seed": first["options"]["seed"],
        "data": first["data"],
        "split": first["split"],
        "train_rows_sha256": hash_lines(rows),
        "train_image_ids_sha256": hash_lines(image_ids[row] for row in rows),
        "networks": {
            name: {
                "file": file,
                "commit": records[file.split("/")[0]]["environment"]["commit"],
                "date": records[file.split("/")[0]]["date"],
            }
            for name, file in published.NETWORKS.items()
        },
    }


def render_card(folder, card, records):
    """Return MODEL_CARD.md for the networks of a folder, from the numbers in results/."""
    results = ROOT / "results"
    found, quality, groups, unlike = (
        json.loads((results / name).read_text())
        for name in (
            "run/metrics.json",
            "run/synthetic_quality.json",
            f"run/{subgroups.FILE}",
            "likeness.json",
        )
    )
    model, cnn = found["models"]["classifier"], records["cnn"]
    counts = {part: sum(n) for part, n in card["split"]["images"].items()}
    generators = records["gan"]["options"].get("generators", 1)
    joined = f"; {generators} trainings joined" if generators > 1 else ""
    networks = [
        {
            "file": file,
            "what": WHAT[name] + joined * (name == "generator"),
            "bytes": f"{(folder / file).stat().st_size:,}",
            "sha256": checksums.file_sha256(folder / file),
        }
        for name, file in published.NETWORKS.items()
    ]
    minutes = {f: r.get("training_seconds", r["wall_seconds"]) / 60 for f, r in records.items()}
    largest = max((folder / file).stat().st_size for file in published.NETWORKS.values())
    # The templates of the pages join each paragraph into a line; this page keeps its lines.
    template = report.environment(TEMPLATES).get_template("model_card.md")
    text = template.render(
        networks=networks,
        largest=f"{largest / 1e6:.1f}",
        nearest_bytes=f"{(folder / published.NEAREST).stat().st_size:,}",
        nearest_sha256=checksums.file_sha256(folder / published.NEAREST),
        means_bytes=f"{(folder / published.CLASS_MEANS).stat().st_size:,}",
        means_sha256=checksums.file_sha256(folder / published.CLASS_MEANS),
        commit=card["commit"],
        seed=card["seed"],
        machine=cores(cnn["environment"]),
        packages=cnn["environment"]["packages"],
        backend=cnn["environment"]["backend"],
        minutes=", ".join(f"{f} {m:.0f}" for f, m in minutes.items()),
        data=card["data"],
        split=card["split"],
        found=found,
        scores=[
            (label, show_estimate(model, path))
            for label, path in (*tables.METRIC_ROWS[:-2], *AT_THRESHOLD, tables.METRIC_ROWS[-2])
        ],
        perfect=model["ece_if_perfect"]["value"],
        groups=list(group_rows(groups)),
        lowest=[(what, *lowest(groups, score)) for what, score in LOWEST],
        ratio=show_estimate(quality["distances"]["frechet_ratio"]),
        judge=show_estimate(quality["judge_balanced_accuracy"]),
        memorised=quality["memorisation"],
        unlike=unlike["shares_warned"],
        **counts,
    )
    return html.unescape(text)


def lowest(groups, score):
    """Return (group, estimate) of the subgroup with the lowest value of a score, in words."""
    found = {
        f"{what}: {name}": block[score]
        for what, blocks in groups.items()
        for name, block in blocks.items()
        if block.get(score, {}).get("value") is not None
    }
    name = min(found, key=lambda n: found[n]["value"])
    return name, show_estimate(found[name])


def group_rows(groups):
    """Yield the rows of the card's table of subgroups."""
    scores = [s.split(".")[-1] for s in subgroups.SCORES]
    for what, found in groups.items():
        for name, block in found.items():
            cells = [
                show_estimate(block[s]) if s in block else block.get("reason", "") for s in scores
            ]
            yield (f"{what}: {name}", str(block["images"]), *cells)


def publish(models, outputs, image_ids, table):
    """Replace weights/ by the networks of a finished run, whose numbers are in results/ by now.

    image_ids: {row: image id} of the metadata; table: the Table of the run.
    """
    new = published.FOLDER.with_name("weights.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    copy_networks(models, outputs, new)
    write_class_means(table, outputs, new)
    records = read_records(new)
    card = build_card(outputs, records, image_ids)
    writing.write_json(new / "card.json", card)
    writing.write_text(new / "LICENSE", LICENCE)
    writing.write_text(new / "MODEL_CARD.md", render_card(new, card, records))
    write_sums(new)
    shutil.rmtree(published.FOLDER, ignore_errors=True)
    new.rename(published.FOLDER)
    print(f"networks -> {published.FOLDER}/")


def read_records(folder):
    """Return {folder of a network: its options.json}."""
    names = (file.split("/")[0] for file in published.NETWORKS.values())
    return {name: json.loads((folder / name / "options.json").read_text()) for name in names}


def refresh():
    """Write MODEL_CARD.md of weights/ anew from results/, and its hash.

    Raises InputError if another file there is not the published one: its hash must not be replaced.
    """
    folder, card = published.FOLDER, published.read_card()
    text = render_card(folder, card, read_records(folder))
    writing.write_text(folder / "MODEL_CARD.md", text)
    of_card = {"MODEL_CARD.md": checksums.file_sha256(folder / "MODEL_CARD.md")}
    write_lines(folder, published.read_sums() | of_card)


def write_sums(folder):
    """Write SHA256SUMS of all other files."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != published.SUMS)
    hashes = {p.relative_to(folder).as_posix(): checksums.file_sha256(p) for p in files}
    write_lines(folder, hashes)


def write_lines(folder, hashes):
    """Write SHA256SUMS, in the form that `sha256sum -c` reads. hashes: {name: SHA-256}."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(hashes.items())]
    writing.write_text(folder / published.SUMS, "".join(lines))
