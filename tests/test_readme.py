"""The README stands in the repository, on PyPI and on the napari hub."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def published():
    """Return the README as it is written into a distribution."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hook = settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = "".join((ROOT / part["path"]).read_text(encoding="utf-8") for part in hook["fragments"])
    for change in hook["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    return text


def test_links_lead_to_files_of_the_repository():
    targets = [link for link in LINK.findall(readme()) if not link.startswith("https://")]
    assert "docs/tutorial.md" in targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_on_pypi_all_links_and_pictures_have_an_address():
    text = published()
    assert [link for link in LINK.findall(text) if not link.startswith("https://")] == []
    assert "/napari-fractoseg/main/docs/images/tour.webp)" in text
    assert (
        "](https://github.com/napari-fractoseg/napari-fractoseg/blob/main/docs/tutorial.md)" in text
    )
    assert len(LINK.findall(text)) == len(LINK.findall(readme()))
