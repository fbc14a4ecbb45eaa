"""Lava as a simulator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, final

import torch

from root.errors import InputError, UnsupportedError
from root.ranges import FACTOR, PATIENCE_S, check_values, of
from spiking.blocks.block import Block
from spiking.blocks.recordings import Outcome
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Values
from spiking.simulators.arrays_by_name import outcome
from spiking.simulators.base import Simulator
from spiking.simulators.fixed_point import quantise
from spiking.simulators.fixed_point.quantise import check_input, check_network, check_neurons
from spiking.simulators.fixed_point.simulator import NO_RELAY, read_outcome
from spiking.simulators.lava.client import Client
from spiking.simulators.lava.data import arrays, header, integers, results
from spiking.simulators.lava.environment import find
from spiking.simulators.lava.probe import probe
from spiking.simulators.sigma_delta import check_messages

__all__ = ["LavaSimulator"]

TAGS = {"float": "floating_pt", "fixed": "fixed_pt"}
"""Lava's tags of the process models."""

ARITHMETICS = tuple(TAGS)


@final
class LavaSimulator(Simulator):
    """Runs networks as Lava processes, the controller among them, in an environment of Lava's own.

    Args:
        device: ``cpu``.
        dtype: float64.
        arithmetic: ``float``, or ``fixed`` for Loihi's integers, bit for bit those of ``loihi``.
        timeout_s: longest time in which no process may finish a step.
        environment: folder of Lava's environment; the one that ``spiketrain lava install`` makes if None.
        message_threshold: for rate networks: the largest change of an activity that is not sent. By default
            activities themselves are sent in every step; in integers, all their changes (0).
    """

    name: ClassVar[str] = "lava"
    abilities: ClassVar[frozenset[str]] = frozenset(
        {"plasticity", "eligibility", "shared_synapses", "relay", "input_skips", "tracking"}
    )
    no_relay: ClassVar[str] = NO_RELAY

    def __init__(
        self,
        device: str = "cpu",
        dtype: torch.dtype = torch.float64,
        arithmetic: str = "float",
        timeout_s: Annotated[float, PATIENCE_S] = 60.0,
        environment: str | None = None,
        *,
        message_threshold: Annotated[float, FACTOR] | None = None,
    ) -> None:
        if dtype != torch.float64:
            raise UnsupportedError("simulator.dtype", str(dtype), "float64", "or use simulator.name=torch")
        if arithmetic not in ARITHMETICS:
            raise InputError("simulator.arithmetic", arithmetic, " or ".join(ARITHMETICS))
        given = {"timeout_s": timeout_s, "message_threshold": message_threshold}
        check_values(of(type(self).__init__), given, "simulator")
        super().__init__(device, dtype if arithmetic == "float" else torch.int64)
        if arithmetic == "fixed" or message_threshold is not None:
            can = frozenset({"relay", "tracking"}) if arithmetic == "float" else frozenset()
            self.abilities = can  # type: ignore[misc]  # these learn on the host
        self.message_threshold = message_threshold
        self.arithmetic = arithmetic
        self._client = Client(find(Path(environment) if environment else None), timeout_s)

    @classmethod
    def status(cls) -> tuple[bool, str]:
        return probe()

    def check(self, network: Network) -> None:
        Simulator.check(self, network)
        check_messages(network, self.message_threshold)
        if self.arithmetic == "fixed":
            check_network(network)

    def check_neurons(self, network: Network, layers: Sequence[Values]) -> None:
        if self.arithmetic == "fixed":
            check_neurons(network, layers)

    def check_input(self, network: Network, largest: float) -> None:
        if self.arithmetic == "fixed":
            check_input(network, largest)

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        threshold, tag = self.message_threshold, TAGS[self.arithmetic]
        if self.arithmetic == "float":
            described = header(network, hardware, block, tag, deltas=threshold is not None)
            given = arrays(network, hardware, block, threshold)
            return outcome(network, block, results(block, self._client.run(described, given)))
        program = quantise(network, hardware, block, threshold or 0.0)
        described = header(network, hardware, block, tag, deltas=program.deltas)
        found = results(block, self._client.run(described, integers(program.arrays)))
        return read_outcome(network, block, program, {name: array.double() for name, array in found.items()})

    def close(self) -> None:
        """End the runtime; it is started again when it is needed."""
        self._client.close()
