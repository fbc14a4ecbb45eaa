"""The one rule for texts that reach a file, a page, a figure, a table or a terminal.

A text from outside may hold any letter of any script, but no *control character*: none of Unicode's
categories Cc (tabulators, line breaks, escape sequences), Cs (halves of a pair), Zl and Zp (line and
paragraph separators), none that turns the direction of writing, and none that XML cannot say; only a
value of a config, such as equations, may have several lines. Such texts are refused where they come in
(`check_text`), shown escaped where a message quotes them (`printable`), and in tables nothing that a
spreadsheet would compute is left as it is (`cell`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from root.errors import InputError, printable

__all__ = ["cell", "check_text", "check_texts", "is_number", "printable"]

CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})

TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What changes the direction of writing, and so can show another text than the one that is there."""

FORMULA = tuple("=+-@\t\r")
"""How a cell begins that a spreadsheet takes for a formula."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def check_text(key: str, text: str, *, lines: bool = False) -> str:
    """Return `text`.

    Args:
        key: what to blame.
        text: from outside.
        lines: whether it may have line breaks and tabulators.

    Raises:
        InputError: it has a control character.
    """
    for place, character in enumerate(text):
        if lines and character in "\n\t":
            continue
        if not character.isprintable() and _control(character):
            given = f"U+{ord(character):04X} at character {place + 1}"
            raise InputError(
                key, given, "a text without control characters, which no figure or page can show"
            )
    return text


def check_texts(data: Any, key: str = "") -> None:
    """Check every text in plain `data`; see `check_text`. Values may have several lines, keys may not.

    Args:
        data: mappings, lists, texts, numbers.
        key: the dotted name of `data`, empty at the top.
    """
    if isinstance(data, str):
        check_text(key, data, lines=True)
    elif isinstance(data, Mapping):
        for name, value in data.items():
            place = f"{key}.{name}" if key else str(name)
            check_text(place, str(name))
            check_texts(value, place)
    elif isinstance(data, (list, tuple)):
        for index, value in enumerate(data):
            check_texts(value, f"{key}.{index}")


def cell(text: str) -> str:
    """Return `text` as a cell of a table: what looks like a formula gets an apostrophe before it.

    Numbers stay: they compute to themselves.
    """
    return f"'{text}" if text.startswith(FORMULA) and not NUMBER.fullmatch(text) else text


def is_number(text: str) -> bool:
    """Return whether a text reads as a number, NaN and infinity among them."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _control(character: str) -> bool:
    code = ord(character)
    strange = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # no characters at all
    return strange or character in TURNING or unicodedata.category(character) in CATEGORIES
