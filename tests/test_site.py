"""What the site is made of: chapters that are listed, links that arrive, scripts of ten lines that draw."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify

from docs import pages

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RESULTS = sorted(DOCS.glob("results/*.md"))
SCRIPTS = sorted((ROOT / "docs" / "gallery").glob("*.py"))

LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(#[^)\s]+)?\)")


def test_the_results_lead_to_every_chapter_and_the_site_has_it() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = (DOCS / "results.md").read_text(encoding="utf-8").partition("\n## Chapters\n")[2]
    for chapter in RESULTS:
        title = chapter.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        assert f"- [{title}](results/{chapter.name})" in listed
        assert f"results/{chapter.name}" in nav


@pytest.mark.parametrize("page", [DOCS / "results.md", *RESULTS], ids=lambda page: page.stem)
def test_links_of_the_results_arrive(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, anchor in LINK.findall(text):
        place = page.parent / name if name else page
        assert place.is_file(), name
        if anchor and place.suffix == ".md":
            assert anchor in _anchors(place), f"{name}{anchor}"


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the site and its host make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {f"#{slugify(title.strip(), '-')}" for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_figure_of_the_gallery_takes_ten_lines(script: Path) -> None:
    code = script.read_text(encoding="utf-8").partition("\n\n")[2]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 12


def test_the_gallery_draws() -> None:
    title, figure = pages.drawn(
        ROOT / "docs" / "gallery" / "rates.py"
    )  # a build of the site runs all of them
    assert title == "How often neurons spike"
    assert "<svg" in figure
