"""A neuron of the user's own, from the equations in a config."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, final

from root.errors import InputError
from root.ranges import POTENTIAL
from spiking.neurons.base import Neuron, Parameter
from spiking.programs import Dynamics, discretise
from spiking.programs.expressions import Place
from spiking.programs.language import check_name

__all__ = ["Equations"]

UNITS = {
    "": (1.0, 0),
    "us": (1e-3, 1),
    "ms": (1.0, 1),
    "s": (1e3, 1),
    "second": (1e3, 1),
    "Hz": (1e-3, -1),
    "kHz": (1.0, -1),
}
"""Unit of a value to what it is in ms (or 1/ms), and to the power of time."""

QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*\*?\s*([A-Za-z]*)\s*")

SUFFIX = {0: "", 1: "_ms", -1: "_per_ms"}


@final
@dataclass(frozen=True)
class Equations(Neuron):
    """A neuron that is written in the config, in Brian2's notation; see `spiking.programs.Dynamics`.

    Every parameter may deviate by its name; a deviation multiplies the value, and is added where the
    value is 0.

    Args:
        equations: ``dx/dt = ...`` for every state, ``v``, the potential, among them.
        threshold: the condition for a spike; empty for a neuron that does not spike.
        reset: what a spike does, ``x = ...`` or ``x += ...``.
        refractory: name of the time for which the ``x = ...`` of the reset hold.
        emission: what a neuron without spikes emits.
        start: the states at first, 0 where nothing is said; ``uniform`` is random in [0, 1).
        values: parameter to its value, a number or a text with a unit (``20 ms``); ``tau_syn`` is the
            time constant of the synapses, which have no filter without it.
        bias: constant current; the starting value of what a rule may program.
    """

    equations: str
    threshold: str = ""
    reset: str = ""
    refractory: str = ""
    emission: str = ""
    start: str = ""
    values: dict[str, Annotated[float, POTENTIAL] | str] = field(
        default_factory=dict, hash=False, metadata={"key": "parameters"}
    )
    bias: Annotated[float, POTENTIAL] = 0.0

    model: ClassVar[str] = "equations"

    def __post_init__(self) -> None:
        quantities = {name: _quantity(name, value) for name, value in sorted(self.values.items())}
        parameters = [self._parameter(name, *quantity) for name, quantity in quantities.items()]
        object.__setattr__(self, "parameters", (*parameters, Parameter("bias", "bias", additive=True)))
        numbers = {p.field: quantities[p.name][0] for p in parameters}
        object.__setattr__(self, "_nominal", {**numbers, "bias": self.bias})
        Neuron.__post_init__(self)
        program = discretise(self._text(()))
        read = {*program.reads, self.refractory.strip(), "tau_syn"}
        made = " ".join(s.value for s in (*program.constants, *program.start))
        for name in quantities:
            if name not in read and not re.search(rf"\b{name}\b", made):
                raise InputError(f"neuron.parameters.{name}", self.values[name], "a name that is used")

    def _parameter(self, name: str, value: float, dimension: int) -> Parameter:
        if name == "tau_syn":
            if dimension != 1:
                raise InputError("neuron.parameters.tau_syn", self.values[name], "a time, such as 10 ms")
            return Parameter("tau_syn_ms", name, minimum=0.0)
        check_name(name, Place(f"neuron.parameters.{name}"))
        time = {"minimum": 0.0, "exclusive": name != self.refractory.strip()} if dimension == 1 else {}
        return Parameter(name + SUFFIX[dimension], name, additive=value == 0.0, **time)  # type: ignore[arg-type]

    @property
    def nominal(self) -> dict[str, float]:
        found: Mapping[str, float] = self.__dict__["_nominal"]
        return dict(found)

    @property
    def options(self) -> tuple[object, ...]:
        return (type(self), self.dynamics(), tuple(p.field for p in self.parameters))

    def dynamics(self, without: Container[str] = ()) -> Dynamics:
        texts = (self.threshold, self.reset, self.refractory, self.emission, self.start)
        return Dynamics(self.equations, *texts)


def _quantity(name: str, value: float | str) -> tuple[float, int]:
    """Return a value in ms (or 1/ms), and its power of time."""
    if not isinstance(value, str):
        return float(value), 0
    match = QUANTITY.fullmatch(value)
    if match is None or match[2] not in UNITS:
        allowed = f"a number, or one with a unit: {', '.join(unit for unit in UNITS if unit)}"
        fix = "Potentials and currents have no unit." if match is not None else ""
        raise InputError(f"neuron.parameters.{name}", value, allowed, fix)
    scale, dimension = UNITS[match[2]]
    return float(match[1]) * scale, dimension
