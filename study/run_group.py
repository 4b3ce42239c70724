"""Train and score the cells of one group that are not done, and write their records.

    python -m study.run_group study/config.yaml f10_shared_5000_g0

Snakemake calls it. It runs train_cnn.py and evaluate.py --predictions-only for every seed, in one
process, so that the table is read and Keras started once. A cell's record,
results/study/cells/ID.json, is written last, after the predictions, ID.csv.gz. A cell that was
interrupted goes on from its last epoch.
"""

import gzip
import json
import time
from pathlib import Path

import evaluate
import train_cnn
import train_gan
from lesiongan import ROOT
from lesiongan.files import checksums, locks, records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import estimates
from lesiongan.run import flags, gan_flags, identity, inputs, machine, script
from study.grid import Grid


def train_cell(grid, group, seed):
    """Train and score one cell, and write its record."""
    began, folder = time.time(), grid.work / "cells" / group.cell(seed)
    folders = ["--models-dir", folder / "models", "--outputs-dir", folder / "outputs"]
    logged = ["--log-json", writing.ensure_folder(folder) / "log.jsonl"]
    recipe, table = grid.cnn_recipe(group, seed), grid.set_path(group)
    synthetic = ["--synthetic", table] if table else []
    if teachers := grid.teachers(group):
        synthetic += ["--soft-labels", *(t / "classifier.keras" for t in teachers)]
    flags = [str(f) for f in [*grid.places(), *folders, "--if-stale", "--quiet", *logged]]
    train_cnn.main([*recipe, *map(str, synthetic), *flags, "--resume"])
    # What trained the network is nothing to evaluate.py: it takes the split alone.
    share = grid.share_flags(group.fraction, None if grid.arms[group.arm].get("all") else "own")
    evaluate.main([*share, *flags, "--seed", str(seed), "--predictions-only"])
    minutes = write_record(grid, group, seed, folder, began)
    print(f"{group.cell(seed)}: trained and scored in {minutes:.1f} minutes", flush=True)
    print(grid.progress(), flush=True)


def load_own(grid, group):
    """Return the Inputs of a group's classifiers: the table, and the share that they learn from."""
    share = grid.share_flags(group.fraction, None if grid.arms[group.arm].get("all") else "own")
    return inputs.load_inputs(train_cnn.parse_args([*grid.places(), *share]))


def check_table(grid, group):
    """Raise InputError if records of cells are of another table, or of other test rows."""
    own = load_own(grid, group)
    ours = own.data["sha256"]
    for path in sorted(grid.records.glob("*.json")):
        theirs = records.read_json(path, "make study", {"data": {"sha256": str}})["data"]["sha256"]
        if theirs != ours:
            raise InputError(
                f"{path}: is of another table than {grid.values['data'] or 'the one in data/'}; "
                "give a grid of your own other results and work"
            )
    # Said before test is read, and before predictions replace others.
    check_test_rows(grid, pick_test_rows(own.split_text), "the split as it is now")


def pick_test_rows(text):
    """Return the header and the test rows of a split.csv, as bytes."""
    header, *rows = text.splitlines(keepends=True)
    return "".join([header, *(row for row in rows if row.endswith(",test\n"))]).encode()


def check_test_rows(grid, content, what):
    """Return whether test rows are beside the records; InputError if they are not these."""
    target = grid.results / "test.csv.gz"
    if target.is_file() and gzip.decompress(target.read_bytes()) != content:
        raise InputError(
            f"{target}: has other test rows than {what}; give the grid other results and work"
        )
    return target.is_file()


def check_made(grid, group):
    """Raise InputError unless GAN and teachers of a group are those that the grid describes.

    They must be of the table as it is, too: those of a table that has changed since may have
    learned from lesions that are test lesions now.
    """
    own = load_own(grid, group)
    made: list[tuple] = []
    if group.gan_seed is not None:
        gan = (group.fraction, grid.arms[group.arm]["source"], group.gan_seed)
        folder = grid.gan_folder(*gan) / "models/gan"
        recipe = grid.gan_recipe(*gan)
        unnamed = gan_flags.list_unnamed(train_gan.parse_args(recipe))
        made.append((folder, train_gan, recipe, unnamed))
    for seed, folder in zip(grid.values["teacher_seeds"], grid.teachers(group), strict=False):
        recipe = grid.teacher_recipe(group.fraction, seed)
        unnamed = train_cnn.list_unnamed(train_cnn.parse_args(recipe))
        made.append((folder, train_cnn, recipe, unnamed))
    for folder, maker, recipe, without in made:
        shape = {"options": dict, "data": {"sha256": str}, "split": {"sha256": str}}
        record = records.read_json(folder / "options.json", "make study", shape)
        if any(record[k]["sha256"] != getattr(own, k)["sha256"] for k in ("data", "split")):
            raise InputError(
                f"{folder}: was made from another table or split than this one; remove the folder"
            )
        args = maker.parse_args([*grid.places(), *recipe])
        wanted = json.loads(json.dumps(identity.options_of(args, without)))
        whole = args.train_fraction == 1
        share = [None, None] if whole else [args.train_fraction, args.train_share]
        theirs = [record["split"].get(name) for name in ("train_fraction", "train_share")]
        if record["options"] != wanted or theirs != share:
            raise InputError(
                f"{folder}: was made by other flags than {grid.path} has; remove the folder"
            )
    if table := grid.set_path(group):
        path = table.with_name("provenance.json")
        shape = {"options": {"sampling": {"samples": int}}}
        drawn = records.read_json(path, "make study", shape)["options"]["sampling"]
        asked = train_gan.sampling_of(train_gan.parse_args(grid.recipe(group, 0)["drawn"]))
        named = ("samples", "class_mix", "classes", "least_images", "latent_scale", "candidates")
        if any(drawn.get(name) != json.loads(json.dumps(asked.get(name))) for name in named):
            raise InputError(
                f"{path}: was drawn by other flags than {grid.path} has; remove the folder"
            )


def write_record(grid, group, seed, folder, began):
    """Write the predictions and the record of a cell; return the minutes that it took."""
    evaluation, trained = folder / "outputs/evaluation", folder / "models/cnn"
    made = records.read_json(trained / "options.json", "train_cnn.py")
    context = records.read_json(evaluation / "context.json", "evaluate.py", estimates.CONTEXT)
    predictions = grid.records / f"{group.cell(seed)}.csv.gz"
    writing.write_gzip(predictions, (evaluation / "predictions.csv").read_bytes())
    keep_test_rows(grid, folder / "outputs/split.csv")
    seconds, took = read_seconds(trained / "history.csv"), time.time() - began
    writing.write_json(
        grid.records / f"{group.cell(seed)}.json",
        {
            "id": group.cell(seed),
            "fraction": group.fraction,
            "arm": group.arm,
            "source": grid.arms[group.arm].get("source"),
            "amount": grid.arms[group.arm].get("amount", 0),
            "gan_seed": group.gan_seed,
            "cnn_seed": seed,
            "recipe": grid.recipe(group, seed),
            "predictions_sha256": checksums.file_sha256(predictions),
            "protocol": context["protocol"],
            "data": made["data"],
            "split": made["split"],
            "lesions": count_lesions(folder / "outputs/split.csv"),
            "points": context["points"]["classifier"],
            "trained": context["arms"]["classifier"],
            "steps": made["steps"],
            "training_minutes": seconds / 60,
            "overhead_seconds": max(0, took - seconds),
            "val": made["val"],
            "environment": made["environment"],
            "commit": made["environment"]["commit"],
        },
    )
    return took / 60


def read_seconds(path):
    """Return the seconds of all epochs of a history.csv."""
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    return sum(float(row[header.index("seconds")]) for row in rows)


def count_lesions(path):
    """Return the number of lesions that a split.csv gives to the classifier."""
    rows = [line.rsplit(",", 1) for line in path.read_text().splitlines()]
    return len({name.split(",", 1)[1] for name, part in rows[1:] if part in ("own", "train")})


def keep_test_rows(grid, path):
    """Keep the test rows of a split.csv, which are the same for every cell, beside the records.

    Intervals are over the lesions of these rows. InputError if cells before had others.
    """
    content = pick_test_rows(path.read_text())
    if not check_test_rows(grid, content, path):
        writing.write_gzip(grid.results / "test.csv.gz", content)


def log_reading(grid, group, seeds):
    """Note in results/TEST_LOG.md that test is read, if these are the committed results."""
    if not grid.is_committed():
        return
    numbers = ", ".join(map(str, seeds))
    line = f"`study.run_group`, {group.name}: classifiers of seed {numbers}"
    # The line is one write, so that two jobs side by side lose none.
    with (ROOT / "results" / "TEST_LOG.md").open("a") as f:
        f.write(f"| {time.strftime('%Y-%m-%d')} | {machine.environment()['commit']} | {line} |\n")


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("grid", type=Path)
    p.add_argument("group", help="for example f10_shared_5000_g0")
    args = p.parse_args(argv)
    grid = Grid(args.grid)
    group = grid.group(args.group)
    locks.lock_folder(grid.mark(group).parent)
    inputs.keep_tables()
    if seeds := grid.seeds_left(group):
        check_table(grid, group)
        check_made(grid, group)
        # What will be read is noted before, so that a run that is killed leaves no reading out.
        log_reading(grid, group, seeds)
    for seed in seeds:
        train_cell(grid, group, seed)
    writing.write_json(grid.mark(group), {"group": group.name})


if __name__ == "__main__":
    script.script_main(main)
