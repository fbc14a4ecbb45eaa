"""Names of cells: the hash of what their resolved config says beyond the defaults.

A key that the config does not say, or says as its default is, is no part of the name: so a key that a new
version adds changes no names, and finished cells stay finished. (A default whose *value* changes would leave
names alone too: such a change needs a new key, or a new folder.)

To resolve a config takes milliseconds, and a sweep has up to 10⁵ of them. But what a section resolves to
depends on that section alone, and cells share most of their sections: each is resolved once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, final

from root.errors import InputError
from spiketrain.config import Experiment
from spiketrain.config.sections import MismatchPart, TrainingPart

__all__ = ["Names"]

SECTIONS = tuple(name for name in Experiment.model_fields if name != "name")
"""A cell's name is not about what the config is called."""

FREE = {
    "training": {"seed": TrainingPart.model_fields["seed"].default},
    "mismatch": {name: MismatchPart.model_fields[name].default for name in ("seed", "first_chip")},
}
"""Integers that nothing else depends on, and their defaults; they would make every section a new one."""

NOTHING = json.dumps({})
"""The text of a section that says nothing beyond its defaults."""

DIGITS = 16

REMEMBERED = 1000


@final
class Names:
    """Gives configs their names, and says what is wrong with those that cannot be resolved."""

    def __init__(self) -> None:
        self._resolved: dict[tuple[str, str], str] = {}
        self._wrong: dict[tuple[str, ...], InputError] = {}
        self._texts: dict[int, tuple[object, str, dict[str, int]]] = {}

    def name(self, config: Mapping[str, Any]) -> tuple[str, InputError | None]:
        """Return the name of a config and what is wrong with it, if anything.

        Args:
            config: plain data, as `Experiment.from_mapping` takes them.
        """
        parts = [self._text(section, config.get(section)) for section in SECTIONS]
        texts = tuple(text for text, _ in parts)
        wrong = self._wrong.get(texts)
        if wrong is None and any(key not in self._resolved for key in zip(SECTIONS, texts, strict=True)):
            wrong = self._resolve(config, texts)
        if wrong is not None:
            return _hash(json.dumps(config, sort_keys=True, default=str)), wrong
        known = zip(SECTIONS, texts, parts, strict=True)
        said = [
            (section, self._resolved[section, text], sorted(n.items())) for section, text, (_, n) in known
        ]
        return _hash(*(repr(one) for one in said if one[1] != NOTHING or one[2])), None

    @staticmethod
    def labelled(name: str, label: str) -> str:
        """Return the name of a cell that is not shared with others of the same config.

        Args:
            name: of the config.
            label: whose cell it is.
        """
        return _hash(name, label)

    def _resolve(self, config: Mapping[str, Any], texts: tuple[str, ...]) -> InputError | None:
        try:
            resolved = Experiment.from_mapping({"name": "cell", **config}).resolved(defaults=False)
        except InputError as error:
            self._wrong[texts] = error
            return error
        for section, text in zip(SECTIONS, texts, strict=True):
            self._resolved[section, text] = _apart(section, resolved.get(section, {}))[0]
        return None

    def _text(self, section: str, value: object) -> tuple[str, dict[str, int]]:
        """Return a section as text without its free integers, and those; a section is seen many times."""
        found = self._texts.get(id(value))
        if found is None or found[0] is not value:
            found = (value, *_apart(section, value))
            if len(self._texts) >= REMEMBERED:
                self._texts.clear()  # sections of the base come back at once, those of single cells do not
            self._texts[id(value)] = found
        return found[1], found[2]


def _apart(section: str, value: object) -> tuple[str, dict[str, int]]:
    """Return a section without its free integers as text, and those of them that are not the defaults."""
    free: dict[str, int] = {}
    if isinstance(value, dict):
        known = FREE.get(section, {})
        free = {k: value[k] for k in known if type(value.get(k)) is int and 0 <= value[k] < 2**63}
        value = {k: v for k, v in value.items() if k not in free}
        free = {k: v for k, v in free.items() if v != known[k]}
    return json.dumps(value, sort_keys=True, default=str), free


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:DIGITS]
