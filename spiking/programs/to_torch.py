"""Programs as torch: statements over tensors, written into the memory of what is no longer needed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from spiking.programs.expressions import names
from spiking.programs.printing import SIGNS, Printer
from spiking.programs.statements import Program, Statement

__all__ = ["Fire", "Step", "SurrogateStep", "evaluate", "margin", "source", "stepper", "surrogate_stepper"]

Step = Callable[[dict[str, Tensor], Tensor, Mapping[str, Tensor]], Tensor]
"""A state (advanced in place), a current and constants to what is emitted."""

Fire = Callable[[Tensor], Tensor]
"""How far a neuron is above its threshold to its spike, 0 or 1, with a derivative of one's own."""

SurrogateStep = Callable[[dict[str, Tensor], Tensor, Mapping[str, Tensor], Fire], Tensor]
"""As `Step`, with what fires; the state's entries are replaced, not written to."""

IN_PLACE = {ast.Add: "add_", ast.Sub: "sub_", ast.Mult: "mul_", ast.Div: "div_"}
UNARY = ("abs", "exp", "expm1", "floor", "log", "log1p", "sigmoid", "sqrt", "tanh")


class _Torch(Printer):
    """Expressions of tensors.

    Args:
        whole: names of tensors that have an entry for every neuron, chip and sample.
        owned: the one of them whose memory may be written to, its last reader being this expression.
    """

    functions: Mapping[str, str] = {
        **{name: f"torch.{name}({{0}})" for name in UNARY},
        "sign": "torch.sign({0})",
    }
    logic: Mapping[str, str] = {"and": " & ", "or": " | ", "not": "~"}

    def __init__(self, whole: frozenset[str] = frozenset(), owned: str = "") -> None:
        super().__init__()
        self.whole, self.owned = whole, owned

    def visit(self, node: ast.expr) -> str:
        if isinstance(node, ast.BinOp):
            sides = (node.left, node.right)
            if self._free(sides[0]):
                return f"{self.visit(sides[0])}.{IN_PLACE[type(node.op)]}({self.visit(sides[1])})"
            if isinstance(node.op, ast.Add | ast.Mult) and self._free(sides[1]):
                return f"{self.visit(sides[1])}.{IN_PLACE[type(node.op)]}({self.visit(sides[0])})"
            return f"({self.visit(sides[0])} {SIGNS[type(node.op)]} {self.visit(sides[1])})"
        return super().visit(node)

    def _free(self, node: ast.expr) -> bool:
        """Whether a part is a whole tensor in memory that nothing else needs."""
        if isinstance(node, ast.Name):
            return node.id == self.owned
        made = isinstance(node, ast.BinOp) or (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in UNARY
        )
        return bool(self.owned) and made and bool(names(node) & self.whole)

    def call(self, function: str, arguments: list[ast.expr]) -> str:
        if function == "where":
            condition, yes, no = arguments
            first = self.visit(yes)
            if not names(yes) and not names(no):  # two numbers would be made single-precision ones
                first = f"like.new_full((), {first})"
            return f"torch.where({self.visit(condition)}, {first}, {self.visit(no)})"
        if function == "clip":
            value, low, high = (self.visit(argument) for argument in arguments)
            value = value if names(arguments[0]) else f"like.new_full((), {value})"
            return self._bound("min", self._bound("max", value, arguments[1], low), arguments[2], high)
        if function in {"maximum", "minimum"}:
            given, bound = arguments if names(arguments[0]) else reversed(arguments)
            return self._bound(function[:3], self.visit(given), bound, self.visit(bound))
        return super().call(function, arguments)

    @staticmethod
    def _bound(kind: str, value: str, bound: ast.expr, printed: str) -> str:
        """Return the larger (``max``) or smaller of two values; torch takes a number another way."""
        if names(bound):
            return f"torch.{kind}imum({value}, {printed})"
        return f"({value}).clamp({'min' if kind == 'max' else 'max'}={printed})"


def evaluate(statements: tuple[Statement, ...], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the targets of statements that read what is given, each of the dtype of `given`.

    Args:
        statements: in their order; later ones may read earlier targets.
        given: tensors by name, of shapes that go together.
    """
    known = {name: value for name, value in given.items() if name.isidentifier()}
    like = next(iter(known.values()))
    for statement in statements:
        value = _function(statement.value)(torch, like, known)
        known[statement.target] = value if isinstance(value, Tensor) else like.new_full((), value)
    return {statement.target: known[statement.target] for statement in statements}


@cache
def _function(expression: str) -> Callable[..., Tensor | float]:
    used = sorted(names(ast.parse(expression, mode="eval")))
    unpacked = [f"    {name} = given[{name!r}]" for name in used]
    lines = ["def made(torch, like, given):", *unpacked, f"    return {_Torch().expression(expression)}"]
    made: Callable[..., Tensor | float] = _compiled("\n".join(lines))
    return made


@cache
def stepper(program: Program, *, differentiable: bool = False) -> Step:
    """Return a program as a function.

    Args:
        program: what to print.
        differentiable: whether gradients are to flow through it: nothing is then written in place.
    """
    step: Step = _compiled(source(program, differentiable=differentiable))
    return step


def source(program: Program, *, differentiable: bool = False) -> str:
    """Return a program as the text of a Python function."""
    whole = {"current", *program.states}
    lines = [f"{name} = state[{name!r}]" for name in program.states]
    lines += [f"{name} = constants[{name!r}]" for name in program.reads]
    lines.append("like = current")
    for statement in program.update:
        lines.append(_assignment(statement, program, frozenset(whole), differentiable))
        if names(ast.parse(statement.value, mode="eval")) & whole:
            whole.add(statement.target)
    plain = _Torch(frozenset(whole), "" if differentiable else "nothing")
    if program.spike:
        lines.append(f"spike = {plain.expression(program.spike)}")
        for statement in program.reset:
            value = ast.unparse(ast.parse(statement.value, mode="eval"))
            lines.append(
                f"{statement.target} = {plain.expression(f'where(spike, {value}, {statement.target})')}"
            )
        lines.append("emitted = spike.to(current.dtype)")
    else:
        lines.append(f"emitted = {plain.expression(program.emission)}")
    lines += [f"state[{name!r}] = {name}" for name in program.states if name in _changed(program)]
    body = "\n    ".join([*lines, "return emitted"])
    return f"def made(state, current, constants):\n    {body}\n"


def margin(program: Program) -> str | None:
    """Return how far a neuron is above its threshold, or None where that is more than one comparison."""
    match ast.parse(program.spike, mode="eval").body:
        case ast.Compare(left=left, ops=[ast.Gt() | ast.GtE()], comparators=[right]):
            above, below = left, right
        case ast.Compare(left=left, ops=[ast.Lt() | ast.LtE()], comparators=[right]):
            above, below = right, left
        case _:
            return None
    return f"({ast.unparse(above)}) - ({ast.unparse(below)})"


@cache
def surrogate_stepper(program: Program, *, through_reset: bool = False) -> SurrogateStep:
    """Return a program as a function through which gradients flow, spikes included.

    Args:
        program: what to print; a spike is one comparison.
        through_reset: whether what a spike resets depends on it, and not on its value alone.
    """
    step: SurrogateStep = _compiled(surrogate_source(program, through_reset=through_reset))
    return step


def surrogate_source(program: Program, *, through_reset: bool = False) -> str:
    """Return a program as the text of a Python function of state, current, constants and what fires."""
    whole, plain = {"current", *program.states}, _Torch()
    lines = [f"{name} = state[{name!r}]" for name in program.states]
    lines += [f"{name} = constants[{name!r}]" for name in program.reads]
    lines.append("like = current")
    for statement in program.update:
        lines.append(_assignment(statement, program, frozenset(whole), differentiable=True))
    above = margin(program) if program.spike else None
    if above is None:
        lines.append(f"emitted = {plain.expression(program.emission)}")
    else:
        lines += [f"emitted = fire({plain.expression(above)})", "spike = emitted.detach() > 0"]
        for target, value in ((s.target, s.value) for s in program.reset):
            reset = f"{target} + emitted * ({plain.expression(value)} - {target})"
            kept = plain.expression(f"where(spike, {value}, {target})")
            lines.append(f"{target} = {reset if through_reset else kept}")
    lines += [f"state[{name!r}] = {name}" for name in program.states if name in _changed(program)]
    body = "\n    ".join([*lines, "return emitted"])
    return f"def made(state, current, constants, fire):\n    {body}\n"


def _assignment(statement: Statement, program: Program, whole: frozenset[str], differentiable: bool) -> str:
    tree = ast.parse(statement.value, mode="eval")
    reads = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    target = statement.target
    mine = target in program.states and reads.count(target) == 1
    owned = "" if differentiable else target if mine else "nothing"
    return f"{target} = {_Torch(whole, owned).expression(statement.value)}"


def _changed(program: Program) -> set[str]:
    return {statement.target for statement in (*program.update, *program.reset)}


def _compiled(text: str) -> Callable[..., Any]:
    """Return the function of a text that a printer made of checked trees."""
    space: dict[str, Callable[..., Any]] = {}
    # PyTorch may import parts of itself from wherever it is called; a checked tree cannot name this
    builtins = {"__import__": __import__}
    exec(compile(text, "<equations>", "exec"), {"torch": torch, "__builtins__": builtins}, space)
    return space["made"]
