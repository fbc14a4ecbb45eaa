"""Brian2's own Synapses in place of the operators that deliver and feed back: slow, and a check of these."""

from __future__ import annotations

from functools import partial
from typing import Any, final

import brian2
import numpy as np
from numpy.typing import NDArray

from root.errors import UnsupportedError
from spiking.simulators.brian2.plain import PlainModel

__all__ = ["SynapsesModel"]

Array = NDArray[Any]


@final
class PlainSynapses:
    """One copy of every synapse for every sample.

    What layer l receives where feedback is layered is summed in a group ``chain{l}`` in every step, whose
    neurons pass it on times their `gate`.

    Args:
        plain: the model that they belong to.
    """

    def __init__(self, plain: PlainModel) -> None:
        self.plain, self.shape = plain, plain.shape
        self.samples = plain.chips * plain.batch
        self.objects: list[Any] = []
        self.weighted: list[tuple[str, Any]] = []
        self.source: Any = None
        self._input()
        for index, pre, post, delay in self.shape.carrying:
            self._connection(index, pre, post, delay)
        self.chain: dict[int, Any] = {}
        if self.shape.controller and self.shape.gate_points:
            self._relay()
        elif self.shape.controller:
            self._feedback()

    def _input(self) -> None:
        plain, count = self.plain, self.samples * self.shape.inputs
        clock = plain.model.clock
        if self.shape.drive == "spikes":
            self.source = brian2.SpikeGeneratorGroup(count, [], [] * brian2.ms, clock=clock, name="source")
            self.objects.append(self.source)
            return
        self.source = brian2.NeuronGroup(count, "value : 1", clock=clock, name="source")
        population, first, size = self.shape.place(1)
        total = self.shape.populations[population].size
        drive = brian2.Synapses(
            self.source,
            plain.model.populations[population],
            "w : 1 (constant)\nexternal_post = w*value_pre : 1 (summed)",
            clock=clock,
            name="drive",
        )
        self._connect(drive, (self.shape.inputs, 0, self.shape.inputs), (total, first, size))
        self.weighted.append(("weights0", drive))
        follow = brian2.NetworkOperation(self._follow, clock=clock, when="start")
        self.objects += [self.source, drive, follow]

    def _follow(self) -> None:
        values = self.plain.data["values"]
        now = values[:, self.plain.step if values.shape[1] > 1 else 0]
        self.source.variables["value"].get_value()[:] = np.tile(now.reshape(-1), self.plain.chips)

    def _connection(self, index: int, pre: int, post: int, delay: int) -> None:
        plain = self.plain
        if pre == 0:
            source, place = self.source, (self.shape.inputs, 0, self.shape.inputs)
        else:
            population, first, size = self.shape.place(pre)
            if not self.shape.populations[population].spikes:
                raise UnsupportedError("neuron", "activities", "spikes, through Synapses")
            source = plain.model.populations[population]
            place = (self.shape.populations[population].size, first, size)
        target, first, size = self.shape.place(post)
        synapses = brian2.Synapses(
            source,
            plain.model.populations[target],
            "w : 1 (constant)",
            on_pre="synapse_post += w",
            delay=(delay - 1) * plain.dt,
            clock=plain.model.clock,
            name=f"connection{index}",
        )
        self._connect(synapses, place, (self.shape.populations[target].size, first, size))
        self.weighted.append((f"weights{index}", synapses))
        self.objects.append(synapses)

    def _feedback(self) -> None:
        plain, k = self.plain, self.shape.outputs
        for index, population in enumerate(self.shape.populations):
            synapses = brian2.Synapses(
                plain.model.controller,
                plain.model.populations[index],
                "w : 1 (constant)\nfeedback_post = w*control_pre : 1 (summed)",
                clock=plain.model.clock,
                name=f"feedback{index}",
            )
            self._connect(synapses, (k, 0, k), (population.size, 0, population.size))
            self.weighted.append((f"feedback{index}", synapses))
            self.objects.append(synapses)

    def _relay(self) -> None:
        """From the controller to the outputs, and to hidden layers from the last to the first."""
        plain, k, last = self.plain, self.shape.outputs, self.shape.depth
        clock = plain.model.clock
        source, sent, count = plain.model.controller, "control_pre", k
        for layer in (last, *reversed(self.shape.relays)):
            n = self.shape.place(layer)[2]
            group = brian2.NeuronGroup(
                self.samples * n,
                "arriving : 1\ngate : 1",
                clock=clock,
                order=-1 - layer,  # sums are made one place before, layer 1 at -3, after all layers above
                name=f"chain{layer}",
            )
            synapses = brian2.Synapses(
                source,
                group,
                f"w : 1 (constant)\narriving_post = w*{sent} : 1 (summed)",
                clock=clock,
                name=f"backward{layer}",
            )
            self._connect(synapses, (count, 0, count), (n, 0, n))
            self.weighted.append((f"backward{layer}", synapses))
            self.chain[layer] = group
            self.objects += [group, synapses]
            if layer < last:
                source, sent, count = group, "gate_pre*arriving_pre", n
                if layer > 1:
                    opened = partial(self._open, layer)
                    self.objects.append(brian2.NetworkOperation(opened, clock=clock, when="start"))

    def _open(self, layer: int) -> None:
        self.chain[layer].variables["gate"].get_value()[:] = self.plain.gates(layer).reshape(-1)

    def arriving(self, layer: int) -> Array:
        """Return what a layer's feedback synapses sum, ``(chips, batch, n)``."""
        values: Array = self.chain[layer].variables["arriving"].get_value()
        return values.reshape(self.plain.chips, self.plain.batch, -1)

    def received(self) -> dict[int, Array]:
        """Return what hidden layers receive at a refresh."""
        return {layer: self.arriving(layer) for layer in self.shape.relays}

    def _connect(self, synapses: Any, source: tuple[int, int, int], target: tuple[int, int, int]) -> None:
        """Join every neuron of a stretch (of how many, from which on, how many) to every one of another."""
        (total, first, size), (post_total, post_first, post_size) = source, target
        sample, i, j = np.meshgrid(
            np.arange(self.samples), np.arange(size), np.arange(post_size), indexing="ij"
        )
        synapses.connect(
            i=(sample * total + first + i).ravel(), j=(sample * post_total + post_first + j).ravel()
        )

    def program(self) -> None:
        """Give the synapses their weights, and the source its spikes."""
        data = self.plain.data
        for name, synapses in self.weighted:
            weights = data[name][:, None]
            shape = (self.plain.chips, self.plain.batch, *weights.shape[2:])
            synapses.variables["w"].get_value()[:] = np.broadcast_to(weights, shape).reshape(-1)
        if self.shape.drive == "spikes":
            if any(array.any() for name, array in data.items() if name.startswith("history")):
                raise UnsupportedError("phase.after", "spikes under way", "none, through Synapses")
            raster = np.tile(data["raster"].transpose(1, 0, 2), (1, self.plain.chips, 1))
            times, indices = np.nonzero(raster.reshape(self.plain.steps, -1))
            self.source.set_spikes(indices, times * self.plain.dt)


class SynapsesModel(PlainModel):
    """Does what its parent does, with Synapses that deliver spikes and feedback."""

    def _operations(self) -> list[Any]:
        self.links = PlainSynapses(self)
        return [*self.links.objects, *super()._operations()]

    def _begin(self) -> None:
        self.links.program()

    def _received(self) -> dict[int, Array]:
        return self.links.received()

    def _reaching_outputs(self) -> Array:
        return self.links.arriving(self.shape.depth)

    def _drive(self) -> None:
        """Synapses do."""

    def _feed_back(self) -> None:
        """Synapses do."""

    def _add(self, arriving: Array, index: int, post: int) -> None:
        """Synapses do."""
