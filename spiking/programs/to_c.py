"""Programs as C: the step of one neuron as a function, which CUDA and a C++ compiler read alike."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from spiking.programs.printing import Printer
from spiking.programs.statements import Program

__all__ = ["REAL", "function"]

REAL = "REAL"
"""The type that is computed with; whoever includes the text defines it."""

MATH = ("exp", "expm1", "floor", "log", "log1p", "sqrt", "tanh")


class _C(Printer):
    """Expressions of numbers; names get a trailing underscore, so that none is the language's own.

    Every number is made one of the type that is computed with: beside a double, a float would be one too.
    """

    functions: Mapping[str, str] = {
        **{name: f"{name}({{0}})" for name in MATH},
        "abs": "fabs({0})",
        "sign": "({0} > REAL(0) ? REAL(1) : ({0} < REAL(0) ? REAL(-1) : REAL(0)))",
        "sigmoid": "(REAL(1) / (REAL(1) + exp(-{0})))",
        "maximum": "({0} > {1} ? {0} : {1})",
        "minimum": "({0} < {1} ? {0} : {1})",
        "clip": "({0} < {1} ? {1} : ({0} > {2} ? {2} : {0}))",
        "where": "({0} ? {1} : {2})",
    }
    logic: Mapping[str, str] = {"and": " && ", "or": " || ", "not": "!"}

    def name(self, name: str) -> str:
        return f"{name}_"

    def visit(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return f"{REAL}({float(node.value)!r})"  # type: ignore[arg-type]
        return super().visit(node)


def function(program: Program, name: str, constants: tuple[str, ...], qualifiers: str = "static") -> str:
    """Return a function that advances one neuron and returns what it emits.

    Args:
        program: what to print.
        name: of the function.
        constants: the places in the argument ``constants``; those in the argument ``state`` are the states'.
        qualifiers: what stands before it.
    """
    printer = _C()
    known = list(program.states)
    lines = [f"{REAL} {state}_ = state[{place}];" for place, state in enumerate(known)]
    lines += [
        f"const {REAL} {constant}_ = constants[{place}];"
        for place, constant in enumerate(constants)
        if constant in program.reads
    ]
    for statement in program.update:
        new = "" if statement.target in known else f"{REAL} "
        known.append(statement.target)
        lines.append(f"{new}{statement.target}_ = {printer.expression(statement.value)};")
    if program.spike:
        lines.append(f"const bool spikes_ = {printer.expression(program.spike)};")
        lines.append("if (spikes_) {")
        lines += [f"    {s.target}_ = {printer.expression(s.value)};" for s in program.reset]
        lines.append("}")
    lines += [f"state[{place}] = {state}_;" for place, state in enumerate(program.states)]
    emitted = f"spikes_ ? {REAL}(1) : {REAL}(0)" if program.spike else printer.expression(program.emission)
    lines.append(f"return {emitted};")
    head = f"{qualifiers} {REAL} {name}({REAL} *state, {REAL} current_, const {REAL} *constants)"
    return "\n".join([head, "{", *(f"    {line}" for line in lines), "}", ""])
