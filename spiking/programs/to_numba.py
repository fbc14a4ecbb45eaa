"""Programs as the body of a compiled loop over neurons: pasted in, not called."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from spiking.programs.printing import Printer
from spiking.programs.statements import Program

__all__ = ["body"]

MATH = ("exp", "expm1", "floor", "log", "log1p", "sqrt", "tanh")


class _Numba(Printer):
    """Expressions of numbers; names get a trailing underscore, so that none is the loop's own."""

    functions: Mapping[str, str] = {
        **{name: f"math.{name}({{0}})" for name in MATH},
        "abs": "abs({0})",
        "sign": "(1.0 if {0} > 0.0 else (-1.0 if {0} < 0.0 else 0.0))",
        "sigmoid": "(1.0 / (1.0 + math.exp(-{0})))",
        "maximum": "({0} if {0} > {1} else {1})",
        "minimum": "({0} if {0} < {1} else {1})",
        "clip": "({1} if {0} < {1} else ({2} if {0} > {2} else {0}))",
        "where": "({1} if {0} else {2})",
    }

    def name(self, name: str) -> str:
        return f"{name}_"

    def visit(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return repr(float(node.value))  # type: ignore[arg-type]
        return super().visit(node)


def body(program: Program, constants: tuple[str, ...]) -> list[str]:
    """Return the statements of one neuron, which leave the name ``spikes_``, or else ``emission_``.

    Args:
        program: what to print.
        constants: the rows of the array ``constants``; the rows of ``own`` are the states. Both are read
            and written at ``j``, with ``current_`` given.
    """
    printer = _Numba()
    lines = [f"{name}_ = own[{row}, j]" for row, name in enumerate(program.states)]
    lines += [f"{name}_ = constants[{row}, j]" for row, name in enumerate(constants) if name in program.reads]
    lines += [f"{s.target}_ = {printer.expression(s.value)}" for s in program.update]
    if program.spike:
        lines.append(f"spikes_ = {printer.expression(program.spike)}")
        lines.append("if spikes_:")
        lines += [f"    {s.target}_ = {printer.expression(s.value)}" for s in program.reset]
    else:
        lines.append(f"emission_ = {printer.expression(program.emission)}")
    return [*lines, *(f"own[{row}, j] = {name}_" for row, name in enumerate(program.states))]
