"""What programs make of a NIR file of ours: how to read it there, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch

from spiking.nir.forms import EXACT, Form
from spiking.nir.kinds import kind_of
from spiking.nir.stored import Stored

__all__ = ["READERS", "Reader", "lost"]


@final
@dataclass(frozen=True)
class Reader:
    """A program that reads NIR.

    Args:
        name: what it is called.
        how: the line that reads a file; ``{dt}`` is our step in seconds.
        notes: yields what is not the same there.
    """

    name: str
    how: str
    notes: Callable[[Stored, Form], Iterator[str]]


def lost(chip: Stored, form: Form) -> list[str]:
    """Return what a file in this form does not say to any program but this one, a sentence each."""
    return list(_everywhere(chip, form))


def _everywhere(chip: Stored, form: Form) -> Iterator[str]:
    times = [values.get("refractory_ms") for values in chip.neurons]
    held = max((float(time.max()) for time in times if time is not None), default=0.0)
    if held > 0:
        yield f"refractory times (up to {held:g} ms): NIR has none, so neurons fire faster there"
    if any(kind_of(layer.neuron).subtracts for layer in chip.network.layers):
        yield "the reset by subtraction: NIR's neurons are set to a value"
    if form is not EXACT and _onset(chip):
        yield (
            "the onset of biases: they pass the synaptic filter there, and are whole after about five of its "
            "time constants"
        )


def _norse(chip: Stored, form: Form) -> Iterator[str]:
    yield from _unread(chip, "passes over it without a word")
    if _loops(chip):
        yield "of connections within a layer or backward it gives back the currents, not the output's spikes"
    if form is EXACT:
        yield "it adds v_leak to the synapse and to the membrane, leaves out r of a LIF and resets to 0"


def _snntorch(chip: Stored, form: Form) -> Iterator[str]:
    yield from _unread(chip, "refuses the file")
    if _loops(chip):
        yield "it refuses connections within a layer or backward, but in graphs of their own"
    if any(not kind_of(layer.neuron).leaky for layer in chip.network.layers):
        yield "an IF becomes a neuron that leaks a tenth of its potential in every step"
    if form.step_s != 1e-4 and not abs(chip.network.dt_ms - 0.1) < 1e-9:
        yield "its step is 0.1 ms whatever is asked for; export it --for snntorch"
    elif form.gain != "step" and _apart(chip, "tau_m_ms"):
        yield "it takes one gain for a layer, and the membranes differ; export it --for snntorch"


def _spikingjelly(chip: Stored, form: Form) -> Iterator[str]:
    yield from _unread(chip, "refuses the file")
    if any(c.pre > c.post for c in chip.network.connections):
        yield "a loop over several layers takes one step there, as many as layers here"
    apart = [field for field in ("tau_m_ms", "tau_syn_ms") if _apart(chip, field)]
    if apart:
        yield f"it refuses {' and '.join(apart)} that differ from neuron to neuron"
    if form is EXACT:
        yield "it refuses thresholds, leaks and resets that differ, and gains other than its own"


def _subtracting(chip: Stored, form: Form) -> Iterator[str]:
    del form
    if any(k.spikes and not k.subtracts for k in (kind_of(layer.neuron) for layer in chip.network.layers)):
        yield "it subtracts the threshold at every spike, where ours go to a value: it counts other spikes"


def _unread(chip: Stored, does: str) -> Iterator[str]:
    """Yield what programs that know the plain nodes alone do when they meet another."""
    network = chip.network
    late = max(connection.delay_steps for connection in network.connections)
    if late > 1:
        yield f"it does not read the node Delay (up to {late * network.dt_ms:g} ms), and {does}"
    if any(not kind_of(layer.neuron).spikes for layer in network.layers):
        yield f"it does not read the node LI, and {does}"


def _loops(chip: Stored) -> bool:
    return any(connection.pre >= connection.post for connection in chip.network.connections)


def _onset(chip: Stored) -> bool:
    """Whether a bias acts at once here and through a filter there."""
    found = False
    for layer, values in zip(chip.network.layers, chip.neurons, strict=True):
        kind = kind_of(layer.neuron)
        if kind.leaky and not kind.own_filter and bool((values["tau_syn_ms"] > 0).all()):
            begin = values["reset"] if kind.spikes else torch.zeros_like(values["bias"])
            found = found or bool((values["bias"] != begin).any())
    return found


def _apart(chip: Stored, field: str) -> bool:
    values = [layer[field] for layer in chip.neurons if field in layer]
    return any(bool((value != value[0]).any()) for value in values)


READERS = {
    "norse": Reader("Norse", "norse.torch.from_nir(nir.read(FILE), dt={dt:g})", _norse),
    "snntorch": Reader("snnTorch", "snntorch.import_nir.import_from_nir(nir.read(FILE))", _snntorch),
    "spikingjelly": Reader(
        "SpikingJelly",
        "spikingjelly.activation_based.nir_exchange.import_from_nir(FILE, dt={dt:g})",
        _spikingjelly,
    ),
    "sinabs": Reader("sinabs", "sinabs.nir.from_nir(nir.read(FILE), batch_size=1)", _subtracting),
    "rockpool": Reader("Rockpool", "rockpool.nn.modules.torch.nir.from_nir(nir.read(FILE))", _subtracting),
}
"""By the name that ``spiketrain export --for`` takes, where there is a form for it."""
