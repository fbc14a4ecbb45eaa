"""Expressions: what may be written in one, and whether its units agree."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NoReturn

from root.errors import InputError, nearest

__all__ = ["CONDITION", "FUNCTIONS", "Place", "names", "parse", "text", "with_names"]

CONDITION = "a condition"
"""What takes the place of a dimension where an expression is true or false."""

Dimension = Fraction | int | str
"""A power of time (of ms), or `CONDITION`."""

FUNCTIONS = {
    **dict.fromkeys(("abs", "exp", "expm1", "floor", "log", "log1p", "sigmoid", "sign", "sqrt", "tanh"), 1),
    **dict.fromkeys(("maximum", "minimum"), 2),
    **dict.fromkeys(("clip", "where"), 3),
}
"""The functions that may be called, with the number of their arguments."""

LONGEST = 1000
"""Characters of an expression, so that no depth of brackets can exhaust the parser."""

POWERS = (2, 3, 4)

OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


class Place:
    """Where a text stands: errors name the key, the line and the column.

    Args:
        key: the config key of the whole text.
        line: line of the expression in it, from 1.
        column: column of its first character, from 1.
    """

    def __init__(self, key: str, line: int = 1, column: int = 1) -> None:
        self.key, self.line, self.column = key, line, column

    def refuse(self, given: object, allowed: str, fix: str = "", at: ast.AST | None = None) -> NoReturn:
        """Raise `InputError`, at a node where one is given."""
        column = self.column + (getattr(at, "col_offset", 0) if at is not None else 0)
        where = f"{self.key} (line {self.line}, column {column})"
        raise InputError(where, given, allowed, fix)


def parse(expression: str, known: Mapping[str, Dimension], place: Place) -> tuple[ast.expr, Dimension]:
    """Return the checked tree of an expression, its small powers written as products, and its dimension.

    Args:
        expression: the text.
        known: the names that may be used, with their dimensions.
        place: where it stands.

    Raises:
        InputError: it is no expression, or one that is not allowed; a name is unknown; units disagree.
    """
    if not expression.strip():
        place.refuse("nothing", "an expression")
    if not expression.isascii():
        odd = next(index for index, letter in enumerate(expression) if not letter.isascii())
        Place(place.key, place.line, place.column + odd).refuse(expression[odd], "plain letters (ASCII)")
    if len(expression) > LONGEST:
        place.refuse(f"{len(expression)} characters", f"at most {LONGEST} in an expression")
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        at = Place(place.key, place.line, place.column + max((error.offset or 1) - 1, 0))
        at.refuse(expression.strip(), f"an expression ({error.msg})")
    except (ValueError, RecursionError, MemoryError):
        place.refuse(expression.strip(), "an expression")
    return _products(tree), _Check(known, place, expression).of(tree)


def text(tree: ast.expr) -> str:
    """Return a tree as text."""
    return ast.unparse(ast.fix_missing_locations(tree))


def names(tree: ast.AST) -> set[str]:
    """Return the names that a tree reads, without those of functions."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}


def with_names(tree: ast.expr, meaning: Mapping[str, ast.expr]) -> ast.expr:
    """Return a tree with names replaced by what they stand for."""

    class Replace(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return meaning.get(node.id, node)

    replaced: ast.expr = Replace().visit(ast.parse(text(tree), mode="eval").body)
    return replaced


def _products(tree: ast.expr) -> ast.expr:
    """Write powers as products: a machine's own power function may round differently."""

    class Multiply(ast.NodeTransformer):
        def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
            self.generic_visit(node)
            if not isinstance(node.op, ast.Pow) or not isinstance(node.right, ast.Constant):
                return node
            product: ast.expr = node.left
            for _ in range(int(node.right.value) - 1):  # type: ignore[arg-type]
                product = ast.BinOp(product, ast.Mult(), node.left)
            return product

    multiplied: ast.expr = Multiply().visit(ast.parse(text(tree), mode="eval").body)
    return multiplied


class _Check:
    """Walks through a tree; everything that is not said to be allowed is refused."""

    def __init__(self, known: Mapping[str, Dimension], place: Place, source: str) -> None:
        self.known, self.place, self.source = known, place, source
        self.handlers: dict[type[ast.AST], Callable[[ast.expr], Dimension]] = {
            ast.Constant: self._number,
            ast.Name: self._name,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._binary,
            ast.Compare: self._compare,
            ast.BoolOp: self._bool,
            ast.Call: self._call,
        }

    def of(self, node: ast.expr) -> Dimension:
        handler = self.handlers.get(type(node))
        if handler is None:
            self._refuse(node, "names, numbers, + - * / **, comparisons, and, or, not, functions")
        return handler(node)

    def _refuse(self, node: ast.expr, allowed: str, fix: str = "") -> NoReturn:
        self.place.refuse(ast.get_source_segment(self.source, node) or self.source, allowed, fix, node)

    def _value(self, node: ast.expr) -> Fraction | int:
        found = self.of(node)
        if isinstance(found, str):
            self._refuse(node, "a number here, not a condition", "where(condition, a, b) makes one")
        return found

    def _condition(self, node: ast.expr) -> None:
        if self.of(node) != CONDITION:
            self._refuse(node, "a condition here, such as v > theta")

    def _number(self, node: ast.expr) -> Dimension:
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
            self._refuse(node, "a number")
        return 0

    def _name(self, node: ast.expr) -> Dimension:
        assert isinstance(node, ast.Name)
        if node.id in FUNCTIONS:
            self._refuse(node, f"{node.id}(...) with its arguments")
        if node.id not in self.known:
            self._refuse(node, f"one of the names {', '.join(self.known)}", nearest(node.id, self.known))
        return self.known[node.id]

    def _unary(self, node: ast.expr) -> Dimension:
        assert isinstance(node, ast.UnaryOp)
        if isinstance(node.op, ast.Not):
            self._condition(node.operand)
            return CONDITION
        if not isinstance(node.op, ast.USub):
            self._refuse(node, "- or not before a value")
        return self._value(node.operand)

    def _binary(self, node: ast.expr) -> Dimension:
        assert isinstance(node, ast.BinOp)
        if not isinstance(node.op, OPERATORS):
            self._refuse(node, "+ - * / **")
        left = self._value(node.left)
        if isinstance(node.op, ast.Pow):
            power = node.right.value if isinstance(node.right, ast.Constant) else None
            if not isinstance(power, int) or power not in POWERS:
                fix = "exp(p*log(x)) is x to the power p"
                self._refuse(node, f"a power of {', '.join(map(str, POWERS))}", fix)
            return left * power
        right = self._value(node.right)
        if isinstance(node.op, ast.Mult):
            return left + right
        if isinstance(node.op, ast.Div):
            return left - right
        self._same(node, (node.left, left), (node.right, right))
        return left

    def _same(self, node: ast.expr, *sides: tuple[ast.expr, Fraction | int]) -> None:
        given = {dimension for side, dimension in sides if not _zero(side)}
        if len(given) > 1:
            units = " and ".join(unit(dimension) for _, dimension in sides)
            self._refuse(node, f"two sides of one unit, not of {units}")

    def _compare(self, node: ast.expr) -> Dimension:
        assert isinstance(node, ast.Compare)
        if len(node.ops) > 1 or not isinstance(node.ops[0], COMPARISONS):
            self._refuse(node, "one comparison with < <= > or >=", "Join two of them by 'and'.")
        if not names(node):
            self._refuse(node, "a comparison of something that has a name")
        sides = [(side, self._value(side)) for side in (node.left, node.comparators[0])]
        self._same(node, *sides)
        return CONDITION

    def _bool(self, node: ast.expr) -> Dimension:
        assert isinstance(node, ast.BoolOp)
        for value in node.values:
            self._condition(value)
        return CONDITION

    def _call(self, node: ast.expr) -> Dimension:
        assert isinstance(node, ast.Call)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            self._refuse(node.func, f"one of the functions {', '.join(sorted(FUNCTIONS))}")
        if node.keywords or len(node.args) != FUNCTIONS[name]:
            self._refuse(node, f"{name} with {FUNCTIONS[name]} argument(s), in order")
        if not names(node):
            self._refuse(node, "a function of something that has a name", "Write the number itself.")
        if name == "where":
            self._condition(node.args[0])
        given = [self._value(argument) for argument in node.args[name == "where" :]]
        if len(given) > 1:
            self._same(node, *zip(node.args[name == "where" :], given, strict=True))
        if name == "sqrt":
            return Fraction(given[0]) / 2
        if name in {"abs", "maximum", "minimum", "clip", "where"}:
            return next((d for d in given if d), 0)
        if name != "sign" and given[0] != 0:
            self._refuse(node, f"a number without a unit in {name}, not one in {unit(given[0])}")
        return 0


def _zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0


def unit(dimension: Fraction | int) -> str:
    """Return the unit of a power of time in words."""
    return {Fraction(0): "1", Fraction(1): "ms", Fraction(-1): "1/ms"}.get(
        Fraction(dimension), f"ms^{dimension}"
    )
