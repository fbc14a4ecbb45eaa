"""The step of a neuron in floating point, from the statements that the project prints for its equations.

Nothing but numpy is needed, and nothing of the text is executed: an expression becomes a tree of the
operations named here, whatever else it holds is refused.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from .bundle import Arrays

__all__ = ["Step", "stepper"]

Step = Callable[[Arrays, Any, Arrays], Any]

Known = Mapping[str, Any]

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.USub: operator.neg,
    ast.Not: np.logical_not,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("abs", "clip", "exp", "expm1", "floor", "log", "log1p")},
    **{name: getattr(np, name) for name in ("maximum", "minimum", "sign", "sqrt", "tanh", "where")},
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
}


def stepper(program: Mapping[str, Any]) -> Step:
    """Return the step of a program: states (advanced in place), current and constants to what is emitted.

    Args:
        program: ``update``, ``spike``, ``reset`` and ``emission`` of a ``spiking.programs.Program``; a
            statement is a list of its target and its value.
    """
    update, reset = (
        [(target, _expression(value)) for target, value in program[key]] for key in ("update", "reset")
    )
    spike = _expression(program["spike"]) if program["spike"] else None
    emission = _expression(program["emission"]) if program["emission"] else None

    def step(state: Arrays, current: Any, constants: Arrays) -> Any:
        known: dict[str, Any] = {**constants, **state, "current": current}
        with np.errstate(all="ignore"):
            for target, value in update:
                known[target] = value(known)
            if spike is not None:
                spikes = spike(known)
                for target, value in reset:
                    known[target] = np.where(spikes, value(known), known[target])
                emitted = spikes.astype(current.dtype)
            else:
                assert emission is not None, "a neuron spikes or emits"
                emitted = np.array(np.broadcast_to(emission(known), current.shape))
        for name, array in state.items():
            array[...] = known[name]
        return emitted

    return step


def _expression(text: str) -> Callable[[Known], Any]:
    return _node(ast.parse(text, mode="eval").body)


def _node(node: ast.AST) -> Callable[[Known], Any]:
    if isinstance(node, ast.Name):
        return operator.itemgetter(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        number = float(node.value)
        return lambda known: number
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _applied(FUNCTIONS[node.func.id], node.args)
    if isinstance(node, ast.Compare):
        return _applied(OPERATORS[type(node.ops[0])], [node.left, *node.comparators])
    for kind, parts in ((ast.BinOp, "left right"), (ast.UnaryOp, "operand"), (ast.BoolOp, "values")):
        if isinstance(node, kind):
            found = [getattr(node, part) for part in parts.split()]
            return _applied(OPERATORS[type(node.op)], found[0] if kind is ast.BoolOp else found)
    raise ValueError(f"not a statement of a neuron: {ast.dump(node)}")


def _applied(function: Callable[..., Any], nodes: Sequence[ast.AST]) -> Callable[[Known], Any]:
    """Return a function of what is known; of more operands than two, the first ones come first."""
    parts = [_node(node) for node in nodes]
    if len(parts) < 3 or function in FUNCTIONS.values():
        return lambda known: function(*(part(known) for part in parts))
    return lambda known: reduce(function, (part(known) for part in parts))
