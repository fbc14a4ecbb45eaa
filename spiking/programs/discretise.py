r"""From equations in continuous time to the statements of a step: the only place that solves them.

A state whose equation is linear in itself, with a coefficient made of parameters alone, is integrated
exactly, all else standing still for the step (exponential Euler):

.. math:: \dot x = A\,(x - g) \quad\Rightarrow\quad x \leftarrow g + (x - g)\, e^{A\, dt}

with :math:`e^{A\,dt}` computed once per chip. A state that its own equation does not contain is exact too,
:math:`x \leftarrow x + dt\, f`; every other one takes a step of the explicit Euler method, which is the same
statement. All states are advanced from the old values of the others.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from spiking.programs.dynamics import Dynamics
from spiking.programs.expressions import names, text
from spiking.programs.language import Model, model
from spiking.programs.statements import HELD, HOLD, Program, Statement

__all__ = ["discretise", "exact"]


@cache
def discretise(dynamics: Dynamics, *, hold: bool = True) -> Program:
    """Return the step of a neuron.

    Args:
        dynamics: its text.
        hold: whether its refractory time, where it has one, is longer than half a step for any neuron;
            the statements that would do nothing are left out, for speed.

    Raises:
        InputError: the text has a mistake.
    """
    return _Solution(dynamics, model(dynamics), hold).program()


def exact(dynamics: Dynamics) -> dict[str, bool]:
    """Return for every state whether its step is exact while all else stands still."""
    found, parameters = model(dynamics), {name for name, _ in dynamics.parameters}
    return {
        x: x not in names(tree) or _linear(_scaled(tree, parameters)[1], x, parameters) is not None
        for x, tree in found.flow.items()
    }


class _Solution:
    def __init__(self, dynamics: Dynamics, found: Model, hold: bool) -> None:
        self.found, self.hold = found, hold and bool(found.refractory)
        self.parameters = {name for name, _ in dynamics.parameters}
        self.given = tuple(name for name, _ in dynamics.parameters if name != HELD)
        self.constants: list[Statement] = []
        self.update: list[Statement] = []

    def program(self) -> Program:
        self._integrate()
        found = self.found
        reset = [Statement(name, text(tree)) for name, _, tree in found.reset]
        if self.hold:
            self.constants.append(Statement(HOLD, f"floor({found.refractory} / dt + 0.5)"))
            for name, anew, tree in found.reset:
                if anew:
                    self.update.append(Statement(name, f"where({HELD} > 0, {text(tree)}, {name})"))
            self.update.append(Statement(HELD, f"maximum({HELD} - 1, 0)"))
            reset.append(Statement(HELD, HOLD))
        spike = text(found.threshold) if found.threshold is not None else ""
        emission = text(found.emission) if found.emission is not None else ""
        held = (HELD,) if found.refractory else ()
        read = _names(*(s.value for s in (*self.update, *reset)), spike, emission)
        made = [s.target for s in self.constants]
        return Program(
            states=(*found.flow, *held),
            constants=tuple(self.constants),
            reads=tuple(name for name in (*made, *self.given) if name in read),
            start=tuple(self._start(held)),
            update=tuple(self.update),
            spike=spike,
            reset=tuple(reset),
            emission=emission,
        )

    def _start(self, held: tuple[str, ...]) -> list[Statement]:
        said = dict(self.found.start)
        return [Statement(x, text(said[x]) if x in said else "0") for x in (*self.found.flow, *held)]

    def _integrate(self) -> None:
        flow = list(self.found.flow.items())
        late = []
        for number, (x, tree) in enumerate(flow):
            # what a later equation still reads must not change yet
            waits = any(x in names(other) for _, other in flow[number + 1 :])
            value = self._step(x, tree, "decay" if number == 0 else f"decay_{x}")
            self.update.append(Statement(f"new_{x}" if waits else x, value))
            late += [x] if waits else []
        self.update += [Statement(x, f"new_{x}") for x in late]

    def _step(self, x: str, tree: ast.expr, decay: str) -> str:
        """Return the new value of a state, after writing what it is made of."""
        scale, rest = _scaled(tree, self.parameters)
        linear = _linear(rest, x, self.parameters) if x in names(tree) else None
        if linear is None or _number(linear[0]) == 0:  # as v + (1 - v), which grows steadily
            step = f"step_{x}"
            self.constants.append(Statement(step, _times_dt(scale)))
            return f"{x} + {step} * {_bracket(rest)}"
        slope, offset = linear
        self.constants.append(Statement(decay, _decay(scale, slope, self.parameters)))
        if offset is None:
            return f"{x} * {decay}"
        goal = offset if _is_minus_one(slope) else ast.BinOp(offset, ast.Div(), _minus(slope))
        if not isinstance(goal, ast.Name):
            self.update.append(Statement(f"goal_{x}", text(goal)))
            goal = ast.Name(f"goal_{x}")
        return f"{text(goal)} + ({x} - {text(goal)}) * {decay}"


@dataclass(frozen=True)
class _Scale:
    """A factor made of parameters: products above and below a fraction line, and a sign."""

    above: tuple[ast.expr, ...] = ()
    below: tuple[ast.expr, ...] = ()
    negative: bool = False


def _scaled(tree: ast.expr, parameters: set[str]) -> tuple[_Scale, ast.expr]:
    """Take factors made of parameters alone out of a product or fraction."""
    scale = _Scale()
    while True:
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            scale = _Scale(scale.above, scale.below, not scale.negative)
            tree = tree.operand
        elif isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Div) and names(tree.right) <= parameters:
            scale, tree = _Scale(scale.above, (*scale.below, tree.right), scale.negative), tree.left
        elif isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Mult):
            for factor, rest in ((tree.left, tree.right), (tree.right, tree.left)):
                if names(factor) <= parameters and not names(rest) <= parameters:
                    scale, tree = _Scale((*scale.above, factor), scale.below, scale.negative), rest
                    break
            else:
                return scale, tree
        else:
            return scale, tree


OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}

_Line = tuple[ast.expr, ast.expr | None]
"""The slope of an expression in a state, made of parameters alone, and the rest, None for nothing."""


def _linear(tree: ast.expr, x: str, parameters: set[str]) -> _Line | None:
    """Return an expression as a line in x; None if it has no such form."""
    if x not in names(tree):
        return ast.Constant(0), tree
    match tree:
        case ast.Name():
            return ast.Constant(1), None
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _linear(operand, x, parameters)
            return inner and (_minus(inner[0]), inner[1] and _minus(inner[1]))
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return _linear_sum(tree, x, parameters)
        case ast.BinOp():
            return _linear_product(tree, x, parameters)
    return None


def _linear_sum(tree: ast.BinOp, x: str, parameters: set[str]) -> _Line | None:
    left, right = _linear(tree.left, x, parameters), _linear(tree.right, x, parameters)
    if left is None or right is None:
        return None
    return _join(left[0], tree.op, right[0]) or ast.Constant(0), _join(left[1], tree.op, right[1])


def _linear_product(tree: ast.BinOp, x: str, parameters: set[str]) -> _Line | None:
    factor, rest = tree.right, tree.left
    if isinstance(tree.op, ast.Mult) and x not in names(tree.left):
        factor, rest = tree.left, tree.right
    inner = _linear(rest, x, parameters)
    if inner is None or not names(factor) <= parameters:
        return None

    def times(part: ast.expr) -> ast.expr:
        if isinstance(tree.op, ast.Mult) and _is_one(part):
            return factor
        return ast.BinOp(part, tree.op, factor)

    return times(inner[0]), inner[1] and times(inner[1])


def _number(tree: ast.expr) -> float | None:
    """Return what an expression of numbers alone comes to, None for any other."""
    match tree:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inside = _number(operand)
            return None if inside is None else -inside
        case ast.BinOp(left=left, op=operation, right=right):
            a, b = _number(left), _number(right)
            known = OPERATIONS.get(type(operation))
            return None if a is None or b is None or known is None else known(a, b)
    return None


def _join(left: ast.expr | None, operation: ast.operator, right: ast.expr | None) -> ast.expr | None:
    """Add or subtract what may be nothing or zero."""
    left, right = (None if part is None or _is_zero(part) else part for part in (left, right))
    if right is None:
        return left
    if left is None:
        return right if isinstance(operation, ast.Add) else _minus(right)
    return ast.BinOp(left, operation, right)


def _decay(scale: _Scale, slope: ast.expr, parameters: set[str]) -> str:
    """Return exp(A dt), with A the product of the two; of a time constant of 0 it is 0."""
    if _is_minus_one(slope):
        scale = _Scale(scale.above, scale.below, not scale.negative)
    elif not _is_one(slope):
        scale = _Scale((*scale.above, slope), scale.below, scale.negative)
    below = scale.below[0] if len(scale.below) == 1 else None
    if not scale.above and scale.negative and isinstance(below, ast.Name):
        return f"where({below.id} > 0, exp(-dt / {below.id}), 0)"
    return f"exp({_times_dt(scale)})"


def _times_dt(scale: _Scale) -> str:
    product = ("-" if scale.negative else "") + "dt"
    for factor in scale.above:
        product += f" * {_bracket(factor)}"
    for factor in scale.below:
        product += f" / {_bracket(factor)}"
    return product


def _bracket(tree: ast.expr) -> str:
    return text(tree) if isinstance(tree, ast.Name | ast.Constant | ast.Call) else f"({text(tree)})"


def _minus(tree: ast.expr) -> ast.expr:
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return tree.operand
    return ast.UnaryOp(ast.USub(), tree)


def _is_zero(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and tree.value == 0


def _is_one(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and tree.value == 1


def _is_minus_one(tree: ast.expr) -> bool:
    return isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub) and _is_one(tree.operand)


def _names(*expressions: str) -> set[str]:
    return {name for one in expressions if one for name in names(ast.parse(one, mode="eval"))}
