"""What every simulator is: phases in, recordings out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch

from root.errors import UnsupportedError
from spiking.blocks.block import Block, groups, stack
from spiking.blocks.pieces import Pieces, whole
from spiking.blocks.recordings import Outcome, recording
from spiking.blocks.snapshots import cut
from spiking.hardware import Hardware
from spiking.naming import named_recording
from spiking.network import Network
from spiking.neurons.base import Values
from spiking.presentation import Phase, Recording, Snapshot
from spiking.shapes import check_phases

__all__ = ["Simulator"]


class Simulator(ABC):
    """A machine that runs networks.

    Args:
        device: where tensors live.
        dtype: the type it computes with.
    """

    name: ClassVar[str]
    abilities: ClassVar[frozenset[str]] = frozenset()
    """What it can do of what `Phase.needs` and `Hardware.needs` may name; with ``wiring`` it takes synapses
    that are no matrix one by one, and as a matrix without."""

    no_relay: ClassVar[str] = ""
    """Why it cannot relay feedback from layer to layer, where there is a reason to tell."""

    encodings: ClassVar[frozenset[str]] = frozenset({"spikes", "current"})
    """The kinds of input it takes, by the names of `Encoding.kind`."""

    moves: ClassVar[bool] = False
    """Whether it computes wherever PyTorch does, and not on the processor alone."""

    elsewhere: ClassVar[str] = ""
    """The simulator that gives the same spikes on a GPU, where this one does not compute there."""

    anywhere: ClassVar[Mapping[str, Any]] = {}
    """Options with which it can be checked, slowly, on a machine that it is not made for."""

    ignores: ClassVar[frozenset[str]] = frozenset()
    """Parameters of neurons that have no effect in it, by the names that mismatch is given for."""

    def __init__(self, device: str = "cpu", dtype: torch.dtype = torch.float64) -> None:
        self.device, self.dtype = torch.device(device), dtype
        if self.device.type != "cpu" and not self.moves:
            fix = f"Use the simulator {self.elsewhere}." if self.elsewhere else ""
            raise UnsupportedError("simulator.device", str(device), f"cpu, for {self.name}", fix)

    @classmethod
    def status(cls) -> tuple[bool, str]:
        """Return whether this machine works here, and what to know or to do about it."""
        return True, "ready"

    def check(self, network: Network) -> None:
        """Raise `UnsupportedError` where this machine cannot express `network`."""
        skips = network.from_input[1:]
        if skips and "input_skips" not in self.abilities:
            names = [network.names[network.connections[index].post] for index in skips]
            allowed = f"one connection from the input, in {self.name}"
            raise UnsupportedError("network.connections", f"one to {', '.join(names)} too", allowed)
        if network.feedback.relayed and "relay" not in self.abilities:
            fix = self.no_relay or "Take direct feedback, or another simulator."
            raise UnsupportedError(
                "network.feedback.name", network.feedback.origin, f"direct, in {self.name}", fix
            )

    def check_neurons(self, network: Network, layers: Sequence[Values]) -> None:  # noqa: B027
        """Raise `UnsupportedError` for drawn neurons that this machine cannot express, whatever the weights.

        Args:
            network: the description.
            layers: per layer, parameter field to the values of neurons or shadows, ``(chips, n)``.
        """

    def check_input(self, network: Network, largest: float) -> None:  # noqa: B027
        """Raise `UnsupportedError` for input currents that this machine cannot express.

        Args:
            network: the description.
            largest: the largest absolute value.
        """

    def runs_windows(self, network: Network) -> bool:
        """Return whether a block may have several windows in a row, see `Block`; else it gets one at a time.

        Args:
            network: the description.
        """
        return False

    @final
    def check_phases(self, phases: Sequence[Phase], network: Network | None = None) -> None:
        """Raise `UnsupportedError` where this machine cannot run one of `phases`, on `network` if given."""
        if network is not None and not network.dense and any(phase.plasticity for phase in phases):
            allowed = "all-to-all, where synapses learn by themselves"
            raise UnsupportedError("network.connections", "connections that share weights", allowed)
        for phase in phases:
            if missing := phase.needs - self.abilities:
                allowed = f"a simulator with {', '.join(sorted(missing))} (torch)"
                raise UnsupportedError("simulator.name", self.name, allowed)

    @final
    def check_hardware(self, hardware: Hardware) -> None:
        """Raise `UnsupportedError` where this machine cannot compute with `hardware`."""
        if missing := hardware.needs - self.abilities:
            allowed = f"a simulator with {', '.join(sorted(missing))} (torch)"
            raise UnsupportedError("simulator.name", self.name, allowed)

    @abstractmethod
    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        """Run one block; see DESIGN's step order in ``docs/model.md``."""

    @final
    def run(
        self,
        network: Network,
        hardware: Hardware,
        phases: Sequence[Phase],
        starts: Mapping[str, Snapshot],
    ) -> dict[str, Recording]:
        """Run phases and return their recordings by name.

        Args:
            network: the description.
            hardware: the effective parameters of the chips.
            phases: what to run.
            starts: the initial state of every phase that does not go on from another one, by its name.

        Raises:
            InputError: the phases do not fit the network, the chips or each other.
            UnsupportedError: this machine cannot run such a network or phase.
            SimulationError: the machine failed.
        """
        check_phases(network, hardware.chips, phases)
        self.check(network)
        self.check_phases(phases, network)
        self.check_hardware(hardware)
        chips = hardware if "wiring" in self.abilities else hardware.as_matrices(network)
        recordings: dict[str, Recording] = {}
        pieces = Pieces(phases, in_a_row=self.runs_windows(network))
        finals = {pieces.first(phase): starts[phase.name] for phase in phases if phase.name in starts}
        for number, group in enumerate(groups(pieces.run)):
            block = stack(network, hardware, group, [finals[p.after or p.name] for p in group], recordings)
            outcome = self.run_block(network, chips.part(number), block)
            first = 0
            for phase in group:
                part = slice(first, first + phase.batch)
                for place, piece in enumerate(pieces.of(phase)):
                    found = outcome.during(place, piece.steps) if phase.windows > 1 else outcome
                    recordings[piece.name] = recording(network, piece, found, part)
                if any(later.after == phase.name for later in pieces.run):
                    finals[phase.name] = cut(outcome.final, part)
                first += phase.batch
        return {p.name: _whole(network, p, pieces.seen(p, recordings)) for p in phases}


def _whole(network: Network, phase: Phase, seen: Sequence[Recording]) -> Recording:
    return seen[0] if phase.whole else named_recording(network, whole(phase, seen))
