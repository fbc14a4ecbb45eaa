"""A layer of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deltas import Deltas
from ..loihi import decayed, folded, scaled, wrapped
from ..neurons import fixed, floating, part
from ..relay import Relay
from .base import Model, Process, model_of

__all__ = ["Population"]


class Population(Process):
    """Neurons of one model, each with its own parameters.

    Ports, each ``(chips, batch, neurons)``: ``feedback`` and ``external`` act in this step, ``arriving``
    through the synapse from the next step on; ``out`` carries what is emitted, ``current`` all currents
    but the feedback, for the shadow. Where feedback is layered, ``feedback`` comes to hidden layers every
    ``relay`` steps, and what they pass on goes out on ``passed``; see `runtime.relay`. In the learning phase
    the shadow's sum comes back on ``basal``, and what the feedback made of every neuron goes out on
    ``error``, to the synapses; where these learn in every step, the feedback current does.

    With ``deltas``, messages are changes of activities: what arrives is added up (in ``held``, what comes
    on ``external``), and what counts as a neuron's activity is what it told others.
    """

    receives = ("feedback", "external", "arriving", "basal")
    sends = ("out", "current", "passed", "error")
    real = ("basal", "error")


class _PopulationModel(Model):
    stepper: Any

    def prepare(self, parameters: Any) -> None:
        layer = parameters["layer"]
        prefix = f"layer.{layer}"
        self.layer, self.incoming = layer, parameters["incoming"]
        self.advance = self.stepper(parameters["neuron"])
        self.states, self.constants = (
            part(self.arrays, f"{prefix}.state."),
            part(self.arrays, f"{prefix}.constant."),
        )
        self.synapse_decay = self.constants.pop("synapse_decay")
        self.bias = self.arrays[f"{prefix}.bias"]
        self.every = parameters["relay"] if f"gates.{layer}" in self.arrays else 0
        self.inside = bool(self.learns) and self.learns["inside"]
        self.gated = self.inside and self.learns["gated"] and f"layer.{layer + 1}.bias" in self.arrays
        self.spiked = np.zeros(parameters["shape"], bool)

    def begin(self, shown: slice) -> None:
        arrays, layer = self.arrays, self.layer
        if self.inside:
            self.spiked[...] = False
        self.state = {name: array[:, shown] for name, array in self.states.items()}
        self.synapse = self.state.pop("synapse")
        injected = arrays.get(f"layer.{layer}.injected")
        self.injected = None if injected is None else injected[:, shown]
        self.told = Deltas(arrays, layer + 1, shown) if self.deltas else None
        self.relay = Relay(arrays, layer, shown) if self.every else None
        self.held = arrays["held"][:, shown] if self.deltas and self.external.csp_ports else None
        self.window, self.sum = arrays["window"][shown], arrays[f"sum.{layer}"][:, shown]
        self.records = {
            name: arrays[key][:, shown]
            for name in ("spikes", "voltage", "current")
            if (key := f"record.{name}.{layer}") in arrays
        }

    def step(self, t: int) -> None:
        current = self.read(self.synapse) + self.bias
        if self.external.csp_ports:
            current += self._outside()
        if self.injected is not None:
            current += self.injected
        self.current.send(current)
        if self.feedback.csp_ports:
            fed_back = self._fed_back(t)
            current = current + fed_back
            if self.inside:
                self._teach(fed_back, t)
        emitted = self.advance(self.state, current, self.constants)
        if self.told is None:
            self.out.send(emitted)
        else:
            self.out.send(self.told(emitted))
            emitted = self.told.sent
        self.receive()
        if self.inside:
            self.spiked |= emitted != 0
        weight = self.window[:, t]
        if self.relay is not None:
            self.relay.follow(emitted, weight)
        if weight.any():
            self.sum += weight[:, None] * emitted
        now = {"spikes": emitted, "voltage": self.state["v"], "current": self.synapse}
        for name, rows in self.records.items():
            rows[:, :, t] = now[name]

    def _outside(self) -> Any:
        """Return the current that the input causes at once."""
        arriving = self.external.recv()
        if self.held is None:
            return arriving
        self.held += arriving
        return self.read_held(self.held)

    def _fed_back(self, t: int) -> Any:
        """Return the feedback current; where it is layered, of the last refresh."""
        if self.relay is None:
            return self.feedback.recv()
        if t % self.every == 0:
            self.passed.send(self.relay.refresh(self.feedback.recv()))
        return self.relay.current()

    def _teach(self, fed_back: NDArray[Any], t: int) -> None:
        """Tell the synapses what they learn from in this step, and change the biases for the next one."""
        error = fed_back * self.window[:, t, None]
        if self.gated:
            error = error * self.spiked
        self.error.send(error)
        if self.learns["biases"]:
            self._change_biases(error)

    def learn(self, presentation: int) -> None:
        """Compare what the neurons emitted with their shadows, tell the synapses, change the biases."""
        scale = self.arrays["learning.scale"][self.layer + 1]
        error = (self.sum - self.basal.recv()) * scale
        self.error.send(error)
        self._change_biases(error)

    def _change_biases(self, error: NDArray[Any]) -> None:
        for index in self.incoming:
            change = error.sum(1) * self.arrays["learning.factor"][self.presentation, index]
            self.arrays[f"change.bias.{index}"] += change
            if self.learns["changes"]:
                self.bias += change[:, None]

    def _arrived(self) -> NDArray[Any] | int:
        return self.arriving.recv() if self.arriving.csp_ports else 0


@model_of(Population, float)
class PopulationFloat(_PopulationModel):
    """Floating point."""

    stepper = staticmethod(floating)

    def read(self, synapse: Any) -> Any:
        return synapse

    read_held = read

    def receive(self) -> None:
        self.synapse *= self.synapse_decay
        self.synapse += self._arrived()


@model_of(Population, np.int64)
class PopulationFixed(_PopulationModel):
    """Loihi's integers."""

    stepper = staticmethod(fixed)

    def read(self, synapse: Any) -> Any:
        """Return the current; a sum of graded messages is scaled when it is read, so that it stays exact."""
        return scaled(synapse, self.arrays[f"layer.{self.layer}.exponent"]) if self.deltas else synapse

    def read_held(self, held: Any) -> Any:
        return scaled(held, self.arrays["held.exponent"])

    def receive(self) -> None:
        """Decay the current, add what arrived (aligned by 6 bits), wrap at 24 bits; or only add it, in 32."""
        if self.deltas:
            self.synapse[...] = folded(self.synapse + self._arrived())
        else:
            self.synapse[...] = wrapped(decayed(self.synapse, self.synapse_decay) + (self._arrived() << 6))
