"""The scripts in a notebook: by !python, by %run and by main(), again and again in one kernel."""

import sys

import nbclient
import nbformat
import pytest

from lesiongan import ROOT


def run_cells(*cells):
    """Text and image outputs of each cell, run in one kernel from the repository's folder."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": ROOT}})
    client.execute()
    found = []
    for cell in notebook.cells:
        text = "".join(out.get("text", "") for out in cell.outputs if out.output_type == "stream")
        images = [out for out in cell.outputs if "image/png" in out.get("data", {})]
        found.append((text, len(images)))
    return found


@pytest.fixture(scope="module")
def flags(tmp_path_factory, table_path):
    folder = tmp_path_factory.mktemp("notebook")
    return f"--data {table_path} --models-dir {folder}/models --outputs-dir {folder}/outputs"


def test_every_script_runs_in_a_kernel_in_every_way_and_again(flags):
    common = flags.split()
    draw, *train, evaluate, show = [
        f"%run train_gan.py {flags} --epochs 1 --samples 14 --width 16",
        f"%run train_cnn.py {flags} --steps 2 --width 8 --role judge",
        f"%run train_cnn.py {flags} --steps 2 --width 8",
        f"%run evaluate.py {flags}",
        f"%run visualize_results.py {flags}",
    ]
    picture = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    found = run_cells(
        f"import os\nassert 'inline' in os.environ['MPLBACKEND']\n!{sys.executable} eda.py {flags}",
        f"%run eda.py {flags}",
        f"import eda\neda.main({common!r})",
        picture,
        *(draw, *train, evaluate, show),
        *(draw, evaluate, show),
        picture,
        f"%run eda.py {flags} --data nowhere.csv",
        "import sys, io\nsys.stdout = io.StringIO()\neda.main(" + repr(common) + ")",
    )
    texts = [text for text, _ in found]
    for text in texts:
        assert "Traceback" not in text
    for text, (shown, _) in zip(["eda"] * 3, found[:3], strict=True):
        assert f"{text}: done in" in shown
    # The kernel's own figures still appear in it, and none of ours do.
    assert [images for _, images in found] == [0, 0, 0, 1, *[0] * 8, 1, 0, 0]
    for drawn, evaluated, shown in ((4, 7, 8), (9, 10, 11)):
        assert "train_gan: done in" in texts[drawn]
        assert "evaluate: done in" in texts[evaluated]
        assert "report: " in texts[shown]
    assert "error: nowhere.csv: no such file" in texts[13]
