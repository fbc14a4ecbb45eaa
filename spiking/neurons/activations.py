"""Activation functions of rate neurons: value, slope, inverse and equation, one class per function."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from root.errors import InputError, nearest
from spiking.neurons.bend import bend, bend_equation, bend_slope, unbend

__all__ = ["ACTIVATIONS", "Activation", "activation"]

LIMIT = 1.0 - 1e-9
"""Fraction of a plateau at which inverses stop: the plateau itself needs an infinite potential."""

LOWEST = 1e-9
"""The rate at which inverses stop above a floor that is never reached."""


class Activation(ABC):
    r"""An activation function :math:`\phi_s(x)` that levels off at the saturation s.

    Bounded functions are stretched about the origin, :math:`\phi_s(x) = s\,\phi(x/s)`, so that the slope
    at 0 stays and the plateau moves; unbounded ones are clipped at s. All are non-decreasing.

    A shape k other than 1 bends the argument about a centre c, in units of the saturation for bounded
    functions, as they are (m = 1) for the others:

    .. math:: \phi_{s,k}(x) = \phi_s\left(c + m\, \psi_k\left(\frac{x - c}{m}\right)\right)

    with :math:`\psi_k` of `bend`: value and slope at the centre stay, and so does the range.
    """

    saturation: float = math.inf
    """The saturation of the function as it is usually written."""

    centre: float = 0.0
    """Where a shape leaves value and slope as they are."""

    @property
    def stretched(self) -> bool:
        """Whether the saturation stretches the function; otherwise it clips."""
        return self.saturation < math.inf

    def bent(self, x: Tensor, saturation: Tensor | None, shape: Tensor) -> Tensor:
        """Return the argument that gives the function with this shape its value at `x`."""
        if not self.stretched or saturation is None:
            return bend(x - self.centre, shape) + self.centre
        return bend((x - self.centre) / saturation, shape) * saturation + self.centre

    def unbent(self, x: Tensor, saturation: Tensor, shape: Tensor) -> Tensor:
        """Return the inverse of `bent`."""
        unit = saturation if self.stretched else torch.ones_like(saturation)
        return unbend((x - self.centre) / unit, shape) * unit + self.centre

    def bent_slope(self, x: Tensor, saturation: Tensor, shape: Tensor) -> Tensor:
        """Return the derivative of `bent` with respect to x."""
        unit = saturation if self.stretched else torch.ones_like(saturation)
        return bend_slope((x - self.centre) / unit, shape)

    def bent_equation(self, x: str, saturation: str | None, shape: str) -> str:
        """Return the bent argument as an expression."""
        centred = f"({x} - {self.centre})" if self.centre else x
        if self.stretched and saturation is not None:
            bent = f"{saturation}*{bend_equation(f'({centred}/{saturation})', shape)}"
        else:
            bent = bend_equation(centred, shape)
        return f"({bent} + {self.centre})" if self.centre else f"({bent})"

    @abstractmethod
    def value(self, x: Tensor, saturation: Tensor | None) -> Tensor:
        r"""Return :math:`\phi_s(x)`; `saturation` is None where it is `self.saturation` everywhere."""

    def into(self, x: Tensor, out: Tensor, saturation: Tensor | None = None) -> None:
        r"""Write :math:`\phi_s(x)` to `out`, which may be `x`; `saturation` is None for the usual one."""
        out.copy_(self.value(x, saturation))

    @abstractmethod
    def slope(self, x: Tensor, saturation: Tensor) -> Tensor:
        """Return the derivative with respect to x; 0 on every plateau, its edge included."""

    @abstractmethod
    def inverse(self, value: Tensor, saturation: Tensor) -> Tensor:
        """Return the x that gives `value`; on a lower plateau the largest, on an upper one the smallest."""

    @abstractmethod
    def equation(self, x: str, saturation: str | None) -> str:
        """Return the value as an expression in the notation of `Dynamics`."""


@final
class _Tanh(Activation):
    saturation = 1.0

    def value(self, x: Tensor, saturation: Tensor | None) -> Tensor:
        return torch.tanh(x) if saturation is None else saturation * torch.tanh(x / saturation)

    def into(self, x: Tensor, out: Tensor, saturation: Tensor | None = None) -> None:
        if saturation is None:
            torch.tanh(x, out=out)
        else:
            torch.div(x, saturation, out=out).tanh_().mul_(saturation)

    def slope(self, x: Tensor, saturation: Tensor) -> Tensor:
        return 1.0 - torch.tanh(x / saturation).square()

    def inverse(self, value: Tensor, saturation: Tensor) -> Tensor:
        return saturation * torch.atanh((value / saturation).clamp(-LIMIT, LIMIT))

    def equation(self, x: str, saturation: str | None) -> str:
        return f"tanh({x})" if saturation is None else f"{saturation}*tanh(({x})/{saturation})"


@final
class _Sigmoid(Activation):
    saturation = 1.0

    def value(self, x: Tensor, saturation: Tensor | None) -> Tensor:
        return torch.sigmoid(x) if saturation is None else saturation * torch.sigmoid(x / saturation)

    def into(self, x: Tensor, out: Tensor, saturation: Tensor | None = None) -> None:
        if saturation is None:
            torch.sigmoid(x, out=out)
        else:
            torch.div(x, saturation, out=out).sigmoid_().mul_(saturation)

    def slope(self, x: Tensor, saturation: Tensor) -> Tensor:
        value = torch.sigmoid(x / saturation)
        return value * (1.0 - value)

    def inverse(self, value: Tensor, saturation: Tensor) -> Tensor:
        return saturation * torch.logit((value / saturation).clamp(1.0 - LIMIT, LIMIT))

    def equation(self, x: str, saturation: str | None) -> str:
        return f"sigmoid({x})" if saturation is None else f"{saturation}*sigmoid(({x})/{saturation})"


class _Clipped(Activation):
    """A function without a plateau of its own, clipped at the saturation."""

    @abstractmethod
    def _free(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _free_slope(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _free_equation(self, x: str) -> str: ...

    def value(self, x: Tensor, saturation: Tensor | None) -> Tensor:
        value = self._free(x)
        return value if saturation is None else torch.minimum(torch.maximum(value, -saturation), saturation)

    def slope(self, x: Tensor, saturation: Tensor) -> Tensor:
        return torch.where(self._free(x).abs() < saturation, self._free_slope(x), 0.0)

    def equation(self, x: str, saturation: str | None) -> str:
        free = self._free_equation(x)
        return free if saturation is None else f"clip({free}, -{saturation}, {saturation})"


@final
class _Relu(_Clipped):
    def _free(self, x: Tensor) -> Tensor:
        return torch.relu(x)

    def _free_slope(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    def inverse(self, value: Tensor, saturation: Tensor) -> Tensor:
        return torch.minimum(value.clamp(min=0.0), saturation)

    def _free_equation(self, x: str) -> str:
        return f"maximum({x}, 0)"


@final
class _Softplus(_Clipped):
    def _free(self, x: Tensor) -> Tensor:
        return x.clamp(min=0.0) + torch.log1p(torch.exp(-x.abs()))

    def _free_slope(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def inverse(self, value: Tensor, saturation: Tensor) -> Tensor:
        bounded = torch.minimum(value.clamp(min=LOWEST), saturation)
        return bounded + torch.log(-torch.expm1(-bounded))

    def _free_equation(self, x: str) -> str:
        return f"(maximum({x}, 0) + log1p(exp(-abs({x}))))"


@final
class _Linear(_Clipped):
    def _free(self, x: Tensor) -> Tensor:
        return x

    def _free_slope(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def inverse(self, value: Tensor, saturation: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(value, -saturation), saturation)

    def _free_equation(self, x: str) -> str:
        return f"({x})"


@final
class _Lif(_Clipped):
    r"""The f-I curve of a noiseless leaky integrate-and-fire neuron, in spikes per membrane time constant.

    .. math:: \phi(x) = \frac{1}{\ln(x / (x - 1))} \quad (x > 1), \qquad \phi(x) = 0 \quad (x \le 1)

    with threshold 1, reset 0 and no refractory time. A gain of :math:`1000 / (\tau_m\, r_{max})` (in ms
    and Hz) makes it the rate of such a neuron, 1 = ``max_rate_hz``. The slope grows without bound towards
    the threshold.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics" (2014), ch. 1.3.
    """

    centre = 1.0

    def _above(self, x: Tensor) -> Tensor:
        return torch.where(x > 1.0, x - 1.0, 1.0)

    def _free(self, x: Tensor) -> Tensor:
        return torch.where(x > 1.0, 1.0 / torch.log1p(1.0 / self._above(x)), 0.0)

    def _free_slope(self, x: Tensor) -> Tensor:
        return torch.where(x > 1.0, self._free(x).square() / (x * self._above(x)), 0.0)

    def inverse(self, value: Tensor, saturation: Tensor) -> Tensor:
        bounded = torch.minimum(value.clamp(min=0.0), saturation)
        return -1.0 / torch.expm1(-1.0 / bounded)  # 1 at rate 0

    def _free_equation(self, x: str) -> str:
        return f"where(({x}) > 1, 1/log1p(1/where(({x}) > 1, ({x}) - 1, 1)), 0)"


ACTIVATIONS: dict[str, Activation] = {
    "tanh": _Tanh(),
    "sigmoid": _Sigmoid(),
    "relu": _Relu(),
    "softplus": _Softplus(),
    "linear": _Linear(),
    "lif": _Lif(),
}
"""The activation functions by name."""


def activation(name: str) -> Activation:
    """Return the activation function called `name`, or raise `InputError`."""
    if name not in ACTIVATIONS:
        raise InputError("neuron.activation", name, ", ".join(ACTIVATIONS), nearest(name, ACTIVATIONS))
    return ACTIVATIONS[name]
