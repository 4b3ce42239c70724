"""Each cell of each table stands under its own head and beside its own label."""

import html
import re

import pandas as pd
import pytest

import visualize_results
from lesiongan.files import writing
from lesiongan.plots import report, tables
from lesiongan.run import runs
from tests import oracles
from tests.oracles import CLASSES
from tests.plots.test_report import Reader, look_up, shown


def read_cells(head, rows):
    """{(label of the row, head of the column): cell}."""
    return {(row[0], name): c for row in rows for name, c in zip(head[1:], row[1:], strict=True)}


@pytest.fixture(scope="module")
def found(pipeline):
    """A run's metrics.json with another number in every place, and a clinical network in it."""
    found = oracles.read(pipeline.outputs / "evaluation/metrics.json")
    models = found["models"]
    found["models"] |= dict.fromkeys(("clinical", "clinical_unknown"), models["control"])
    found["clinical_minus_classifier"] = found["classifier_minus_control"]
    return oracles.make_unlike(found, first=1001)


def test_the_networks_that_are_told_age_sex_and_site_stand_in_columns_of_their_own(found):
    table = tables.clinical_table(found)
    cells = read_cells(table.head, table.words())
    columns = {
        "image alone": found["models"]["classifier"],
        "image, age, sex, site": found["models"]["clinical"],
        "the same, all unknown": found["models"]["clinical_unknown"],
        "with all - image alone, paired": found["clinical_minus_classifier"],
    }
    rows = {
        "Accuracy": "argmax.accuracy",
        "Balanced accuracy, balanced point": "balanced.balanced_accuracy",
        "Macro AUC, one against the rest": "auc",
        "Melanoma sensitivity at 90 % specificity": "melanoma_sensitivity_at_90_specificity",
        "Expected calibration error": "ece",
    }
    assert set(cells) == {(row, column) for row in rows for column in columns}
    for row, path in rows.items():
        for column, block in columns.items():
            assert cells[row, column] == shown(look_up(block, path)), (row, column)


POINTS = {
    "Likeliest class: malignant": "argmax.malignancy_{}",
    "Balanced point: malignant": "balanced.malignancy_{}",
    "Melanoma: val's threshold for 90 % specificity": "melanoma_{}_at_val_threshold_90",
    "Melanoma: val's threshold for 95 % specificity": "melanoma_{}_at_val_threshold_95",
    "Malignant: val's threshold for 90 % specificity": "malignant_{}_at_val_threshold_90",
    "Malignant: val's threshold for 95 % specificity": "malignant_{}_at_val_threshold_95",
}


GROUP_SCORES = {
    "Accuracy": "accuracy",
    "AUC, malignant": "auc_malignant",
    "Sensitivity, malignant": "malignant_sensitivity_at_val_threshold_90",
    "Specificity, malignant": "malignant_specificity_at_val_threshold_90",
}


def check_points(cells, model):
    assert {row for row, _ in cells} == set(POINTS)
    for row, path in POINTS.items():
        for side in ("Sensitivity", "Specificity"):
            assert cells[row, side] == shown(look_up(model, path.format(side.lower()))), (row, side)


def test_each_way_to_decide_has_its_own_sensitivity_and_specificity(found):
    model = found["models"]["classifier"]
    table = tables.operating_table(model)
    check_points(read_cells(table.head, table.words()), model)


@pytest.fixture(scope="module")
def page(pipeline, tmp_path_factory, found):
    """(words of the report of a run whose files have another number in every place, its tables,
    the files)."""
    copy = pipeline.copy(tmp_path_factory.mktemp("cells"))
    folder = copy.outputs / "evaluation"
    quality = oracles.make_unlike(oracles.read(folder / "synthetic_quality.json"), first=101)
    found = found | {"trained_on": {"classifier": "90 real + 35 synthetic", "control": "91 real"}}
    writing.write_json(folder / "metrics.json", found)
    writing.write_json(folder / "synthetic_quality.json", quality)
    run = runs.Run(visualize_results.parse_args(copy.flags), "visualize_results")
    text = report.build(run, [], [], None)
    words = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())
    eda = oracles.read(copy.outputs / "eda/summary.json")
    return words, Reader(text).tables, {"metrics": found, "quality": quality, "eda": eda}


def test_the_pages_operating_points_stand_under_their_heads(page):
    _, made, files = page
    (points,) = [t for t in made if t[0][0] == "Decision"]
    check_points(read_cells(points[0], points[1:]), files["metrics"]["models"]["classifier"])


def test_sentences_of_the_page_have_the_numbers_that_they_speak_of(page):
    words, _, files = page
    quality, leak = files["quality"], files["eda"]["image_split_leakage"]
    assert "The classifier, trained on 90 real + 35 synthetic, minus the control" in words
    assert re.search(r"control ?, trained on 91 real ?:", words)
    for share, sentence in (
        (quality["memorisation"]["value"], "{:.1f}% of 35 synthetic images lie nearer"),
        (quality["copies"]["value"], "Whatever the brightness and contrast, {:.1f}% do."),
        (quality["mixtures"]["value"], "{:.1f}% lie as near to a line between two training"),
        (leak["overall"], "Were the split by image, {:.1f} % of the test images"),
    ):
        assert sentence.format(100 * share) in words
    assert leak["overall"] not in [leak[c] for c in CLASSES]


def test_scores_of_a_group_stand_under_their_heads():
    groups: dict = {"sex": {"male": {}, "female": {}}, "site": {"back": {}}}
    for i, members in enumerate(groups.values()):
        for j, group in enumerate(members.values()):
            group |= {"images": 90 + 10 * i + j, "lesions": 60 + 10 * i + j}
            for key in GROUP_SCORES.values():
                group[key] = {"value": 0.0, "low": 0.0, "high": 0.0}
    groups = oracles.make_unlike(groups)
    table = tables.group_table(groups)
    cells = read_cells(table.head, table.words())
    for what, members in groups.items():
        for name, group in members.items():
            row = f"{what}: {name}"
            assert cells[row, "Images"] == group["images"]
            assert cells[row, "Lesions"] == group["lesions"]
            for head, key in GROUP_SCORES.items():
                assert cells[row, head] == shown(group[key]), (row, head)


def test_counts_of_a_part_stand_under_its_name(pipeline):
    split = oracles.read(pipeline.outputs / "split.json")["split"]
    table = tables.count_table(split)
    cells = read_cells(table.head, table.rows)
    parts = oracles.Parts(pipeline)
    images = pd.DataFrame({"part": parts.split.part, "label": parts.labels})
    for code, c in enumerate(CLASSES):
        (row,) = {label for label, _ in cells if label.split(":")[0].rstrip("*") == c}
        for part in ("train", "val", "test"):
            mine = ((images.part == part) & (images.label == code)).sum()
            assert cells[row, part] == mine, (c, part)
        assert cells[row, "all"] == (images.label == code).sum()
    for part in ("train", "val", "test"):
        assert cells["all", part] == (images.part == part).sum()
