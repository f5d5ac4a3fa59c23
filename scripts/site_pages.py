"""What mkdocs does beside building the pages below ``docs/`` (a hook of ``docs/site/mkdocs.yml``).

Pages that stand elsewhere in the repository (changelog, model card ...) become pages of the site.
Links are written for readers of the repository; those to a file outside of ``docs/`` become links
to its page, or to the file on GitHub. The decisions are listed with date and status. What fails a
strict build here: a decision without date and status, and lists that GitHub shows as meant and
mkdocs does not, since it wants four blanks before what belongs to an item, and an empty line
between a paragraph and a list. Formulae of docstrings (``:math:``, ``.. math::``) become MathML,
which browsers draw by themselves.
"""

from __future__ import annotations

import html
import logging
import os.path
import re
from pathlib import Path, PurePosixPath

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "SECURITY.md": "project/security.md",
    "models/fracture-modes/README.md": "reference/bundled-model.md",
}
_SOURCES = {page: source for source, page in PAGES.items()}
_DECISIONS = "decisions/README.md"
_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#\s])")
_HEAD = re.compile(
    r"# (?P<number>\d+)\. (?P<title>.+)\n\nDate: (?P<date>\d{4}-\d\d-\d\d)\. "
    r"Status: (?P<status>(?:[^.\[]|\[[^]]*\]\([^)]*\))+)\."
)
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_SHALLOW = re.compile(r"(?:(?<=\n\n) {1,3}(?! )|^ {1,3}(?=[-*+] |\d+\. )).*", re.MULTILINE)
_PREFORMATTED = re.compile(r"<pre.*?</pre>", re.DOTALL)
_RUN_IN = re.compile(r"^(?:[-*] |\d+\. ).*", re.MULTILINE)
_FORMULAE = (
    (re.compile(r":math:<code>(.*?)</code>", re.DOTALL), "inline"),
    (re.compile(r"<p>\.\. math:: (.*?)</p>", re.DOTALL), "block"),
    (
        re.compile(
            r"<p>\.\. math::</p>\s*<div class=\"highlight\"><pre>(.*?)</pre></div>", re.DOTALL
        ),
        "block",
    ),
)
_CITED = re.compile(r"\.\. (\[\d+\])(?= )")
log = logging.getLogger("mkdocs.hooks.site_pages")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside of the folder of the documentation."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Mend the links of a page, and list the decisions on theirs."""
    uri = page.file.src_uri
    source = _SOURCES.get(uri, f"docs/{uri}")
    for shallow in _SHALLOW.findall(_FENCED.sub("", markdown)):
        log.warning("%s: four blanks before what belongs to a list item: %r", source, shallow)
    if uri == _DECISIONS:
        markdown += f"\n{_decisions()}\n"
    return _LINK.sub(lambda match: _link(match[1], source, uri, config.repo_url), markdown)


def on_page_content(content: str, page: Page, **_: object) -> str:
    """Draw formulae, and warn of items of lists that run into a paragraph."""
    for item in _RUN_IN.findall(_PREFORMATTED.sub("", content)):
        log.warning("%s: no empty line before a list: %r", page.file.src_uri, item[:70])
    for pattern, display in _FORMULAE:
        content = pattern.sub(lambda match, display=display: _drawn(match[1], display), content)
    return _CITED.sub(r"\1", content)


def _drawn(markup: str, display: str) -> str:
    """Return a formula in LaTeX, as it stands in a page, as MathML."""
    return convert(html.unescape(re.sub("<[^>]*>", "", markup)).strip(), display=display)


def _link(target: str, source: str, uri: str, repository: str) -> str:
    """Return a link of a source file as a link of its page; others are as they are."""
    path = os.path.normpath(PurePosixPath(source).parent / target)
    if not (ROOT / path).exists() or (path.startswith("docs/") and source.startswith("docs/")):
        return target
    page = path.removeprefix("docs/") if path.startswith("docs/") else PAGES.get(path)
    if page is None:
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{repository}/{kind}/main/{path}"
    return os.path.relpath(page, PurePosixPath(uri).parent)


def _decisions() -> str:
    lines = ["| | decision | date | status |", "|--:|---|---|---|"]
    for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        head = _HEAD.match(path.read_text(encoding="utf-8"))
        if head is None:
            log.warning("%s: the third line must be 'Date: YYYY-MM-DD. Status: accepted.'", path)
            continue
        title = f"[{head['title']}]({path.name})"
        lines.append(f"| {head['number']} | {title} | {head['date']} | {head['status']} |")
    return "\n".join(lines)
