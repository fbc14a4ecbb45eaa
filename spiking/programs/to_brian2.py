"""Programs as Brian2's abstract code."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from spiking.programs.printing import Printer
from spiking.programs.statements import Program, Statement

__all__ = ["EMITTED", "Code", "code"]

EMITTED = "activity"
"""The variable that holds what a neuron without spikes emits."""

UNARY = ("abs", "exp", "expm1", "floor", "log", "log1p", "sign", "sqrt", "tanh")


@dataclass(frozen=True)
class Code:
    """A step in Brian2's words.

    Args:
        update: statements at the time of the integration.
        threshold: the condition for a spike; empty for a model that does not spike.
        reset: statements run for the neurons that spiked.
        emission: the variable that holds the activity of a model that does not spike.
    """

    update: str
    threshold: str = ""
    reset: str = ""
    emission: str = ""


class _Brian2(Printer):
    """Expressions; ``choose``, ``larger`` and ``smaller`` are functions that the simulator brings along."""

    functions: Mapping[str, str] = {
        **{name: f"{name}({{0}})" for name in UNARY},
        "sigmoid": "(1.0/(1.0 + exp(-{0})))",
        "clip": "clip({0}, {1}, {2})",
        "maximum": "larger({0}, {1})",
        "minimum": "smaller({0}, {1})",
        "where": "choose({0}, {1}, {2})",
    }

    def visit(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return repr(float(node.value))  # type: ignore[arg-type]
        return super().visit(node)


def code(program: Program, prefix: str) -> Code:
    """Return a program's step.

    Args:
        program: what to print.
        prefix: what the names of its variables begin with, ``current`` among them.
    """
    printer = _Brian2(prefix)

    def lines(statements: tuple[Statement, ...]) -> str:
        return "\n".join(f"{prefix}{s.target} = {printer.expression(s.value)}" for s in statements)

    if program.spike:
        return Code(lines(program.update), printer.expression(program.spike), lines(program.reset))
    emission = Statement(EMITTED, program.emission)
    return Code(lines((*program.update, emission)), emission=prefix + EMITTED)
