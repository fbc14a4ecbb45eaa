"""From a neuron's text to checked trees: what a line may be, and which names it may use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from root.errors import InputError
from spiking.programs.dynamics import Dynamics
from spiking.programs.expressions import CONDITION, FUNCTIONS, Dimension, Place, parse, unit, with_names
from spiking.programs.statements import HELD, HOLD

__all__ = ["Model", "check_name", "model"]

UNITS = {"1": 0, "ms": 1, "second": 1, "s": 1, "Hz": -1}
"""Units of a variable, as powers of time; all times are kept in ms."""

OWN = frozenset(
    {
        "activity",
        "bias",
        "constants",
        "current",
        "decay",
        "dt",
        "like",
        "spike",
        "state",
        "torch",
        "uniform",
        HOLD,
    }
)
"""Names that mean something already."""

PREFIXES = ("_", "decay_", "step_", "goal_", "new_")
"""What the names begin with that are made in the solution."""

LINE = re.compile(r"\s*(?:d(?P<state>\w+)\s*/\s*dt|(?P<name>\w+))\s*=(?!=)\s*")
CHANGE = re.compile(r"\s*(?P<name>\w+)\s*(?P<operator>[-+*]?)=(?!=)\s*")
OPERATORS = {"+": ast.Add, "-": ast.Sub, "*": ast.Mult}


@dataclass
class Model:
    """A neuron's trees, with names for subexpressions already replaced.

    Args:
        flow: state to the right-hand side of its differential equation.
        threshold: the condition for a spike, or None.
        reset: variable, whether it is assigned anew (rather than changed), and its value.
        refractory: name of the refractory time, or empty.
        emission: what is emitted, or None.
        start: variable and value.
    """

    flow: dict[str, ast.expr] = field(default_factory=dict)
    threshold: ast.expr | None = None
    reset: list[tuple[str, bool, ast.expr]] = field(default_factory=list)
    refractory: str = ""
    emission: ast.expr | None = None
    start: list[tuple[str, ast.expr]] = field(default_factory=list)


def check_name(name: str, place: Place, taken: frozenset[str] = frozenset()) -> None:
    """Raise `InputError` for a name that is none, or has a meaning already."""
    if not (name.isidentifier() and name.isascii()):
        place.refuse(name, "a name: letters, digits and _, a letter first")
    if name in OWN or name in FUNCTIONS or name.startswith(PREFIXES):
        place.refuse(name, f"another name: {', '.join(sorted(OWN))}, the functions' and {PREFIXES} are taken")
    if name in taken:
        place.refuse(name, "a name that is not used twice")


@cache
def model(dynamics: Dynamics) -> Model:
    """Return the trees of a neuron's text.

    Raises:
        InputError: something in it is not allowed; the message names the text, line and column.
    """
    return _Reader(dynamics).model()


@dataclass
class _Line:
    """One line of the equations: its name, whether it is a differential equation, the rest, both places."""

    name: str
    differs: bool
    expression: str
    dimension: int
    place: Place
    begin: Place


class _Reader:
    def __init__(self, dynamics: Dynamics) -> None:
        self.text = dynamics
        self.known: dict[str, Dimension] = {
            name: dimension for name, dimension in dynamics.parameters if name != HELD
        }
        self.meaning: dict[str, ast.expr] = {}
        self.found = Model()

    def model(self) -> Model:
        lines = [_line(text, place) for text, place in _lines(self.text.equations, "neuron.equations")]
        parameters = frozenset(self.known)
        for number, line in enumerate(lines):
            earlier = frozenset(other.name for other in lines[:number])
            check_name(line.name, line.begin, parameters | earlier)
        states = {line.name: line.dimension for line in lines if line.differs}
        if "v" not in states:
            allowed = "an equation dv/dt = ..., for the potential"
            raise InputError("neuron.equations", self.text.equations.strip() or "nothing", allowed)
        self.known = {"current": 0, **states, **self.known}
        for line in lines:
            self._equation(line)
        self._threshold()
        self._start(states)
        return self.found

    def _equation(self, line: _Line) -> None:
        """Read a line; a subexpression may use those above it."""
        tree, dimension = parse(line.expression, self.known, line.place)
        wanted = line.dimension - 1 if line.differs else line.dimension
        if dimension != wanted:
            given = dimension if isinstance(dimension, str) else unit(dimension)
            what = f"d{line.name}/dt" if line.differs else line.name
            allowed = f"a right-hand side in {unit(wanted)}, the unit of {what}; it is {given}"
            line.place.refuse(line.expression.strip(), allowed)
        tree = with_names(tree, self.meaning)
        if line.differs:
            self.found.flow[line.name] = tree
        else:
            self.known[line.name], self.meaning[line.name] = line.dimension, tree

    def _tree(self, expression: str, place: Place, dimension: Dimension) -> ast.expr:
        tree, found = parse(expression, self.known, place)
        if found != dimension:
            wanted, given = (d if isinstance(d, str) else f"in {unit(d)}" for d in (dimension, found))
            place.refuse(expression.strip(), f"an expression that is {wanted}; it is {given}")
        return with_names(tree, self.meaning)

    def _threshold(self) -> None:
        text, found = self.text, self.found
        spikes, emits = bool(text.threshold.strip()), bool(text.emission.strip())
        if spikes == emits:
            given = "both" if spikes else "nothing"
            allowed = "a threshold, for a neuron that spikes, or an emission, for one that does not"
            raise InputError("neuron.threshold", given, allowed)
        if emits:
            for key in ("reset", "refractory"):
                if getattr(text, key).strip():
                    raise InputError(f"neuron.{key}", getattr(text, key), "nothing without a threshold")
            found.emission = self._tree(*_only(text.emission, "neuron.emission"), 0)
            return
        found.threshold = self._tree(*_only(text.threshold, "neuron.threshold"), CONDITION)
        for line, place in _lines(text.reset, "neuron.reset"):
            found.reset.append(self._change(line, place))
        if not found.reset:
            allowed = "what a spike does, such as v = 0"
            raise InputError("neuron.reset", "nothing", allowed)
        self._refractory()

    def _change(self, line: str, place: Place) -> tuple[str, bool, ast.expr]:
        match = CHANGE.match(line)
        if match is None or match["name"] not in self.found.flow:
            allowed = f"a statement that changes {', '.join(self.found.flow)}: x = ..., x += ..."
            place.refuse(line, allowed)
        name, operator = match["name"], match["operator"]
        place = Place(place.key, place.line, place.column + match.end())
        wanted = 0 if operator == "*" else self.known[name]
        tree = self._tree(line[match.end() :], place, wanted)
        if operator:
            tree = ast.BinOp(ast.Name(name), OPERATORS[operator](), tree)
        return name, not operator, tree

    def _refractory(self) -> None:
        name = self.text.refractory.strip()
        if not name:
            return
        times = {name for name, dimension in self.text.parameters if dimension == 1}
        if name not in times:
            allowed = f"the name of a time: {', '.join(sorted(times)) or 'there is none'}"
            raise InputError("neuron.refractory", name, allowed)
        if not any(anew for _, anew, _ in self.found.reset):
            allowed = "nothing: the reset assigns nothing (x = ...) that could be held"
            raise InputError("neuron.refractory", name, allowed)
        self.found.refractory = name

    def _start(self, states: dict[str, int]) -> None:
        self.known = {"uniform": 0, **dict(self.text.parameters)}
        self.meaning = {}
        for line, place in _lines(self.text.start, "neuron.start"):
            match = CHANGE.match(line)
            if match is None or match["operator"] or match["name"] not in states:
                place.refuse(line, f"a statement x = ... for one of {', '.join(states)}")
            at = Place(place.key, place.line, place.column + match.end())
            tree = self._tree(line[match.end() :], at, states[match["name"]])
            self.found.start.append((match["name"], tree))


def _lines(text: str, key: str) -> Iterator[tuple[str, Place]]:
    """Return the statements of a text, without comments, and where they stand."""
    for number, line in enumerate(text.splitlines(), start=1):
        column = 1
        for part in line.partition("#")[0].split(";"):
            if part.strip():
                yield part.strip(), Place(key, number, column + len(part) - len(part.lstrip()))
            column += len(part) + 1


def _only(text: str, key: str) -> tuple[str, Place]:
    found = list(_lines(text, key))
    if len(found) > 1:
        found[1][1].refuse(found[1][0], "one expression")
    return found[0] if found else ("", Place(key))


def _line(text: str, place: Place) -> _Line:
    match = LINE.match(text)
    if match is None:
        place.refuse(text, "dx/dt = expression : unit, or x = expression : unit")
    body, colon, said = text[match.end() :].partition(":")
    at = Place(place.key, place.line, place.column + match.end())
    if colon and said.strip() not in UNITS:
        column = at.column + len(body) + 1 + len(said) - len(said.lstrip())
        Place(place.key, place.line, column).refuse(said.strip(), f"one of the units {', '.join(UNITS)}")
    name = match["state"] or match["name"]
    return _Line(name, match["state"] is not None, body, UNITS[said.strip() or "1"], at, place)
