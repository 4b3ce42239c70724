"""outputs/report.html: one self-contained page with the numbers of a run and its figures."""

import base64
import html

from lesiongan.data.classes import CLASS_NAMES, CLASSES, MALIGNANT
from lesiongan.files import checksums, records


def cell(f):
    """'0.712 [0.690, 0.733]' of a figure of metrics.json, or its reason."""
    if not isinstance(f, dict) or f.get("value") is None:
        return html.escape(str((f or {}).get("reason", "-")))
    value = f"{f['value']:.3f}"
    return value + (f" [{f['low']:.3f}, {f['high']:.3f}]" if "low" in f else "")


def html_table(head, rows):
    """An HTML table of already escaped cells."""
    lines = ["<table><tr>" + "".join(f"<th>{h}</th>" for h in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows]
    return "".join(lines) + "</table>"


OPERATING_ROWS = tuple(
    (f"{name}: {label}", (f"{key}_{measure}",))
    for name, key in (("Melanoma", "melanoma"), ("Malignant", "malignant")) for at in (90, 95)
    for label, measure in (
        (f"sensitivity at {at} % specificity", f"sensitivity_at_{at}_specificity"),
        (f"sensitivity at val's threshold for {at} %", f"sensitivity_at_val_threshold_{at}"),
        (f"specificity realised at val's threshold for {at} %", f"specificity_at_val_threshold_{at}")))  # fmt: skip
METRIC_ROWS = (
    ("Accuracy", ("argmax", "accuracy")), ("Balanced accuracy", ("argmax", "balanced_accuracy")),
    ("Balanced accuracy, balanced point", ("balanced", "balanced_accuracy")),
    ("Accuracy, balanced point", ("balanced", "accuracy")), ("Macro precision", ("argmax", "macro_precision")),
    ("Macro recall", ("argmax", "macro_recall")), ("Macro F1", ("argmax", "macro_f1")),
    ("Weighted F1", ("argmax", "weighted_f1")), ("Macro AUC, one against the rest", ("auc",)),
    ("Melanoma sensitivity at 90 % specificity", ("melanoma_sensitivity_at_90_specificity",)),
    ("Malignant / benign: accuracy", ("argmax", "malignancy_accuracy")),
    ("Malignant / benign: sensitivity", ("argmax", "malignancy_sensitivity")),
    ("Malignant / benign: specificity", ("argmax", "malignancy_specificity")),
    ("Malignant / benign: AUC", ("auc_malignant",)), ("Expected calibration error", ("ece",)),
    ("ECE if perfectly calibrated", ("ece_if_perfect",)),
)  # fmt: skip


def metrics_section(found):
    """The classifier's table: with synthetic images, without, and the paired difference."""
    models, rows, trained_on = found["models"], [], found["trained_on"]
    columns = [(html.escape(f"{n}: {trained_on.get(n, '')}"), models[n]) for n in ("classifier", "control") if n in models]
    if "control" in models:
        columns.append(("classifier - control, paired", found["classifier_minus_control"]))

    def pick(block, path):
        for key in path:
            if "reason" in block:  # the whole block is undefined
                break
            block = block.get(key, {})
        return cell(block)

    for path, label in {path: label for label, path in METRIC_ROWS + OPERATING_ROWS}.items():  # what both name stands once
        rows.append((label, *(pick(block, path) for _, block in columns)))
    baseline = found["majority_baseline"]
    majority = f"Majority class ({html.escape(str(baseline['class']))}): accuracy"
    rows.append((majority, cell(baseline["accuracy"]), *[""] * (len(columns) - 1)))
    size = html.escape(f"{found['images']} images of {found['lesions']} lesions. {found['protocol']}")
    head = f"<p>{size}. 95 % intervals by bootstrap over lesions; one seed.</p>"
    return head + html_table(("", *(c for c, _ in columns)), rows)


def quality_section(quality):
    """The synthetic set's table, each distance beside its floor."""
    m = quality.get("memorisation")
    memorised = "" if m is None else (f"<p>Memorisation: {m['value']:.1%} of {m['n']:d} synthetic images lie nearer to a "
                                      "training image than all but 1 % of held-out images.</p>")  # fmt: skip
    if "distances" not in quality:
        return f"<p>{html.escape(str(quality.get('reason', 'not measured')))}</p>" + memorised
    d = quality["distances"]
    rows = [(name, f"{d[key]['value']:.4g}", f"{d[floor]['value']:.4g}") for name, key, floor in (
        ("Fréchet distance", "frechet", "frechet_floor"), ("Kernel distance (KID)", "kid", "kid_floor"),
        ("Precision", "precision", "precision_half_b"), ("Recall", "recall", "recall_half_b"),
        ("Density", "density", "density_half_b"), ("Coverage", "coverage", "coverage_half_b")) if key in d]  # fmt: skip
    text = f"<p>{html.escape(quality['protocol'])}. Judge {html.escape(quality['judge_sha256'][:12])}.</p>"
    text += html_table(("", "synthetic", "real (half B)"), rows)
    return text + f"<p>Fréchet ratio to the floor: {d['frechet_ratio']['value']:.1f}.</p>" + memorised


STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td{white-space:nowrap}
td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:left}
figure{margin:2em 0}figcaption{color:#555}img{max-width:100%}
.note{background:#fde8e8;border:1px solid #b00020;padding:.6em}"""


def build(run, drawn, left_out, missing):
    """report.html as text: every figure embedded, every value escaped."""
    evaluation, eda_folder = run.args.outputs_dir / "evaluation", run.args.outputs_dir / "eda"
    inputs, parts = run.inputs, []
    parts.append(f"<h1>Does GAN augmentation help? {html.escape(inputs.data['name'])}</h1>")
    for note in [inputs.data_note, *inputs.table.notes]:
        if note:
            parts.append(f'<p class="note">{html.escape(note)}</p>')
    split = inputs.split
    parts.append(f"<p>{len(inputs.table)} images, data sha256 <code>{inputs.table.sha256[:16]}</code>; "
                 f"{html.escape(split['protocol'])}, split sha256 <code>{split['sha256'][:16]}</code>; "
                 f"grouped by {html.escape(split['grouping'])}. Research only, not for clinical use.</p>")  # fmt: skip
    classes = "; ".join(f"{c}{'*' if m else ''}: {CLASS_NAMES[c]}" for c, m in zip(CLASSES, MALIGNANT, strict=True))
    parts.append(f"<p>{html.escape(classes)}. * malignant or pre-malignant.</p>")
    for title, file, section in (("Classifier", "metrics.json", metrics_section),
                                 ("Synthetic images", "synthetic_quality.json", quality_section)):  # fmt: skip
        path = evaluation / file
        parts.append(f"<h2>{title}</h2>")
        parts.append(f"<p>{html.escape(missing)}</p>" if missing else section(records.read_json(path, "evaluate.py")))
    eda = []
    if (eda_folder / "options.json").is_file():
        record = inputs.check_made_from(eda_folder / "options.json", "eda.py", {"outputs": {...: str}})
        eda = [(p, f"{p.stem.replace('_', ' ').capitalize()} (eda.py).") for p in sorted(eda_folder.glob("*.png"))
               if record["outputs"].get(p.name) == checksums.file_sha256(p)]  # fmt: skip
    for title, shown in (("Results", drawn), ("The data", eda)):
        if shown:
            parts.append(f"<h2>{title}</h2>")
        for path, caption in shown:
            picture = base64.b64encode(path.read_bytes()).decode()
            parts.append(f'<figure><img alt="{html.escape(path.stem)}" src="data:image/png;base64,{picture}">'
                         f"<figcaption>{html.escape(caption)}</figcaption></figure>")  # fmt: skip
    if left_out:
        parts.append("<h2>Left out</h2><ul>" + "".join(f"<li>{html.escape(t)}</li>" for t in left_out) + "</ul>")
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Lesion GAN report</title><style>{STYLE}</style>' + \
        "\n".join(parts) + "</html>\n"  # fmt: skip
