r"""The loop over time for networks of rate neurons alone, as few operations as there are multiplications.

It computes what the general loop of the tensor simulator does, to rounding, with every per-neuron factor
moved out of the loop (but for the shapes of activations, applied to z where they differ from 1):

.. math::
    z = (v - o) / s, \qquad z \leftarrow a z + \sum_{pre} y_{pre} M_{pre} + u N + K, \qquad y = \phi(z)

where the weights M and N carry :math:`(1 - a) / s` of the receiving neuron and the gain and saturation
:math:`g s` of the sending one, K is everything constant, and rates are :math:`g s\, y`. The control signal
and a one stand beside each layer's activity, so that synapses, feedback and bias are one product, which
also applies the decay. Memory does not grow with the number of steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from spiking.blocks.block import Block
from spiking.blocks.bound import bound_controller
from spiking.blocks.recordings import Outcome
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.activations import activation
from spiking.neurons.base import Values
from spiking.neurons.rate import Rate
from spiking.presentation import CurrentDrive

__all__ = ["RateLoop"]


@final
class _Layer:
    """A layer's constants: decay (a number where all neurons share it), offset, and the factor g s.

    Args:
        neuron: the model.
        values: effective parameters, ``(chips, n)``.
        dt_ms: time step.
    """

    def __init__(self, neuron: Rate, values: Values, dt_ms: float) -> None:
        self.phi = activation(neuron.activation)
        constants = neuron.constants(values, dt_ms)
        a = constants["decay"]
        self.keep, self.shape = a, constants.get("shape")
        first = a.flatten()[0]
        self.uniform = float(first) if bool((a == first).all()) else None
        self.offset = values["offset"].unsqueeze(1)
        self.limit = values["saturation"].unsqueeze(1) if self.phi.stretched else torch.ones_like(a)
        self.output = values["gain"].unsqueeze(1) * self.limit
        self.input = (1.0 - a) / self.limit


@final
class RateLoop:
    """One block under way; see the module.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what to run.
        device: where to compute.
        dtype: with what.
    """

    def __init__(
        self, network: Network, hardware: Hardware, block: Block, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.network, self.hardware, self.block = network, hardware, block
        self.device, self.dtype = device, dtype
        self.outputs = network.outputs if block.target is not None else 0
        self.layers = [
            _Layer(layer.neuron, values, network.dt_ms)
            for layer, values in zip(network.layers, hardware.neurons, strict=True)
            if isinstance(layer.neuron, Rate)
        ]
        self.shape = (hardware.chips, block.batch)
        self.shapes = [None if layer.shape is None else self.to(layer.shape) for layer in self.layers]
        self._states()
        self._products()
        self._controller()
        self._windows()

    @staticmethod
    def applies(network: Network, hardware: Hardware, block: Block) -> bool:
        """Whether this loop can run the block; if not, the general one must."""
        if (
            hardware.needs
            or hardware.relay is not None
            or block.noise is not None
            or block.plasticity is not None
            or block.course is not None
            or block.record
        ):
            return False
        if not isinstance(block.drive, CurrentDrive):
            return False
        chained = all(c.delay_steps == 1 for c in network.connections)
        if block.drive.values.ndim != 2 or not chained:
            return False
        if not all(isinstance(layer.neuron, Rate) and _foldable(layer.neuron) for layer in network.layers):
            return False
        return not block.shadow or _shadows_follow(hardware, block)

    def to(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.dtype)

    def _states(self) -> None:
        """Set up z and the buffers ``[y | u | 1]`` of every layer."""
        self.z, self.buffers, self.y, self.slots = [], [], [], []
        starts = self.block.start.neurons
        for layer, start in zip(self.layers, starts, strict=True):
            self.z.append(self.to((start["v"].to(layer.offset) - layer.offset) / layer.limit).contiguous())
            size = self.z[-1].shape[-1]
            buffer = torch.ones(*self.shape, size + self.outputs + 1, dtype=self.dtype, device=self.device)
            self.buffers.append(buffer)
            self.y.append(buffer[..., :size])
            self.slots.append(buffer[..., size : size + self.outputs])

    def _products(self) -> None:
        """Fold the factors into the weights; sort out who multiplies what."""
        network, hardware = self.network, self.hardware
        drive = self.block.drive
        assert isinstance(drive, CurrentDrive)
        self.terms: list[list[tuple[Tensor, Tensor]]] = []
        self.constant: list[Tensor | None] = []
        self.control_weights: list[Tensor] = []
        self.fixed: list[Tensor] = []
        self.keep = [self.to(layer.keep) for layer in self.layers]
        for index, layer in enumerate(self.layers):
            constant = hardware.neurons[index]["bias"].unsqueeze(1) - layer.offset
            fixed = constant * layer.input
            self.fixed.append(fixed)
            control = (hardware.feedback[index] if self.outputs else fixed[:, :0]) * layer.input
            self.control_weights.append(self.to(control))
            sources = [
                (c.pre - 1, hardware.weights[k] * self.layers[c.pre - 1].output.transpose(1, 2) * layer.input)
                for k, c in ((k, network.connections[k]) for k in network.between_neurons)
                if c.post == index + 1
            ]
            extra = self._extra(index, layer, drive)
            self.constant.append(None if extra is None and sources else self.to(_sum(fixed, extra)))
            self.terms.append(self._terms(sources, control, fixed if extra is None else None))

    def _extra(self, index: int, layer: _Layer, drive: CurrentDrive) -> Tensor | None:
        """Return what is constant but differs between samples, ``(chips, batch, n)``."""
        extra = None
        for k in self.network.from_input:
            weight = self.hardware.weights[k]
            if self.network.connections[k].post == index + 1:
                own = torch.matmul(self.to(drive.values), self.to(weight * layer.input)).to(layer.input)
                extra = _sum(own, extra)
        if self.block.currents:
            extra = _sum(self.block.currents[index].to(layer.input) * layer.input, extra)
        return extra

    def _terms(
        self, sources: list[tuple[int, Tensor]], control: Tensor, fixed: Tensor | None
    ) -> list[tuple[Tensor, Tensor]]:
        """Return pairs of a buffer (or a view of it) and a matrix, their products to be added."""
        if not sources:
            return []
        (first, weight), *others = sources
        rows = [weight, control] if fixed is None else [weight, control, fixed]
        matrix = self.to(torch.cat(rows, dim=1)).contiguous()
        terms = [(self.buffers[first][..., : matrix.shape[1]], matrix)]
        return terms + [(self.y[pre], self.to(w).contiguous()) for pre, w in others]

    def _controller(self) -> None:
        block = self.block
        self.trace = self.to(block.start.trace)
        self.integral = self.to(block.start.integral).clone()
        self.control: Tensor | None = None
        loop = bound_controller(self.network, self.hardware, block)
        if loop is None:
            return
        self.gain = self.to(loop.gain * self.layers[-1].output)
        self.offset = self.to(loop.offset)
        self.target = self.to(loop.target).expand(*self.shape, -1).contiguous()
        self.kp, self.ki = self.to(loop.kp * loop.on), self.to(loop.ki)
        self.forget = self.to(1.0 - loop.leak) if bool((loop.leak != 0).any()) else None
        self.on = None if bool((loop.on == 1).all()) else self.to(loop.on)
        self.softmax = loop.softmax.to(self.device) if bool(loop.softmax.any()) else None
        self.error = torch.empty_like(self.target)
        self.signal = torch.zeros_like(self.target)
        self.control = torch.zeros_like(self.target)

    def _windows(self) -> None:
        window = self.block.window
        self.counted = (window != 0).any(0).tolist()
        alike = bool((window == window[:1]).all())
        self.scalar_weights = window[0].tolist() if alike else None
        self.weights = self.to(window).t().reshape(self.block.steps, 1, -1, 1)
        self.sums = [torch.zeros_like(z) for z in self.z]
        self.basal = [torch.zeros_like(z) for z in self.z] if self.block.shadow else []
        self.scratch = [torch.empty_like(z) for z in self.basal]
        self.slow = [torch.zeros(*self.shape, self.outputs).to(self.z[0]) for _ in self.basal]

    def run(self) -> Outcome:
        """Run the block."""
        for t in range(self.block.steps):
            if self.control is not None:
                self._control(t)
            self._potentials(t)
            for index, (z, y) in enumerate(zip(self.z, self.y, strict=True)):
                self._activate(index, z, y)
            if self.counted[t]:
                self._count(t)
        return self._outcome()

    def _control(self, t: int) -> None:
        if t == 0:
            self.y[-1].copy_(self.trace / self.to(self.layers[-1].output))
        torch.addcmul(self.offset, self.y[-1], self.gain, out=self.error)
        if self.softmax is not None:
            self.error = torch.where(self.softmax, torch.softmax(self.error, -1), self.error)
        torch.sub(self.target, self.error, out=self.error)
        if self.forget is not None:
            self.integral.mul_(self.forget)
        self.integral.addcmul_(self.ki, self.error)
        torch.addcmul(self.integral, self.kp, self.error, out=self.signal)
        if self.on is not None:
            self.signal.mul_(self.on)
        for slot in self.slots:
            slot.copy_(self.signal)

    def _potentials(self, t: int) -> None:
        """Advance every z; the first step takes the synaptic currents that the start came with."""
        for index, (layer, z) in enumerate(zip(self.layers, self.z, strict=True)):
            self._decay(index, layer, z)
            if t == 0:
                self._first(index, layer, z)
            elif self.terms[index]:
                self._multiply(index, layer, z)
            elif self.control is not None:
                z.baddbmm_(self.signal, self.control_weights[index])
            if self.slow and self.control is not None:
                assert layer.uniform is not None
                self.slow[index].mul_(layer.uniform).add_(self.signal)

    def _decay(self, index: int, layer: _Layer, z: Tensor) -> None:
        """Let z decay and add what is constant, unless the product to come does so."""
        constant = self.constant[index]
        if constant is not None and layer.uniform is not None:
            torch.add(constant, z, alpha=layer.uniform, out=z)
        elif constant is not None:
            torch.addcmul(constant, z, self.keep[index], out=z)
        elif layer.uniform is None:
            z.mul_(self.keep[index])

    def _multiply(self, index: int, layer: _Layer, z: Tensor) -> None:
        owed = layer.uniform if self.constant[index] is None else None
        for position, (buffer, matrix) in enumerate(self.terms[index]):
            z.baddbmm_(buffer, matrix, beta=owed if position == 0 and owed is not None else 1.0)

    def _first(self, index: int, layer: _Layer, z: Tensor) -> None:
        if self.constant[index] is None and layer.uniform is not None:
            z.mul_(layer.uniform)
        z += self.to(self.block.start.synapse[index] * layer.input)
        if self.constant[index] is None:
            z += self.to(self.fixed[index])
        if self.control is not None:
            z.baddbmm_(self.signal, self.control_weights[index])

    def _activate(self, index: int, z: Tensor, out: Tensor) -> None:
        """Write the activity at z to `out`."""
        phi, shape = self.layers[index].phi, self.shapes[index]
        phi.into(z if shape is None else phi.bent(z, None, shape), out)

    def _count(self, t: int) -> None:
        for total, y in zip(self.sums, self.y, strict=True):
            self._add(total, y, t)
        for index, z in enumerate(self.z[: len(self.basal)]):
            apical = (self.slow[index], self.control_weights[index])
            ahead = torch.baddbmm(z, *apical, alpha=-1.0, out=self.scratch[index])
            self._activate(index, ahead, ahead)
            self._add(self.basal[index], ahead, t)
        if self.control is not None:
            self._add(self.control, self.signal, t)

    def _add(self, total: Tensor, value: Tensor, t: int) -> None:
        if self.scalar_weights is not None:
            total.add_(value, alpha=self.scalar_weights[t])
        else:
            total.addcmul_(value, self.weights[t])

    def _outcome(self) -> Outcome:
        factors = [self.to(layer.output) for layer in self.layers]
        rates = [y * factor for y, factor in zip(self.y, factors, strict=True)]
        synapse = [torch.zeros_like(z) for z in self.z]
        for k in self.network.between_neurons:
            connection, weight = self.network.connections[k], self.to(self.hardware.weights[k])
            synapse[connection.post - 1] += torch.matmul(rates[connection.pre - 1], weight)
        potentials = [
            {"v": z * self.to(layer.limit) + self.to(layer.offset)}
            for z, layer in zip(self.z, self.layers, strict=True)
        ]
        ahead = [
            {"v": (z - torch.matmul(slow, q)) * self.to(layer.limit) + self.to(layer.offset)}
            for z, slow, q, layer in zip(self.z, self.slow, self.control_weights, self.layers, strict=False)
        ]
        final = replace(
            self.block.start,
            neurons=tuple(potentials),
            shadows=tuple(ahead) if ahead else tuple({} for _ in potentials),
            synapse=tuple(synapse),
            trace=rates[-1].clone(),
            integral=self.integral,
        )
        return Outcome(
            sums=tuple(total * factor for total, factor in zip(self.sums, factors, strict=True)),
            basal=tuple(total * factor for total, factor in zip(self.basal, factors, strict=False)),
            control=self.control,
            final=final,
            traces={},
        )


def _sum(first: Tensor, second: Tensor | None) -> Tensor:
    return first if second is None else first + second


def _foldable(neuron: Rate) -> bool:
    """Whether a saturation of the activation can be moved out of the loop; a clipped one cannot."""
    return neuron.saturation is None or activation(neuron.activation).stretched


def _shadows_follow(hardware: Hardware, block: Block) -> bool:
    """Whether shadows differ from their neurons by the feedback alone, with one decay per layer."""
    pairs = zip(hardware.neurons, hardware.shadows, strict=True)
    same = all(torch.equal(own[name], other[name]) for own, other in pairs for name in own)
    starts = zip(block.start.neurons, block.start.shadows, strict=True)
    together = all("v" in b and torch.equal(a["v"], b["v"]) for a, b in starts)
    uniform = all(bool((v["tau_ms"] == v["tau_ms"].flatten()[0]).all()) for v in hardware.neurons)
    return same and together and uniform
