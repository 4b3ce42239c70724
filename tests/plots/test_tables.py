"""The tables as CSV, Markdown and LaTeX: every digit is that of the JSON it is of."""

import csv
import json
import re

import pytest

import visualize_results
from lesiongan.plots import report, tables
from lesiongan.plots.sources import Sources
from lesiongan.run import runs
from tests import oracles
from tests.oracles import CLASSES

ROWS = {
    "Accuracy": "argmax.accuracy",
    "Balanced accuracy, balanced point": "balanced.balanced_accuracy",
    "Macro F1": "argmax.macro_f1",
    "Macro AUC, one against the rest": "auc",
    "Malignant / benign: sensitivity": "argmax.malignancy_sensitivity",
    "Melanoma: sensitivity at 90 % specificity": "melanoma_sensitivity_at_90_specificity",
}


@pytest.fixture(scope="module")
def made(pipeline, tmp_path_factory):
    """The folder of the tables of a run, whose JSON has another number in every place."""
    copy = pipeline.copy(tmp_path_factory.mktemp("tables"))
    run = runs.Run(visualize_results.parse_args(copy.flags), "visualize_results")
    shown = report.read_evaluation(Sources(run).evaluation)
    shown["found"] = oracles.make_unlike(shown["found"], first=1001)
    shown["quality_found"] = oracles.make_unlike(shown["quality_found"], first=5001)
    folder = copy.outputs / "tables"
    listed = tables.list_tables(run.inputs.split, shown)
    paths = tables.write_tables(listed, folder)
    assert sorted(p.name for p in paths) == sorted(p.name for p in folder.iterdir())
    return folder, shown, run


def look_up(block, path):
    for key in path.split("."):
        block = block[key]
    return block


def read_csv(folder, name):
    with open(folder / f"{name}.csv", newline="", encoding="utf-8") as f:
        head, *rows = csv.reader(f)
    return head, {row[0]: row[1:] for row in rows}


def read_markdown(folder, name):
    lines = (folder / f"{name}.md").read_text(encoding="utf-8").splitlines()
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines if "|" in line]
    return cells[0], {row[0]: row[1:] for row in cells[2:]}


def read_latex(folder, name):
    """Cells of a tabular between booktabs' rules, with LaTeX's escapes undone."""
    text = (folder / f"{name}.tex").read_text(encoding="utf-8")
    (body,) = re.findall(r"\\toprule\n(.*)\\bottomrule", text, re.S)
    head, rows = body.split("\\midrule\n")

    def cells(line):
        assert line.endswith(r"\\")
        parts = re.split(r"(?<!\\)&", line[:-2])
        return [re.sub(r"\\([&%$#_{}])", r"\1", part).strip() for part in parts]

    return cells(head.strip()), {c[0]: c[1:] for c in map(cells, rows.strip().splitlines())}


def test_a_csv_has_all_digits_of_the_json(made):
    folder, shown, _ = made
    head, rows = read_csv(folder, "metrics")
    assert [h for h in head[1:] if not h.endswith((" low", " high"))] == head[1::3]
    model, control = shown["found"]["models"]["classifier"], shown["found"]["models"]["control"]
    for label, path in ROWS.items():
        both = [look_up(block, path) for block in (model, control)]
        wanted = [json.dumps(f[end]) for f in both for end in ("value", "low", "high")]
        assert rows[label][:6] == wanted, label
        paired = look_up(shown["found"]["classifier_minus_control"], path)
        assert rows[label][6:] == [json.dumps(paired[e]) for e in ("value", "low", "high")]
    d = shown["quality_found"]["distances"]
    _, rows = read_csv(folder, "synthetic_quality")
    for label, key, floor in (
        ("Recall", "recall", "recall_half_b"),
        ("Coverage", *["coverage"] * 2),
    ):
        floor = floor if floor != key else f"{key}_half_b"
        both = [d[key], d[floor]]
        assert rows[label] == [json.dumps(f[e]) for f in both for e in ("value", "low", "high")]


@pytest.mark.parametrize("read", [read_markdown, read_latex])
def test_words_have_the_same_digits_rounded(made, read):
    folder, shown, _ = made
    model = shown["found"]["models"]["classifier"]
    head, rows = read(folder, "metrics")
    assert head[1].startswith("classifier: ")
    for label, path in ROWS.items():
        f = look_up(model, path)
        assert rows[label][0] == f"{f['value']:.3f} [{f['low']:.3f}, {f['high']:.3f}]", label
    head, rows = read(folder, "confusion")
    assert head == ["true", *(f"decided {c}" for c in CLASSES)]
    assert [[int(v) for v in rows[c]] for c in CLASSES] == shown["matrix"]
    _, rows = read(folder, "operating_points")
    key = "melanoma_{}_at_val_threshold_90"
    pair = [model[key.format(side)] for side in ("sensitivity", "specificity")]
    wanted = [f"{f['value']:.3f} [{f['low']:.3f}, {f['high']:.3f}]" for f in pair]
    assert rows["Melanoma: val's threshold for 90 % specificity"] == wanted


@pytest.mark.parametrize("read", [read_markdown, read_latex, read_csv])
def test_counts_are_those_of_the_split(made, read):
    folder, _, run = made
    _, rows = read(folder, "class_counts")
    for i, c in enumerate(CLASSES):
        (row,) = (r for name, r in rows.items() if name.startswith((f"{c}:", f"{c}*:")))
        counts = [run.inputs.split["images"][part][i] for part in ("train", "val", "test")]
        assert [int(v) for v in row] == [*counts, sum(counts)]


def test_counts_of_a_fraction_are_called_those_that_are_used():
    """The lesions of the other share are in none of the three parts."""
    split = {"images": {part: [1, 2, 3, 4, 5, 6, 7] for part in ("train", "val", "test")}}
    assert tables.count_table(split).head[-1] == "all"
    assert tables.count_table(split | {"train_share": "own"}).head[-1] == "used"


def test_latex_shows_hostile_words_letter_by_letter():
    hostile = r"50 % of A&B_C $1 #2 {x} ~ ^ \input{/etc/passwd}"
    table = tables.Table(hostile, ("", hostile), [(hostile, {"reason": hostile})])
    text = tables.to_latex(table, "x")
    assert r"\input{" not in text
    escaped = (
        r"50 \% of A\&B\_C \$1 \#2 \{x\} \textasciitilde  \textasciicircum  "
        r"\textbackslash input\{/etc/passwd\}"
    )
    squeezed = re.sub(r"\s+", " ", text.replace("{}", " ").replace(r"\space", " "))
    assert squeezed.count(re.sub(r"\s+", " ", escaped)) == 4
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1


def test_a_cell_with_a_bar_does_not_end_in_markdown():
    table = tables.Table("c", ("", "a|b"), [("x|y", "1|2")])
    assert r"| x\|y | 1\|2 |" in tables.to_markdown(table)


def test_an_undefined_estimate_is_its_reason_in_every_form():
    table = tables.Table("c", ("", "score"), [("a", {"value": None, "reason": "no melanoma"})])
    assert tables.to_csv(table) == ",score,score low,score high\na,no melanoma,,\n"
    assert "| a | no melanoma |" in tables.to_markdown(table)
    assert "a & no melanoma" in tables.to_latex(table, "x")


def test_tables_are_on_record_and_go_when_there_is_no_evaluation(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    copy.run("visualize_results", "--no-models")
    folder = copy.outputs / "figures"
    own = {f"tables/{p.name}" for p in (folder / "tables").iterdir()}
    assert "tables/metrics.tex" in own
    assert own <= set(oracles.read(folder / "options.json")["outputs"])
    (folder / "tables/mine.tex").write_text("a stranger's")
    (copy.outputs / "evaluation/options.json").unlink()
    copy.run("visualize_results", "--no-models")
    assert {p.stem for p in (folder / "tables").iterdir()} == {"class_counts", "mine"}
