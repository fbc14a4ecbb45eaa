"""What a neuron model is: parameters with units, and equations from which its step is made."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import torch
from torch import Tensor

from rate_bridge.filters import decay, steps
from rate_bridge.transfer import Transfer
from root.errors import InputError
from root.ranges import POTENTIAL, check_ranges
from spiking.neurons.measured import measured_curve
from spiking.programs import Dynamics, Program, discretise
from spiking.programs.statements import HOLD, Statement
from spiking.programs.to_torch import Step, evaluate, stepper

__all__ = ["Neuron", "Parameter", "State", "Values"]

Values = Mapping[str, Tensor]
"""Parameter name to its value per neuron, each of shape ``(chips, neurons)``."""

State = dict[str, Tensor]
"""State variable name to its value, each of shape ``(chips, batch, neurons)``."""


@dataclass(frozen=True)
class Parameter:
    """A per-neuron parameter that may deviate from chip to chip.

    Args:
        field: the name of the field that holds the nominal value, with its unit (``tau_m_ms``).
        name: the name without the unit, as equations and a mismatch config say it (``tau_m``).
        minimum: the smallest allowed value.
        exclusive: whether `minimum` itself is refused.
        additive: whether a deviation is added (to values that may be zero) rather than multiplied.
        stepped: whether it is a time that is rounded to whole steps.
    """

    field: str
    name: str
    minimum: float = -math.inf
    exclusive: bool = False
    additive: bool = False
    stepped: bool = False

    def deviates(self, nominal: Tensor, low: float, high: float, dt_ms: float) -> bool:
        """Return whether factors between two bounds change any of the values a step is computed with.

        Args:
            nominal: the design's values.
            low: the smallest factor.
            high: the largest.
            dt_ms: time step.
        """
        if self.additive:
            return True
        if self.stepped and low < high < math.inf:
            return bool((steps(nominal * low, dt_ms) != steps(nominal * high, dt_ms)).any())
        return bool((nominal != 0).any())

    @property
    def allowed(self) -> str:
        """The allowed range in words."""
        if self.minimum == -math.inf:
            return "a finite number"
        return f"a finite number {'>' if self.exclusive else '>='} {self.minimum:g}"

    @property
    def dimension(self) -> int:
        """The power of time that its unit is."""
        return {"_ms": 1, "_per_ms": -1}.get(self.field.removeprefix(self.name), 0)


@dataclass(frozen=True)
class Neuron(ABC):
    """A neuron model with nominal parameter values; concrete models are final dataclasses.

    A model says its equations as text; the step of ``docs/model.md``, in every simulator, is made from it:
    a simulator hands each neuron the sum of its currents, the neuron advances its own state and says what
    it emits.
    """

    model: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    dead: ClassVar[Mapping[str, float]] = {}
    """Parameter values, by field, with which a neuron never emits anything."""

    def __post_init__(self) -> None:
        check_ranges(self, "neuron")
        for parameter in self.parameters:
            value = self.nominal[parameter.field]
            if not POTENTIAL.holds(value):
                raise InputError(f"neuron.{parameter.field}", value, POTENTIAL.allowed)
            low = value <= parameter.minimum if parameter.exclusive else value < parameter.minimum
            if not math.isfinite(value) or low:
                raise InputError(f"neuron.{parameter.field}", value, parameter.allowed)

    @abstractmethod
    def dynamics(self, without: Container[str] = ()) -> Dynamics:
        """Return the equations as text; the names of parameters are those without units.

        Args:
            without: names of parameters; a text that leaves out those of them that change nothing
                (see `idle`) is faster and means the same.
        """

    def idle(self, values: Values) -> frozenset[str]:
        """Return the names of parameters that change nothing with `values` (a gain of 1, say)."""
        del values
        return frozenset()

    @property
    def nominal(self) -> dict[str, float]:
        """The design's values by field."""
        return {p.field: float(getattr(self, p.field)) for p in self.parameters}

    def without_effect(self, dt_ms: float) -> Iterator[tuple[str, str]]:
        """Yield fields that do nothing at this time step, and why."""
        for parameter in self.parameters:
            value = self.nominal[parameter.field]
            if parameter.stepped and value > 0 and float(steps(torch.tensor(value), dt_ms)) == 0:
                yield parameter.field, f"{value:g} ms is less than half a time step ({dt_ms:g} ms)"

    @property
    def text(self) -> Dynamics:
        """The equations with the names of the parameters that they may use."""
        return self._text(self.idle({f: torch.tensor(v) for f, v in self.nominal.items()}))

    @property
    def emits_spikes(self) -> bool:
        """Whether it emits spikes, and not an activity."""
        return bool(self.dynamics().threshold)

    @property
    def settles(self) -> bool:
        """Whether it emits an activity of one potential, which a constant current takes to itself."""
        leak = (Statement("v", "current + (v - current) * decay"),)
        return not self.emits_spikes and discretise(self._text(())).update == leak

    @property
    def options(self) -> tuple[object, ...]:
        """What tells models of one class apart beyond numbers (an activation function, say)."""
        named = {p.field for p in self.parameters}
        return (type(self), *(getattr(self, f.name) for f in fields(self) if f.name not in named))

    def program(self, constants: Container[str]) -> Program:
        """Return the step as statements.

        Args:
            constants: the names that `constants` returned.
        """
        without = frozenset(p.name for p in self.parameters if p.name not in constants)
        return discretise(self._text(without), hold=HOLD in constants)

    def _text(self, without: Container[str]) -> Dynamics:
        names = tuple((p.name, p.dimension) for p in self.parameters if p.name not in {"bias", "tau_syn"})
        own = self.dynamics(without)
        return own if own.parameters else replace(own, parameters=names)

    def _named(self, values: Values) -> dict[str, Tensor]:
        return {p.name: values[p.field].unsqueeze(1) for p in self.parameters if p.field in values}

    def constants(self, values: Values, dt_ms: float) -> State:
        """Return the discrete constants of a step, each ``(chips, 1, neurons)``.

        What would do nothing is left out, for speed.
        """
        text, named = self._text(self.idle(values)), self._named(values)
        held = text.refractory and bool((steps(named[text.refractory], dt_ms) > 0).any())
        program = discretise(text, hold=bool(held))
        like = next(iter(named.values()))
        known = named | evaluate(program.constants, {**named, "dt": like.new_full((), dt_ms)})
        return {name: known[name].expand_as(like) for name in program.reads}

    def synapse_decay(self, values: Values, dt_ms: float) -> Tensor:
        """Return the factor by which the synaptic current decays in a step, ``(chips, neurons)``.

        It is that of the parameter ``tau_syn``; without one, synapses have no filter.
        """
        if "tau_syn_ms" in values:
            return decay(values["tau_syn_ms"], dt_ms)
        return torch.zeros_like(next(iter(values.values())))

    def initial_state(self, values: Values, uniform: Tensor) -> State:
        """Turn uniform random numbers in [0, 1), ``(chips, batch, neurons)``, into a state."""
        program = discretise(self._text(()))
        start = evaluate(program.start, {"uniform": uniform, **self._named(values)})
        return {name: value.expand_as(uniform).clone() for name, value in start.items()}

    def transfer(self, max_rate_hz: float, dt_ms: float) -> Transfer:
        """Return the nominal curve from constant current to mean rate, 1 = `max_rate_hz`.

        A model without a closed form need not say one: its step is run under constant currents.
        """
        return measured_curve(self, max_rate_hz, dt_ms)

    def stepper(self, constants: Container[str]) -> Step:
        """Return the function behind `step`, for constants of these names."""
        return stepper(self.program(constants))

    def step(self, state: State, current: Tensor, constants: Values) -> Tensor:
        """Advance `state` in place under `current` and return what is emitted.

        Args:
            state: as `initial_state` made it; its tensors are written to, or replaced.
            current: the sum of all currents and the bias, ``(chips, batch, neurons)``.
            constants: as `constants` made them.

        Returns:
            spikes (0 or 1) or the activity, ``(chips, batch, neurons)``, of `current`'s type.
        """
        return self.stepper(constants)(state, current, constants)

    def settled(self, current: Tensor, constants: Values) -> Tensor:
        """Return what a neuron without spikes emits at rest, ``(chips, batch, neurons)``; `current` is kept.

        Args:
            current: the constant sum of all currents and the bias.
            constants: as `constants` made them for an infinite step.
        """
        return self.step({"v": current.clone()}, current, constants)
