"""outputs/report.html: one self-contained page with the estimates of a run and its figures.

The text of the page is in templates/, where every value is escaped.
"""

import functools
from pathlib import Path
from typing import Any

from lesiongan.data import protocols
from lesiongan.data.classes import CLASS_NAMES, CLASSES, MALIGNANT
from lesiongan.files import checksums, records
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates, synthetic_sets
from lesiongan.plots import alt_texts, findings, pictures, provenance, study, tables
from lesiongan.plots.findings import cell
from lesiongan.plots.glossary import TERMS

TEMPLATES = Path(__file__).with_name("templates")


@functools.cache
def environment(folder=TEMPLATES):
    """Return the Jinja2 environment of a folder of templates, in which every value is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template, **values):
    """Return the HTML of a template, marked as already escaped."""
    from markupsafe import Markup

    return Markup(environment().get_template(template).render(values, terms=TERMS))


def metrics_section(found):
    """Return the classifier's table as HTML.

    Its columns are with synthetic images, without, and the paired difference.
    """
    table, known = tables.metrics_table(found), tables.clinical_table(found)
    return render(
        "metrics.html",
        found=found,
        head=table.head,
        rows=table.words(),
        clinical_head=known.head,
        clinical=known.words(),
    )


def quality_section(quality):
    """Return the synthetic set's table as HTML, each distance beside that of real images."""
    d = quality.get("distances", {})
    shown = [(key, floor) for _, key, floor in tables.DISTANCES if key in d]
    needed = {key: {"value": records.NUMBER} for names in shown for key in names}
    if d and (
        fault := records.find_fault(
            d, needed | {"frechet_ratio": {"value": records.NUMBER}}, "distances"
        )
    ):
        raise InputError(f"synthetic_quality.json: {fault}; run evaluate.py again")
    memorisation = quality.get("memorisation")
    counted = {"value": records.NUMBER, "n": int}
    if memorisation and (fault := records.find_fault(memorisation, counted, "memorisation")):
        raise InputError(f"synthetic_quality.json: {fault}; run evaluate.py again")
    patches = quality.get("patches", {})
    shape = {"swd_ratio": {"value": records.NUMBER, "level": int}}
    shape |= {k: {"value": records.NUMBER} for names in tables.PATCHES for k in names[1:]}
    if "swd_28" in patches and (fault := records.find_fault(patches, shape, "patches")):
        raise InputError(f"synthetic_quality.json: {fault}; run evaluate.py again")
    table = tables.quality_table(quality)
    return render(
        "quality.html",
        quality={"reason": None, "protocol": "", "judge_sha256": ""} | quality,
        distances=d,
        memorisation=memorisation,
        patches=patches if "swd_28" in patches else None,
        judge=cell(quality["judge_balanced_accuracy"])
        if "judge_balanced_accuracy" in quality
        else None,
        head=table.head,
        rows=table.words(),
    )


def sets_section(run):
    """Return the table of synthetic sets side by side as HTML, '' if none were measured.

    What was measured by another judge, or has been changed since, is left out with a word.
    """
    folder = run.args.outputs_dir / "evaluation"
    path, again = folder / synthetic_sets.NAME, "evaluate.py --synthetic"
    if not (folder / synthetic_sets.RECORD).is_file():
        return ""
    shape = {"inputs": {...: str}, "outputs": {...: str}}
    record = run.inputs.check_made_from(folder / synthetic_sets.RECORD, again, shape)
    judge = run.args.models_dir / "judge" / "classifier.keras"
    ours = checksums.file_sha256(judge) if judge.is_file() else None
    if record["inputs"].get("judge", ours) != ours:
        return f"Left out: measured by another judge than models/judge; run {again} again."
    if record["outputs"].get(path.name) != checksums.file_sha256(path):
        return f"Left out: {path.name} has changed since it was written; run {again} again."
    found = records.read_json(path, again, synthetic_sets.SHAPE)
    head, rows = synthetic_sets.tabulate(found["sets"])
    names = synthetic_sets.short_names([each["name"] for each in found["sets"]])
    shown = [each | {"name": name} for each, name in zip(found["sets"], names, strict=True)]
    return render("sets.html", sets=shown, head=head, rows=rows)


def read_evaluation(folder):
    """Return what the page tells of outputs/evaluation/, each part as a template takes it.

    Its values are empty where a file lacks them. Raises InputError, in one line, if one is damaged.
    """
    found = records.read_json(folder / "metrics.json", "evaluate.py", estimates.METRICS)
    quality = records.read_json(folder / "synthetic_quality.json", "evaluate.py")
    networks = {**found.get("networks", {}), **quality.get("networks", {})}
    shape = {...: {"sha256": str, "published": bool}}
    if fault := records.find_fault(networks, shape, "networks"):
        raise InputError(f"{folder}: {fault}; run evaluate.py again")
    record = records.read_json(folder / "options.json", "evaluate.py", {"outputs": {...: str}})
    groups = {}
    if "subgroups.json" in record["outputs"]:
        counts = {"images": int, "lesions": int}
        groups = records.read_json(folder / "subgroups.json", "evaluate.py", {...: {...: counts}})
    matrix = findings.read_confusion(folder / "confusion.csv")
    return {
        "found": found,
        "quality_found": quality,
        "matrix": matrix,
        "metrics": metrics_section(found),
        "quality": quality_section(quality),
        "answer": findings.answer(found),
        "numbers": findings.six_numbers(found, quality),
        "costs": " ".join(findings.list_costs(matrix)),
        "operating": tables.operating_table(found["models"]["classifier"]).words(),
        "groups": groups,
        "networks": networks,
    }


NOT_EVALUATED: dict[str, Any] = {
    **dict.fromkeys(("found", "quality_found", "matrix", "answer", "costs", "metrics", "quality")),
    "numbers": [],
    "operating": [],
    "groups": {},
    "networks": {},
}
"""What stands in place of read_evaluation's values where there is no evaluation to show."""


def build(run, drawn, left_out, missing, grids=()):
    """Return report.html as text, with every figure embedded and every value escaped.

    drawn: [(path of a PNG, its caption)]; left_out: why other figures were not drawn; missing: why
    there is no evaluation to show, or None; grids: [(epoch, PNG as bytes)] of the training.
    """
    inputs, outputs = run.inputs, run.args.outputs_dir
    shown = NOT_EVALUATED if missing else read_evaluation(outputs / "evaluation")
    describe = functools.partial(
        alt_texts.describe,
        split=inputs.split,
        found=shown["found"],
        quality=shown["quality_found"],
        matrix=shown["matrix"],
    )
    counted = tables.count_table(inputs.split)
    eda, leaked = pictures.read_eda(inputs, outputs / "eda", describe)
    epochs = [
        {"epoch": epoch}
        | pictures.show(
            f"epoch_{epoch:04d}",
            f"Synthetic images after epoch {epoch}.",
            describe("epoch", epoch=epoch),
            content,
        )
        for epoch, content in grids
    ]
    classes = [
        {"code": c, "name": CLASS_NAMES[c], "malignant": m}
        for c, m in zip(CLASSES, MALIGNANT, strict=True)
    ]
    return render(
        "report.html",
        data=inputs.data,
        split=inputs.split,
        images=len(inputs.table),
        notes=[inputs.figure_note, *inputs.table.notes],
        classes=classes,
        counts=counted.rows,
        count_head=[name.capitalize() for name in counted.head],
        leaky=protocols.is_leaky(inputs.split["protocol"]),
        missing=missing,
        figures=pictures.show_drawn(drawn, describe),
        epochs=epochs,
        eda=eda,
        leaked=leaked,
        left_out=left_out,
        sets=sets_section(run),
        study=study.read(inputs.data),
        made=provenance.describe(run, shown["networks"]),
        **shown | {"groups": tables.group_table(shown["groups"])},
    )
