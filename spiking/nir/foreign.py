r"""Neurons of other programs' graphs as ours.

Of a graph with step dt, in which one spike per step is the rate :math:`\rho = 1/(r_{max}\, dt)`, a current
of 1 is a gain g times what our neurons call 1, and the bias b of an affine map goes the way of its input:

.. math:: w = W^T g / \rho, \qquad g = r\, w_{in}, \qquad
          \tau_m \dot v = v_{leak} - v + r\, (w_{in}\, b \text{ through the synaptic filter})

with :math:`w_{in} = 1` where there is no filter. A ``CubaLIF`` whose bias is 0 is a `LIF` here; with a bias
a `CubaLIF`, or with :math:`v_{leak}` besides, equations of its own. Solved by Euler's method with the step
dt, as snnTorch, Norse and SpikingJelly do, a time constant is another one here:

.. math:: \tau \leftarrow \frac{-dt}{\ln(1 - dt/\tau)}

Source: Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9; snnTorch's reset by subtraction, one step
late: Eshraghian et al. 2023, doi:10.1109/JPROC.2023.3308088.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, final

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from root.errors import InputError, UnsupportedError
from spiking.neurons import IF, LI, LIF, CubaLIF, Equations
from spiking.neurons.base import Neuron
from spiking.nir.stored import KEY, check_values

__all__ = ["Foreign", "Reading", "Resets", "Solver", "readout"]

Solver = Literal["exponential", "euler"]
Resets = Literal["value", "subtract", "subtract_late"]

Array = NDArray[np.float64]

LEAKY = "dv/dt = (current - v) / tau_m"
OWN = "dv/dt = (filtered + leak - v) / tau_m; dfiltered/dt = (current - filtered) / tau_in"
PERFECT = "dv/dt = current / tau_m"


@final
@dataclass(frozen=True)
class Reading:
    """How another program's graph is meant.

    Args:
        solver: how that program solves NIR's equations: ``exponential`` Euler as here, or ``euler``.
        reset: to ``v_reset``, as NIR's equations have it (``value``), or by the threshold, in the step of
            the spike (``subtract``) or in the next one (``subtract_late``, snnTorch's default).
    """

    solver: Solver = "exponential"
    reset: Resets = "value"


@final
class Foreign:
    """A population of a graph, its values written out for every neuron.

    Args:
        name: of its node.
        node: the node.
        bias: of the affine maps before it, ``(n,)``.
        dt_ms: time step.
        reading: how it is meant.
    """

    def __init__(self, name: str, node: nir.NIRNode, bias: Array, dt_ms: float, reading: Reading) -> None:
        self.name, self.node, self.bias, self.size = name, node, bias, len(bias)
        self.dt_ms, self.reading = dt_ms, reading
        self.notes: list[str] = []
        self.neuron, self.values = self._built()

    @property
    def gain(self) -> Array:
        """What a spike of 1 comes to, ``(n,)``."""
        if isinstance(self.node, nir.CubaLIF | nir.CubaLI):
            return self._value("r") * self._value("w_in")
        if isinstance(self.node, nir.IF | nir.I):
            return self._value("r") * self._rise
        return np.ones(self.size) if isinstance(self.node, nir.Threshold) else self._value("r")

    @property
    def _rise(self) -> float:
        """What an input of 1 adds to a perfect integrator with r = 1 in a step."""
        ones = bool((self._value("r") == 1).all())
        return 1.0 if self.reading.solver == "euler" and ones else 1e-3 * self.dt_ms

    def _value(self, key: str) -> Array:
        value = np.asarray(getattr(self.node, key), dtype=np.float64).ravel()
        if value.size not in (1, self.size):
            given = f"{value.size} values of {key} in {self.name!r}"
            raise InputError(KEY, given, f"{self.size}, one per neuron, or one for all")
        return np.broadcast_to(value, (self.size,))

    def _time(self, key: str, *, may_be_none: bool = False) -> Array:
        """Return a time constant in ms, as exponential Euler needs it."""
        given = 1e3 * self._value(key)
        self.notes += _implausible(self.name, key, given, self.dt_ms)
        if self.reading.solver == "exponential":
            return given
        short = ~(given >= self.dt_ms * (1 - 1e-6))
        if short.any():
            neuron = int(short.nonzero()[0][0])
            at = f"{key} {given[neuron]:g} ms of neuron {neuron} of {self.name!r}, with solver: euler"
            fix = "Most programs that solve so take steps of 0.1 or 1 ms."
            raise InputError(KEY, at, f"simulator.dt_ms ({self.dt_ms:g} ms) or more", fix)
        keep = np.clip(1 - self.dt_ms / given, 0.0, None)
        whole = keep < 1e-6  # nothing is kept: a time far below a step, or no filter
        none = 0.0 if may_be_none or not whole.any() else _no_time(self.dt_ms)
        with np.errstate(divide="ignore"):
            return np.where(whole, none, -self.dt_ms / np.log(np.where(whole, 0.5, keep)))

    def _built(self) -> tuple[Neuron, dict[str, Tensor]]:
        """Return the model, with nominal values, and every neuron's."""
        node = self.node
        if isinstance(node, nir.IF | nir.I):
            return self._perfect(spikes=isinstance(node, nir.IF))
        if isinstance(node, nir.Threshold):
            self.notes.append(f"{self.name!r}, a Threshold, is a neuron that keeps nothing from step to step")
            zero = np.zeros(self.size)
            values = {"threshold": self._value("threshold"), "reset": zero, "refractory_ms": zero}
            times = {"tau_m_ms": np.full(self.size, _no_time(self.dt_ms)), "tau_syn_ms": zero}
            return self._model(LIF, values | times | {"bias": self.bias})
        return self._leaky(node)

    def _leaky(self, node: nir.NIRNode) -> tuple[Neuron, dict[str, Tensor]]:
        filtered, spikes = isinstance(node, nir.CubaLIF | nir.CubaLI), isinstance(node, nir.CubaLIF | nir.LIF)
        through = filtered and bool((self.bias != 0).any())
        tau_m = self._time("tau_mem" if filtered else "tau")
        tau_syn = self._time("tau_syn", may_be_none=not through) if filtered else np.zeros(self.size)
        begin = self._begin() if spikes else np.zeros(self.size)
        leak, bias = self._value("v_leak") - begin, self.gain * self.bias
        values = {"tau_m_ms": tau_m, "bias": bias if through else leak + bias}
        subtracts = spikes and self.reading.reset != "value"
        if spikes:
            values["threshold"] = self._value("v_threshold") - begin
            late = np.exp(self.dt_ms / tau_m) if self.reading.reset == "subtract_late" else 1.0
            name, value = (
                ("jump", late * values["threshold"]) if subtracts else ("reset", self._reset - begin)
            )
            values[name] = value
        if through and (subtracts or leak.any() or not spikes):
            own = {"tau_in_ms": tau_syn, "leak": leak}
            return self._text(OWN, values | own, spikes=spikes)
        if subtracts:
            return self._text(LEAKY, values | ({"tau_syn_ms": tau_syn} if tau_syn.any() else {}), spikes=True)
        values["tau_syn_ms"] = tau_syn
        if spikes and not through:
            values["refractory_ms"] = np.zeros(self.size)
        return self._model(CubaLIF if through else LIF if spikes else LI, values)

    @property
    def _reset(self) -> Array:
        return self._value("v_reset")

    def _begin(self) -> Array:
        """Return what potentials are counted from: the reset where a threshold is not above 0 (volts)."""
        threshold = self._value("v_threshold")
        if (threshold > 0).all() or not (threshold > self._reset).all():
            return np.zeros(self.size)
        self.notes.append(
            f"potentials of {self.name!r} are counted from v_reset: thresholds are above 0 here"
        )
        return self._reset

    def _perfect(self, *, spikes: bool) -> tuple[Neuron, dict[str, Tensor]]:
        """Return neurons that a step raises by their current."""
        values = {"tau_m_ms": np.full(self.size, self.dt_ms), "bias": self.gain * self.bias}
        if not spikes:
            return self._text(PERFECT, values, spikes=False)
        values["threshold"] = self._value("v_threshold")
        if self.reading.reset != "value":
            return self._model(IF, values | {"tau_syn_ms": np.zeros(self.size)})
        return self._text(PERFECT, values | {"reset": self._reset}, spikes=True)

    def _model(
        self, model: type[LIF] | type[CubaLIF] | type[LI] | type[IF], values: Mapping[str, Array]
    ) -> tuple[Neuron, dict[str, Tensor]]:
        tensors = _tensors(values)
        check_values(repr(self.name), model, tensors)
        return model(**_means(tensors)), tensors

    def _text(
        self, equations: str, values: Mapping[str, Array], *, spikes: bool
    ) -> tuple[Neuron, dict[str, Tensor]]:
        tensors = _tensors(values)
        for field, value in tensors.items():
            if not bool(value.isfinite().all()):
                odd = int((~value.isfinite()).nonzero()[0, 0])
                given = f"{field} {float(value[odd]):g} of neuron {odd} of {self.name!r}"
                raise InputError(KEY, given, "a finite number")
        means = _means(tensors)
        bias = means.pop("bias")
        units = {f.removesuffix("_ms"): f"{v!r} ms" if f.endswith("_ms") else v for f, v in means.items()}
        low, reset = ("reset", "v = reset") if "reset" in values else ("0", "v -= jump")
        texts = ("v > threshold", reset) if spikes else ("", "")
        start = f"v = {low} + uniform * (threshold - {low})" if spikes else ""
        emission = "" if spikes else "v"
        neuron = Equations(equations, *texts, emission=emission, start=start, values=units, bias=bias)
        check_values(repr(self.name), neuron, tensors)
        return neuron, tensors


def readout(size: int, dt_ms: float, bias: Array) -> tuple[Neuron, dict[str, Tensor]]:
    """Return neurons that emit their current as it is: what a graph says that ends without neurons."""
    zero = np.zeros(size)
    tensors = _tensors({"tau_m_ms": zero + _no_time(dt_ms), "tau_syn_ms": zero, "bias": bias})
    return LI(**_means(tensors)), tensors


def _no_time(dt_ms: float) -> float:
    """Return a time after which a step has forgotten everything, to 1e-21."""
    if dt_ms < 0.05:
        given = f"a neuron that keeps nothing, with simulator.dt_ms: {dt_ms:g}"
        raise UnsupportedError(KEY, given, "steps of 0.05 ms or more for it")
    return dt_ms / 50


def _implausible(name: str, key: str, given: Array, dt_ms: float) -> Iterator[str]:
    low, high = float(given.min()), float(given.max())
    if low < 0.5 * dt_ms:
        yield (
            f"{key} of {name!r} is {low:g} ms, less than half a step of {dt_ms:g} ms: the file is meant for "
            "smaller steps (0.1 ms is usual), or holds dt times the constant, as Norse's own export does"
        )
    if high > 10_000:
        yield f"{key} of {name!r} is {high:g} ms, which no neuron is known to have"


def _tensors(values: Mapping[str, Array]) -> dict[str, Tensor]:
    return {field: torch.from_numpy(np.array(value, dtype=np.float64)) for field, value in values.items()}


def _means(values: Mapping[str, Tensor]) -> dict[str, float]:
    return {f: float(v[0] if bool((v == v[0]).all()) else v.mean()) for f, v in values.items()}
