"""What Brian2 is given beside its own: statements for a step's integration, and three functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import brian2
import numpy as np

__all__ = ["FUNCTIONS", "statements"]


def statements(*lines: str) -> Callable[..., str]:
    """Return a state updater that runs the given statements, whatever the equations are."""
    return lambda equations, variables, method_options=None: "\n".join(line for line in lines if line)


def _function(name: str, units: Sequence[Any], numpy: Callable[..., Any], body: str) -> Any:
    function = brian2.Function(numpy, arg_units=list(units), return_unit=1)
    function.implementations.add_implementation("numpy", numpy)
    function.implementations.add_implementation("cpp", f"static inline double {name}{body}", name=name)
    return function


FUNCTIONS = {
    "choose": _function("choose", (bool, 1, 1), np.where, "(bool c, double a, double b) {return c ? a : b;}"),
    "larger": _function("larger", (1, 1), np.maximum, "(double a, double b) {return a > b ? a : b;}"),
    "smaller": _function("smaller", (1, 1), np.minimum, "(double a, double b) {return a < b ? a : b;}"),
}
"""The functions that `spiking.programs.to_brian2` prints."""
