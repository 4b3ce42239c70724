"""Synthetic sets of any generators, measured by the same rulers, side by side.

This is evaluate.py --synthetic. All sets are measured on their own images, as many of each in the
train part's class mix as the smallest has, and against the val part: who compares generators should
leave the test part unread.
"""

from pathlib import Path

from lesiongan.data.classes import CLASSES, TABLE_NAME, class_counts
from lesiongan.files import errors, records, writing
from lesiongan.files.telling import say
from lesiongan.measures import copies, synthetic_quality, texture
from lesiongan.measures.judge import Judge
from lesiongan.nets import set_sources
from lesiongan.run import keras_setup
from lesiongan.run.folders import ResultFolder

NAME, RECORD = "synthetic_sets.json", "synthetic_sets_options.json"
HELD_OUT = "val"
ESTIMATE = {"value": (*records.NUMBER, type(None))}
# What must be in the file for a table to be made of it.
SHAPE = {
    "sets": [
        {
            "name": str,
            "origin": str,
            "images": {...: int},
            "memorisation": ESTIMATE,
            "copies": ESTIMATE,
            "mixtures": ESTIMATE,
            "passes_as_new": {"passes": bool, "reason": str},
        }
    ]
}
# The label in a table, and the name of an estimate among the distances and of that of real images.
DISTANCES = (
    ("Fréchet distance over that of real images", "frechet_ratio", None),
    ("Fréchet distance", "frechet", "frechet_floor"),
    ("Kernel distance (KID)", "kid", "kid_floor"),
    ("Precision", "precision", "precision_half_b"),
    ("Recall", "recall", "recall_half_b"),
    ("Density", "density", "density_half_b"),
    ("Coverage", "coverage", "coverage_half_b"),
)
# The same, among the patch distances, which need no judge.
PATCHES = (
    ("Patch distance over that of real images", "swd_ratio", None),
    ("Patch distance, fine level (28 px)", "swd_28", "swd_28_floor"),
    ("Patch distance, coarse level (14 px)", "swd_14", "swd_14_floor"),
)
NOVELTY = (
    ("Nearly training images", "memorisation"),
    ("The same but for brightness and contrast", "copies"),
    ("Between two training images", "mixtures"),
)


def evaluate(run, load_judge):
    """Measure the sets of --synthetic; write synthetic_sets.json and print them as a table.

    load_judge: function that returns the judge's network, or None without a judge. Raises
    InputError for what is no synthetic set, and for one that holds val or test images.
    """
    sets = []
    for i, path in enumerate(run.args.synthetic):
        sets.append(set_sources.read_set(run, f"synthetic_{i + 1}", path))
        copies.refuse_held_out(run.inputs, "--synthetic", path, sets[-1].table.images)
    names = [errors.printable(path) for path in run.args.synthetic]
    folder = run.args.outputs_dir / "evaluation"
    place = ResultFolder(run, folder / RECORD, run.identify(sets=names))
    if place.is_current():
        say("  up to date")
        found = records.read_json(folder / NAME, "evaluate.py --synthetic", SHAPE)
    else:
        keras_setup.quiet_tensorflow(run.args.deterministic)
        place.begin((NAME,))
        judge = load_judge and Judge(load_judge(), run.inputs, held_out=HELD_OUT)
        found = {"data": run.inputs.data, "note": run.inputs.data_note}
        found["sets"] = measure(run.inputs, judge, names, sets)
        writing.write_json(folder / NAME, found)
        place.finish([folder / NAME])
    print_table(*tabulate(found["sets"]))
    for each, name in zip(found["sets"], short_names(names), strict=True):
        if "distances" not in each:
            say(f"  {name}: {each['reason']}")
        if not each["passes_as_new"]["passes"]:
            say(f"  {name} does not pass as new: {each['passes_as_new']['reason']}")


def measure(inputs, judge, names, sets):
    """Return [what is known of a set, as a dict] of SyntheticSets: all that `measure` measures.

    Distances of all sets are of equally many images, because they depend on the number. Each set
    is compared with the train lesions that its generator learned from, if it is one of this split.
    """
    seen = [inputs.of_share(name_share(s)) for s in sets]
    patches = [
        texture.plan_patches(theirs, s.table, HELD_OUT)[-1]
        for theirs, s in zip(seen, sets, strict=True)
    ]
    many = [
        synthetic_quality.plan_draws(inputs, s.table, judge, synthetic_quality.IMAGES)[1]
        for s in sets
        if judge
    ]
    # A set of which nothing can be drawn does not keep the others from being measured.
    most = min((n for n in many if n > 1), default=synthetic_quality.IMAGES)
    most_patches = min((n for n in patches if n >= texture.LEAST), default=texture.MOST)
    return [
        {
            "name": name,
            "sha256": s.table.sha256,
            "origin": s.origin,
            "train_share": name_share(s),
            "images": dict(zip(CLASSES, class_counts(s.table.labels), strict=True)),
            **synthetic_quality.measure(
                inputs,
                s.table,
                judge,
                None,
                held_out=HELD_OUT,
                most=most,
                most_patches=most_patches,
                seen=theirs,
            ),
        }
        for name, s, theirs in zip(names, sets, seen, strict=True)
    ]


def name_share(made):
    """Return the share of this split's train lesions that a set's generator learned from, or None.

    A generator of other data or of another split has learned from no share of this one.
    """
    if made.origin != set_sources.OURS:
        return None
    return made.provenance.get("split", {}).get("train_share")


def mean_over_classes(block):
    """Return the mean of the values of a dict of estimates by class, None if none has any."""
    values = [f["value"] for f in block.values() if f.get("value") is not None]
    return sum(values) / len(values) if values else None


def tabulate(sets):
    """Return (head, rows of text) of sets as synthetic_sets.json has them, a column for each.

    The last column is of real images: half B, the judge's recall, or .01 by definition. Half B is
    drawn in the mix of a set's classes, and of the share of the lesions that its generator learned
    from, so it has no number beside sets that differ in these.
    """
    of = {(s.get("train_share"), *(c for c, n in s["images"].items() if n)) for s in sets}

    def row(label, pick, real=""):
        return (label, *(show(pick(s)) for s in sets), show(real))

    rows = [
        row("Origin", lambda s: s["origin"]),
        row("Images", lambda s: str(sum(s["images"].values()))),
    ]
    for block, names in (("distances", DISTANCES), ("patches", PATCHES)):
        for label, key, floor in names:
            found = [s.get(block, {}) for s in sets]
            # Of a set that was not measured the reason stands under the table.
            if measured := [f for f in found if key in f]:
                real = ""
                if floor and len(of) == 1 and floor in measured[0]:
                    real = measured[0][floor]["value"]
                values = (show(f.get(key, {}).get("value")) for f in found)
                rows.append((label, *values, show(real)))
    judged = [s for s in sets if "distances" in s]
    if judged:
        recall = {
            c: f["real_recall"]
            for c, f in judged[0]["label_agreement"].items()
            if f.get("value") is not None
        }
        rows.append(
            row(
                "Judge agrees with the label, mean of classes",
                lambda s: mean_over_classes(s.get("label_agreement", {})),
                mean_over_classes(recall),
            )
        )
        rows.append(
            row(
                "Diversity over that of real images, mean of classes",
                lambda s: mean_over_classes(s.get("diversity", {})),
            )
        )
    rows += [row(label, lambda s, key=key: s[key]["value"], 0.01) for label, key in NOVELTY]
    rows.append(row("Passes as new", lambda s: "yes" if s["passes_as_new"]["passes"] else "no"))
    return ("", *short_names([s["name"] for s in sets]), "real images"), rows


def short_names(paths):
    """Return as many of the last parts of each path as tell it from the others, at most all.

    A table of the name that all tables have is shown with its folder.
    """
    parts = [Path(path).parts for path in paths]
    lengths = [1 + (p[-1] == TABLE_NAME) for p in parts]
    for _ in range(max(map(len, parts))):
        names = ["/".join(p[-n:]) for p, n in zip(parts, lengths, strict=True)]
        lengths = [n + (names.count(name) > 1) for n, name in zip(lengths, names, strict=True)]
    return names


def show(value):
    """Return a cell of the table as text."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.3f}"


def print_table(head, rows):
    """Print a table with as wide columns as its cells need."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for label, *cells in (head, *rows):
        shown = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        say("  ".join(["", label.ljust(widths[0]), *shown]))
