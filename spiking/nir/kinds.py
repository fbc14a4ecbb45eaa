"""Which of NIR's neurons one of ours is, by its equations; no model is known here by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from root.errors import UnsupportedError
from spiking.neurons.base import Neuron

__all__ = ["Kind", "kind_of"]

LEAKY = "dv/dt = (current - v) / tau_m"
FILTERED = "dv/dt = (filtered - v) / tau_m; dfiltered/dt = (current - filtered) / tau_syn"
PERFECT = "dv/dt = current / tau_m"
TO_VALUE, SUBTRACTED = "v = reset", "v -= threshold"


@final
@dataclass(frozen=True)
class Kind:
    """What tells NIR's neurons apart.

    Args:
        leaky: whether the membrane leaks.
        own_filter: whether bias and feedback pass the synaptic filter too.
        spikes: whether it spikes.
        subtracts: whether a spike subtracts the threshold, which NIR cannot say.
    """

    leaky: bool
    own_filter: bool
    spikes: bool
    subtracts: bool


def kind_of(neuron: Neuron) -> Kind:
    """Return what kind of NIR's neurons `neuron` is.

    Raises:
        UnsupportedError: NIR has no such neuron.
    """
    text = neuron.dynamics()
    known = text.equations in {LEAKY, FILTERED, PERFECT}
    if text.threshold:
        known = known and text.threshold == "v > threshold" and text.reset in {TO_VALUE, SUBTRACTED}
    else:
        known = known and text.equations != PERFECT and text.emission == "v"
    if not known:
        raise UnsupportedError("network.neuron.model", neuron.model, "lif, cuba_lif, li, if", NONE)
    return Kind(
        leaky=text.equations != PERFECT,
        own_filter=text.equations == FILTERED,
        spikes=bool(text.threshold),
        subtracts=text.reset == SUBTRACTED,
    )


NONE = "NIR has no such neuron."
