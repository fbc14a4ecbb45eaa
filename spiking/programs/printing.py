"""What printers of expressions share: a walk through the tree, operators by their signs."""

from __future__ import annotations

import ast
from collections.abc import Mapping

__all__ = ["SIGNS", "Printer"]

SIGNS: Mapping[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


class Printer:
    """Prints the expressions of statements in one language, every operation in brackets.

    Nothing is reordered, so that all languages round alike.

    Args:
        prefix: what names begin with there.
    """

    functions: Mapping[str, str] = {}
    """Name of a function to how its call looks, ``{0}``, ``{1}``, ... being its arguments."""

    logic: Mapping[str, str] = {"and": " and ", "or": " or ", "not": "not "}

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def expression(self, text: str) -> str:
        """Return an expression in this language."""
        return self.visit(ast.parse(text, mode="eval").body)

    def name(self, name: str) -> str:
        """Return a name."""
        return self.prefix + name

    def visit(self, node: ast.expr) -> str:
        """Return a part of the tree."""
        match node:
            case ast.Name(id=name):
                text = self.name(name)
            case ast.Constant(value=value):
                text = repr(value)
            case (
                ast.BinOp(left=left, op=operator, right=right)
                | ast.Compare(left=left, ops=[operator], comparators=[right])
            ):
                text = f"({self.visit(left)} {SIGNS[type(operator)]} {self.visit(right)})"
            case ast.UnaryOp(op=operator, operand=operand):
                sign = "-" if isinstance(operator, ast.USub) else self.logic["not"]
                text = f"({sign}{self.visit(operand)})"
            case ast.BoolOp(op=operator, values=values):
                sign = self.logic["and" if isinstance(operator, ast.And) else "or"]
                text = f"({sign.join(self.visit(value) for value in values)})"
            case ast.Call(func=ast.Name(id=function), args=arguments):
                text = self.call(function, arguments)
            case _:
                raise TypeError(ast.dump(node))  # the parser lets nothing else through
        return text

    def call(self, function: str, arguments: list[ast.expr]) -> str:
        """Return a call."""
        return self.functions[function].format(*(self.visit(argument) for argument in arguments))
