"""A neuron's step as ordered statements, in no language yet."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HELD", "HOLD", "Program", "Statement"]

HELD = "refractory"
"""The state that counts the steps for which a reset still holds."""

HOLD = "refractory_steps"
"""The constant that says for how many it does."""


@dataclass(frozen=True)
class Statement:
    """An assignment.

    Args:
        target: the name that gets the value.
        value: one expression: names, numbers, ``+ - * /``, comparisons, ``and or not``, and the functions
            of `language`. What it is made of is computed in the order that is written.
    """

    target: str
    value: str


@dataclass(frozen=True)
class Program:
    """A neuron's step.

    Args:
        states: names of the states, ``v`` among them.
        constants: what is computed once per chip, in float64, from the parameters and ``dt`` (in ms).
        reads: names of the parameters and constants that the step reads.
        start: the states at first, from the parameters and ``uniform``.
        update: what happens in every step; reads ``current``, the states and `reads`, and may have
            names of its own.
        spike: the condition for a spike, after the update; empty for a neuron that does not spike.
        reset: what happens then.
        emission: what a neuron that does not spike emits, after the update.
    """

    states: tuple[str, ...]
    constants: tuple[Statement, ...]
    reads: tuple[str, ...]
    start: tuple[Statement, ...]
    update: tuple[Statement, ...]
    spike: str = ""
    reset: tuple[Statement, ...] = ()
    emission: str = ""

    @property
    def names(self) -> frozenset[str]:
        """All names that the step has of its own, but for ``current``."""
        return frozenset({*self.states, *self.reads, *(s.target for s in self.update)})
