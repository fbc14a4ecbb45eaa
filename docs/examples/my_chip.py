"""A board of one's own, served to spiketrain: copy this file, replace what `Board` stands for, and run it.

    python my_chip.py CONFIG ipc:///run/user/1000/my_chip
    spiketrain chips check ipc:///run/user/1000/my_chip
    spiketrain --config CONFIG --set mismatch.chips=1 --set mismatch.seed=null \
               --set chips.at=ipc:///run/user/1000/my_chip

CONFIG says the network, as for a run. Three things are yours: how weights become codes (`write`), how a
raster becomes events and back (`show`), and how long the chip needs to forget a sample (`rest_ms`).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from spiketrain.chips.hardware import HardwareChips, Spikes
from spiketrain.chips.wire.server import serve
from spiketrain.spiking.network import Network

from spiketrain.config import load_experiment

BITS = 6
"""Of a synapse, sign included."""

REST_MS = 100.0
"""Five time constants of the membrane: what is left of a sample is less than a hundredth."""


class Board(Protocol):
    """What the driver of a board can do; yours is called otherwise."""

    def load(self, connection: int, codes: NDArray[np.int8], unit: float) -> None:
        """Write integers, (n_pre, n_post), each worth `unit`, to a connection."""

    def bias(self, layer: int, currents: NDArray[np.float64]) -> None:
        """Set constant currents."""

    def run(self, events: list[tuple[int, int]], steps: int) -> list[tuple[int, int, int]]:
        """Send (step, input) and return (step, layer, neuron)."""


class MyChip(HardwareChips):
    """A chip with synapses of few bits that gives and takes events.

    Args:
        board: its driver.
        network: the design.
    """

    def __init__(self, board: Board, network: Network) -> None:
        super().__init__(network, name="my chip", weight_bits=BITS, rest_ms=REST_MS)
        self.board = board

    def write(self, weights: Sequence[NDArray[np.float64]], biases: Sequence[NDArray[np.float64]]) -> None:
        """Round every connection to the codes that its largest weight leaves room for."""
        for connection, values in enumerate(weights):
            unit = max(float(np.abs(values).max()) / (2 ** (BITS - 1) - 1), 1e-9)
            self.board.load(connection, np.round(values / unit).astype(np.int8), unit)
        for layer, currents in enumerate(biases, start=1):
            self.board.bias(layer, currents)

    def show(self, spikes: Spikes) -> Sequence[Spikes]:
        """Send a raster as events; lay the answer out as rasters."""
        events = [(int(step), int(source)) for step, source in zip(*spikes.nonzero(), strict=True)]
        layers = [np.zeros((len(spikes), size), dtype=bool) for size in self.network.sizes[1:]]
        for step, layer, neuron in self.board.run(events, len(spikes)):
            layers[layer - 1][step, neuron] = True
        return layers


def main(config: str, address: str, driver: str = "my_board:open_board") -> None:
    """Open the board with `driver`, a function that is given the sizes of the layers, and serve it."""
    module, _, function = driver.partition(":")
    network = load_experiment(config).build_network()
    board: Any = getattr(importlib.import_module(module), function)(network.sizes)
    serve(MyChip(board, network), address, ready=lambda: print(f"ready at {address}", flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
