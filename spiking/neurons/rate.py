"""The leaky rate neuron."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from rate_bridge.transfer import Transfer
from root.ranges import GAIN, POTENTIAL, TIME_MS
from spiking.neurons.activations import Activation, activation
from spiking.neurons.base import Neuron, Parameter, Values
from spiking.programs import Dynamics

__all__ = ["Rate", "RateTransfer"]


@final
@dataclass(frozen=True)
class RateTransfer(Transfer):
    r"""The curve of a rate neuron at rest, where v is the current: :math:`r(I) = g\,\phi_{s,k}(I - o)`.

    Args:
        activation: name of φ.
        gain: g, broadcast against the currents like the next two.
        offset: o.
        saturation: s, or None for none.
        shape: k.
    """

    activation: str
    gain: Tensor | float = 1.0
    offset: Tensor | float = 0.0
    saturation: Tensor | float | None = None
    shape: Tensor | float = 1.0

    def __post_init__(self) -> None:
        limit = activation(self.activation).saturation if self.saturation is None else self.saturation
        object.__setattr__(self, "saturation", limit)

    def rate(self, current: Tensor) -> Tensor:
        phi, limit, shape = self._parts(current)
        x = current - self.offset
        return self.gain * phi.value(x if shape is None else phi.bent(x, limit, shape), limit)

    def inverse(self, rate: Tensor) -> Tensor:
        phi, limit, shape = self._parts(rate)
        x = phi.inverse(self._unscaled(rate), limit)
        return self.offset + (x if shape is None else phi.unbent(x, limit, shape))

    def slope(self, current: Tensor) -> Tensor:
        phi, limit, shape = self._parts(current)
        x = current - self.offset
        if shape is None:
            return self.gain * phi.slope(x, limit)
        return self.gain * phi.slope(phi.bent(x, limit, shape), limit) * phi.bent_slope(x, limit, shape)

    def _unscaled(self, rate: Tensor) -> Tensor:
        """Return the rate over the gain; a dead neuron, of gain 0, is taken as silent."""
        gain = torch.as_tensor(self.gain, dtype=torch.float64).to(rate)
        return torch.where(gain > 0, rate / gain.clamp(min=torch.finfo(rate.dtype).tiny), 0.0)

    def _parts(self, like: Tensor) -> tuple[Activation, Tensor, Tensor | None]:
        """Return φ, s and k, the last None where it is 1 everywhere."""
        limit, shape = (
            torch.as_tensor(value, dtype=torch.float64).to(like) for value in (self.saturation, self.shape)
        )
        return activation(self.activation), limit, shape if bool((shape != 1).any()) else None


@final
@dataclass(frozen=True)
class Rate(Neuron):
    r"""Leaky rate neuron.

    .. math::
        \tau \dot v = -v + I_{syn} + I_{ext} + b + I_{fb}, \qquad r = g\,\phi_{s,k}(v - o)

    with :math:`I_{syn} = W r_{pre}` (no synaptic filter). The saturation s bounds φ: tanh and sigmoid become
    :math:`\phi_s(x) = s\,\phi(x/s)`, which keeps the slope at 0 and moves the plateau to s; ReLU, softplus
    and linear are clipped, :math:`\phi_s(x) = \max(-s, \min(s, \phi(x)))`. The rate's plateau is then g·s.
    The shape k bends the curve between its origin (the threshold of ``lif``), where value and slope stay,
    and its ends, which stay too; k = 1 bends nothing (see `Activation`).
    Discretised by exponential Euler, :math:`v \leftarrow I + (v - I)\,e^{-dt/\tau}`, exact for a current
    that is constant during the step; r is taken from the new v and reaches other neurons in the next
    step. The potential starts at 0.

    Source: Dayan & Abbott, "Theoretical Neuroscience" (2001), ch. 7.2; Meulemans et al. 2021,
    arXiv 2106.07887, eq. 1.

    Args:
        activation: φ: ``tanh``, ``sigmoid``, ``relu``, ``softplus``, ``linear`` or ``lif``.
        tau_ms: time constant of the potential.
        gain: g, factor on the activation.
        offset: o, potential at which φ has its argument 0.
        saturation: s; by default 1 for tanh and sigmoid, none (no clipping) for the others, which then
            have no such parameter that could deviate.
        shape: k.
        bias: constant current; the starting value of what a rule may program.
    """

    activation: str = "tanh"
    tau_ms: Annotated[float, TIME_MS] = 20.0
    gain: Annotated[float, GAIN] = 1.0
    offset: Annotated[float, POTENTIAL] = 0.0
    saturation: Annotated[float, GAIN] | None = None
    shape: Annotated[float, GAIN] = 1.0
    bias: Annotated[float, POTENTIAL] = 0.0

    model: ClassVar[str] = "rate"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("tau_ms", "tau", minimum=0.0, exclusive=True),
        Parameter("gain", "gain", minimum=0.0, exclusive=True),
        Parameter("offset", "offset", additive=True),
        Parameter("saturation", "saturation", minimum=0.0, exclusive=True),
        Parameter("shape", "shape", minimum=0.0, exclusive=True),
        Parameter("bias", "bias", additive=True),
    )
    dead: ClassVar[Mapping[str, float]] = {"gain": 0.0}

    def __post_init__(self) -> None:
        usual = activation(self.activation).saturation
        if self.saturation is None and usual < math.inf:
            object.__setattr__(self, "saturation", usual)
        if self.saturation is None:
            kept = tuple(p for p in type(self).parameters if p.field != "saturation")
            object.__setattr__(self, "parameters", kept)
        Neuron.__post_init__(self)

    def idle(self, values: Values) -> frozenset[str]:
        usual = {
            "gain": 1.0,
            "offset": 0.0,
            "saturation": activation(self.activation).saturation,
            "shape": 1.0,
        }
        return frozenset(k for k, v in usual.items() if k in values and not bool((values[k] != v).any()))

    def dynamics(self, without: Container[str] = ()) -> Dynamics:
        kept = {p.name for p in self.parameters if p.name not in without}
        x = "(v - offset)" if "offset" in kept else "v"
        phi, limit = activation(self.activation), "saturation" if "saturation" in kept else None
        if "shape" in kept:
            x = phi.bent_equation(x, limit, "shape")
        value = phi.equation(x, limit)
        return Dynamics(
            "dv/dt = (current - v) / tau", emission=f"gain * ({value})" if "gain" in kept else value
        )

    def transfer(self, max_rate_hz: float, dt_ms: float) -> RateTransfer:
        return RateTransfer(self.activation, self.gain, self.offset, self.saturation, self.shape)

    def settled(self, current: Tensor, constants: Values) -> Tensor:
        if "shape" in constants:
            return super().settled(current, constants)
        activity = torch.sub(current, constants["offset"]) if "offset" in constants else current.clone()
        activation(self.activation).into(activity, activity, constants.get("saturation"))
        return activity.mul_(constants["gain"]) if "gain" in constants else activity
