r"""Rate networks on machines that send messages: the change of an activity, where it is large enough.

A neuron whose activity is y and that has told others :math:`\hat y` sends :math:`y - \hat y` where that is
larger than a threshold θ; who receives it adds it up. So no one's knowledge is ever off by more than θ, and
with θ = 0 the dynamics is that of activities sent in every step, at the price of messages for changes alone.

Source: Yoon 2016, "LIF and simplified SRM neurons encode signals into spikes via a form of asynchronous pulse
sigma-delta modulation", IEEE TNNLS 28(5); O'Connor & Welling 2016, arXiv 1611.02024.
"""

from __future__ import annotations

import torch
from torch import Tensor

from root.errors import UnsupportedError
from spiking.blocks.block import Block
from spiking.network import Network

__all__ = ["check_messages", "sent_before"]


def check_messages(network: Network, threshold: float | None) -> None:
    """Raise `UnsupportedError` where a threshold of messages makes no sense: for neurons that spike."""
    spiking = [layer.neuron.model for layer in network.layers if layer.neuron.emits_spikes]
    if threshold is not None and spiking:
        allowed = f"none: {spiking[0]} neurons send spikes, not changes of an activity"
        raise UnsupportedError("simulator.message_threshold", threshold, allowed, "Remove the key.")


def sent_before(network: Network, block: Block) -> tuple[Tensor, ...]:
    """Return what layers 0 to L had told others when a block begins; at first, that they are silent."""
    if block.start.sent:
        return block.start.sent
    chips, batch, _ = block.start.trace.shape
    return tuple(
        torch.zeros(chips if layer else 1, batch, size, dtype=torch.float64)
        for layer, size in enumerate(network.sizes)
    )
