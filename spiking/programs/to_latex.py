"""Equations as LaTeX, from the text and not from the solution: what the documentation shows."""

from __future__ import annotations

import ast

from spiking.programs.dynamics import Dynamics
from spiking.programs.language import model

__all__ = ["latex"]

GREEK = frozenset({"alpha", "beta", "gamma", "delta", "kappa", "lambda", "phi", "sigma", "tau", "theta"})
SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Lt: "<", ast.LtE: r"\le", ast.Gt: ">", ast.GtE: r"\ge"}
LOOSE = (ast.BinOp, ast.Compare, ast.BoolOp, ast.UnaryOp)


def latex(dynamics: Dynamics) -> list[str]:
    """Return the equations, what makes a spike, and what it does or what is emitted, a line each."""
    found = model(dynamics)
    lines = [rf"\frac{{d{_name(x)}}}{{dt}} &= {_print(tree)}" for x, tree in found.flow.items()]
    if found.emission is not None:
        return [*lines, rf"r &= {_print(found.emission)}"]
    assert found.threshold is not None, "a neuron spikes or emits"
    changes = r",\quad ".join(rf"{_name(x)} \leftarrow {_print(tree)}" for x, _, tree in found.reset)
    held = rf"\quad \text{{(= held for }} {_name(found.refractory)}\text{{)}}" if found.refractory else ""
    return [*lines, rf"{_print(found.threshold)} &:\quad {changes}{held}"]


def _name(name: str) -> str:
    if name == "current":
        return "I"
    stem, _, index = name.partition("_")
    head = rf"\{stem}" if stem in GREEK else stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
    return rf"{head}_{{\mathrm{{{index}}}}}" if index else head


def _print(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            text = _name(name)
        case ast.Constant(value=value):
            text = repr(value)
        case ast.BinOp(op=ast.Div(), left=left, right=right):
            text = rf"\frac{{{_print(left)}}}{{{_print(right)}}}"
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            text = rf"{_factor(left)}\,{_factor(right)}"
        case ast.BinOp(op=operator, left=left, right=right):
            behind = _factor(right) if isinstance(operator, ast.Sub) else _print(right)
            text = f"{_print(left)} {SIGNS[type(operator)]} {behind}"
        case ast.UnaryOp(op=operator, operand=operand):
            text = ("-" if isinstance(operator, ast.USub) else r"\neg ") + _factor(operand)
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            text = f"{_print(left)} {SIGNS[type(operator)]} {_print(right)}"
        case ast.BoolOp(op=operator, values=values):
            sign = r" \wedge " if isinstance(operator, ast.And) else r" \vee "
            text = sign.join(_factor(value) for value in values)
        case ast.Call(func=ast.Name(id=function), args=arguments):
            inner = ", ".join(_print(argument) for argument in arguments)
            text = rf"\operatorname{{{function}}}\left({inner}\right)"
        case _:
            raise TypeError(ast.dump(node))  # the parser lets nothing else through
    return text


def _factor(node: ast.expr) -> str:
    """Return a part in brackets where it needs them."""
    loose = isinstance(node, LOOSE) and not (
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)
    )
    return rf"\left({_print(node)}\right)" if loose else _print(node)
