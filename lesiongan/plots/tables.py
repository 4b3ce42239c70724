"""The tables of a run: as CSV with all digits, and as Markdown and LaTeX with those of the report.

A row is (label, cell, ...). A cell is a text, a whole number, or an estimate of a JSON with its
interval: {"value": .., "low": .., "high": ..}, or {"reason": ..} where it is undefined.
"""

import csv
import io
from dataclasses import dataclass

from lesiongan.data.classes import CLASS_NAMES, CLASSES, MALIGNANT, PARTS
from lesiongan.files import errors, records, writing
from lesiongan.measures import synthetic_sets
from lesiongan.plots.findings import cell, pick


@dataclass(frozen=True)
class Table:
    """A table: its caption, the heads of its columns (the first is of the labels), its rows.

    form: how a number of an estimate is written in words.
    """

    caption: str
    head: tuple
    rows: list
    form: str = "{:.3f}"

    def words(self):
        """Return the rows as text: each estimate as '0.712 [0.690, 0.733]', or its reason."""
        return [
            tuple(cell(c, self.form) if isinstance(c, dict) else c for c in row)
            for row in self.rows
        ]


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
CLINICAL_ROWS = tuple(
    row
    for row in METRIC_ROWS
    if row[1]
    in (
        ("argmax", "accuracy"),
        ("balanced", "balanced_accuracy"),
        ("auc",),
        ("ece",),
        ("melanoma_sensitivity_at_90_specificity",),
    )
)
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
# The ratios stand in a sentence of their own.
DISTANCES, PATCHES = (
    tuple(row for row in rows if row[2])
    for rows in (synthetic_sets.DISTANCES, synthetic_sets.PATCHES)
)


def metrics_table(found):
    """Return the table of all scores: with synthetic images, without, and the paired difference.

    found: metrics.json.
    """
    models, trained_on = found["models"], found["trained_on"]
    columns = [
        (f"{n}: {trained_on.get(n, '')}", models[n])
        for n in ("classifier", "control")
        if n in models
    ]
    if "control" in models:
        columns.append(("classifier - control, paired", found["classifier_minus_control"]))
    # A row that both lists name appears once.
    paths = {path: label for label, path in METRIC_ROWS + OPERATING_ROWS}
    rows = [(name, *(pick(b, path) for _, b in columns)) for path, name in paths.items()]
    baseline = found["majority_baseline"]
    label = f"Majority class ({baseline['class']}): accuracy"
    rows.append((label, baseline["accuracy"], *[""] * (len(columns) - 1)))
    caption = "Scores of the classifier and of the control on the test part."
    return Table(caption, ("", *(c for c, _ in columns)), rows)


def clinical_table(found):
    """Return the table of the network that takes age, sex and site, beside the image-only one.

    found: metrics.json; the table has no rows if there is no such network.
    """
    models = found["models"]
    columns = [
        ("image alone", models["classifier"]),
        ("image, age, sex, site", models.get("clinical")),
        ("the same, all unknown", models.get("clinical_unknown")),
        ("with all - image alone, paired", found.get("clinical_minus_classifier")),
    ]
    shown = [(head, block) for head, block in columns if block]
    rows = []
    if "clinical" in models:
        rows = [(name, *(pick(block, path) for _, block in shown)) for name, path in CLINICAL_ROWS]
    caption = "The classifier that is told age, sex and site, beside the one that sees the image."
    return Table(caption, ("", *(head for head, _ in shown)), rows)


def operating_table(model):
    """Return the table of operating points: name, sensitivity and specificity.

    model: the estimates of a classifier in metrics.json.
    """
    rows = [
        (name, *(pick(model, (*([block] if block else []), key)) for key in keys))
        for name, block, *keys in OPERATING_POINTS
    ]
    caption = "Operating points of the classifier on the test part."
    return Table(caption, ("Decision", "Sensitivity", "Specificity"), rows)


def group_table(groups):
    """Return the table of scores by age, sex and site, from subgroups.json."""
    rows = []
    for what, members in groups.items():
        for name, found in members.items():
            counts = (errors.printable(f"{what}: {name}"), found["images"], found["lesions"])
            rows.append((*counts, *(pick(found, (key,)) for _, key in GROUP_SCORES)))
    head = ("Group", "Images", "Lesions", *(name for name, _ in GROUP_SCORES))
    return Table("Scores of the classifier by age, sex and site of the lesion.", head, rows)


def count_table(split):
    """Return the table of images by class and part, with their sums; split: the split's record."""
    images = split["images"]
    # With --train-fraction the lesions of the other share are in no part.
    whole = "all" if split.get("train_share") is None else "used"
    rows = [
        (
            f"{c}{'*' if m else ''}: {CLASS_NAMES[c]}",
            *(images[part][i] for part in PARTS),
            sum(images[part][i] for part in PARTS),
        )
        for i, (c, m) in enumerate(zip(CLASSES, MALIGNANT, strict=True))
    ]
    sums = [sum(images[part]) for part in PARTS]
    caption = "Images of each class in the parts of the split (* malignant or pre-malignant)."
    return Table(caption, ("Class", *PARTS, whole), [*rows, ("all", *sums, sum(sums))])


def confusion_table(matrix):
    """Return the confusion matrix as a table; matrix: rows of whole numbers, true by decided."""
    head = ("true", *(f"decided {c}" for c in CLASSES))
    rows = [(c, *row) for c, row in zip(CLASSES, matrix, strict=True)]
    return Table("Confusion matrix on the test part, in images.", head, rows)


def quality_table(quality):
    """Return the table of the synthetic set's distances, each beside that of real images.

    quality: synthetic_quality.json; the table has no rows if nothing was measured.
    """
    rows = [
        (name, found[key], found[floor])
        for block, names in (("distances", DISTANCES), ("patches", PATCHES))
        for found in [quality.get(block, {})]
        for name, key, floor in names
        if key in found
    ]
    caption = (
        "Distances of the synthetic images to held-out real ones, beside those of real images."
    )
    return Table(caption, ("", "synthetic", "real (half B)"), rows, "{:.4f}")


def to_csv(table):
    """Return a table as CSV; an estimate fills three columns, its value and interval's ends.

    Every number has the digits that the JSON has.
    """
    wide = [any(isinstance(r[i], dict) for r in table.rows) for i in range(len(table.head))]
    ends = ("", "low", "high")

    def spread(part, i):
        if not wide[i]:
            return [part]
        if not isinstance(part, dict):
            return [part, "", ""]
        if records.find_fault(part, {"value": records.NUMBER}, ""):
            return [part.get("reason", ""), "", ""]
        return [part.get(end or "value", "") for end in ends]

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        f"{name} {end}".strip()
        for i, name in enumerate(table.head)
        for end in ends[: 1 + 2 * wide[i]]
    )
    for row in table.rows:
        writer.writerow(part for i, c in enumerate(row) for part in spread(c, i))
    return text.getvalue()


def to_markdown(table):
    """Return a table in Markdown, with its caption above it."""
    lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)], *table.words()]
    shown = ["| " + " | ".join(str(c).replace("|", r"\|") for c in line) + " |" for line in lines]
    return "\n".join([table.caption, "", *shown, ""])


def to_latex(table, name):
    """Return a table in LaTeX for the package booktabs, labelled tab:NAME."""
    import pandas as pd

    # The words of a table may have any letters; a number has none that LaTeX takes for its own.
    return pd.DataFrame(table.words(), columns=table.head).to_latex(
        index=False,
        escape=True,
        column_format="l" + "r" * (len(table.head) - 1),
        caption=escape(table.caption),
        label=f"tab:{name}",
        position="htbp",
    )


def escape(text):
    """Return a text as LaTeX shows it letter by letter."""
    special = {c: f"\\{c}" for c in "&%$#_{}"}
    special |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    return "".join(special.get(c, c) for c in text)


def list_tables(split, shown):
    """Return {name: Table} of a run.

    split: the record of the split; shown: what the report shows of outputs/evaluation, see
    report.read_evaluation.
    """
    made = {"class_counts": count_table(split)}
    if shown["found"]:
        made["metrics"] = metrics_table(shown["found"])
        made["clinical"] = clinical_table(shown["found"])
        made["operating_points"] = operating_table(shown["found"]["models"]["classifier"])
        made["confusion"] = confusion_table(shown["matrix"])
        made["subgroups"] = group_table(shown["groups"])
        made["synthetic_quality"] = quality_table(shown["quality_found"])
    return {name: table for name, table in made.items() if table.rows}


def list_files(made):
    """Return the names of the files that write_tables writes."""
    return [f"{name}.{suffix}" for name in made for suffix in ("csv", "md", "tex")]


def write_tables(made, folder):
    """Write each of {name: Table} as CSV, Markdown and LaTeX; return the paths."""
    texts = [
        t
        for n, table in made.items()
        for t in (to_csv(table), to_markdown(table), to_latex(table, n))
    ]
    paths = [writing.ensure_folder(folder) / name for name in list_files(made)]
    for path, text in zip(paths, texts, strict=True):
        writing.write_text(path, text)
    return paths
