"""The simulator itself: a block in one launch of a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, final

import torch

from root.errors import UnsupportedError
from spiking.blocks.block import Block
from spiking.blocks.recordings import Outcome
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.simulators.base import Simulator
from spiking.simulators.cuda import arguments
from spiking.simulators.cuda.card import Card, driver, why_not
from spiking.simulators.cuda.host import Host
from spiking.simulators.cuda.layout import WORD, Layout
from spiking.simulators.cuda.outcome import outcome
from spiking.simulators.cuda.packing import Laid, Packing
from spiking.simulators.flat.columns import Columns
from spiking.simulators.flat.constants import Known, constants_of
from spiking.simulators.flat.packing import Flat

__all__ = ["CudaSimulator"]

KEPT = 2
"""Populations of chips that are remembered: of training, and of tests."""


@final
class CudaSimulator(Simulator):
    """A kernel that keeps a presentation of one sample on one chip inside one block, on an NVIDIA card.

    All phases that do not wait for each other are one launch. In float64 nothing is contracted or reordered,
    and it agrees with the compiled simulator spike for spike.

    Args:
        device: ``cuda``, or ``cuda:1`` and so on; ``cpu`` with `emulate`.
        dtype: ``torch.float64`` or ``torch.float32``.
        emulate: run the same kernel on the processor, thread by thread: slow, to check it without a card.
    """

    name: ClassVar[str] = "cuda"
    abilities: ClassVar[frozenset[str]] = frozenset({"relay", "noise", "softmax", "input_skips"})
    moves: ClassVar[bool] = True
    anywhere: ClassVar[Mapping[str, Any]] = {"emulate": True}

    def __init__(
        self, device: str = "cpu", dtype: torch.dtype = torch.float64, *, emulate: bool = False
    ) -> None:
        super().__init__(device, dtype)
        if dtype not in (torch.float64, torch.float32):
            raise UnsupportedError("simulator.dtype", str(dtype), "float64, float32")
        if emulate and self.device.type != "cpu":
            raise UnsupportedError("simulator.device", device, "cpu, for a kernel that is emulated")
        if not emulate and self.device.type == "cpu":
            fix = "--device cuda; simulator.emulate: true checks the kernel on the processor, slowly."
            raise UnsupportedError("simulator.device", device, "cuda, for the simulator cuda", fix)
        self.machine: Card | Host = Host() if emulate else Card(self.device)
        self._known: Known[Laid] = Known(KEPT)

    @classmethod
    def status(cls) -> tuple[bool, str]:
        reason = why_not()
        return (False, reason) if reason else (True, f"{driver().name(0)}: --device cuda")

    def check(self, network: Network) -> None:
        Simulator.check(self, network)
        delays = sorted({network.connections[index].delay_steps for index in network.from_input})
        if len(delays) > 1:
            allowed = "one delay for all connections from the input, in cuda"
            raise UnsupportedError("network.connections", f"delays of {delays} steps", allowed)

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        with torch.no_grad():
            columns = Columns(network, WORD, self.dtype, self.device)
            layers = (*hardware.neurons, *hardware.shadows)
            laid = self._known.of(network, layers, partial(_laid, network, hardware, columns))
            packing = Packing(Flat(network, hardware, block, columns, laid.constants), laid)
            shape = packing.shape
            given = arguments.values(packing.arrays, packing.numbers, self.dtype)
            blocks = hardware.chips * block.batch
            self.machine.launch(shape, given, blocks, shape.shared_bytes(network.outputs))
            return outcome(packing)


def _laid(network: Network, hardware: Hardware, columns: Columns) -> Laid:
    layout = Layout(network, columns)
    return Laid(constants_of(network, hardware, columns, shadow=True), layout, layout.tables())
