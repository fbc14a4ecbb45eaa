r"""How a chip's numbers stand in a NIR graph, so that other programs compute what we do.

Programs that read NIR agree on nothing but the numbers of single neurons: most know no leak potential, no
reset but to 0 and one threshold for a layer, take the input of a neuron times a factor of their own, and
solve by Euler's method with a step of their own. So the potential is counted from the reset, in units of
the way to the threshold, and what is left stands in weights and biases, which everybody reads:

.. math:: v' = \frac{v - v_{reset}}{\theta - v_{reset}}, \qquad
          w' = \frac{w}{r_{max}\,dt\,(\theta - v_{reset})\,g}, \qquad
          b' = \frac{b - v_{reset}}{(\theta - v_{reset})\,g}

with g the gain of the node, :math:`r` or :math:`r\, w_{in}`. A time constant is written as the one that
makes Euler's step of dt what exponential Euler makes of ours:

.. math:: 1 - dt/\tau' = e^{-dt/\tau}

Source: Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9; what the programs take is read from
Norse 1.1, snnTorch 1.0 and SpikingJelly 2.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rate_bridge.filters import decay
from root.errors import UnsupportedError
from spiking.network import Layer, Network
from spiking.nir.kinds import kind_of

__all__ = ["EXACT", "FORMS", "PORTABLE", "Form", "Part", "array", "node_of"]


@final
@dataclass(frozen=True)
class Form:
    """How numbers are written.

    Args:
        solver: how the reader solves: ``euler``, or ``exponential``, for which times stay as they are.
        step_s: the reader's step; None for the network's.
        gain: what a LIF's ``r`` is: 1 (``one``) or what cancels the step (``step``).
        own: whether thresholds, resets and biases stay where our neurons have them (``v_leak``).
    """

    solver: Literal["euler", "exponential"] = "euler"
    step_s: float | None = None
    gain: Literal["one", "step"] = "one"
    own: bool = False


PORTABLE = Form()
EXACT = Form("exponential", own=True)
FORMS = {
    "portable": PORTABLE,
    "exact": EXACT,
    "norse": PORTABLE,
    "spikingjelly": PORTABLE,
    "snntorch": Form(step_s=1e-4, gain="step"),
}
"""By the reader; ``exact`` is right by NIR's own equations, and no program's habit."""


@final
@dataclass(frozen=True)
class Part:
    """A layer as it is written.

    Args:
        node: the neurons.
        scale: what a weight onto a neuron is multiplied with, besides the value of a spike, ``(n,)``.
        bias: what the affine map before the neurons adds, ``(n,)``; None where a node says it.
    """

    node: nir.NIRNode
    scale: Tensor
    bias: Tensor | None


def node_of(network: Network, layer: Layer, values: Mapping[str, Tensor], form: Form) -> Part:
    """Return a layer as a node of NIR.

    Raises:
        UnsupportedError: NIR has no such neuron, or none with such a mixture of parameters.
    """
    kind = kind_of(layer.neuron)
    filtered = _filtered(values)
    if form.own and kind.leaky and kind.spikes and not kind.own_filter:
        return _own(network, layer, values, filtered=filtered)
    if not kind.leaky:
        return _perfect(network, values, form, filtered=filtered)
    ones = torch.ones_like(values["tau_m_ms"])
    rise = values["threshold"] - values["reset"] if kind.spikes else ones
    begin = values["reset"] if kind.spikes else 0 * ones
    tau_m, whole = _time(values["tau_m_ms"], network.dt_ms, form)
    if filtered:
        tau_syn, whole_syn = _time(values["tau_syn_ms"], network.dt_ms, form)
        r, w_in = (whole, whole_syn) if kind.spikes else (ones, ones)
        gain = r * w_in
        common: dict[str, Any] = {"tau_syn": array(tau_syn), "tau_mem": array(tau_m), "w_in": array(w_in)}
    else:
        r = gain = whole if form.gain == "step" and kind.spikes else ones
        common = {"tau": array(tau_m)}
    common |= {"r": array(r), "v_leak": array(0 * ones)}
    if kind.spikes:
        common |= {"v_threshold": array(ones), "v_reset": array(0 * ones)}
    types = (nir.CubaLIF, nir.LIF) if kind.spikes else (nir.CubaLI, nir.LI)
    node = types[0 if filtered else 1](**common)
    return Part(node, 1 / (rise * gain), (values["bias"] - begin) / (rise * gain))


def _own(network: Network, layer: Layer, values: Mapping[str, Tensor], *, filtered: bool) -> Part:
    """Return a LIF with everything where it is here; the value of a spike stands in its gain."""
    ones = torch.ones_like(values["tau_m_ms"])
    common = {
        "v_leak": array(values["bias"]),
        "v_threshold": array(values["threshold"]),
        "v_reset": array(values["reset"]),
    }
    tau_m, value = array(1e-3 * values["tau_m_ms"]), np.full(layer.size, network.spike_value)
    if filtered:
        tau_syn = array(1e-3 * values["tau_syn_ms"])
        times = {"tau_syn": tau_syn, "tau_mem": tau_m, "r": array(ones), "w_in": value}
        return Part(nir.CubaLIF(**common, **times), ones, None)
    return Part(nir.LIF(**common, tau=tau_m, r=value), ones, None)


def _perfect(network: Network, values: Mapping[str, Tensor], form: Form, *, filtered: bool) -> Part:
    """Return neurons without a leak, whose potential a step raises by their input."""
    if filtered:
        fix = "Neurons without a leak have no synaptic filter there."
        raise UnsupportedError("neuron.tau_syn_ms", float(values["tau_syn_ms"].max()), "0", fix)
    step_s = form.step_s or 1e-3 * network.dt_ms
    ones = torch.ones_like(values["tau_m_ms"])
    scale = network.dt_ms / (values["tau_m_ms"] * values["threshold"])
    node = nir.IF(r=array(ones / step_s), v_threshold=array(ones), v_reset=array(0 * ones))
    return Part(node, scale, values["bias"] * scale)


def _filtered(values: Mapping[str, Tensor]) -> bool:
    filtered = values["tau_syn_ms"] > 0
    if bool(filtered.any()) and not bool(filtered.all()):
        allowed = "all neurons of a layer with a synaptic filter, or none"
        raise UnsupportedError("neuron.tau_syn_ms", 0, allowed)
    return bool(filtered.all())


def _time(tau_ms: Tensor, dt_ms: float, form: Form) -> tuple[Tensor, Tensor]:
    """Return a time constant in s, and the gain that makes a step's rise the whole input."""
    step_s = form.step_s or 1e-3 * dt_ms
    rise = 1 - decay(tau_ms, dt_ms)
    if form.solver == "euler":
        return step_s / rise, 1 / rise
    return tau_ms * (step_s / dt_ms), 1 / rise


def array(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor's numbers as NIR takes them."""
    return np.ascontiguousarray(tensor.detach().cpu().double().numpy())
