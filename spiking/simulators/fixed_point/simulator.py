"""The Loihi simulator: a network's integers, computed as the chip would, without Lava."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from root.errors import UnsupportedError
from root.ranges import FACTOR, check_values, of
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State, Values
from spiking.presentation import CurrentDrive, Snapshot, SpikeDrive
from spiking.simulators.base import Simulator
from spiking.simulators.blocks import Block
from spiking.simulators.bound import drives
from spiking.simulators.fixed_point.emulate import emulate
from spiking.simulators.fixed_point.program import INTEGRAL_BITS, LayerScale, Program, rate
from spiking.simulators.fixed_point.quantise import check_input, check_network, check_neurons, quantise
from spiking.simulators.recordings import Outcome
from spiking.simulators.sigma_delta import check_messages, messages
from spiking.simulators.snapshots import oldest_first

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
    layers = range(network.depth)
    return Outcome(
        sums=tuple(found[f"sum.{i}"] * program.emission for i in layers),
        basal=tuple(found[f"sum.shadow.{i}"] * program.emission for i in layers) if block.shadow else (),
        control=rate(found["sum.control"]) if block.target is not None else None,
        final=_final(network, block, program, found),
        traces={name: _trace(name, program, found) for name in block.record},
        messages=messages(network, found),
    )


def _trace(name: str, program: Program, found: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    if name in {"control", "readout"}:
        return (rate(found[f"record.{name}"]),)
    rows = []
    for index, scale in enumerate(program.layers):
        integers = found[f"record.{name}.{index}"]
        wide = scale.over_time()
        if name == "spikes":
            rows.append(integers * program.emission)
        else:
            rows.append(wide.potential(integers) if name == "voltage" else wide.current(integers))
    return tuple(rows)


def _final(network: Network, block: Block, program: Program, found: Mapping[str, Tensor]) -> Snapshot:
    return Snapshot(
        neurons=tuple(_state(found, f"layer.{i}", scale) for i, scale in enumerate(program.layers)),
        shadows=tuple(_state(found, f"shadow.{i}", scale) for i, scale in enumerate(program.shadows))
        or tuple({} for _ in network.layers),
        synapse=tuple(s.current(found[f"layer.{i}.state.synapse"]) for i, s in enumerate(program.layers)),
        history=tuple(_history(network, block, program, found, i) for i in range(len(network.connections))),
        trace=rate(found["trace"]),
        integral=found["integral"] * 2.0**-INTEGRAL_BITS,
        sent=_sent(network, block, program, found),
    )


def _state(found: Mapping[str, Tensor], prefix: str, scale: LayerScale) -> State:
    state = {"v": scale.potential(found[f"{prefix}.state.v"])}
    if f"{prefix}.state.refractory" in found:
        state["refractory"] = found[f"{prefix}.state.refractory"]
    return state


def _sent(
    network: Network, block: Block, program: Program, found: Mapping[str, Tensor]
) -> tuple[Tensor, ...]:
    """Return what the layers have told others; spikes of the input are whole numbers as they are."""
    if not program.deltas:
        return ()
    spikes = isinstance(block.drive, SpikeDrive)
    units = [1.0 if spikes else program.emission, *([program.emission] * network.depth)]
    return tuple(found[f"sent.{i}"] * unit for i, unit in enumerate(units))


def _history(
    network: Network, block: Block, program: Program, found: Mapping[str, Tensor], index: int
) -> Tensor:
    """Return what is under way, oldest first: both machines keep it as a ring."""
    connection, start = network.connections[index], block.start.history[index]
    if connection.delay_steps == 1 or drives(connection, block):
        return start
    ring = found[f"history.{index}"] * (program.emission if connection.pre else 1.0)
    return oldest_first(ring, block.steps).expand(start.shape)
