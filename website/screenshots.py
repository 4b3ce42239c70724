"""Take the pictures of the documentation: docs/pictures/*.png.

    python -m website.screenshots                        # runs the tutorial first, in minutes
    python -m website.screenshots --outputs-dir outputs  # of a run on phantoms that is there

The command runs the tutorial's own commands in a folder that is removed afterwards, and prints how
long they take. Then it opens the report in Chromium, at the width of a desk and of a phone, light
and dark, and shrinks two of the run's pictures. Pictures of real lesions may not be published, so a
run on anything but phantoms is refused.
"""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lesiongan import ROOT
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.run import flags, script

TUTORIAL = ROOT / "docs" / "tutorial.md"
PICTURES = ROOT / "docs" / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Sizes in pixels. Windows of Chromium are no narrower than 500, so a frame is as narrow as a phone.
SCREENS = {"desk": (1280, 860), "phone": (390, 780)}
SCHEMES = {"light": 1, "dark": 0}
GAP = 24
FRAME = (
    '<!doctype html><body style="margin:0">'
    '<iframe src="{}" style="border:0" width="{}" height="{}"></iframe>'
)
# Pictures of the run: their names here, and how wide they are shown at most.
FIGURES = {"phantoms": "eda/samples.png", "drawn": "figures/class_grid.png"}
WIDTH = 620
COLOURS = 256
MOST_BYTES = 150_000


def parse_args(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument(
        "--outputs-dir", type=Path, metavar="DIR", help="a finished run; default: the tutorial's"
    )
    p.add_argument("--out", type=Path, default=PICTURES, metavar="DIR", help="where they go")
    return p.parse_args(argv)


def find_browser():
    """Return the path of Chromium. Raises InputError if there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise InputError("no Chromium on this machine: install the package chromium")
    return found


def list_steps():
    """Return the commands of the tutorial, each as its words, up to the one that cleans up."""
    blocks = re.findall(r"```bash\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("python ")]
    steps = [shlex.split(line, comments=True) for line in lines]
    names = [words[2] if words[1] == "-m" else words[1] for words in steps]
    return steps[: names.index("lesiongan.clean")]


def run_tutorial(folder):
    """Run the tutorial's commands in a folder and print how long each takes.

    Raises subprocess.CalledProcessError if one fails. Returns the folder of the outputs.
    """
    began = time.time()
    for words in list_steps():
        # The programs are those of this checkout; all that they write stays in the folder.
        own = [str(ROOT / w) if w.endswith(".py") else w for w in words[1:]]
        own += ["--out", "data/phantom"] * ("lesiongan.phantom" in words)
        start = time.time()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, *own], cwd=folder, env=environment, check=True)
        print(f"== {time.time() - start:.0f} s: {shlex.join(words)}", flush=True)
    print(f"== the tutorial: {(time.time() - began) / 60:.1f} min", flush=True)
    return folder / "outputs"


def check_phantoms(outputs):
    """Raise InputError unless data and pictures of a finished run are of phantom lesions."""
    for name in ("eda", "evaluation", "figures"):
        record = outputs / name / "options.json"
        made = records.read_json(record, "the scripts", {"data": {"phantom": bool}})
        if not made["data"]["phantom"]:
            raise InputError(f"{outputs}: shows real lesions; only phantoms may be published")


def photograph(browser, report, screen, scheme):
    """Return a picture of a page: as large as `screen` says, in the colours of `scheme`."""
    from PIL import Image

    width, height = SCREENS[screen]
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "page.html", Path(folder) / "shot.png"
        page.write_text(FRAME.format(report.resolve().as_uri(), width, height))
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
            f"--window-size={max(width, 500)},{height + 200}",
            f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
            f"--screenshot={shot}",
        ]
        subprocess.run([browser, *flags, page.as_uri()], check=True, capture_output=True)
        with Image.open(shot) as image:
            return image.convert("RGB").crop((0, 0, width, height))


def put_beside(images):
    """Return one picture of several of one size, beside each other, with a gap on white."""
    from PIL import Image

    width, height = images[0].size
    whole = Image.new("RGB", ((width + GAP) * len(images) - GAP, height), "white")
    for i, image in enumerate(images):
        whole.paste(image, ((width + GAP) * i, 0))
    return whole


def save_small(image, path):
    """Write a picture with few colours, as PNG. Raises InputError if it is large even so."""
    small = image.convert("RGB").quantize(COLOURS)
    content = io.BytesIO()
    small.save(content, format="PNG", optimize=True)
    size = len(content.getvalue())
    if size > MOST_BYTES:
        raise InputError(f"{path}: {size} bytes; a picture of a page has {MOST_BYTES} at most")
    with writing.atomic(path) as temporary:
        Path(temporary).write_bytes(content.getvalue())
    print(f"{path}: {small.width} x {small.height}, {size:,} bytes")


def take(outputs, out):
    """Write all pictures of a finished run on phantoms to a folder."""
    from PIL import Image

    check_phantoms(outputs)
    browser = find_browser()
    writing.ensure_folder(out)
    report = outputs / "report.html"
    for scheme in SCHEMES:
        desk = photograph(browser, report, "desk", scheme)
        save_small(desk, out / f"report-desk-{scheme}.png")
    phones = [photograph(browser, report, "phone", scheme) for scheme in SCHEMES]
    save_small(put_beside(phones), out / "report-phone.png")
    for name, figure in FIGURES.items():
        with Image.open(outputs / figure) as image:
            shown = image.convert("RGB")
            shown.thumbnail((WIDTH, WIDTH))
            save_small(shown, out / f"{name}.png")


def main(argv=None):
    args = parse_args(argv)
    if args.outputs_dir:
        take(args.outputs_dir, args.out)
    else:
        with tempfile.TemporaryDirectory() as folder:
            take(run_tutorial(Path(folder)), args.out)
    return 0


if __name__ == "__main__":
    script.script_main(main)
