"""Which file a config's name means: a path first, then a config that comes with the package."""

from __future__ import annotations

from pathlib import Path

from root.errors import InputError, nearest

__all__ = ["find_config", "shipped"]

ENDINGS = (".yaml", ".yml")

_PACKAGE = Path(__file__).parents[1]

SHIPPED = next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir())
"""Inside this package, or beside it in a clone; never looked up by name, so that nothing hides it."""


def shipped() -> dict[str, Path]:
    """Return the shipped configs, by their name within ``configs/`` (``studies/sweep.yaml``)."""
    return {path.relative_to(SHIPPED).as_posix(): path for path in sorted(SHIPPED.rglob("*.yaml"))}


def find_config(name: str) -> Path:
    """Return the file called `name`: a path, or a shipped config with or without folder and ending.

    Raises:
        InputError: there is neither.
    """
    path = Path(name)
    try:
        if path.is_file() or (path.is_dir() and not _matches(name)):
            return path
    except (OSError, ValueError) as error:  # too long for a name, or no name at all
        raise InputError("--config", name, "the path of a YAML file", str(error.args[-1])) from None
    matches = _matches(name)
    if len(matches) == 1:
        return next(iter(matches.values()))
    known = shipped()
    stems = [*known, *(Path(key).stem for key in known)]
    which = f"which of {', '.join(matches)}? name its folder too"
    allowed = "a YAML file, or a shipped config (`spiketrain configs` lists them)"
    raise InputError("--config", name, allowed, which if matches else nearest(Path(name).name, stems))


def _matches(name: str) -> dict[str, Path]:
    """Return the shipped configs that `name` may mean; a full match leaves no doubt."""
    known = shipped()
    for ending in ("", *ENDINGS):
        if name + ending in known:
            return {name + ending: known[name + ending]}
    return {key: path for key, path in known.items() if name in (path.name, path.stem)}
