"""The Brian2 simulator: equations, compiled once for every structure of a network.

Brian2 itself is imported only where something is built.
"""

from __future__ import annotations

from typing import ClassVar, final

import torch

from rate_bridge.errors import UnsupportedError
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import CurrentDrive
from spiking.simulators.base import Block, Outcome, Simulator
from spiking.simulators.brian2.cache import program
from spiking.simulators.brian2.data import arrays, outcome
from spiking.simulators.brian2.shape import shape_of
from spiking.simulators.brian2.standalone import run_program

__all__ = ["Brian2Simulator"]


@final
class Brian2Simulator(Simulator):
    """Runs networks of neurons that are written as equations, in float64 on the CPU."""

    name: ClassVar[str] = "brian2"

    def __init__(self, device: str = "cpu", dtype: torch.dtype = torch.float64) -> None:
        if dtype != torch.float64:
            raise UnsupportedError("simulator.dtype", str(dtype), "float64", "or use simulator.name=torch")
        if torch.device(device).type != "cpu":
            raise UnsupportedError("simulator.device", device, "cpu", "or use simulator.name=torch")
        super().__init__(device, dtype)

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        shape = shape_of(network, hardware, block)
        data = arrays(network, hardware, block, shape)
        sizes = {"chips": hardware.chips, "batch": block.batch, "steps": block.steps, "drive_steps": 1}
        if isinstance(block.drive, CurrentDrive):
            sizes["drive_steps"] = data["values"].shape[1]
        return outcome(block, shape, run_program(program(shape), shape, data, sizes, network.dt_ms))
