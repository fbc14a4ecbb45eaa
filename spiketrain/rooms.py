"""Where the rooms are: inside this package once it is installed, beside it in a clone.

They are always there as ``spiketrain.learning``, ``spiketrain.spiking`` and so on, which is how anything
outside this project should call them. In a clone (and an editable installation) the same modules also are
``learning``, ``spiking``, ..., and import each other by these names; a wheel has no such modules, so that a
user's own folder ``learning`` stays the user's (see ``packing/layout.py``).
"""

from __future__ import annotations

import os.path
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

__all__ = ["settle"]

ROOMS = ("root", "rate_bridge", "spiking", "chips", "mismatch", "learning")
PREFIX = f"{__package__}."


def settle() -> None:
    """Give the rooms of a clone their second name; say which file hides one, instead of failing inside it.

    Raises:
        ImportError: a clone is imported beside somebody else's package of a room's name.
    """
    if os.path.isdir(os.path.join(os.path.dirname(__file__), ROOMS[0])):
        return
    home = _above(__file__)
    for room in ROOMS:
        there = sys.modules.get(room)
        spec = None if there is not None else find_spec(room)
        found = there.__file__ if there is not None else spec.origin if spec is not None else None
        if found is not None and _above(found) != home:
            raise ImportError(
                f"{found} hides a package of that name in the clone that spiketrain is imported from: "
                "install it without --editable, then nothing can be hidden; or keep that folder out of the "
                "search path (python -P script.py leaves the script's folder out)",
                name=room,
                path=found,
            )
    sys.meta_path.insert(0, _SecondName())  # before the one that would load a second copy of a room's modules


def _above(file: str) -> str:
    """Return the folder that the package of an ``__init__.py`` is in."""
    return os.path.dirname(os.path.dirname(os.path.realpath(file)))


class _SecondName:
    """Finds ``spiketrain.learning.rule`` where there is ``learning.rule``: one module under two names."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        own = name.removeprefix(PREFIX)
        if own == name or own.partition(".")[0] not in ROOMS:
            return None
        return ModuleSpec(name, _Same(own)) if find_spec(own) is not None else None


class _Same(Loader):
    """Takes a module that is there under its own name, and leaves it as it is."""

    def __init__(self, own: str) -> None:
        self.own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self.own)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # the import system has just put the second name's there
