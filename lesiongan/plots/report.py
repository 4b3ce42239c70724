"""outputs/report.html: one self-contained page with the estimates of a run and its figures.

The text of the page is in templates/, where every value is escaped.
"""

import functools
from pathlib import Path
from typing import Any

from lesiongan.data.classes import CLASS_NAMES, CLASSES, MALIGNANT, PARTS
from lesiongan.files import checksums, records
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates, synthetic_sets
from lesiongan.plots import alt_texts, findings, pictures, provenance
from lesiongan.plots.findings import cell, pick
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


OPERATING_ROWS = tuple(
    (f"{name}: {label}", (f"{key}_{measure}",))
    for name, key in (("Melanoma", "melanoma"), ("Malignant", "malignant"))
    for at in (90, 95)
    for label, measure in (
        (f"sensitivity at {at} % specificity", f"sensitivity_at_{at}_specificity"),
        (f"sensitivity at val's threshold for {at} %", f"sensitivity_at_val_threshold_{at}"),
        (
            f"specificity realised at val's threshold for {at} %",
            f"specificity_at_val_threshold_{at}",
        ),
    )
)
METRIC_ROWS = (
    ("Accuracy", ("argmax", "accuracy")),
    ("Balanced accuracy", ("argmax", "balanced_accuracy")),
    ("Balanced accuracy, balanced point", ("balanced", "balanced_accuracy")),
    ("Accuracy, balanced point", ("balanced", "accuracy")),
    ("Macro precision", ("argmax", "macro_precision")),
    ("Macro recall", ("argmax", "macro_recall")),
    ("Macro F1", ("argmax", "macro_f1")),
    ("Weighted F1", ("argmax", "weighted_f1")),
    ("Macro AUC, one against the rest", ("auc",)),
    ("Melanoma sensitivity at 90 % specificity", ("melanoma_sensitivity_at_90_specificity",)),
    ("Malignant / benign: accuracy", ("argmax", "malignancy_accuracy")),
    ("Malignant / benign: sensitivity", ("argmax", "malignancy_sensitivity")),
    ("Malignant / benign: specificity", ("argmax", "malignancy_specificity")),
    ("Malignant / benign: AUC", ("auc_malignant",)),
    ("Expected calibration error", ("ece",)),
    ("ECE if perfectly calibrated", ("ece_if_perfect",)),
)


def metrics_section(found):
    """Return the classifier's table as HTML.

    Its columns are with synthetic images, without, and the paired difference.
    """
    models, rows, trained_on = found["models"], [], found["trained_on"]
    columns = [
        (f"{n}: {trained_on.get(n, '')}", models[n])
        for n in ("classifier", "control")
        if n in models
    ]
    if "control" in models:
        columns.append(("classifier - control, paired", found["classifier_minus_control"]))

    # A row that both lists name appears once.
    for path, label in {path: label for label, path in METRIC_ROWS + OPERATING_ROWS}.items():
        rows.append((label, *(cell(pick(block, path)) for _, block in columns)))
    baseline = found["majority_baseline"]
    rows.append(
        (
            f"Majority class ({baseline['class']}): accuracy",
            cell(baseline["accuracy"]),
            *[""] * (len(columns) - 1),
        )
    )
    return render("metrics.html", found=found, head=("", *(c for c, _ in columns)), rows=rows)


# The ratio stands in a sentence of its own.
DISTANCES = tuple(row for row in synthetic_sets.DISTANCES if row[2])


def quality_section(quality):
    """Return the synthetic set's table as HTML, each distance beside that of real images."""
    d = quality.get("distances", {})
    shown = [(name, key, floor) for name, key, floor in DISTANCES if key in d]
    needed = {key: {"value": records.NUMBER} for pair in shown for key in pair[1:]}
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
    rows = [
        (name, f"{d[key]['value']:.4g}", f"{d[floor]['value']:.4g}") for name, key, floor in shown
    ]
    return render(
        "quality.html",
        quality={"reason": None, "protocol": "", "judge_sha256": ""} | quality,
        distances=d,
        memorisation=memorisation,
        judge=cell(quality["judge_balanced_accuracy"])
        if "judge_balanced_accuracy" in quality
        else None,
        head=("", "synthetic", "real (half B)"),
        rows=rows,
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
    shown = [each | {"name": synthetic_sets.short_name(each["name"])} for each in found["sets"]]
    return render("sets.html", sets=shown, head=head, rows=rows)


# The points at which the classifier decides, and where what each costs stands in its estimates.
OPERATING_POINTS = (
    ("Likeliest class: malignant", "argmax", "malignancy_sensitivity", "malignancy_specificity"),
    ("Balanced point: malignant", "balanced", "malignancy_sensitivity", "malignancy_specificity"),
    *(
        (
            f"{name}: val's threshold for {at} % specificity",
            None,
            f"{key}_sensitivity_at_val_threshold_{at}",
            f"{key}_specificity_at_val_threshold_{at}",
        )
        for name, key in (("Melanoma", "melanoma"), ("Malignant", "malignant"))
        for at in (90, 95)
    ),
)
GROUP_SCORES = (
    ("Accuracy", "accuracy"),
    ("AUC, malignant", "auc_malignant"),
    ("Sensitivity, malignant", "malignant_sensitivity_at_val_threshold_90"),
    ("Specificity, malignant", "malignant_specificity_at_val_threshold_90"),
)


def operating_rows(model):
    """Return the rows of the table of operating points: its name, sensitivity and specificity."""
    return [
        (name, *(cell(pick(model, (*([block] if block else []), key))) for key in keys))
        for name, block, *keys in OPERATING_POINTS
    ]


def group_rows(groups):
    """Return the rows of the table of scores by age, sex and site, from subgroups.json."""
    rows = []
    for what, members in groups.items():
        for name, found in members.items():
            counts = (f"{what}: {name}", found["images"], found["lesions"])
            rows.append((*counts, *(cell(pick(found, (key,))) for _, key in GROUP_SCORES)))
    return rows


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
        "costs": findings.word_costs(matrix),
        "operating": operating_rows(found["models"]["classifier"]),
        "groups": group_rows(groups),
        "networks": networks,
    }


NOT_EVALUATED: dict[str, Any] = {
    **dict.fromkeys(("found", "quality_found", "matrix", "answer", "costs", "metrics", "quality")),
    "numbers": [],
    "operating": [],
    "groups": [],
    "networks": {},
}
"""What stands in place of read_evaluation's values where there is no evaluation to show."""


def count_rows(split):
    """Return the rows of the table of images by class and part, with their sums."""
    images = split["images"]
    rows = [
        (
            f"{c}{'*' if m else ''}: {CLASS_NAMES[c]}",
            *(images[part][i] for part in PARTS),
            sum(images[part][i] for part in PARTS),
        )
        for i, (c, m) in enumerate(zip(CLASSES, MALIGNANT, strict=True))
    ]
    sums = [sum(images[part]) for part in PARTS]
    return [*rows, ("all", *sums, sum(sums))]


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
        counts=count_rows(inputs.split),
        missing=missing,
        figures=pictures.show_drawn(drawn, describe),
        epochs=epochs,
        eda=eda,
        leaked=leaked,
        left_out=left_out,
        sets=sets_section(run),
        made=provenance.describe(run, shown["networks"]),
        group_head=("Group", "Images", "Lesions", *(name for name, _ in GROUP_SCORES)),
        **shown,
    )
