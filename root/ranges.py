"""What numbers may be: one range per number, in its annotation, with what it means.

A field says ``tau_ms: Annotated[float, TIME_MS]``. Configs are checked against the annotation before a part
is made of them, and parts check themselves with `check_ranges`. The ends are far outside of what is built or
simulated anywhere, and inside of what float64 computes with: no number that is let in leaves the range of
numbers a few operations later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, final, get_args, get_origin, get_type_hints

from root.errors import InputError

__all__ = [
    "AGE_MS",
    "ASYMMETRY",
    "BATCHES",
    "BITS",
    "CHIP",
    "COEFFICIENT",
    "COUNT",
    "CUT",
    "DECADES",
    "DEGREES",
    "DT_MS",
    "EPOCHS",
    "EPSILON",
    "EXPONENT",
    "FACTOR",
    "FRACTION",
    "FRACTION_BELOW_1",
    "GAIN",
    "GIGABYTES",
    "GROWTH",
    "HOURS",
    "INNER",
    "KELVIN",
    "LONG_S",
    "NUMBER",
    "PADDING",
    "PATIENCE_S",
    "PITCHES",
    "PIXELS",
    "POTENTIAL",
    "PROBE",
    "RATE_HZ",
    "SAMPLES",
    "SEED",
    "SHARE",
    "SIDE",
    "SIZE",
    "SPREAD",
    "STEP",
    "STOPS",
    "TARGET",
    "TEACHER",
    "THREADS",
    "TIME_MS",
    "TIME_OR_0_MS",
    "TOLERANCE",
    "WRITES",
    "Range",
    "check_ranges",
    "check_values",
    "of",
]


@final
@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Args:
        low: the smallest.
        high: the largest.
        meaning: unit, and what the ends are.
        above: whether `low` itself is refused.
        below: whether `high` itself is refused.
    """

    low: float
    high: float
    meaning: str = ""
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        """Return whether `value` is in the range; NaN is in none."""
        low = self.low < value if self.above else self.low <= value
        return bool(low and (value < self.high if self.below else value <= self.high))

    @property
    def allowed(self) -> str:
        """The range in words."""
        low = f"{'>' if self.above else '>='} {_number(self.low)}"
        high = f"{'<' if self.below else '<='} {_number(self.high)}"
        return f"a finite number {low} and {high}" + (f" ({self.meaning})" if self.meaning else "")

    @property
    def schema(self) -> dict[str, float]:
        """The range in the words of JSON Schema."""
        low = "exclusiveMinimum" if self.above else "minimum"
        high = "exclusiveMaximum" if self.below else "maximum"
        return {low: self.low, high: self.high}


def _number(value: float) -> str:
    return f"{value:.0f}" if 1 <= abs(value) <= 1e7 and value == round(value) else f"{value:g}"


FRACTION = Range(0, 1, "a fraction")
FRACTION_BELOW_1 = Range(0, 1, "a fraction, less than the whole", below=True)
SHARE = Range(0, 1, "a fraction, not 0", above=True)
INNER = Range(0, 1, "a fraction, neither nothing nor the whole", above=True, below=True)

DT_MS = Range(1e-3, 1e3, "ms; steps of a microsecond to a second")
TIME_MS = Range(1e-3, 1e6, "ms; a microsecond to a quarter of an hour")
TIME_OR_0_MS = Range(0, 1e6, "ms; none to a quarter of an hour")
AGE_MS = Range(1e-3, 1e13, "ms; a microsecond to three centuries")
LONG_S = Range(1e-3, 1e10, "s; a millisecond to three centuries")
RATE_HZ = Range(1e-3, 1e6, "Hz; a spike in a quarter of an hour to one a microsecond")

TARGET = Range(0, 10, "of the rate that counts as 1")

PROBE = Range(1e-6, 1e3, "a current, where thresholds are about 1")
POTENTIAL = Range(-1e6, 1e6, "in units of the membrane potential, where thresholds are about 1")
PITCHES = Range(0, 200, "pitches between neighbours; what reaches farther is die_shift", above=True)
GAIN = Range(1e-6, 1e6, "a factor; millionths to millions")
FACTOR = Range(0, 1e6, "a factor, or none of it; up to a million")
COEFFICIENT = Range(-1e3, 1e3, "a factor of either sign; up to a thousand")
SPREAD = Range(0, 1e3, "a standard deviation; up to a thousand times what it belongs to")
CUT = Range(0.01, 100, "standard deviations")
EXPONENT = Range(0, 10, "an exponent of time over time")

KELVIN = Range(0, 1e3, "kelvin", above=True)
ASYMMETRY = Range(-1, 1e3, "a factor less one")
STEP = Range(0, 2, "a step of normalised descent, which diverges from 2 on", above=True, below=True)
TOLERANCE = Range(0, 1, "relative to what is solved for")
DEGREES = Range(0, 180, "degrees", above=True)
NUMBER = Range(-1e30, 1e30, "a number that is searched; the key has a range of its own")
EPSILON = Range(1e-30, 1, "keeps a quotient finite")

BITS = Range(2, 24, "bits, sign included")
THREADS = Range(1, 1024, "threads")
PATIENCE_S = Range(1e-3, 1e6, "s; a millisecond to eleven days")
DECADES = Range(1, 12, "powers of ten; up to a million million times the age")
HOURS = Range(1e-3, 1e6, "h; seconds to a century")
STOPS = Range(1, 100, "stops in a decade")
COUNT = Range(1, 1e6, "one to a million")
BATCHES = Range(0, 1e6, "batches; none to a million")
WRITES = Range(1, 1e15, "writes")
EPOCHS = Range(1, 1e6, "passes over the data; one to a million")
SIZE = Range(1, 1e8, "neurons of a layer; up to more than the largest chips have")
SIDE = Range(1, 1e4, "neurons along a side of an image")
PIXELS = Range(0, 1e4, "pixels of an image; parts of one to thousands", above=True)
PADDING = Range(0, 1e4, "neurons along a side of an image; none to thousands")
TEACHER = Range(1, 1e5, "neurons of a layer that teaches")
SAMPLES = Range(1, 1e6, "samples; one to a million")
CHIP = Range(0, 2**31, "the number of a chip")
GROWTH = Range(1, 1e6, "a factor above 1", above=True)
GIGABYTES = Range(0, 1e5, "GB of memory", above=True)
SEED = Range(0, 2**63 - 1, "a seed of 63 bits")


@cache
def of(part: Any) -> Mapping[str, Range]:
    """Return the ranges in the annotations of a class or a function, by the names of fields or arguments."""
    hints = get_type_hints(part, include_extras=True)
    found = {name: _range(hint) for name, hint in hints.items()}
    return {name: limits for name, limits in found.items() if limits is not None}


def _range(hint: Any) -> Range | None:
    """Return the range in an annotation: its own, or that of the numbers inside (a list's, say)."""
    if get_origin(hint) is Annotated:
        return next((each for each in hint.__metadata__ if isinstance(each, Range)), None)
    return next((found for inner in get_args(hint) if (found := _range(inner)) is not None), None)


def check_ranges(part: object, place: str = "") -> None:
    """Raise `InputError` for the first field of a dataclass that is outside of its range.

    Args:
        part: whose annotations say the ranges; fields that are None are left out.
        place: what the key begins with, such as ``neuron``.
    """
    kind: Any = type(part)
    check_values(of(kind), vars(part), place)


def check_values(ranges: Mapping[str, Range], values: Mapping[str, Any], place: str = "") -> None:
    """Raise `InputError` for the first of `values` that is outside of its range.

    Args:
        ranges: by name.
        values: numbers, lists of them or mappings to them, by name; others are left out.
        place: what the key begins with.
    """
    for name, limits in ranges.items():
        for key, value in _numbers(name, values.get(name)):
            if not limits.holds(value):
                raise InputError(f"{place}.{key}" if place else key, value, limits.allowed)


def _numbers(key: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield the numbers in a value and how they are called."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield key, value
    elif isinstance(value, tuple | list):
        for index, inner in enumerate(value):
            yield from _numbers(f"{key}.{index}", inner)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(f"{key}.{name}", inner)
