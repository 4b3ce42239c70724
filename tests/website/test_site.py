"""The documentation site: built strictly, its links, its reference, and what its pages ask for."""

import ast
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from lesiongan import ROOT, phantom
from lesiongan.data.classes import PARTS
from lesiongan.data.lesions import group_lesions
from lesiongan.data.split import leakage_share, split_table
from lesiongan.data.tables import read_table
from website import hooks

# A file that is there, but not in the repository, as docs/ sees it.
OUTSIDE = os.path.relpath(os.path.realpath(sys.executable), ROOT / "docs")
SCRIPTS = ("eda", "train_gan", "train_cnn", "evaluate", "visualize_results")
# What a browser loads by itself, in contrast to links, which a reader follows.
LOADED = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src",),
    "object": ("data",),
}


class Page(HTMLParser):
    """The anchors of an HTML page, its links, what it loads, and the text of its code blocks."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded, self.unnamed = set(), [], [], []
        self.text = []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes.get("id"), attributes.get("name")} - {None}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "img" and not attributes.get("alt"):
            self.unnamed.append(attributes.get("src"))
        # An address that the page is known by is not loaded.
        if attributes.get("rel") not in ("canonical", "prev", "next"):
            self.loaded += [attributes[name] for name in LOADED.get(tag, ()) if name in attributes]

    def handle_data(self, data):
        self.text.append(data)


def build(site, settings=ROOT / "mkdocs.yml"):
    """Build the site strictly and return the finished process."""
    flags = ["--strict", "--config-file", str(settings), "--site-dir", str(site)]
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", *flags],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, and what its build said."""
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pages(site):
    """{path: Page} of every page of the site, without the one of wrong addresses."""
    return {p: Page(p) for p in site[0].rglob("*.html") if p.name != "404.html"}


def test_the_build_warns_of_nothing(site):
    lines = site[1].strip().splitlines()
    assert lines
    assert [line for line in lines if not line.startswith("INFO")] == []


def test_every_link_and_anchor_of_every_page_leads_somewhere(pages):
    followed = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert parts.scheme == "https", (path, link)
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), (path, link)
            if parts.fragment:
                assert unquote(parts.fragment) in pages[target].anchors, (path, link)
            followed += 1
    assert followed > 1000


def test_links_out_of_docs_lead_to_copies_of_the_repository(site):
    card = site[0] / "repository/weights/MODEL_CARD.html"
    assert "What is unlike the training images" in card.read_text()
    found = (site[0] / "repository/results/copies.csv").read_bytes()
    assert found == (ROOT / "results/copies.csv").read_bytes()
    # A copied page leads back to the pages of docs/.
    assert 'href="../results.html#limits"' in (site[0] / "repository/index.html").read_text()


def test_pages_load_nothing_from_another_host(site, pages):
    for path, page in pages.items():
        assert page.loaded
        for source in page.loaded:
            assert not urlsplit(source).netloc, (path, source)
            assert urlsplit(source).scheme in ("", "data"), (path, source)
    sheets = list(site[0].rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text()), sheet


def test_every_page_of_docs_is_in_the_nav_once():
    def list_pages(node):
        if isinstance(node, str):
            return [node]
        parts = node.values() if isinstance(node, dict) else node
        return [name for part in parts for name in list_pages(part)]

    # The file has no tags of MkDocs' own, so any reader of YAML reads it.
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    names = list_pages(nav)
    assert len(names) == len(set(names))
    assert {p.name for p in (ROOT / "docs").glob("*.md")} == {n for n in names if "/" not in n}
    assert [next(iter(part)) for part in nav] == [
        "Home",
        "Tutorial",
        "How-to",
        "Reference",
        "Explanation",
    ]


def test_every_page_of_the_site_can_be_reached_from_the_start(site, pages):
    start = site[0] / "index.html"
    linked = {(start.parent / urlsplit(link).path).resolve() for link in pages[start].links}
    assert set(pages) - {start} <= linked


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_reference_has_every_flag_with_its_help(script, site, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", [f"{script}.py"])
    with pytest.raises(SystemExit):
        __import__(script).parse_args(["--help"])
    said = capsys.readouterr().out
    page = "".join(Page(site[0] / "reference/commands.html").text)
    assert said.count("--") > 10
    assert said.strip() in page


def test_the_reference_has_every_public_function(site):
    count = 0
    for path in (ROOT / "lesiongan").glob("*/*.py"):
        page = Page(site[0] / f"reference/{path.parent.name}.html")
        text = " ".join("".join(page.text).split())
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                assert f"{name}.{node.name}" in page.anchors
                first = (ast.get_docstring(node) or "").partition("\n\n")[0]
                assert " ".join(first.replace("`", "").split()) in text.replace("`", ""), node.name
                count += 1
    assert count > 200


def test_pictures_say_what_they_show_and_are_small(pages):
    assert {p: page.unnamed for p, page in pages.items() if page.unnamed} == {}
    pictures = list((ROOT / "docs/pictures").iterdir())
    assert len(pictures) >= 4
    used = "".join(p.read_text() for p in (ROOT / "docs").glob("*.md"))
    for picture in pictures:
        assert picture.stat().st_size < 150_000
        assert f"(pictures/{picture.name})" in used


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (
            "(../weights/MODEL_CARD.md)",
            "(../weights/CARD.md)",
            "weights/CARD.md, which is no file of the",
        ),
        ("(../weights/MODEL_CARD.md)", f"({OUTSIDE})", "which is no file of the repository"),
        ("(../weights/MODEL_CARD.md#what", "(../weights/MODEL_CARD.md#that", "#that-is-unlike"),
    ],
    ids=["file", "outside", "anchor"],
)
def test_a_broken_link_out_of_docs_ends_the_build(old, new, word, tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    settings = (ROOT / "mkdocs.yml").read_text()
    hook = "website/hooks.py"
    assert hook in settings
    (tmp_path / "mkdocs.yml").write_text(settings.replace(hook, str(ROOT / hook)))
    page = tmp_path / "docs/use.md"
    text = page.read_text()
    assert old in text
    page.write_text(text.replace(old, new))
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode == 1
    assert word in done.stdout + done.stderr


def test_code_is_no_link():
    text = "a [b](c.md#d) `x[0](e.md)`\n```python\nf[1](g.md)\n```\n![h](../i/j.png) [k](https://l)"
    assert hooks.find_links(text) == ["c.md", "../i/j.png"]


def test_the_numbers_of_the_tutorial_are_those_of_its_phantoms(tmp_path):
    text = (ROOT / "docs/tutorial.md").read_text()
    assert "python -m lesiongan.phantom --rows 600\n" in text
    table = group_lesions(read_table(phantom.write_phantom(tmp_path, 600)))
    sizes = {name: f"{name} {(split_table(table) == name).sum()}" for name in PARTS}
    share, _ = leakage_share(table.labels, table.lesions, split_table(table, "image"))
    count = f"{len(table)} images of {len(set(table.lesions))} lesions"
    assert f"eda: {count} (hmnist_28_28_RGB.csv, sha256 {table.sha256[:12]})\n" in text
    assert f"  parts: {', '.join(sizes.values())} images; " in text
    assert f"an image split would leak {100 * share:.1f}% of the test images\n" in text


def test_the_site_names_no_folder_of_the_machine_that_built_it(site):
    for path in site[0].rglob("*.html"):
        assert str(ROOT) not in path.read_text(), path
        assert str(site[0]) not in path.read_text(), path
