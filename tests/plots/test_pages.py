"""Each figure in each style and width: its size, its fonts, and that nothing hides anything."""

import io
import itertools
import re
import zlib

import numpy as np
import pandas as pd
import pytest

import eda
import visualize_results
from lesiongan.plots import pages, paper, style
from lesiongan.plots.sources import Sources
from lesiongan.run import runs
from tests import oracles

NAMES = (*visualize_results.FIGURES, *visualize_results.TABLE_FIGURES)
NOTE = "PHANTOM DATA: drawn by code, no medical meaning; LEAKY image split; no lesion ids"
# Widths in inches that a page of each style may have, and the smallest letters, in points.
ASKED = {
    ("paper", "one"): ((89 / 25.4,), 5),
    ("paper", "two"): ((183 / 25.4,), 5),
    ("talk", "own"): ((6.2, 12.4), 10),
}


def test_every_figure_has_one_name_everywhere():
    assert tuple(paper.FIGURES) == visualize_results.FIGURES
    assert tuple(paper.TABLE_FIGURES) == visualize_results.TABLE_FIGURES == eda.FIGURES
    captions = [caption for _, caption in (paper.FIGURES | paper.TABLE_FIGURES).values()]
    assert len(set(captions)) == len(captions) == 20
    assert {"class_grid", "interpolation", "embedding"} == visualize_results.NEED_A_NETWORK


@pytest.fixture(scope="module", params=list(ASKED), ids="-".join)
def drawn(request, pipeline):
    """{name: figure} of all figures that a run has, in one style and width."""
    page = pages.choose(*request.param)
    args = visualize_results.parse_args(pipeline.flags)
    sources = Sources(runs.Run(args, "visualize_results"), page)
    # Phantoms have no near-duplicates.
    sources.near_pairs = lambda: np.arange(16).reshape(8, 2)
    figures = {}
    with style.use(page):
        for name in NAMES:
            fig = (paper.FIGURES | paper.TABLE_FIGURES)[name][0](sources)
            style.add_note(fig, NOTE)
            fig.canvas.draw()
            figures[name] = fig
    return *ASKED[request.param], figures


def out_of_view(ax):
    """Labels of ticks beyond the ends of an axis, which are not drawn."""
    for axis, ends, at in ((ax.xaxis, ax.get_xlim(), 0), (ax.yaxis, ax.get_ylim(), 1)):
        low, high = sorted(ends)
        for label in axis.get_ticklabels(which="both"):
            if not low - 1e-9 <= label.get_position()[at] <= high + 1e-9:
                yield label


def texts(fig):
    """All words of a figure that are drawn."""
    hidden = {t for ax in fig.axes for t in out_of_view(ax)}
    for ax in fig.axes:
        if not ax.axison:
            hidden |= set(ax.findobj(style.matplotlib.text.Text)) - set(ax.texts)
    found = fig.findobj(style.matplotlib.text.Text)
    return [t for t in found if t.get_text() and t.get_visible() and t not in hidden]


def test_figures_are_as_wide_as_asked_for(drawn):
    widths, _, figures = drawn
    assert {round(f.get_figwidth(), 6) for f in figures.values()} == {round(w, 6) for w in widths}


def test_all_words_are_inside_the_figure_and_large_enough(drawn):
    _, least, figures = drawn
    for name, fig in figures.items():
        shown = texts(fig)
        assert shown, name
        width, height = fig.bbox.width, fig.bbox.height
        for text in shown:
            box = text.get_window_extent()
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, (name, text.get_text(), box, fig.bbox)
            assert text.get_fontsize() >= least, (name, text.get_text())


def overlap(a, b):
    """By how many pixels two parts of a figure lie over each other; 0 or less where they do not."""
    a, b = a.get_window_extent(), b.get_window_extent()
    return min(min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0))


def test_no_legend_stands_over_a_curve_or_a_bar(drawn):
    _, _, figures = drawn
    seen = 0
    for name, fig in figures.items():
        legends = [*fig.legends, *(ax.get_legend() for ax in fig.axes if ax.get_legend())]
        for legend, ax in itertools.product(legends, fig.axes):
            assert overlap(legend, ax) <= 1, (name, legend.get_window_extent())
        seen += len(legends)
    assert seen >= 9


def test_the_note_under_a_figure_stands_clear_of_all_else(drawn):
    _, _, figures = drawn
    for name, fig in figures.items():
        (note,) = [t for t in texts(fig) if t.get_text().split() == NOTE.split()]
        for other in (*fig.legends, *fig.axes, *(t for t in texts(fig) if t is not note)):
            assert overlap(note, other) <= 1, (name, str(other))


def test_labels_of_an_axis_do_not_run_into_each_other(drawn):
    _, _, figures = drawn
    for name, fig in figures.items():
        shown = set(texts(fig))
        for ax in fig.axes:
            for axis, side in ((ax.xaxis, "x"), (ax.yaxis, "y")):
                labels = [t for t in axis.get_ticklabels() if t in shown]
                boxes = sorted(
                    (getattr(b, f"{side}0"), getattr(b, f"{side}1"))
                    for b in (t.get_window_extent() for t in labels)
                )
                for (_, end), (start, _) in itertools.pairwise(boxes):
                    assert start >= end - 1, (name, side, [t.get_text() for t in labels])


def test_what_decisions_cost_stands_beside_the_confusion_matrix(drawn, pipeline):
    _, _, figures = drawn
    y = np.genfromtxt(
        pipeline.outputs / "evaluation/confusion.csv", delimiter=",", skip_header=1, dtype=int
    )[:, 1:]
    words = " ".join(figures["confusion"].axes[1].texts[0].get_text().split())
    ill = [oracles.CLASSES.index(c) for c in ("akiec", "bcc", "mel")]
    well = [i for i in range(7) if i not in ill]
    missed = y[np.ix_(ill, well)].sum()
    assert f"malignant or pre-malignant lesions ({missed} of {y[ill].sum()} images)" in words
    assert f"benign lesions ({y[np.ix_(well, ill)].sum()} of {y[well].sum()} images)" in words


@pytest.mark.parametrize("width", [("one", 89), ("two", 183)])
def test_a_pdf_has_the_journals_width_and_embeds_its_fonts(tmp_path, width):
    page = pages.choose("paper", width[0])
    with style.use(page):
        fig, (ax,) = style.panels(page, 1, height=2, own="one")
        ax.plot([0, 1], label="line")
        ax.set_title("words")
        style.legend_above(ax)
        style.save(fig, tmp_path, "x", "a note")
    content = (tmp_path / "x.pdf").read_bytes()
    (box,) = re.findall(rb"/MediaBox \[ ?([0-9. ]+) ?\]", content)
    assert float(box.split()[2]) == pytest.approx(width[1] / 25.4 * 72, abs=0.01)
    kinds = set(re.findall(rb"/Subtype /(Type\w+|TrueType\w*|CIDFont\w+)", content))
    assert b"/Type3" not in content
    assert b"/FontFile2" in content
    assert kinds <= {b"Type0", b"CIDFontType2", b"TrueType"}
    assert kinds
    # A font that is named but whose outlines are missing would be no embedded font.
    streams = re.findall(rb"/Length1 (\d+).*?stream\r?\n(.*?)endstream", content, re.S)
    assert any(len(zlib.decompress(body)) == int(n) > 1000 for n, body in streams)


def test_the_settings_of_a_page_end_with_its_context():
    before = dict(style.matplotlib.rcParams)
    with style.use(pages.choose("talk")):
        assert style.matplotlib.rcParams["font.size"] == 17
    assert dict(style.matplotlib.rcParams) == before
    assert before["font.size"] == 8


def run(pipeline, *flags):
    return pipeline.run("visualize_results", *flags)


def test_one_figure_is_drawn_alone_and_the_report_stays(pipeline, tmp_path, capsys):
    copy = pipeline.copy(tmp_path)
    (copy.outputs / "report.html").write_text("as it was")
    run(copy, "--only", "confusion", "--columns", "one")
    folder = copy.outputs / "figures_paper_one"
    assert {p.name for p in folder.glob("*.p*")} == {"confusion.png", "confusion.pdf"}
    assert "backend" not in capsys.readouterr().out
    run(copy, "--only", "calibration,class_counts", "--columns", "one")
    # What the first command drew is still of this run, so it stays and is on record.
    names = {
        f"{n}{s}" for n in ("confusion", "calibration", "class_counts") for s in (".png", ".pdf")
    }
    assert set(oracles.read(folder / "options.json")["outputs"]) == names
    assert {p.name for p in folder.glob("*.p*")} == names
    assert (copy.outputs / "report.html").read_text() == "as it was"
    capsys.readouterr()
    run(copy, "--only", "calibration", "--columns", "one", "--if-stale")
    assert "up to date" in capsys.readouterr().out
    run(copy, "--only", "leakage", "--columns", "one", "--if-stale")
    assert (folder / "leakage.pdf").is_file()
    run(copy, "--only", "confusion", "--style", "talk")
    assert (copy.outputs / "figures_talk/confusion.pdf").is_file()


def test_figures_of_another_run_do_not_stay_beside_one_drawn_alone(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    run(copy, "--only", "confusion")
    history = copy.models / "cnn/history.csv"
    history.write_text(history.read_text() + "\n")
    run(copy, "--only", "class_counts")
    folder = copy.outputs / "figures_paper"
    assert {p.name for p in folder.glob("*.p*")} == {"class_counts.png", "class_counts.pdf"}


def test_a_figure_of_the_metadata_is_stale_where_the_metadata_is_another(pipeline, tmp_path):
    table = tmp_path / pipeline.table.name
    table.write_bytes(pipeline.table.read_bytes())
    beside = table.with_name("HAM10000_metadata.csv")
    found = pd.read_csv(pipeline.table.with_name(beside.name), dtype=str, keep_default_na=False)
    copy, prints = pipeline.copy(tmp_path / "run", table), []
    for age in ("30", "60"):
        found.assign(age=age).to_csv(beside, index=False)
        run(copy, "--only", "metadata", "--if-stale")
        prints.append((copy.outputs / "figures_paper/metadata.png").read_bytes())
    assert prints[0] != prints[1]


def test_a_figure_drawn_alone_and_in_the_full_run_are_equal(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    run(copy, "--only", "confusion")
    alone = (copy.outputs / "figures_paper/confusion.png").read_bytes()
    if not (copy.outputs / "figures/confusion.png").is_file():
        run(copy, "--no-models")
    assert (copy.outputs / "figures/confusion.png").read_bytes() == alone


def test_a_figure_without_its_input_is_one_line(pipeline, tmp_path, capsys):
    other = type(pipeline)(pipeline.table, tmp_path / "other")
    with pytest.raises(Exception, match=r"nothing to draw: confusion: no evaluation/options\.json"):
        run(other, "--only", "confusion")
    with pytest.raises(SystemExit) as stop:
        visualize_results.parse_args(["--only", "confusoin"])
    assert stop.value.code == 2
    assert "'confusoin' is none of real_and_synthetic, " in capsys.readouterr().err


def test_a_reason_that_figures_share_is_told_once(capsys):
    visualize_results.tell_left_out(["a: no judge: run it", "b: no file", "c: no judge: run it"])
    told = capsys.readouterr().out.splitlines()
    assert told == ["  left out a, c: no judge: run it", "  left out b: no file"]


def test_a_picture_for_print_is_made_smaller_for_the_page():
    from PIL import Image

    from lesiongan.plots import pictures

    def png(**options):
        out = io.BytesIO()
        Image.new("RGB", (2100, 900), (200, 30, 60)).save(out, "PNG", **options)
        return out.getvalue()

    for same in (png(), png(dpi=(150, 150))):
        assert pictures.shrink(same) == same
    smaller = Image.open(io.BytesIO(pictures.shrink(png(dpi=(300, 300)))))
    assert smaller.size == (1190, 510)
    assert smaller.getpixel((7, 7)) == (200, 30, 60)


def test_a_note_with_dollar_signs_is_shown_letter_by_letter(tmp_path):
    """It may name a file. Between two dollar signs Matplotlib would look for a formula."""
    fig, _ = style.subplots()
    note = "LEAKY official split of a$_$.npz"
    assert style.add_note(fig, note).get_text().replace("\\$", "$") == note
    style.save(fig, tmp_path, "x", note)
    assert (tmp_path / "x.png").is_file()
