"""What parts of a rule remember, with types: frozen dataclasses that checkpoints keep tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar, Self, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

__all__ = ["RuleState"]


@dataclass(frozen=True)
class RuleState:
    """A part's memory: concrete ones are final frozen dataclasses, read from a model and put into updates.

    Fields are tensors with a leading axis of chips, tuples of them (one per layer, say), mappings from
    whole numbers (of connections, say) to them, or counters, ``int``. A field without a default must be
    there from the `start` of the rule on; tuples and mappings are empty where nothing is remembered.

    In a checkpoint they stand under ``prefix.field``, or ``prefix.field.0`` and so on.
    """

    prefix: ClassVar[str]

    @classmethod
    def of(cls, memory: Mapping[str, Tensor]) -> Self:
        """Return what is remembered.

        Args:
            memory: the model's.

        Raises:
            KeyError: a field without a default is not there: the rule was not started.
        """
        hints = get_type_hints(cls)
        found: dict[str, object] = {}
        for field in fields(cls):
            name, kind = f"{cls.prefix}.{field.name}", hints[field.name]
            if kind is int:
                if name in memory or field.default is MISSING:
                    found[field.name] = int(memory[name])
            elif kind is Tensor:
                found[field.name] = memory[name]
            elif get_origin(kind) is not None:
                numbered = _numbered(memory, name)
                several = get_args(kind)[1] is Ellipsis
                found[field.name] = tuple(numbered[i] for i in sorted(numbered)) if several else numbered
        return cls(**found)

    @classmethod
    def known(cls, memory: Mapping[str, Tensor]) -> bool:
        """Return whether anything is remembered."""
        return any(name.startswith(f"{cls.prefix}.") for name in memory)

    def entries(self) -> dict[str, Tensor]:
        """Return the tensors by the names that a checkpoint gives them."""
        found: dict[str, Tensor] = {}
        for field in fields(self):
            name, value = f"{self.prefix}.{field.name}", getattr(self, field.name)
            if isinstance(value, int):
                found[name] = torch.tensor(value)
            elif isinstance(value, Tensor):
                found[name] = value
            else:
                pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
                found |= {f"{name}.{number}": tensor for number, tensor in pairs}
        return found


def _numbered(memory: Mapping[str, Tensor], name: str) -> dict[int, Tensor]:
    """Return the tensors whose names are `name` and a number."""
    start = f"{name}."
    ends = ((key.removeprefix(start), value) for key, value in memory.items() if key.startswith(start))
    return {int(end): value for end, value in ends if end.isdecimal()}
