"""Two machines at once: every block is run on both, compared to the bit, and timed."""

from __future__ import annotations

import time
from typing import ClassVar, final

import torch
from torch import Tensor

from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import SpikeDrive
from spiking.simulators.base import Block, Outcome, Simulator

__all__ = ["Compared"]


@final
class Compared(Simulator):
    """Gives the results of `fast` and keeps account of how `slow` differs.

    Args:
        fast: whose results are used.
        slow: what they are compared with.
        tolerance: the largest difference of potentials and traces that counts as equal; spikes must be
            the same.
    """

    name: ClassVar[str] = "compared"

    def __init__(self, fast: Simulator, slow: Simulator, tolerance: float) -> None:
        super().__init__("cpu", fast.dtype)
        self.fast, self.slow, self.tolerance = fast, slow, tolerance
        self.equal = True
        self.largest = 0.0
        self.seconds = {"fast": 0.0, "slow": 0.0}
        self.seen: tuple[Hardware, Block] | None = None
        self.spikes: list[Tensor] = []
        self.shown: list[Tensor] = []

    def check(self, network: Network) -> None:
        self.fast.check(network)
        self.slow.check(network)

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        ours = self._timed("fast", network, hardware, block)
        theirs = self._timed("slow", network, hardware, block)
        for mine, other in zip(ours.sums, theirs.sums, strict=True):
            self.equal &= torch.equal(mine, other)
        for mine, other in _states(ours, theirs):
            self.largest = max(self.largest, float((mine - other).abs().max()))
        self.equal &= self.largest <= self.tolerance
        self.seen = hardware, block
        self.spikes.append(_per_sample(block, ours))
        if isinstance(block.drive, SpikeDrive):
            self.shown.append(block.drive.spikes.double().sum((1, 2)))
        return ours

    def _timed(self, which: str, network: Network, hardware: Hardware, block: Block) -> Outcome:
        machine = self.fast if which == "fast" else self.slow
        begin = time.perf_counter()
        outcome = machine.run_block(network, hardware, block)
        self.seconds[which] += time.perf_counter() - begin
        return outcome


def _states(ours: Outcome, theirs: Outcome) -> list[tuple[Tensor, Tensor]]:
    """Return pairs of final potentials, currents and traces."""
    pairs = list(zip(ours.final.synapse, theirs.final.synapse, strict=True))
    pairs += [(a["v"], b["v"]) for a, b in zip(ours.final.neurons, theirs.final.neurons, strict=True)]
    return [*pairs, (ours.final.trace, theirs.final.trace)]


def _per_sample(block: Block, outcome: Outcome) -> Tensor:
    """Return the spikes of every layer per chip and sample, from the window's, ``(layers, chips, batch)``."""
    share = block.steps / block.window.sum(1)
    return torch.stack([layer.sum(-1) * share for layer in outcome.sums])
