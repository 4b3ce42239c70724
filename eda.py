"""Explore the table: counts, samples, colours, metadata, near-duplicates, leakage of a split.

    python eda.py

The script reads the table (and metadata when it is there) in any of Kaggle's four layouts. It
writes figures (PNG and PDF) and summary.json to outputs/eda/, which also say what an image split
would leak, or with --split official what that split leaks. It takes about a minute for HAM10000.
"""

from lesiongan.data.classes import PARTS
from lesiongan.data.near_duplicates import near_pairs
from lesiongan.files import writing
from lesiongan.files.telling import say
from lesiongan.run import flags, runs, script
from lesiongan.run.folders import ResultFolder

FIGURES = (
    "class_counts",
    "samples",
    "class_means",
    "colours",
    "metadata",
    "near_duplicates",
    "leakage",
)


def parse_args(argv=None):
    return flags.parser(__doc__).parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    run = runs.Run(args, "eda")
    if not run.announce():
        return 0
    inputs, table = run.inputs, run.inputs.table
    # The figures show more of the metadata than the lesions, on which alone the split depends, so
    # its hash is an input of its own.
    run.files["metadata"] = table.metadata_sha256
    place = ResultFolder(run, args.outputs_dir / "eda" / "options.json", run.identify())
    if place.is_current():
        say("  up to date")
        return 0
    figures = [name + suffix for name in FIGURES for suffix in (".png", ".pdf")]
    place.begin([*figures, "summary.json"], stale=figures)
    from lesiongan.plots import style, table_figures

    note = inputs.figure_note

    written = [place.path / "summary.json"]

    def save(fig, name):
        style.save(fig, place.path, name, note)
        written.extend(place.path / (name + suffix) for suffix in (".png", ".pdf"))

    summary = {"data": inputs.data, "split": inputs.split, "notes": table.notes, "note": note}
    fig, summary["counts"] = table_figures.draw_counts(table)
    save(fig, "class_counts")
    save(table_figures.draw_samples(table), "samples")
    save(table_figures.draw_means(table), "class_means")
    fig, summary["colours"] = table_figures.draw_colours(table)
    save(fig, "colours")
    if table.metadata is not None and (fig := table_figures.draw_metadata(table)) is not None:
        save(fig, "metadata")
    if table.images.shape[1] % 7 == 0:
        pairs = near_pairs(table.images)
        if len(pairs):
            save(table_figures.draw_near_duplicates(table, pairs), "near_duplicates")
        if table.metadata is not None:
            summary["near_duplicates_against_lesion_ids"] = table_figures.measure_grouping(
                table, pairs
            )
        summary["near_duplicate_pairs"] = len(pairs)
    kind, does = "image", "an image split would leak"
    if args.split == "official":
        kind, does = "official", "the official split leaks"
    leaks = f"what {does} is unknown without lesion ids"
    if table.metadata is not None and (inputs.parts == "test").any():
        fig, shares = table_figures.draw_leakage(table, args.split_seed, kind)
        summary[f"{kind}_split_leakage"] = shares
        save(fig, "leakage")
        leaks = f"{does} {shares['overall']:.1%} of the test images"
    writing.write_json(place.path / "summary.json", summary)
    sizes = ", ".join(f"{p} {(inputs.parts == p).sum()}" for p in PARTS)
    say(f"  parts: {sizes} images; {leaks}")
    place.finish(written)
    return 0


if __name__ == "__main__":
    script.script_main(main)
