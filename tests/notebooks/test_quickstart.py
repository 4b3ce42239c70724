"""The notebook as it is committed. `make notebook` runs it, in about a minute."""

import base64
import re

import nbformat
import pytest

from tests.notebooks import quickstart


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(quickstart.NOTEBOOK, as_version=4)


def code(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def test_no_output_is_committed_but_small_pictures(notebook):
    nbformat.validate(notebook)
    for cell in code(notebook):
        assert cell.execution_count is None
        for out in cell.outputs:
            assert set(out["data"]) == {"image/png"}
            assert len(base64.b64decode(out["data"]["image/png"])) < 100_000


def test_two_cells_set_up_and_the_published_networks_come_next(notebook):
    first, second, third, fourth = (c.source for c in code(notebook)[:4])
    assert "git" in first
    assert second.split("\n") == ["!{sys.executable} -m lesiongan.install"]
    assert "--weights published" in third
    assert "--weights published" in fourth
    # Each code cell is explained by words above it.
    kinds = [c.cell_type for c in notebook.cells]
    assert all("markdown" in kinds[max(i - 2, 0) : i] for i, k in enumerate(kinds) if k == "code")
    words = " ".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert "not in Colab or Kaggle themselves" in " ".join(words.split())
    assert "not for clinical use" in words


def test_the_run_of_the_notebook_sets_what_the_notebook_has(notebook):
    for before in quickstart.SET:
        assert sum(c.source.count(before) for c in code(notebook)) == 1


def test_a_fault_in_the_notebook_is_found(notebook):
    shown = {i - 1: words for i, words in quickstart.SEEN}
    for i, cell in enumerate(code(notebook)):
        picture = nbformat.v4.new_output("display_data", {"image/png": ""})
        text = nbformat.v4.new_output("stream", text=shown.get(i, "") + "\n")
        cell.outputs = [text, picture]
    assert quickstart.find_faults(notebook) == []
    code(notebook)[2].outputs.pop()
    code(notebook)[1].outputs[0].text = "x.py: error: no keras\n"
    found = quickstart.find_faults(notebook)
    assert found == [
        "cell 2: x.py: error: no keras",
        "cell 2: no 'backend: '",
        "cell 3: no picture",
    ]


def test_the_whole_run_has_the_steps_of_make(notebook):
    (whole,) = (c.source for c in code(notebook) if "EVERYTHING" in c.source)
    steps = re.findall(r"\} (\w+\.py)(.*)", whole)
    made = re.findall(r"\$\(PY\) (\w+\.py)(.*)", (quickstart.ROOT / "Makefile").read_text())
    wanted = [(name, "judge" in rest, "control" in rest) for name, rest in made[:7]]
    assert [(name, "judge" in rest, "control" in rest) for name, rest in steps] == wanted
