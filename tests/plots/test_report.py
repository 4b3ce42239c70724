"""The report: every number of its tables is compared with the JSON it is of.

Every picture is compared with its file, and every word of whatever file or flag must be escaped.
"""

import base64
import html
import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import visualize_results
from lesiongan.files import writing
from lesiongan.plots import report
from lesiongan.plots.paper import FIGURES
from lesiongan.run import runs
from lesiongan.run.inputs import Inputs
from tests import oracles

HOSTILE = "<b onmouseover=run()>"


class Reader(HTMLParser):
    """Tables (rows of cells), pictures with their captions, and paragraphs of a page."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.pictures, self.captions, self.headings, self.cell = [], [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.cell = self.tables[-1][-1]
        elif tag == "img":
            self.pictures.append(dict(attributes))
        elif tag in ("figcaption", "h2"):
            (self.captions if tag == "figcaption" else self.headings).append("")
            self.cell = self.captions if tag == "figcaption" else self.headings

    def handle_endtag(self, tag):
        self.cell = None if tag in ("td", "th", "figcaption", "h2") else self.cell

    def handle_data(self, data):
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
    d = quality["distances"]
    head, *rows = Reader(text).tables[0]
    assert head == ["", "synthetic", "real (half B)"]
    pairs = {
        "Fréchet distance": ("frechet", "frechet_floor"),
        "Kernel distance (KID)": ("kid", "kid_floor"),
        "Precision": ("precision", "precision_half_b"),
        "Recall": ("recall", "recall_half_b"),
        "Density": ("density", "density_half_b"),
        "Coverage": ("coverage", "coverage_half_b"),
    }
    assert [row[0] for row in rows] == list(pairs)
    for label, *cells in rows:
        assert cells == [f"{d[key]['value']:.4g}" for key in pairs[label]], label
    assert f"ratio to the floor: {d['frechet_ratio']['value']:.1f}" in text
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
    for name in ("metrics.json", "synthetic_quality.json"):
        path = copy.outputs / "evaluation" / name
        writing.write_json(path, make_hostile(oracles.read(path)))
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
    }


def test_reasons_in_place_of_numbers_are_escaped_too():
    for block in ({"reason": HOSTILE}, {"reason": HOSTILE, "memorisation": {"value": 0.1, "n": 3}}):
        assert HOSTILE not in report.quality_section(block)
    assert report.cell(None) == "-"


def test_each_picture_is_its_file_under_its_own_caption(pipeline):
    page = Reader((pipeline.outputs / "report.html").read_text())
    drawn = oracles.read(pipeline.outputs / "figures/options.json")["drawn"]
    names = [p["alt"] for p in page.pictures]
    assert names[: len(drawn)] == drawn == list(FIGURES)
    assert sorted(names[len(drawn) :]) == sorted(
        p.stem for p in (pipeline.outputs / "eda").glob("*.png")
    )
    assert page.headings == [
        "Classifier",
        "Synthetic images",
        "Results",
        "The data",
        "Networks",
    ]
    for i, (attributes, caption) in enumerate(zip(page.pictures, page.captions, strict=True)):
        folder = "figures" if i < len(drawn) else "eda"
        path = pipeline.outputs / folder / f"{attributes['alt']}.png"
        assert (
            base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,"))
            == path.read_bytes()
        )
        assert caption == (
            FIGURES[path.stem][1]
            if i < len(drawn)
            else f"{path.stem.replace('_', ' ').capitalize()} (eda.py)."
        )


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
