"""Pages of the site that are made while it is built: the gallery, and a page per chapter of the results."""

from __future__ import annotations

import ast
import os
import re
import runpy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markdown.extensions.toc import slugify

DOCS = Path(__file__).parent
HEADING = re.compile(r"^(#{2,4}) (.+)$")
LINK = re.compile(r"\]\((?!\w+://)([^)#\s]*)(#[^)\s]+)?\)")


def chapters(text: str) -> list[tuple[str, str]]:
    """Return the chapters of a page by their headings (``## …``); the first has none: what comes before."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line, is_text in _lines(text):
        if is_text and line.startswith("## "):
            found.append((line[3:].strip(), []))
        found[-1][1].append(line)
    return [(title, "".join(lines)) for title, lines in found]


def places(text: str) -> dict[str, str]:
    """Return which chapter's page has an anchor."""
    found = {}
    for title, part in chapters(text)[1:]:
        for line, is_text in _lines(part):
            heading = HEADING.match(line) if is_text else None
            if heading:
                found[f"#{_slug(heading[2])}"] = f"results/{_slug(title)}.md"
    return found


def as_page(part: str, where: dict[str, str]) -> str:
    """Return a chapter as a page one folder deeper: headings a level up, links as they are from there."""

    def from_here(link: re.Match[str]) -> str:
        page, anchor = link[1], link[2] or ""
        if not page:
            page = where.get(anchor, "")
        return f"](../{page}{anchor})" if page else link[0]

    return LINK.sub(from_here, _a_level_up(part))


def front(text: str) -> str:
    """Return what comes before the chapters, its links to their pages, and a list of them."""
    where, parts = places(text), chapters(text)

    def to_chapter(link: re.Match[str]) -> str:
        page, anchor = link[1], link[2] or ""
        return f"]({page or where.get(anchor, '')}{anchor})"

    title, newline, rest = parts[0][1].partition("\n")
    listed = "\n".join(f"- [{title}](results/{_slug(title)}.md)" for title, _ in parts[1:])
    return f"{title}{newline}{LINK.sub(to_chapter, _a_level_up(rest))}\n## Chapters\n\n{listed}\n"


def _a_level_up(part: str) -> str:
    return "".join(line[1:] if is_text and HEADING.match(line) else line for line, is_text in _lines(part))


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield every line, and whether it is text rather than code."""
    fenced = False
    for line in text.splitlines(keepends=True):
        fence = line.lstrip().startswith("```")
        yield line, not (fenced or fence)
        fenced ^= fence


def _slug(title: str) -> str:
    return slugify(title.strip(), "-")


def drawn(script: Path) -> tuple[str, str]:
    """Run a script of the gallery; return its title and the figure that it wrote."""
    title = str(ast.get_docstring(ast.parse(script.read_text("utf-8")))).rstrip(".")
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            runpy.run_path(str(script))
        finally:
            os.chdir(before)
        return title, Path(folder, "figure.svg").read_text("utf-8")


def on_config(config: Any) -> Any:
    """Put the pages that are made into the navigation."""
    by_name = {title: pages for section in config.nav for title, pages in section.items()}
    for title, _ in chapters(DOCS.joinpath("results.md").read_text("utf-8"))[1:]:
        by_name["Results"].append({title: f"results/{_slug(title)}.md"})
    by_name["Gallery"].extend(f"gallery/{script.stem}.md" for script in _scripts())
    return config


def on_files(files: Any, config: Any) -> Any:
    """Make the chapters' and the gallery's pages."""
    from mkdocs.structure.files import File  # noqa: PLC0415 (the functions above are tested without it)

    def add(name: str, content: str) -> None:
        files.append(File.generated(config, name, content=content))

    text = DOCS.joinpath("results.md").read_text("utf-8")
    where = places(text)
    for title, part in chapters(text)[1:]:
        add(f"results/{_slug(title)}.md", as_page(part, where))
    cards = []
    for script in _scripts():
        title, figure = drawn(script)
        add(f"gallery/{script.stem}.svg", figure)
        code = script.read_text("utf-8").partition("\n\n")[2]
        add(
            f"gallery/{script.stem}.md",
            f"# {title}\n\n![{title}]({script.stem}.svg)\n\n```python\n{code}```\n",
        )
        picture = f"![{title}](gallery/{script.stem}.svg){{ loading=lazy }}"
        cards.append(f"-   [{picture}](gallery/{script.stem}.md)\n\n    {title}\n")
    grid = "\n".join(cards)
    lead = "Every figure is drawn while this site is built, by the ten lines behind it."
    add("gallery.md", f'# Gallery\n\n{lead}\n\n<div class="grid cards" markdown>\n\n{grid}\n</div>\n')
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Send links into the results to the chapters' pages, and leave a table of them where they were."""
    text = DOCS.joinpath("results.md").read_text("utf-8")
    if page.file.src_uri == "results.md":
        return front(text)
    where = places(text)

    def to_chapter(link: re.Match[str]) -> str:
        return f"]({link[1]}{where.get(link[2], 'results.md')}{link[2]})"

    return re.sub(r"\]\(((?:\.\./)*)results\.md(#[^)\s]+)\)", to_chapter, markdown)


def _scripts() -> list[Path]:
    return sorted(DOCS.joinpath("gallery").glob("*.py"))
