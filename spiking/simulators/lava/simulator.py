"""Lava as a simulator."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

import torch

from rate_bridge.errors import InputError, UnsupportedError
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.simulators.base import Block, Outcome, Simulator
from spiking.simulators.lava.client import Client
from spiking.simulators.lava.data import arrays, header, outcome
from spiking.simulators.lava.environment import find
from spiking.simulators.lava.runtime.neurons import FLOAT

__all__ = ["LavaSimulator"]


@final
class LavaSimulator(Simulator):
    """Runs networks as Lava processes, the controller among them, in an environment of Lava's own.

    Args:
        device: ``cpu``.
        dtype: float64.
        timeout_s: longest time in which no process may finish a step.
        environment: folder of Lava's environment; the one that ``spiketrain lava install`` makes if None.
    """

    name: ClassVar[str] = "lava"

    def __init__(
        self,
        device: str = "cpu",
        dtype: torch.dtype = torch.float64,
        timeout_s: float = 60.0,
        environment: str | None = None,
    ) -> None:
        if dtype != torch.float64:
            raise UnsupportedError("simulator.dtype", str(dtype), "float64", "or use simulator.name=torch")
        if torch.device(device).type != "cpu":
            raise UnsupportedError("simulator.device", device, "cpu", "or use simulator.name=torch")
        if not timeout_s > 0:
            raise InputError("simulator.timeout_s", timeout_s, "a number > 0")
        super().__init__(device, dtype)
        self._client = Client(find(Path(environment) if environment else None), timeout_s)

    def check(self, network: Network) -> None:
        for layer in network.layers:
            if layer.neuron.model not in FLOAT:
                raise UnsupportedError("network.neuron.model", layer.neuron.model, ", ".join(sorted(FLOAT)))

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        described = header(network, hardware, block, "floating_pt")
        return outcome(network, block, self._client.run(described, arrays(network, hardware, block)))

    def close(self) -> None:
        """End the runtime; it is started again when it is needed."""
        self._client.close()
