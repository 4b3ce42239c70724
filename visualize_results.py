"""Draw the paper figures and one self-contained report from what the other scripts wrote.

    python visualize_results.py  # -> outputs/figures/ (PNG, PDF, tables) and outputs/report.html
    python visualize_results.py --only confusion --columns one   # -> outputs/figures_paper_one/
    python visualize_results.py --style talk                    # -> outputs/figures_talk/

The script reads models/, outputs/ and the table, and takes about a minute. A figure whose inputs
are missing is left out, and the report says which and why. --no-models skips the figures that need
a network. With --only, --style or --columns it draws figures alone, those of eda.py among them.
"""

from lesiongan.files import claims, writing
from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.plots import pages, study
from lesiongan.plots.sources import Missing, Sources
from lesiongan.run import flags, published, runs, script
from lesiongan.run.folders import ResultFolder

# What the full run draws, what eda.py draws, and which of them run a network.
FIGURES = (
    "real_and_synthetic",
    "class_grid",
    "interpolation",
    "gan_training",
    "embedding",
    "label_agreement",
    "spectrum",
    "nearest_pairs",
    "cnn_training",
    "confusion",
    "roc_and_pr",
    "calibration",
    "mistakes",
)
TABLE_FIGURES = (
    "class_counts",
    "samples",
    "class_means",
    "colours",
    "metadata",
    "near_duplicates",
    "leakage",
)
NEED_A_NETWORK = {"class_grid", "interpolation", "embedding"}
SUFFIXES = (".png", ".pdf")


def parse_args(argv=None):
    p = flags.parser(__doc__)
    p.add_argument(
        "--no-models", action="store_true", help="skip figures drawn by running a saved network"
    )
    p.add_argument(
        "--only",
        type=flags.several_of((*FIGURES, *TABLE_FIGURES)),
        metavar="NAMES",
        help=f"draw these figures alone, joined by commas: {', '.join((*FIGURES, *TABLE_FIGURES))}",
    )
    p.add_argument(
        "--style",
        choices=tuple(pages.STYLES),
        help="draw figures alone, for a paper (the default) or with large words for a talk",
    )
    p.add_argument(
        "--columns",
        choices=pages.WIDTHS,
        help="draw figures alone, for one column (89 mm) or two (183 mm) of a journal, or half a "
        "slide or a whole one; own: as each figure needs (the default)",
    )
    published.add_flag(p)
    args = p.parse_args(argv)
    published.settle_flag(args, p.error)
    return args


def main(argv=None):
    args = parse_args(argv)
    alone = bool(args.only or args.style or args.columns)
    run = runs.Run(args, "visualize_results")
    run.inputs.require_rgb28("visualize_results")
    if not run.announce():
        return 0
    page = pages.choose(args.style or "paper", args.columns or "own")
    sources = Sources(run, page)
    for path in sources.files():
        run.hash_file(f"{path.parent.name}/{path.name}", path)
    # The report alone shows the study.
    for path in [] if alone else study.find_files(run.inputs.data):
        run.hash_file(path.name, path)
    # A figure of ages and sites that is drawn alone depends on them, as eda.py's does.
    if alone and run.inputs.table.metadata is not None:
        run.files["metadata"] = run.inputs.table.metadata_sha256
    draw = draw_alone if alone else draw_report
    draw(run, sources)
    return 0


def draw_report(run, sources):
    """Draw all figures of the paper, write the tables and the report."""
    folder, page = sources.outputs / "figures", sources.outputs / "report.html"
    place = ResultFolder(run, folder / "options.json", run.identify())
    note = f" ({run.inputs.data_note})" if run.inputs.data_note else ""
    if place.is_current():
        say(f"  up to date\nreport: {page}{note}")
        return
    if not run.args.no_models:
        run.start_keras()
    from lesiongan.plots import paper, report, tables

    try:
        sources.check_evaluation()
        missing, shown = None, report.read_evaluation(sources.evaluation)
    except Missing as e:
        missing, shown = str(e), report.NOT_EVALUATED
    made = tables.list_tables(run.inputs.split, shown)
    intended = [name + suffix for name in FIGURES for suffix in SUFFIXES]
    intended += [f"tables/{name}" for name in tables.list_files(made)]
    # The page stands beside the folder of the figures, where the split is, too.
    own = [page.name] if f"../{page.name}" in place.read_outputs() else []
    claims.claim(writing.ensure_folder(sources.outputs), [page.name], own)
    place.begin(intended, stale=[*(n + s for n in FIGURES for s in SUFFIXES), "tables/*"])

    drawn, left_out = paper.draw(sources, FIGURES, folder, run.inputs.figure_note)
    if not drawn and not (sources.outputs / "eda").is_dir():
        raise InputError(
            f"{sources.outputs}: nothing to draw; run train_gan.py, train_cnn.py and "
            "evaluate.py first"
        )
    grids = []
    try:
        grids = sources.sample_grids()
    except Missing as e:
        left_out.append(f"epochs of the GAN: {e}")
    writing.write_text(page, report.build(run, drawn, left_out, missing, grids))
    tell_left_out(left_out)
    written = [path.with_suffix(suffix) for path, _ in drawn for suffix in SUFFIXES]
    written += [page, *tables.write_tables(made, folder / "tables")]
    place.finish(written, drawn=[p.stem for p, _ in drawn], left_out=left_out)
    say(f"report: {page}{note}")


def draw_alone(run, sources):
    """Draw the figures of --only, or all, in the style and width asked for, and nothing else.

    They go to a folder of their own. Figures of the same run that are there already stay.
    """
    args, page = run.args, sources.page
    names = args.only or (*FIGURES, *TABLE_FIGURES)
    suffix = "" if page.width == "own" else f"_{page.width}"
    folder = sources.outputs / f"figures_{page.style}{suffix}"
    identity = run.identify(without={"only"}, style=page.style, columns=page.width)
    place = ResultFolder(run, folder / "options.json", identity)
    wanted = {name + suffix for name in names for suffix in SUFFIXES}
    if args.if_stale and wanted <= place.read_current():
        say(f"  up to date -> {folder}/")
        return
    if NEED_A_NETWORK & set(names) and not args.no_models:
        run.start_keras()
    from lesiongan.plots import paper

    kept = place.read_current() - wanted
    there = set(place.read_outputs()) - {place.record_path.name}
    place.begin(wanted, stale=there - kept)
    drawn, left_out = paper.draw(sources, names, folder, run.inputs.figure_note)
    tell_left_out(left_out)
    if not drawn and not kept:
        raise InputError(f"{folder}: nothing to draw: {'; '.join(left_out)}")
    written = [path.with_suffix(suffix) for path, _ in drawn for suffix in SUFFIXES]
    place.finish([*written, *(folder / name for name in kept)], left_out=left_out)


def tell_left_out(left_out):
    """Print why figures were not drawn, each reason once."""
    names: dict[str, list[str]] = {}
    for text in left_out:
        name, _, reason = text.partition(": ")
        names.setdefault(reason, []).append(name)
    for reason, figures in names.items():
        say(f"  left out {', '.join(figures)}: {reason}")


if __name__ == "__main__":
    script.script_main(main)
