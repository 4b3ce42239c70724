"""outputs/report.html: one self-contained page with the estimates of a run and its figures.

The text of the page is in templates/, where every value is escaped.
"""

import base64
import functools
from pathlib import Path

from lesiongan.data.classes import CLASS_NAMES, CLASSES, MALIGNANT
from lesiongan.files import checksums, records
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates, synthetic_sets


def cell(f):
    """Return an estimate of metrics.json as '0.712 [0.690, 0.733]', or its reason."""
    if not isinstance(f, dict):
        return "-"
    if records.find_fault(f, {"value": records.NUMBER}, ""):
        return str(f.get("reason", "-"))
    value = f"{f['value']:.3f}"
    if records.find_fault(f, {"low": records.NUMBER, "high": records.NUMBER}, ""):
        return value
    return f"{value} [{f['low']:.3f}, {f['high']:.3f}]"


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

    return Markup(environment().get_template(template).render(values))


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

    def pick(block, path):
        for key in path:
            # A block with a reason is undefined as a whole.
            if not isinstance(block, dict) or "reason" in block:
                break
            block = block.get(key, {})
        return cell(block)

    # A row that both lists name appears once.
    for path, label in {path: label for label, path in METRIC_ROWS + OPERATING_ROWS}.items():
        rows.append((label, *(pick(block, path) for _, block in columns)))
    baseline = found["majority_baseline"]
    rows.append(
        (
            f"Majority class ({baseline['class']}): accuracy",
            cell(baseline["accuracy"]),
            *[""] * (len(columns) - 1),
        )
    )
    return render("metrics.html", found=found, head=("", *(c for c, _ in columns)), rows=rows)


# The name in the table, and where a distance and that of real images stand in the file.
DISTANCES = (
    ("Fréchet distance", "frechet", "frechet_floor"),
    ("Kernel distance (KID)", "kid", "kid_floor"),
    ("Precision", "precision", "precision_half_b"),
    ("Recall", "recall", "recall_half_b"),
    ("Density", "density", "density_half_b"),
    ("Coverage", "coverage", "coverage_half_b"),
)


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
    rows = [
        (name, f"{d[key]['value']:.4g}", f"{d[floor]['value']:.4g}") for name, key, floor in shown
    ]
    return render(
        "quality.html",
        quality={"reason": None, "protocol": "", "judge_sha256": ""} | quality,
        distances=d,
        memorisation=quality.get("memorisation"),
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
    return render("sets.html", sets=found["sets"], head=head, rows=rows)


def show_pictures(pictures):
    """Return [(path, caption)] in the form that the template takes, each file embedded."""
    return [
        {
            "name": path.stem,
            "caption": caption,
            "base64": base64.b64encode(path.read_bytes()).decode(),
        }
        for path, caption in pictures
    ]


def build(run, drawn, left_out, missing):
    """Return report.html as text, with every figure embedded and every value escaped."""
    inputs, outputs = run.inputs, run.args.outputs_dir
    sections, networks = {"metrics": "", "quality": ""}, {}
    if not missing:
        for name, file, section, shape in (
            ("metrics", "metrics.json", metrics_section, estimates.METRICS),
            ("quality", "synthetic_quality.json", quality_section, None),
        ):
            found = records.read_json(outputs / "evaluation" / file, "evaluate.py", shape)
            sections[name] = section(found)
            networks |= found.get("networks", {})
    eda, record_path = [], outputs / "eda" / "options.json"
    if record_path.is_file():
        record = inputs.check_made_from(record_path, "eda.py", {"outputs": {...: str}})
        eda = [
            (p, f"{p.stem.replace('_', ' ').capitalize()} (eda.py).")
            for p in sorted(record_path.parent.glob("*.png"))
            if record["outputs"].get(p.name) == checksums.file_sha256(p)
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
        missing=missing,
        drawn=show_pictures(drawn),
        eda=show_pictures(eda),
        left_out=left_out,
        networks=networks,
        sets=sets_section(run),
        **sections,
    )
