"""The trace of the output that a controller sees, which the network alone says."""

from __future__ import annotations

from typing import NamedTuple

import torch

from rate_bridge.filters import decay
from spiking.network import Network

__all__ = ["ReadoutTrace", "readout_trace"]


class ReadoutTrace(NamedTuple):
    r"""The trace of the last layer that the controller sees: :math:`x \leftarrow a x + g\,s`.

    Args:
        decay: a of a step; 0 for neurons whose activities need no filter.
        gain: g, what an emission adds.
    """

    decay: float
    gain: float


def readout_trace(network: Network) -> ReadoutTrace:
    """Return decay and gain of the read-out trace."""
    tau = torch.tensor(network.readout_tau_ms, dtype=torch.float64)
    filtered = network.layers[-1].neuron.emits_spikes
    kept = float(decay(tau, network.dt_ms)) if filtered else 0.0
    return ReadoutTrace(kept, (1.0 - kept) * network.emission_value(network.depth))
