"""Draw the paper figures and one self-contained report from what the other scripts wrote.

    python visualize_results.py  # -> outputs/figures/ (PNG and PDF) and outputs/report.html

The script reads models/, outputs/ and the table, and takes about a minute. A figure whose inputs
are missing is left out, and the report says which and why. --no-models skips the figures that need
a network.
"""

from lesiongan.files import claims, writing
from lesiongan.files.errors import InputError
from lesiongan.plots.sources import Missing, Sources
from lesiongan.run import flags, published, runs, script
from lesiongan.run.folders import ResultFolder


def parse_args(argv=None):
    p = flags.parser(__doc__)
    p.add_argument(
        "--no-models", action="store_true", help="skip figures drawn by running a saved network"
    )
    published.add_flag(p)
    args = p.parse_args(argv)
    published.settle_flag(args, p.error)
    return args


def main(argv=None):
    args = parse_args(argv)
    run = runs.Run(args, "visualize_results")
    run.inputs.require_rgb28("visualize_results")
    if not run.announce():
        return 0
    sources = Sources(run)
    folder, page = args.outputs_dir / "figures", args.outputs_dir / "report.html"
    for path in sources.files():
        run.hash_file(f"{path.parent.name}/{path.name}", path)
    place = ResultFolder(run, folder / "options.json", run.identify())
    if not place.is_current():
        if not args.no_models:
            run.start_keras()
        from lesiongan.plots import report, style
        from lesiongan.plots.paper import FIGURES

        figures = [name + suffix for name in FIGURES for suffix in (".png", ".pdf")]
        # The page stands beside the folder of the figures, where the split is, too.
        own = [page.name] if f"../{page.name}" in place.read_outputs() else []
        claims.claim(writing.ensure_folder(args.outputs_dir), [page.name], own)
        place.begin(figures, stale=figures)

        note = run.inputs.figure_note
        drawn, left_out = [], []
        for name, (draw, caption) in FIGURES.items():
            try:
                drawn.append((style.save(draw(sources), folder, name, note), caption))
            except Missing as e:
                left_out.append(f"{name}: {e}")
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
        try:
            sources.check_evaluation()
            missing = None
        except Missing as e:
            missing = str(e)
        writing.write_text(page, report.build(run, drawn, left_out, missing, grids))
        for text in left_out:
            print(f"  left out {text}")
        written = [path.with_suffix(suffix) for path, _ in drawn for suffix in (".png", ".pdf")]
        place.finish([*written, page], drawn=[p.stem for p, _ in drawn], left_out=left_out)
    else:
        print("  up to date")
    print(f"report: {page}" + (f" ({run.inputs.data_note})" if run.inputs.data_note else ""))
    return 0


if __name__ == "__main__":
    script.script_main(main)
