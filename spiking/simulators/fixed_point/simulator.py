"""The Loihi simulator: a network's integers, computed as the chip would, without Lava."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from root.errors import UnsupportedError
from root.ranges import FACTOR, check_values, of
from spiking.blocks.block import Block
from spiking.blocks.recordings import Outcome
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Values
from spiking.presentation import CurrentDrive
from spiking.simulators.arrays_by_name import outcome
from spiking.simulators.base import Simulator
from spiking.simulators.fixed_point.emulate import emulate
from spiking.simulators.fixed_point.program import INTEGRAL_BITS, Program, rate
from spiking.simulators.fixed_point.quantise import check_input, check_network, check_neurons, quantise
from spiking.simulators.sigma_delta import check_messages

__all__ = ["NO_RELAY", "LoihiSimulator", "read_outcome"]

NO_RELAY = (
    "Gates of real values times currents between hidden layers have no fixed-point form on Loihi's cores; "
    "deploy the trained network (spiketrain deploy), which needs no feedback, or train on another simulator."
)
"""Why feedback is not relayed in integers."""


@final
class LoihiSimulator(Simulator):
    """Runs LIF and rate networks in Loihi's fixed-point arithmetic, bit for bit as Lava's processes do.

    Args:
        device: where to compute.
        dtype: float64, which holds the integers.
        message_threshold: for rate networks: the largest change of an activity that is not sent; 0 if None.
    """

    name: ClassVar[str] = "loihi"
    no_relay: ClassVar[str] = NO_RELAY

    def __init__(
        self,
        device: str = "cpu",
        dtype: torch.dtype = torch.float64,
        message_threshold: Annotated[float, FACTOR] | None = None,
    ) -> None:
        if dtype != torch.float64:
            raise UnsupportedError("simulator.dtype", str(dtype), "float64, which holds the integers exactly")
        check_values(of(type(self).__init__), {"message_threshold": message_threshold}, "simulator")
        super().__init__(device, torch.int64)
        self.message_threshold = message_threshold

    def check(self, network: Network) -> None:
        Simulator.check(self, network)
        check_network(network)
        check_messages(network, self.message_threshold)

    def check_neurons(self, network: Network, layers: Sequence[Values]) -> None:
        check_neurons(network, layers)

    def check_input(self, network: Network, largest: float) -> None:
        check_input(network, largest)

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        program = quantise(network, hardware, block, self.message_threshold or 0.0)
        arrays = {name: tensor.to(self.device) for name, tensor in program.arrays.items()}
        results = emulate(
            network,
            arrays,
            direct=isinstance(block.drive, CurrentDrive),
            closed=block.target is not None,
            record=block.record,
        )
        return read_outcome(network, block, program, {k: v.cpu() for k, v in results.items()})


def read_outcome(network: Network, block: Block, program: Program, found: Mapping[str, Tensor]) -> Outcome:
    """Return what a program gave, in real numbers.

    Args:
        network: the description.
        block: what was run.
        program: how it was written in integers.
        found: what `emulate` or the Lava runtime gave back.
    """

    def emission(integers: Tensor) -> Tensor:
        return integers * program.emission

    reads: dict[str, Callable[[Tensor], Tensor]] = dict.fromkeys(
        ("trace", "sum.control", "record.control", "record.readout"), rate
    )
    reads["integral"] = lambda integers: integers * 2.0**-INTEGRAL_BITS
    if isinstance(block.drive, CurrentDrive):  # spikes of the input are whole numbers as they are
        reads["sent.0"] = emission
    reads |= {f"history.{i}": emission for i, c in enumerate(network.connections) if c.pre}
    for i, scale in enumerate(program.layers):
        wide = scale.over_time()
        reads |= {f"layer.{i}.state.v": scale.potential, f"layer.{i}.state.synapse": scale.current}
        reads |= {f"record.voltage.{i}": wide.potential, f"record.current.{i}": wide.current}
        names = (f"sum.{i}", f"sum.shadow.{i}", f"record.spikes.{i}", f"sent.{i + 1}")
        reads |= dict.fromkeys(names, emission)
    reads |= {f"shadow.{i}.state.v": scale.potential for i, scale in enumerate(program.shadows)}
    real = {name: reads[name](value) if name in reads else value for name, value in found.items()}
    return outcome(network, block, real)
