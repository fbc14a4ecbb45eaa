"""Pages of the site that are made while it is built: the gallery."""

from __future__ import annotations

import ast
import os
import runpy
import tempfile
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent


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
    by_name["Gallery"].extend(f"gallery/{script.stem}.md" for script in _scripts())
    return config


def on_files(files: Any, config: Any) -> Any:
    """Make the gallery's pages."""
    from mkdocs.structure.files import File  # noqa: PLC0415 (the functions above are tested without it)

    def add(name: str, content: str) -> None:
        files.append(File.generated(config, name, content=content))

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


def _scripts() -> list[Path]:
    return sorted(DOCS.joinpath("gallery").glob("*.py"))
