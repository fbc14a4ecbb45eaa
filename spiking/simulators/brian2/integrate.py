"""Brian2 state updaters whose constants are given as data, so that the loop holds no exponential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
from brian2.equations.equations import Equations
from brian2.parsing.sympytools import str_to_sympy, sympy_to_str
from brian2.stateupdaters.base import UnsupportedEquationsException

__all__ = ["euler", "exponential_euler"]

Updater = Callable[..., str]
DT = sympy.Symbol("dt", real=True, positive=True)


def exponential_euler(after: str = "") -> Updater:
    r"""Return an exponential Euler method, :math:`x \leftarrow x_\infty + (x - x_\infty)\, e^{A\,dt}`.

    For each equation :math:`\dot x = A x + B` with :math:`x_\infty = -B/A`; where A is written as
    ``log(decay)/dt`` the exponential is simplified to ``decay`` before any code is made. Subexpressions
    in B are left as they stand, so that sums are made in the order in which they are written.

    Args:
        after: statements to run after the integration.
    """

    def update(equations: Equations, variables: Any, method_options: Any = None) -> str:
        code, names = [], []
        for name, expression in equations.diff_eq_expressions:
            x = sympy.Symbol(name, real=True)
            rate, drive = _linear(_sympy(expression.code, variables), x, expression.code)
            target = sympy.simplify(-drive / rate)
            factor = sympy.simplify(sympy.exp(_expand(rate, equations, variables) * DT))
            if target == 0:
                code.append(f"_new_{name} = {name}*({sympy_to_str(factor)})")
            else:
                goal = sympy_to_str(target)
                code.append(f"_new_{name} = ({goal}) + ({name} - ({goal}))*({sympy_to_str(factor)})")
            names.append(name)
        code += [f"{name} = _new_{name}" for name in names]
        return "\n".join([*code, *_lines(after)])

    return update


def euler(after: str = "") -> Updater:
    r"""Return the explicit Euler method, :math:`x \leftarrow x + dt\,f`, with dt cancelled where it can be.

    Args:
        after: statements to run after the integration.
    """

    def update(equations: Equations, variables: Any, method_options: Any = None) -> str:
        code = []
        for name, expression in equations.diff_eq_expressions:
            rate = _expand(_sympy(expression.code, variables), equations, variables, keep={"error"})
            code.append(f"{name} += {sympy_to_str(sympy.expand(rate * DT))}")
        return "\n".join([*code, *_lines(after)])

    return update


def _lines(statements: str) -> list[str]:
    return [line.strip() for line in statements.strip().splitlines()]


def _sympy(code: str, variables: Any) -> Any:
    return str_to_sympy(code, variables).subs(sympy.Symbol("dt", real=True), DT)


def _linear(expression: Any, x: Any, code: str) -> tuple[Any, Any]:
    expanded = expression.expand()
    rate = expanded.coeff(x, 1)
    drive = sympy.simplify(expanded - rate * x)
    if rate == 0 or drive.has(x) or rate.has(x):
        raise UnsupportedEquationsException(f"{code!r} is not linear in {x}")
    return rate, drive


def _expand(
    expression: Any, equations: Equations, variables: Any, keep: frozenset[str] | set[str] = frozenset()
) -> Any:
    """Replace the names of subexpressions by what they stand for."""
    for name in equations.subexpr_names - set(keep):
        symbol = sympy.Symbol(name, real=True)
        if expression.has(symbol):
            expression = expression.subs(symbol, _sympy(equations[name].expr.code, variables))
    return expression
