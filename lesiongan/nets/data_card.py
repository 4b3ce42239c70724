"""A synthetic set as a data set to cite: croissant.json, DATASHEET.md and LICENSE beside its table.

All three are functions of the set and of its generator: equal sets have equal files, to the byte.
What they say is in templates/, as a template of the facts that are gathered here.
"""

import shlex
import tomllib
from pathlib import Path
from typing import Any

from lesiongan.data import classes, protocols
from lesiongan.data.classes import CLASS_NAMES, CLASSES, HAM10000_COUNTS, MALIGNANT, class_counts
from lesiongan.files import checksums, writing
from lesiongan.files.software import read_citation
from lesiongan.nets import croissant, exports, joined_generator, selection
from lesiongan.run import published

CROISSANT, DATASHEET, LICENCE = FILES = ("croissant.json", "DATASHEET.md", "LICENSE")
TEMPLATES = Path(__file__).with_name("templates")
LICENCES = {
    "phantom": {"name": "MIT", "url": "https://spdx.org/licenses/MIT.html"},
    "ham10000": {
        "name": "CC BY-NC 4.0",
        "url": "https://creativecommons.org/licenses/by-nc/4.0/",
    },
    "own": {
        "name": "not stated yet",
        "url": "Not stated yet: it depends on the table that the generator learned from.",
    },
}
HAM10000_BIBTEX = """\
@article{tschandl2018ham10000,
  author = {Tschandl, Philipp and Rosendahl, Cliff and Kittler, Harald},
  title = {The {HAM10000} dataset, a large collection of multi-source dermatoscopic images of
           common pigmented skin lesions},
  journal = {Scientific Data}, volume = {5}, pages = {180161}, year = {2018},
  doi = {10.1038/sdata.2018.161}
}"""
WHAT = {
    classes.TABLE_NAME: "the pictures with their labels, in Kaggle's layout",
    "contact_sheet.png": "up to twenty pictures of each class",
    "image_grid.png": "every class, drawn from the same twelve latent vectors",
    "generator.onnx": "the generator, for programs without Keras",
    exports.NPZ: "the same in DermaMNIST's layout, all in its train part",
    exports.LABELS: "the class of each picture, for StyleGAN",
}


def find_kind(data, split):
    """Return what a generator learned from: phantom, ham10000 or own.

    HAM10000 is known by its numbers of images. Of a subset only the size of the whole table is
    known, and one of HAM10000's size counts as HAM10000, whose licence is the stricter guess.
    """
    if data["phantom"]:
        return "phantom"
    counts = [
        sum(int(n) for n in by_part) for by_part in zip(*split["images"].values(), strict=True)
    ]
    whole = sum(counts) == data["rows"]
    same = counts == list(HAM10000_COUNTS) if whole else data["rows"] == sum(HAM10000_COUNTS)
    return "ham10000" if same else "own"


def find_command(sampling, is_published):
    """Return the command that draws a set again, from the `sampling` of its identity."""
    words = ["python", "train_gan.py", "--sample-only"]
    words += ["--weights", "published"] * is_published
    words += ["--samples", str(sampling["samples"]), "--seed", str(sampling["seed"])]
    if sampling["class_mix"] != "balanced":
        words += ["--class-mix", sampling["class_mix"]]
    # They are on record where they are not all seven.
    if "classes" in sampling:
        words += ["--classes", ",".join(sampling["classes"])]
    if "least_images" in sampling:
        words += ["--least-images", str(sampling["least_images"])]
    if "latent_scale" in sampling:
        words += ["--latent-scale", str(sampling["latent_scale"])]
    if "candidates" in sampling:
        words += ["--candidates", str(sampling["candidates"])]
    return shlex.join(words)


def gather_facts(identity, labels, files, pictures):
    """Return the facts of a set that the templates are filled with.

    identity: Identity of the set; labels: (n,); files: [{name, what, bytes, sha256}], the table
    first; pictures: whether there are PNG files.
    """
    data, split, options = identity.data, identity.split, identity.options
    kind, network = find_kind(data, split), identity.inputs["generator"]
    drawn, seen = class_counts(labels), [int(n) for n in split["images"]["train"]]
    rows: list[dict[str, Any]] = [
        {"name": c, "diagnosis": CLASS_NAMES[c], "malignant": bool(m), "images": int(n), "seen": s}
        for c, m, n, s in zip(CLASSES, MALIGNANT, drawn, seen, strict=True)
    ]
    is_published = published.identify_networks({"generator": network})["generator"]["published"]
    rare = sorted(rows, key=lambda row: row["seen"])[:2]
    return {
        "kind": kind,
        "n": len(labels),
        "classes": rows,
        "absent": [row["name"] for row in rows if not row["images"]],
        "counts_text": ", ".join(f"{row['name']} {row['images']}" for row in rows),
        "rare_text": ", ".join(f"{row['name']} {row['seen']}" for row in rare),
        "train": sum(seen),
        "seed": options["sampling"]["seed"],
        "candidates": options["sampling"].get("candidates", 1),
        "least": selection.LEAST,
        "training_seed": options["seed"],
        # Sets of before there could be several have no such number on record.
        "generators": options.get("generators", 1),
        "wider": joined_generator.WIDER,
        "generator": network,
        "published": is_published,
        "command": find_command(options["sampling"], is_published),
        "data": data,
        # In Markdown the name stands between backticks.
        "table": data["name"].replace("`", "'"),
        "split": split,
        "leaky": protocols.warn_of(split["protocol"]),
        "files": files,
        "table_sha256": files[0]["sha256"],
        "pictures": pictures,
        "licence": LICENCES[kind],
        # A set has no date of its own, because repeated runs are to give equal bytes.
        "software": read_citation(),
    }


def cite(facts, name):
    """Return the BibTeX of a set, and of HAM10000 where the generator learned from it."""
    software = facts["software"]
    own = "\n".join(
        [
            f"@misc{{lesiongan_{facts['table_sha256'][:12]},",
            f"  author = {{{{{software['authors']}}}}},",
            f"  title = {{{{{name}}}}},",
            f"  year = {{{software['released'][:4]}}},",
            f"  note = {{Drawn by: {software['title']}, version {software['version']}.",
            f"          SHA-256 of the table: {facts['table_sha256']}}}",
            "}",
        ]
    )
    return own + f"\n\n{HAM10000_BIBTEX}" * (facts["kind"] == "ham10000")


def environment():
    """Return the Jinja2 environment of templates/. They are plain text, so nothing is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render_texts(facts):
    """Return {name: text or list of texts} of card.toml for the facts of a set."""
    engine = environment()

    def render(text):
        return " ".join(engine.from_string(text).render(found).split())

    templates = tomllib.loads((TEMPLATES / "card.toml").read_text(encoding="utf-8"))
    # The first texts of the file are parts of later ones.
    found = dict(facts)
    for name, template in templates.items():
        is_list = isinstance(template, list)
        found[name] = [t for t in map(render, template) if t] if is_list else render(template)
    return {name: found[name] for name in templates}


def write(folder, identity, labels, written, pictures):
    """Write FILES into the folder of a set, and return their paths.

    identity: Identity of the set; labels: (n,); written: paths of its other files, the table first;
    pictures: whether there are PNG files.
    """
    files = [
        {
            "name": path.relative_to(folder).as_posix(),
            "what": WHAT[path.relative_to(folder).as_posix()],
            "bytes": path.stat().st_size,
            "sha256": checksums.file_sha256(path),
        }
        for path in written
    ]
    facts = gather_facts(identity, labels, files, pictures)
    texts = render_texts(facts)
    facts |= {"texts": texts, "citation": cite(facts, texts["name"])}
    templates = environment()
    for name, template in ((DATASHEET, "datasheet.md"), (LICENCE, "licence.txt")):
        writing.write_text(folder / name, templates.get_template(template).render(facts))
    writing.write_json(folder / CROISSANT, croissant.describe(facts))
    return [folder / name for name in FILES]
