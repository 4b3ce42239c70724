"""Compute the study's answer from the records of its cells: study.json, study.csv and the map.

    python -m study.collect study/config.yaml

Every arm is compared with the base of its fraction, own images alone, on the seeds that both have.
Intervals are over lesions, seeds of the classifier and seeds of the GAN, paired (see
lesiongan/measures/contrasts.py). The contrasts of the grid's family are tested together by Holm's
method; the others have no p-value. No contrast mixes cells of two backends. Cells of several
versions of the code, or of several processors, are compared, and the answer says so.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates
from lesiongan.measures.contrasts import adjust, compare, draw_measures
from lesiongan.measures.predictions import read_lesions, read_predictions
from lesiongan.run import flags, script
from study import answer, gaps, publish_run, study_map
from study.grid import CEILING, Grid, Group
from study.grid import MEASURES as COMPARED

# Names of the measures here and in estimates.py.
MEASURES = {
    "auc": "auc",
    "balanced_accuracy": "balanced.balanced_accuracy",
    "accuracy": "argmax.accuracy",
    "macro_f1": "argmax.macro_f1",
    "melanoma_sensitivity": "melanoma_sensitivity_at_90_specificity",
    "melanoma_average_precision": "average_precision_mel",
    # No contrast is made of it: intervals of its differences would be wrong (see estimates.py).
    "ece": "ece",
}
COLUMNS = (
    "fraction",
    "lesions",
    "arm",
    "source",
    "amount",
    "measure",
    "value",
    "low",
    "high",
    "p_holm",
    "minimum_detectable",
    "base_value",
    "worth",
    "worth_low",
    "worth_high",
    "worth_most",
    "gan_seeds",
    "cnn_seeds",
    "backend",
)


def name_backend(record):
    """Return in words what a cell was trained on: the backend, and an accelerator if any."""
    environment = record["environment"]
    return " on ".join([environment["backend"], *(environment.get("accelerators") or [])[:1]])


def check_cells(grid, done):
    """Raise InputError unless there are cells, all of one table and one split of it."""
    if not done:
        raise InputError(f"{grid.records}: no cell is done; run `make study` first")
    first = next(iter(done.values()))
    # What an arm's flags may name differs by the arm, and the seed by the cell. All other options
    # are the same wherever cells are compared, even if the defaults change on the way.
    flags = [flag for arm in grid.arms.values() for flag in arm["flags"]]
    varied = {"seed", *(str(flag).lstrip("-").replace("-", "_") for flag in flags)}
    known: dict[tuple, Any] = {}
    for name, record in done.items():
        trained, fraction, arm = record["trained"], record["fraction"], record["arm"]
        options = {k: v for k, v in trained.get("same", {}).items() if k not in varied}
        split = record["split"].get("sha256")
        taught = (trained.get("taught") or {}).get("teachers")
        drawn = trained.get("synthetic_sha256")
        for what, where, found in (
            ("synthetic images", (fraction, arm, record["gan_seed"]), drawn),
            ("own lesions", (fraction, arm == CEILING), split),
            ("teachers", (fraction, arm), taught),
            ("options of the training", (fraction,), options),
        ):
            if known.setdefault((what, *where), found) != found:
                raise InputError(
                    f"{grid.records / name}.json: of other {what} than the cells it stands beside, "
                    "as if two machines had made them; remove the records of one"
                )
        same = [record["data"]["sha256"], record["split"]["split_seed"]]
        if same != [first["data"]["sha256"], first["split"]["split_seed"]]:
            raise InputError(
                f"{grid.records / name}.json: of another table or split than {first['id']}; move "
                "one of them away"
            )


def build_measures(grid, done):
    """Return {ID: function of image weights (d, n) to {measure: (d,)}} and lesions str (n,)."""
    found, first = {}, None
    for name, record in done.items():
        rows, labels, p = read_predictions(grid.records / f"{name}.csv.gz")
        first = rows if first is None else first
        if not np.array_equal(rows, first):
            raise InputError(f"{grid.records / name}.csv.gz: of other test images than the others")
        whole = estimates.build_measure(labels, p, record["points"])

        def measure(w, whole=whole):
            measured = whole(w)
            return {short: measured[long] for short, long in MEASURES.items()}

        found[name] = measure
    return found, read_lesions(grid.results / "test.csv.gz", first)[0]


def list_seeds(done, backend):
    """Return {(fraction, arm): {seed of the GAN: seeds of the classifier}} of one backend."""
    found: dict[tuple[int, str], dict[int | None, set[int]]] = {}
    for record in done.values():
        if name_backend(record) == backend:
            seeds = found.setdefault((record["fraction"], record["arm"]), {})
            seeds.setdefault(record["gan_seed"], set()).add(record["cnn_seed"])
    return found


def choose_seeds(seeds, base):
    """Return (seeds of the GAN, seeds of the classifier) of which every pair is done.

    Of the sets that are, it is the one with most pairs: a GAN whose classifiers have just begun is
    left out. seeds: {seed of the GAN: seeds of the classifier}; base: those of the base.
    """
    shared = {gan: cnns & base for gan, cnns in seeds.items()}
    order = sorted(shared, key=lambda gan: (-len(shared[gan]), str(gan)))
    found = []
    for i in range(1, len(order) + 1):
        both = sorted(set.intersection(*(shared[gan] for gan in order[:i])))
        found.append((sorted(order[:i], key=str), both))
    return max(found, key=lambda f: (len(f[0]) * len(f[1]), len(f[1])))


def contrast(grid, key, seeds, base, values, drawn):
    """Return the contrasts of one arm with the base, a list with one entry a measure.

    key: (fraction, arm); seeds, base: {seed of the GAN: seeds of the classifier} of both.
    """
    fraction, arm = key
    gans, cnns = choose_seeds(seeds, base[None])
    if not cnns:
        return []
    ids = [[Group(fraction, arm, g).cell(c) for c in cnns] for g in gans]
    against = [Group(fraction, grid.values["base"], None).cell(c) for c in cnns]
    rows = []
    for name in COMPARED:
        differences = [
            [values[i][name] - values[b][name] for i, b in zip(row, against, strict=True)]
            for row in ids
        ]
        draws = [
            [drawn[i][name] - drawn[b][name] for i, b in zip(row, against, strict=True)]
            for row in ids
        ]
        if not np.isfinite(differences).all():
            continue
        if gans == [None]:
            # `compare` tests nothing where an axis has fewer than three seeds, and without a GAN
            # there is no second axis.
            differences, draws = differences[0], draws[0]
        rows.append(
            {
                "fraction": fraction,
                "arm": arm,
                "label": grid.arms[arm]["label"],
                "source": grid.arms[arm].get("source"),
                "amount": grid.arms[arm].get("amount", 0),
                "measure": name,
                **compare(differences, draws),
                "p_holm": None,
                "p_at_most": False,
                "base_value": float(np.mean([values[b][name] for b in against])),
                "gan_seeds": [g for g in gans if g is not None],
                "cnn_seeds": cnns,
            }
        )
    return rows


def adjust_family(grid, contrasts):
    """Give the contrasts of the family their p-values by Holm, and take p from all others.

    Return how many comparisons the family has. Those that the grid plans and that have not run
    count, as if they were to show nothing: otherwise an early answer would be tested less strictly
    than the whole.
    """
    family = grid.values["family"]
    tested = [
        c
        for c in contrasts
        if c["arm"] in family["arms"] and c["measure"] in family["measures"] and c["p"] is not None
    ]
    planned = {(g.fraction, g.arm) for g in grid.groups if g.arm in family["arms"]}
    count = max(len(tested), len(planned) * len(family["measures"]))
    adjusted = adjust([c["p"] for c in tested] + [1.0] * (count - len(tested)))
    least = 2 / (grid.values["draws"] + 1)
    for c, p in zip(tested, adjusted, strict=False):
        # With no draw beyond zero, a p-value is the least that so many draws can give.
        c |= {"p_holm": float(p), "p_at_most": bool(c["p"] <= least * (1 + 1e-9))}
    for c in contrasts:
        if all(c is not t for t in tested):
            c["p"] = None
    return count


def finite(value):
    """Return a number as float, or None if it is undefined, as JSON has it."""
    return float(value) if np.isfinite(value) else None


def average(done, seeds, values):
    """Return [{fraction, arm, lesions, images, cells, <measure>, <measure>_std}] of every arm.

    A measure that the test images do not define, such as of melanoma without one, is None.
    """
    rows = []
    for (fraction, arm), by_gan in seeds.items():
        ids = [Group(fraction, arm, g).cell(c) for g, cs in by_gan.items() for c in cs]
        rows.append(
            {
                "fraction": fraction,
                "arm": arm,
                "lesions": done[ids[0]]["lesions"],
                "images": int(np.sum(done[ids[0]]["split"]["images"]["train"])),
                "cells": len(ids),
                **{n: finite(np.mean([values[i][n] for i in ids])) for n in MEASURES},
                **{
                    f"{n}_std": finite(np.std([values[i][n] for i in ids], ddof=1))
                    if len(ids) > 1
                    else None
                    for n in MEASURES
                },
            }
        )
    return sorted(rows, key=lambda r: r["fraction"])


def count_versions(done):
    """Return by how many versions of the training code the cells were made."""
    return len({(r["trained"].get("trained_by") or [None])[0] for r in done.values()})


def collect(grid):
    """Return the content of study.json."""
    done = grid.read_done()
    check_cells(grid, done)
    measures, lesions = build_measures(grid, done)
    values, drawn = draw_measures(measures, MEASURES, lesions, grid.values["draws"])
    contrasts, arms = [], []
    for backend in sorted({name_backend(r) for r in done.values()}):
        seeds = list_seeds(done, backend)
        arms += [row | {"backend": backend} for row in average(done, seeds, values)]
        for key, mine in seeds.items():
            base = seeds.get((key[0], grid.values["base"]))
            if base and key[1] != grid.values["base"]:
                found = contrast(grid, key, mine, base, values, drawn)
                contrasts += [row | {"backend": backend} for row in found]
    owned = {(a["fraction"], a["backend"]): a for a in arms if a["arm"] == grid.values["base"]}
    lonely = {b for _, b in {(a["fraction"], a["backend"]) for a in arms} - set(owned)}
    for backend in sorted(lonely):
        print(f"note: cells on {backend} have no base there, so some are compared with nothing")
    for row in contrasts:
        row["lesions"] = owned[row["fraction"], row["backend"]]["lesions"]
        is_drawn = row["source"] is not None
        row["worth"] = answer.find_worth(row, arms, grid.values["base"]) if is_drawn else None
    tested = adjust_family(grid, contrasts)
    at_all = {a["backend"] for a in arms if (a["fraction"], a["arm"]) == (100, grid.values["base"])}
    hours = sum(r["training_minutes"] + r["overhead_seconds"] / 60 for r in done.values()) / 60
    first = next(iter(done.values()))
    out = {
        "data": first["data"],
        "protocol": "lesion split, scored on the test part that all cells share",
        "test_images": len(lesions),
        "test_lesions": len(set(lesions)),
        "draws": grid.values["draws"],
        "base": grid.arms[grid.values["base"]]["label"],
        "family": grid.values["family"],
        "tested_together": tested,
        "cells": len(done),
        "cells_planned": len(grid.groups) * len(grid.values["cnn_seeds"]),
        "hours_of_classifiers": hours,
        "overhead_seconds": float(np.median([r["overhead_seconds"] for r in done.values()])),
        "environments": sorted({name_backend(r) for r in done.values()}),
        "processors": sorted({r["environment"].get("processor") or "?" for r in done.values()}),
        "versions": count_versions(done),
        # Until the base has run at 100 %, the curve of real images ends at the ceiling of the
        # largest fraction, which is trained for as many steps as the arms of that fraction.
        "curve_ends_at_ceiling": at_all != {a["backend"] for a in arms},
        "labels": {a["arm"]: grid.arms[a["arm"]]["label"] for a in arms},
        "arms": arms,
        "contrasts": contrasts,
    }
    return out | {
        "lead": answer.write_lead(out),
        "answers": answer.write_sentences(out),
        "missing": gaps.list_missing(grid, done),
        "not_begun": gaps.list_not_begun(grid, done),
        "undrawn": gaps.list_undrawn(grid, done),
    }


def write_csv(path, contrasts):
    """Write the contrasts as a table, one line each."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for row in contrasts:
        seeds = {k: " ".join(map(str, row[k])) for k in ("gan_seeds", "cnn_seeds")}
        worth = {f"worth_{name}": n for name, n in (row["worth"] or {}).items()}
        table.writerow(row | seeds | {"worth": worth.pop("worth_value", None)} | worth)
    writing.write_text(path, text.getvalue())


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("grid", type=Path)
    p.add_argument("--marker", type=Path, help="also write this file when all is done")
    args = p.parse_args(argv)
    grid = Grid(args.grid)
    found = collect(grid)
    writing.write_json(grid.beside(".json"), found)
    write_csv(grid.beside(".csv"), found["contrasts"])
    study_map.draw(found, grid)
    print(f"of {found['data']['name']}, sha256 {found['data']['sha256'][:12]}:")
    for found_answer in found["answers"]:
        print(found_answer["sentence"])
    print(f"{grid.progress()} -> {grid.beside('.json')}")
    if grid.is_committed():
        # The pages count the readings of test and give the answer.
        publish_run.main(["--tables-only"])
    if args.marker:
        writing.write_json(args.marker, {"cells": found["cells"]})


if __name__ == "__main__":
    script.script_main(main)
