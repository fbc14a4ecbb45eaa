"""What a neuron model is: its parameters with units, its discrete constants, one step of time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Container, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from torch import Tensor

from rate_bridge.errors import InputError
from rate_bridge.transfer import Transfer
from spiking.neurons.equations import Equations

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
        name: the name without the unit, as a mismatch config says it (``tau_m``).
        minimum: the smallest allowed value.
        exclusive: whether `minimum` itself is refused.
        additive: whether a deviation is added (to values that may be zero) rather than multiplied.
    """

    field: str
    name: str
    minimum: float = -math.inf
    exclusive: bool = False
    additive: bool = False

    @property
    def allowed(self) -> str:
        """The allowed range in words."""
        if self.minimum == -math.inf:
            return "a finite number"
        return f"a finite number {'>' if self.exclusive else '>='} {self.minimum:g}"


@dataclass(frozen=True)
class Neuron(ABC):
    """A neuron model with nominal parameter values; concrete models are final dataclasses.

    The step is the one of ``docs/model.md``: a simulator hands each neuron the sum of its currents,
    the neuron advances its own state and says what it emits.
    """

    model: ClassVar[str]
    emits_spikes: ClassVar[bool]
    parameters: ClassVar[tuple[Parameter, ...]]
    dead: ClassVar[Mapping[str, float]] = {}
    """Parameter values, by field, with which a neuron never emits anything."""

    def __post_init__(self) -> None:
        for parameter in self.parameters:
            value = float(getattr(self, parameter.field))
            low = value <= parameter.minimum if parameter.exclusive else value < parameter.minimum
            if not math.isfinite(value) or low:
                raise InputError(f"neuron.{parameter.field}", value, parameter.allowed)

    @property
    def options(self) -> tuple[object, ...]:
        """What tells models of one class apart beyond numbers (an activation function, say)."""
        named = {p.field for p in self.parameters}
        return (type(self), *(getattr(self, f.name) for f in fields(self) if f.name not in named))

    @abstractmethod
    def constants(self, values: Values, dt_ms: float) -> State:
        """Return the discrete constants of `step`, each ``(chips, 1, neurons)``."""

    @abstractmethod
    def synapse_decay(self, values: Values, dt_ms: float) -> Tensor:
        """Return the factor by which the synaptic current decays in a step, ``(chips, neurons)``."""

    @abstractmethod
    def initial_state(self, values: Values, uniform: Tensor) -> State:
        """Turn uniform random numbers in [0, 1), ``(chips, batch, neurons)``, into a state."""

    @abstractmethod
    def transfer(self, max_rate_hz: float, dt_ms: float) -> Transfer:
        """Return the nominal curve from constant current to mean rate, 1 = `max_rate_hz`."""

    @abstractmethod
    def step(self, state: State, current: Tensor, constants: Values) -> Tensor:
        """Advance `state` in place under `current` and return what is emitted.

        Args:
            state: as `initial_state` made it.
            current: the sum of all currents and the bias, ``(chips, batch, neurons)``.
            constants: as `constants` made them.

        Returns:
            spikes (0 or 1) or the activity, ``(chips, batch, neurons)``, of `current`'s type.
        """

    def settled(self, current: Tensor, constants: Values) -> Tensor:
        """Return what a neuron without spikes emits at rest, ``(chips, batch, neurons)``; `current` is kept.

        Args:
            current: the constant sum of all currents and the bias.
            constants: as `constants` made them for an infinite step.
        """
        return self.step({"v": current.clone()}, current, constants)

    def equations(self, constants: Container[str]) -> Equations | None:
        """Return the model as equations, or None where it cannot be written so.

        Args:
            constants: the names that `constants` returned; an equation may do without an optional one.
        """
        del constants
        return None
