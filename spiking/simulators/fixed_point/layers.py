"""Layers in Loihi's integers: what spiking and rate neurons have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor

from spiking.blocks.block import Block
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State, Values
from spiking.presentation import CurrentDrive
from spiking.simulators.fixed_point.arithmetic import LIMIT, UNITY
from spiking.simulators.fixed_point.program import LayerScale, whole
from spiking.simulators.fixed_point.ranges import check
from spiking.simulators.fixed_point.registers import bias_register, decay_register
from spiking.simulators.fixed_point.report import Rounding, compare

__all__ = ["Layers"]


class Layers(ABC):
    """Writes the layers of a network, and counts what that changes.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what is run.
    """

    zero: ClassVar[str]
    """The parameter that is the potential written as 0."""

    def __init__(self, network: Network, hardware: Hardware, block: Block) -> None:
        self.network, self.hardware, self.block = network, hardware, block
        self.arrays: dict[str, Tensor] = {"window": block.window.double()}
        self.roundings: list[Rounding] = []
        self.direct = isinstance(block.drive, CurrentDrive)

    def note(self, where: str, name: str, wanted: Tensor, got: Tensor, clipped: int = 0) -> None:
        """Count what rounding changed."""
        self.roundings.append(compare(where, name, wanted.double(), got, clipped))

    def write_weight(self, key: str, register: Tensor, exponent: Tensor, where: str, wanted: Tensor) -> None:
        """Write the weights of a connection."""
        check("weight", register, where)
        self.arrays[key], self.arrays[f"{key}.exponent"] = register, exponent
        self.note(where, "weight", wanted, register * (2.0**exponent).view(-1, 1, 1))

    @abstractmethod
    def layer(self, index: int) -> LayerScale:
        """Write a layer and return how its integers are read."""

    @abstractmethod
    def emission(self, index: int, values: Values, scale: LayerScale, prefix: str, where: str) -> None:
        """Write when neurons spike, or how active they are at which potential."""

    def leak(self, index: int, values: Values, prefix: str, where: str) -> Tensor:
        """Write the leak; return the membrane's gain, ``(chips, 1, n)``."""
        decay = self.network.layers[index].neuron.constants(values, self.network.dt_ms)["decay"]
        dv, clipped = decay_register(decay, 0)
        self.note(where, "membrane decay", decay, 1.0 - dv / UNITY, clipped)
        self.arrays[prefix + "dv"] = dv
        return torch.where(dv > 0, dv / UNITY, 1.0 - decay)

    def state(self, prefix: str, state: State, scale: LayerScale) -> None:
        """Write what membranes start from."""
        top = float(LIMIT - 1)
        self.arrays[prefix + "v"] = whole(state["v"].double() - scale.reset, scale.scale).clamp(-top, top)

    @final
    def inputs(self, index: int, scale: LayerScale) -> None:
        """Write biases and injected currents of a layer, and the currents and potentials it starts from."""
        prefix, unit = f"layer.{index}", scale.gain * scale.scale
        bias = self.hardware.neurons[index]["bias"].unsqueeze(1)
        mantissa, shift = bias_register((bias - scale.reset) * unit)
        self.arrays[f"{prefix}.bias"] = written = mantissa * 2.0**shift
        self.note(f"layer {index + 1}", "bias", bias, written / unit + scale.reset)
        start = self.block.start
        current = unit if scale.exponent is None else unit * 2.0**-scale.exponent
        self.arrays[f"{prefix}.state.synapse"] = whole(start.synapse[index].double(), current)
        self.state(f"{prefix}.state.", start.neurons[index], scale)
        if self.block.currents:
            self.arrays[f"{prefix}.injected"] = whole(self.block.currents[index].double(), unit)

    @final
    def shadow(self, index: int, layer: LayerScale) -> LayerScale:
        """Write the shadows of a layer: their currents are the neurons', times the ratio of the gains."""
        values, own = self.hardware.neurons[index], self.hardware.shadows[index]
        prefix, where = f"shadow.{index}", f"shadow {index + 1}"
        gain = self.leak(index, own, f"{prefix}.constant.", where)
        scale = LayerScale(layer.scale, gain, own[self.zero].unsqueeze(1))
        self.emission(index, own, scale, f"{prefix}.constant.", where)
        ratio = whole(gain / layer.gain, UNITY)
        self.arrays[f"{prefix}.ratio"] = ratio
        wanted = (own["bias"].unsqueeze(1) - scale.reset) * gain
        carried = (values["bias"].unsqueeze(1) - layer.reset) * layer.gain * ratio / UNITY
        self.arrays[f"{prefix}.extra_bias"] = whole(wanted - carried, layer.scale)
        self.state(f"{prefix}.state.", self.block.start.shadows[index], scale)
        return scale
