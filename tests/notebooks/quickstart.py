"""Run notebooks/quickstart.ipynb as it starts in an empty runtime, on phantom lesions.

    python -m tests.notebooks.quickstart [PYTHON]  # `make notebook`; about a minute

The notebook's first cell clones the repository, as it stands in the working tree, into an empty
folder. PYTHON is the interpreter of the kernel, if it is not this one; it needs ipykernel and the
packages of requirements.txt in any versions that will do.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbclient
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from lesiongan import ROOT

NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
SET = {
    'REPOSITORY = ""': "REPOSITORY = {repository!r}",
    'TABLE = ""': "TABLE = {table!r}",
}


def commit_working_tree(folder):
    """Make `folder` a repository that holds the working tree's files; return it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        # Results and tests are of no use to the notebook.
        if (ROOT / name).is_file() and not name.startswith(("results/", "tests/", "docs/")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "-qm", "as it is"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


class Kernels(KernelSpecManager):
    """Gives the kernel of one interpreter under every name."""

    python = sys.executable

    def get_kernel_spec(self, name):
        spec = super().get_kernel_spec("python3")
        spec.argv = [self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return spec


def run(folder, table, python=sys.executable):
    """Run the notebook in an empty folder; return it with its outputs, and seconds by cell.

    table: path of the table that its subset is of.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    given = {"repository": str(commit_working_tree(folder / "origin")), "table": str(table)}
    left = dict(SET)
    for cell in notebook.cells:
        for before in [b for b in left if b in cell.source]:
            cell.source = cell.source.replace(before, left.pop(before).format(**given))
    assert not left, f"the notebook has no {list(left)}"
    empty = folder / "runtime"
    empty.mkdir()
    specs = Kernels()
    specs.python = str(python)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        km=AsyncKernelManager(kernel_spec_manager=specs, kernel_name="python3"),
        resources={"metadata": {"path": empty}},
    )
    seconds, last = [], [time.time()]

    def note(**_):
        seconds.append(time.time() - last[0])
        last[0] = time.time()

    client.on_cell_executed = note
    client.execute()
    return notebook, seconds


def texts(notebook):
    """Return what each code cell has printed."""
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    return ["".join(o.get("text", "") for o in c.outputs) for c in cells]


# What a reader of the notebook must have seen in the end, by the number of the code cell.
SEEN = (
    (1, "working in "),
    (2, "backend: "),
    (3, "140 synthetic images -> quickstart/synthetic/"),
    (4, "1 of 1 answered"),
    (6, "report: quickstart/outputs/report.html"),
    (8, "quickstart_results.zip"),
)


def find_faults(notebook):
    """Return in words what a reader should not have seen, or should have."""
    shown = texts(notebook)
    wrong = [
        f"cell {i}: {line}"
        for i, text in enumerate(shown, 1)
        for line in text.splitlines()
        if "Traceback" in line or "error:" in line
    ]
    missing = [f"cell {i}: no {words!r}" for i, words in SEEN if words not in shown[i - 1]]
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    for i in (3, 4):
        if not any("image/png" in out.get("data", {}) for out in cells[i - 1].outputs):
            missing.append(f"cell {i}: no picture")
    return wrong + missing


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = ["--rows", "300", "--out", str(folder / "phantom")]
        subprocess.run([sys.executable, "-m", "lesiongan.phantom", *drawn], cwd=ROOT, check=True)
        table = folder / "phantom" / "hmnist_28_28_RGB.csv"
        notebook, seconds = run(folder, table, *sys.argv[1:2])
    for text, took in zip(texts(notebook), seconds, strict=True):
        print(f"--- {took:.1f} s\n{text}")
    faults = find_faults(notebook)
    print(*faults, sep="\n")
    print(f"quickstart.ipynb: {len(seconds)} cells in {sum(seconds):.0f} s, {len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
