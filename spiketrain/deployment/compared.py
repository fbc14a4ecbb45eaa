"""Two machines at once: every block is run on both, compared to the bit, and timed."""

from __future__ import annotations

import time
from typing import ClassVar, final

import torch
from torch import Tensor

from spiking.blocks.block import Block
from spiking.blocks.recordings import Outcome
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import SpikeDrive
from spiking.simulators.base import Simulator

__all__ = ["Compared"]


@final
class Compared(Simulator):
    """Gives the results of `fast` and keeps account of how `slow` differs.

    Args:
        fast: whose results are used.
        slow: what they are compared with.
        tolerance: the largest difference of potentials, traces and activities that counts as equal;
            spikes, and counts of messages where both have such, must be the same.
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
        pairs = _states(ours, theirs)
        for layer, mine, other in zip(network.layers, ours.sums, theirs.sums, strict=True):
            if layer.neuron.emits_spikes:
                self.equal &= torch.equal(mine, other)
            else:
                pairs.append((mine, other))
        for mine, other in pairs:
            self.largest = max(self.largest, float((mine - other).abs().max()))
        self.equal &= self.largest <= self.tolerance
        if ours.messages:
            self.equal &= all(map(torch.equal, ours.messages, theirs.messages))
        self.seen = hardware, block
        self._count(block, ours, ours.messages or theirs.messages)
        return ours

    def _count(self, block: Block, outcome: Outcome, messages: tuple[Tensor, ...]) -> None:
        """Keep what was sent: messages where these are counted, spikes elsewhere."""
        if messages:
            self.spikes.append(torch.stack(messages[1:]))
            self.shown.append(messages[0].mean(0))
            return
        self.spikes.append(_per_sample(block, outcome))
        if isinstance(block.drive, SpikeDrive):
            self.shown.append(block.drive.spikes.double().sum((1, 2)))

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
