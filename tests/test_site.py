"""What the site is made of: chapters that lose nothing, links that arrive, scripts of ten lines that draw."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import pages

ROOT = Path(__file__).parents[1]
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
SCRIPTS = sorted((ROOT / "docs" / "gallery").glob("*.py"))

PAGE = """# All

### Asked

Before [it](#within), [model](model.md).

## One

[two](#second), [here](#within), [model](model.md#step), ![f](figures/f.svg), [out](https://example.org)

### Within

```yaml
## no heading
```

## Second
"""


def test_chapters_together_are_the_page() -> None:
    for text in (PAGE, RESULTS):
        assert "".join(part for _, part in pages.chapters(text)) == text
    assert [title for title, _ in pages.chapters(PAGE)] == ["", "One", "Second"]


def test_a_chapter_is_a_page_whose_links_lead_where_they_did() -> None:
    where = pages.places(PAGE)
    assert where == {
        "#one": "results/one.md",
        "#within": "results/one.md",
        "#second": "results/second.md",
    }
    page = pages.as_page(pages.chapters(PAGE)[1][1], where)
    assert page.startswith("# One\n")
    assert "\n## Within\n" in page
    assert "\n## no heading\n" in page
    for link in (
        "(../results/second.md#second)",
        "(../results/one.md#within)",
        "(../model.md#step)",
        "(../figures/f.svg)",
        "(https://example.org)",
    ):
        assert link in page


def test_what_comes_first_leads_to_the_chapters() -> None:
    page = pages.front(PAGE)
    assert page.startswith("# All\n\n## Asked\n\nBefore [it](results/one.md#within), [model](model.md).\n")
    assert page.endswith("\n## Chapters\n\n- [One](results/one.md)\n- [Second](results/second.md)\n")


def test_no_number_of_the_results_is_lost() -> None:
    where = pages.places(RESULTS)
    made = "".join(pages.as_page(part, where) for _, part in pages.chapters(RESULTS))
    numbers = re.compile(r"\d*\.?\d+")
    assert numbers.findall(re.sub(r"\]\([^)]*\)", "", made)) == numbers.findall(
        re.sub(r"\]\([^)]*\)", "", RESULTS)
    )


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
