"""The report in Chromium: what no parser sees, from sideways scrolling to print.

Skipped where there is no Chromium (Debian's package is `chromium`).
"""

import html
import json
import re
import shutil
import subprocess

import pytest

from lesiongan.plots.paper import FIGURES

WIDTHS = (390, 800, 1280)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# This stands before all else in the page and notes what goes wrong.
WATCH = """<script>
window.faults = [];
addEventListener("error", e => faults.push("error: " + e.message), true);
addEventListener("securitypolicyviolation", e => faults.push("refused: " + e.violatedDirective));
</script>"""
# This stands at the page's end, measures it, and tells the frame around it.
MEASURE = """<script>
addEventListener("load", async () => {
  const all = selector => [...document.querySelectorAll(selector)];
  const width = () => document.documentElement.scrollWidth;
  const found = {inner: innerWidth, seen: document.documentElement.clientWidth};
  found.folded = width();
  found.details = all("details").length;
  found.images = all("img").length;
  found.broken = all("img").filter(i => !(i.complete && i.naturalWidth > 0)).length;
  found.lost = [];
  for (const link of all("a")) {
    link.click();
    await new Promise(done => setTimeout(done, 0));
    const target = document.getElementById(link.hash.slice(1));
    if (!target || !target.getClientRects().length || location.hash !== link.hash)
      found.lost.push(link.outerHTML);
  }
  const shown = () => all(".epoch").filter(f => f.offsetParent).map(f => f.dataset.epoch);
  const slider = document.querySelector("input[type=range]");
  found.epochs = all(".epoch").map(f => f.dataset.epoch);
  found.last = shown();
  found.slid = found.epochs.map((_, at) => {
    slider.value = at;
    slider.dispatchEvent(new Event("input"));
    return [...shown(), slider.getAttribute("aria-valuetext")];
  });
  slider.focus();
  found.focus = document.activeElement === slider;
  dispatchEvent(new Event("beforeprint"));
  found.printed = all("details[open]").length;
  found.open = width();
  dispatchEvent(new Event("afterprint"));
  found.after = all("details[open]").length;
  parent.postMessage({...found, faults}, "*");
});
</script>"""
# The frames are as wide as a phone, a tablet and a desk: no window is as narrow as a phone.
FRAMES = """<!doctype html><body>{}<pre></pre><script>
addEventListener("message", e => {{
  document.querySelector("pre").append(JSON.stringify(e.data) + "\\n");
}});
</script>"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Function: run Chromium on a file with these flags and return (stdout, stderr)."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    profile = tmp_path_factory.mktemp("profile")

    def run(path, *flags):
        ran = subprocess.run(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
                f"--user-data-dir={profile}",
                *flags,
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        return ran.stdout, ran.stderr

    return run


@pytest.fixture(scope="module")
def measured(pipeline, chromium, tmp_path_factory):
    """({width: what the page measured of itself}, the lines of the browser's console)."""
    folder = tmp_path_factory.mktemp("page")
    text = (pipeline.outputs / "report.html").read_text()
    text = text.replace("<head>", "<head>" + WATCH).replace("</body>", MEASURE + "</body>")
    (folder / "page.html").write_text(text)
    frames = "".join(f'<iframe src="page.html" width="{w}" height="800"></iframe>' for w in WIDTHS)
    (folder / "frames.html").write_text(FRAMES.format(frames))
    said, log = chromium(folder / "frames.html", "--dump-dom", "--virtual-time-budget=30000")
    told = html.unescape(re.search(r"<pre>(.*?)</pre>", said, re.DOTALL)[1])
    found = {f["inner"]: f for f in map(json.loads, told.strip().splitlines())}
    return found, [line for line in log.splitlines() if "CONSOLE" in line]


def test_nothing_goes_wrong_and_every_picture_is_shown(measured):
    found, console = measured
    assert console == []
    assert sorted(found) == list(WIDTHS)
    for width, page in found.items():
        assert page["faults"] == [], width
        assert page["images"] >= len(FIGURES)
        assert page["broken"] == 0, width


def test_the_page_never_scrolls_sideways_folded_or_open(measured):
    for width, page in measured[0].items():
        assert page["folded"] <= page["seen"] <= width
        assert page["open"] <= page["seen"]


def test_every_link_leads_to_something_that_is_seen(measured):
    for width, page in measured[0].items():
        assert page["lost"] == [], width


def test_the_slider_shows_one_epoch_at_a_time(measured):
    for page in measured[0].values():
        assert page["last"] == page["epochs"][-1:]
        assert page["slid"] == [[epoch, f"epoch {epoch}"] for epoch in page["epochs"]]
        assert len(page["slid"]) > 1
        assert page["focus"]


def test_print_opens_what_is_folded_and_folds_it_again(measured):
    for page in measured[0].values():
        assert page["printed"] == page["details"] > 3
        assert page["after"] == 0


def test_the_page_prints(pipeline, chromium, tmp_path):
    path = tmp_path / "report.pdf"
    chromium(pipeline.outputs / "report.html", f"--print-to-pdf={path}", "--no-pdf-header-footer")
    content = path.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", content)) > 5
