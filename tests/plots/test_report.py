"""The report: every number of its tables is compared with the JSON it is of.

Every picture is compared with its file, and every word of whatever file or flag must be escaped.
"""

import base64
import html
import io
import itertools
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import visualize_results
from lesiongan.files import writing
from lesiongan.measures import estimates, metrics
from lesiongan.measures.distances import COMPONENTS, NEIGHBOURS
from lesiongan.plots import findings, glossary, pictures, report
from lesiongan.plots.paper import FIGURES
from lesiongan.plots.sources import Sources
from lesiongan.run import runs
from lesiongan.run.inputs import Inputs
from tests import oracles

HOSTILE = "<b onmouseover=run()>"
HOSTILE_FILES = ("metrics", "synthetic_quality", "subgroups", "options")


class Reader(HTMLParser):
    """Tables (rows of cells), pictures with their captions, headings and every tag of a page.

    A picture's `at` is the heading that it stands under. opened: [(tag, its attributes)].
    """

    def __init__(self, text):
        super().__init__()
        self.tables, self.pictures, self.captions, self.headings, self.cell = [], [], [], [], None
        self.opened, self.scripts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.opened.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.cell = self.tables[-1][-1]
        elif tag == "img":
            self.pictures.append(dict(attributes) | {"at": self.headings[-1]})
        elif tag in ("figcaption", "h2"):
            (self.captions if tag == "figcaption" else self.headings).append("")
            self.cell = self.captions if tag == "figcaption" else self.headings

    def handle_endtag(self, tag):
        self.cell = None if tag in ("td", "th", "figcaption", "h2") else self.cell

    def handle_data(self, data):
        if self.opened and self.opened[-1][0] == "script":
            self.scripts.append(data)
        if self.cell is not None:
            self.cell[-1] += data


@pytest.fixture
def found(pipeline):
    return oracles.make_unlike(oracles.read(pipeline.outputs / "evaluation/metrics.json"))


# Each label in the report stands beside the place where metrics.json has its value.
ROWS = {
    "Accuracy": "argmax.accuracy",
    "Balanced accuracy": "argmax.balanced_accuracy",
    "Balanced accuracy, balanced point": "balanced.balanced_accuracy",
    "Accuracy, balanced point": "balanced.accuracy",
    "Macro precision": "argmax.macro_precision",
    "Macro recall": "argmax.macro_recall",
    "Macro F1": "argmax.macro_f1",
    "Weighted F1": "argmax.weighted_f1",
    "Macro AUC, one against the rest": "auc",
    "Malignant / benign: accuracy": "argmax.malignancy_accuracy",
    "Malignant / benign: sensitivity": "argmax.malignancy_sensitivity",
    "Malignant / benign: specificity": "argmax.malignancy_specificity",
    "Malignant / benign: AUC": "auc_malignant",
    "Expected calibration error": "ece",
    "ECE if perfectly calibrated": "ece_if_perfect",
}
for group in ("Melanoma", "Malignant"):
    for percent in (90, 95):
        key = f"{group.lower()}_{{}}_at_val_threshold_{percent}".format
        ROWS |= {
            f"{group}: sensitivity at {percent} % specificity": (
                f"{group.lower()}_sensitivity_at_{percent}_specificity"
            ),
            f"{group}: sensitivity at val's threshold for {percent} %": key("sensitivity"),
            f"{group}: specificity realised at val's threshold for {percent} %": key("specificity"),
        }


def look_up(block, path):
    for key in path.split("."):
        block = block.get(key, {})
    return block


def shown(f):
    """An estimate as a reader expects it: value [low, high], or the reason why there is none."""
    if f.get("value") is None:
        return f.get("reason", "-")
    return f"{f['value']:.3f}" + (f" [{f['low']:.3f}, {f['high']:.3f}]" if "low" in f else "")


def test_every_row_of_the_classifiers_table_is_the_measure_it_names(found):
    text = report.metrics_section(found)
    head, *rows = Reader(text).tables[0]
    names = [
        f"classifier: {found['trained_on']['classifier']}",
        f"control: {found['trained_on']['control']}",
    ]
    assert head == ["", *names, "classifier - control, paired"]
    blocks = [
        found["models"]["classifier"],
        found["models"]["control"],
        found["classifier_minus_control"],
    ]
    said = {row[0]: row[1:] for row in rows}
    for label, path in ROWS.items():
        matches = [
            cells
            for name, cells in said.items()
            if name.lower().replace(":", "") == label.lower().replace(":", "")
        ]
        assert len(matches) == 1, label
        assert matches[0] == [shown(look_up(b, path)) for b in blocks], label
    assert said["Majority class (nv): accuracy"] == [
        shown(found["majority_baseline"]["accuracy"]),
        "",
        "",
    ]
    assert len(said) == len(rows) == len(ROWS) + 1
    said = " ".join(html.unescape(text).split())
    assert f"{found['images']} images of {found['lesions']} lesions. {found['protocol']}" in said


def test_every_distance_stands_beside_its_own_floor(pipeline):
    quality = oracles.make_unlike(
        oracles.read(pipeline.outputs / "evaluation/synthetic_quality.json"), first=1001
    )
    text = report.quality_section(quality)
    d = quality["distances"] | quality["patches"]
    head, *rows = Reader(text).tables[0]
    assert head == ["", "synthetic", "real (half B)"]
    pairs = {
        "Fréchet distance": ("frechet", "frechet_floor"),
        "Kernel distance (KID)": ("kid", "kid_floor"),
        "Precision": ("precision", "precision_half_b"),
        "Recall": ("recall", "recall_half_b"),
        "Density": ("density", "density_half_b"),
        "Coverage": ("coverage", "coverage_half_b"),
        "Patch distance, fine level (28 px)": ("swd_28", "swd_28_floor"),
        "Patch distance, coarse level (14 px)": ("swd_14", "swd_14_floor"),
    }
    assert [row[0] for row in rows] == list(pairs)
    for label, *cells in rows:
        ends = [[f"{d[key][end]:.4f}" for end in ("value", "low", "high")] for key in pairs[label]]
        assert cells == ["{} [{}, {}]".format(*each) for each in ends], label
    assert f"ratio to the floor: {d['frechet_ratio']['value']:.1f}" in text
    worse = d["swd_ratio"]
    assert f"is {worse['value']:.1f}, at the level of {worse['level']} pixels" in " ".join(
        text.replace("</dfn>", "").split()
    )
    m = quality["memorisation"]
    assert f"{m['value']:.1%} of {m['n']} synthetic images" in " ".join(text.split())


def make_hostile(value, where=""):
    """The same JSON with every string replaced by markup that names its place."""
    if isinstance(value, dict):
        return {k: make_hostile(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [make_hostile(v, where) for v in value]
    return f"{HOSTILE}{where}" if isinstance(value, str) else value


@pytest.mark.parametrize("missing", [None, f"{HOSTILE}missing"])
def test_no_word_of_any_file_or_flag_becomes_markup(pipeline, tmp_path, monkeypatch, missing):
    copy = pipeline.copy(tmp_path)
    run = runs.Run(visualize_results.parse_args(copy.flags), "visualize_results")
    places = [copy.outputs / "evaluation" / f"{n}.json" for n in HOSTILE_FILES]
    places += [copy.models / n / "options.json" for n in ("gan", "cnn", "control", "judge")]
    for path in places:
        found = oracles.read(path)
        # The outputs are names of files beside their hashes, which are never shown.
        kept = {"outputs": found["outputs"]} if "outputs" in found else {}
        writing.write_json(path, make_hostile(found) | kept)
    # The hashes stay as they are, for the run itself computes them.
    hostile = {
        what: make_hostile(getattr(run.inputs, what), f".{what}")
        | {"sha256": getattr(run.inputs, what)["sha256"]}
        for what in ("data", "split")
    }
    run.inputs = replace(run.inputs, **hostile)
    run.inputs.table.notes.append(f"{HOSTILE}note")
    monkeypatch.setattr(
        Inputs, "check_made_from", lambda self, path, made_by, shape=None: oracles.read(path)
    )
    drawn = [(copy.outputs / "figures/confusion.png", f"{HOSTILE}caption")]
    text = report.build(run, drawn, [f"{HOSTILE}left out"], missing)
    assert HOSTILE not in text
    escaped = html.escape(HOSTILE)
    fields = ["note", "caption", "left out", ".data.name", ".split.protocol", ".split.grouping"]
    of_files = [
        ".protocol",
        ".trained_on.classifier",
        ".trained_on.control",
        ".majority_baseline.class",
    ]
    fields += [".environment.commit", ".environment.packages.numpy", ".options.split"]
    fields += ["missing"] if missing else of_files
    for field in fields:
        assert escaped + field in text, field
    tags = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.add(tag)
    parser.feed(text)
    assert tags <= {
        "html",
        "meta",
        "title",
        "style",
        "h1",
        "h2",
        "p",
        "code",
        "table",
        "tr",
        "th",
        "td",
        "figure",
        "img",
        "figcaption",
        "ul",
        "li",
        # Landmarks and text.
        *("head", "body", "header", "main", "nav", "section", "footer", "div", "a", "strong"),
        *("h3", "ol", "dl", "dt", "dd", "details", "summary", "thead", "tbody", "pre"),
        # The slider and the one script.
        *("label", "input", "output", "script"),
    }
    script = (report.TEMPLATES / "script.js").read_text().strip()
    assert "".join(Reader(text).scripts).strip() == script


def test_reasons_in_place_of_numbers_are_escaped_too():
    for block in ({"reason": HOSTILE}, {"reason": HOSTILE, "memorisation": {"value": 0.1, "n": 3}}):
        assert HOSTILE not in report.quality_section(block)
    assert findings.cell(None) == "-"


HEADINGS = [
    "Six numbers that matter",
    "Real beside synthetic images",
    "Data and leakage",
    "Generator",
    "Classifier",
    "Comparison",
    "Provenance, and how to repeat it",
    "Glossary",
]


@pytest.fixture(scope="module")
def page(pipeline):
    return (pipeline.outputs / "report.html").read_text()


def test_each_picture_is_its_file_under_its_own_caption(pipeline, page):
    read = Reader(page)
    drawn = oracles.read(pipeline.outputs / "figures/options.json")["drawn"]
    files = {name: pipeline.outputs / f"figures/{name}.png" for name in drawn}
    captions = {name: FIGURES[name][1] for name in drawn}
    for path in (pipeline.outputs / "eda").glob("*.png"):
        files[path.stem] = path
        captions[path.stem] = f"{path.stem.replace('_', ' ').capitalize()} (eda.py)."
    for path in (pipeline.models / "gan/samples").glob("*.png"):
        files[path.stem] = path
        captions[path.stem] = f"Synthetic images after epoch {int(path.stem[-4:])}."
    # Every figure is there, once, and no other.
    assert drawn == list(FIGURES)
    assert sorted(p["data-name"] for p in read.pictures) == sorted(files)
    for attributes, caption in zip(read.pictures, read.captions, strict=True):
        name = attributes["data-name"]
        content = base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,"))
        assert caption == captions[name]
        with Image.open(files[name]) as image, Image.open(io.BytesIO(content)) as shown:
            assert (int(attributes["width"]), int(attributes["height"])) == shown.size
            if "dpi" not in image.info:
                assert content == files[name].read_bytes(), name
                continue
            # A file for print, of 300 pixels an inch, is shown smaller, and is the same picture.
            assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
            assert shown.size == pytest.approx([side * 170 / 300 for side in image.size], abs=1)
            smaller = image.convert("RGB").resize(shown.size, Image.Resampling.BOX)
            gap = np.abs(np.asarray(smaller, float) - np.asarray(shown.convert("RGB"), float))
            assert gap.mean() < 3, name


def test_every_figure_has_a_place_in_the_section_it_belongs_to(page):
    read = Reader(page)
    assert read.headings[1:] == HEADINGS
    places = {name: place for place, names in pictures.PLACES.items() for name in names}
    assert sorted(places) == sorted(FIGURES)
    headings = {
        "pictures": HEADINGS[1],
        "generator": HEADINGS[3],
        "confusion": HEADINGS[4],
        "classifier": HEADINGS[4],
        "comparison": HEADINGS[5],
    }
    for picture in read.pictures:
        name = picture["data-name"]
        if name in places:
            assert picture["at"] == headings[places[name]], name
        else:
            assert picture["at"] == HEADINGS[3 if name.startswith("epoch_") else 2], name


def test_a_figure_that_no_section_names_is_shown_all_the_same(pipeline):
    drawn = [(pipeline.outputs / "eda/samples.png", "A new figure.")]
    shown = pictures.show_drawn(drawn, lambda name: f"words on {name}")
    assert [p["name"] for p in shown["more"]] == ["samples"]
    assert not any(shown[place] for place in pictures.PLACES)


def test_every_picture_is_described_by_a_sentence_of_its_own(page):
    alts = [p["alt"] for p in Reader(page).pictures]
    assert all(len(alt) >= 20 and alt.endswith(".") and "{" not in alt for alt in alts)
    assert len(set(alts)) == len(alts)
    # Where a figure has a main number, the sentence says it.
    assert not any("not measured" in alt for alt in alts)


def test_headings_are_in_order_and_every_anchor_leads_somewhere(page):
    opened = Reader(page).opened
    levels = [int(tag[1]) for tag, _ in opened if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    names = [a["id"] for _, a in opened if "id" in a]
    assert len(set(names)) == len(names)
    links = [a["href"] for tag, a in opened if tag == "a"]
    assert len(links) > 20
    assert {link.removeprefix("#") for link in links} <= set(names)
    labels = [a["aria-labelledby"] for _, a in opened if "aria-labelledby" in a]
    assert set(labels) <= set(names)


def test_the_page_asks_no_other_place_for_anything(page):
    for tag, attributes in Reader(page).opened:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,")), (tag, value[:80])
    assert "@import" not in page
    assert "url(" not in page


def test_every_table_scrolls_in_a_region_with_a_name_of_its_own(page):
    read = Reader(page)
    tags = [tag for tag, _ in read.opened]
    regions = [a for _, a in read.opened if a.get("role") == "region"]
    for at, tag in enumerate(tags):
        if tag == "table":
            assert read.opened[at - 1][1]["class"] == "scroll"
    names = [a["aria-label"] for a in regions]
    assert len(names) == len(set(names)) >= len(read.tables)
    assert all(a["tabindex"] == "0" for a in regions)


def test_every_term_in_the_text_is_in_the_glossary_with_its_definition(page):
    read = Reader(page)
    used = [a for _, a in read.opened if a.get("class") == "term"]
    assert len({a["href"] for a in used}) > 10
    for attributes in used:
        key = attributes["href"].removeprefix("#term-")
        assert attributes["title"] == glossary.TERMS[key][1]
    text = html.unescape(page)
    for name, meaning in glossary.TERMS.values():
        assert f">{name}</dt>" in text
        assert f"<dd>{meaning}</dd>" in text


def test_without_a_script_the_last_epoch_is_shown_alone(page):
    shown = [a for tag, a in Reader(page).opened if tag == "figure" and "data-epoch" in a]
    assert [a["data-epoch"] for a in shown if "hidden" not in a] == ["2"]
    assert [a["data-epoch"] for a in shown] == ["1", "2"]
    # The slider would do nothing then, so it is hidden, too.
    assert '<p class="control" hidden>' in page


def test_without_an_evaluation_the_page_says_so_and_its_links_lead_somewhere(pipeline):
    run = runs.Run(visualize_results.parse_args(pipeline.flags), "visualize_results")
    text = report.build(run, [], ["confusion: no predictions.csv"], "no metrics.json: run it")
    assert ">Not answered</h2>" in text
    assert text.count("no metrics.json: run it") > 1
    assert "confusion: no predictions.csv" in text
    opened = Reader(text).opened
    names = {a["id"] for _, a in opened if "id" in a}
    assert {a["href"].removeprefix("#") for tag, a in opened if tag == "a"} <= names


@pytest.mark.parametrize(
    ("protocol", "leaks"),
    [
        ("image split, leaky", True),
        ("official split of a.npz, leaky: 35.1% of its test images show a lesion", True),
        ("official split of a.npz", False),
        ("lesion split", False),
    ],
)
def test_a_leaky_split_is_called_so_and_never_one_by_lesion(pipeline, protocol, leaks):
    run = runs.Run(visualize_results.parse_args(pipeline.flags), "visualize_results")
    run.inputs = replace(run.inputs, split=run.inputs.split | {"protocol": protocol})
    text = " ".join(report.build(run, [], [], "no metrics.json: run it").split())
    assert ("every score here is" in text) == leaks
    assert ("all photographs of a lesion are in the same part" in text) == (
        protocol == "lesion split"
    )


def test_numbers_in_the_glossary_are_those_of_the_code():
    meanings = {key: meaning for key, (_, meaning) in glossary.TERMS.items()}
    assert f"{estimates.DRAWS} draws" in meanings["interval"]
    assert f"{metrics.BINS} bins" in meanings["calibration"]
    assert f"{COMPONENTS} components" in meanings["frechet"]
    assert f"{NEIGHBOURS} nearest" in meanings["precision_recall"]


def test_the_page_is_the_same_to_the_byte_when_built_again(pipeline, page):
    run = runs.Run(visualize_results.parse_args(pipeline.flags), "visualize_results")
    folder = pipeline.outputs / "figures"
    drawn = [(folder / f"{name}.png", caption) for name, (_, caption) in FIGURES.items()]
    assert report.build(run, drawn, [], None, Sources(run).sample_grids()) == page


def test_the_page_names_data_split_and_classes(pipeline):
    text = " ".join(html.unescape((pipeline.outputs / "report.html").read_text()).split())
    summary = oracles.read(pipeline.outputs / "eda/summary.json")
    assert summary["data"]["sha256"][:16] in text
    assert summary["split"]["sha256"][:16] in text
    assert f"{summary['data']['rows']} images" in text
    for name in (
        "akiec*: actinic",
        "bcc*: basal",
        "bkl: benign",
        "df: dermato",
        "nv: melano",
        "vasc: vascular",
        "mel*: melano",
    ):
        assert name in text
    assert "not for clinical use" in text
    assert json.dumps(summary["note"])[1:-1] in text
