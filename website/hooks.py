"""What MkDocs calls while it builds the site (`hooks` in mkdocs.yml).

The pages in docs/ are read on GitHub too, where links lead anywhere in the repository. The site has
the pages of docs/ at its top. A file outside docs/ that a page links to is copied into the site
under repository/, and the link is turned to it there. A link whose target is not in the working
tree is a warning, which ends a strict build. The reference is written anew by each build.
"""

import logging
import os
import posixpath
import re

from mkdocs.structure.files import File

from lesiongan import ROOT
from website import reference

LOG = logging.getLogger("mkdocs.hooks.links")
COPIES = "repository/"
# Code is left as it is: in `x[0](y)` there is no link.
CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#])")


def on_files(files, config):
    """Add the reference, and the files outside docs/ that pages link to, to the site's files."""
    for name, text in reference.build_pages().items():
        files.append(File.generated(config, name, content=text))
    waiting = [f for f in files if f.is_documentation_page() and f.generated_by is None]
    while waiting:
        file = waiting.pop()
        for target in find_links(file.content_string):
            path = find_in_repository(file.src_uri, target)
            name = name_on_site(path)
            if path.startswith("..") or not (ROOT / path).is_file():
                LOG.warning(
                    "%s links to %s, which is no file of the repository", file.src_uri, path
                )
            elif files.get_file_from_path(name) is None:
                copy = File.generated(config, name, abs_src_path=os.fspath(ROOT / path))
                files.append(copy)
                waiting += [copy] * copy.is_documentation_page()
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn the links of a page to where their targets are on the site."""
    here = page.file.src_uri
    if here in reference.PAGES:
        return markdown

    def turn(match):
        name = name_on_site(find_in_repository(here, match[0]))
        return posixpath.relpath(name, posixpath.dirname(here) or ".")

    pieces = CODE.split(markdown)
    pieces[::2] = [LINK.sub(turn, piece) for piece in pieces[::2]]
    return "".join(pieces)


def find_links(markdown):
    """Return the targets of a page's links to files, without the anchors behind them."""
    return [target for piece in CODE.split(markdown)[::2] for target in LINK.findall(piece)]


def find_in_repository(page, target):
    """Return the path in the repository of a link's target; a folder stands for its README.md.

    page: the page's name on the site.
    """
    copied = page.startswith(COPIES)
    path = page.removeprefix(COPIES) if copied else f"docs/{page}"
    path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return f"{path}/README.md" if (ROOT / path).is_dir() else path


def name_on_site(path):
    """Return the name on the site of a file of the repository."""
    return path.removeprefix("docs/") if path.startswith("docs/") else COPIES + path
