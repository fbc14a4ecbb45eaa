"""What presentations of spiking and of rate networks in integers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar, final

import torch
from torch import Tensor

from spiking.network import Network
from spiking.simulators.fixed_point.arithmetic import UNITY, shifted
from spiking.simulators.fixed_point.control import Control
from spiking.simulators.fixed_point.synapse import Synapse

__all__ = ["Membrane", "Run"]


class Membrane(ABC):
    """The neurons of a layer, or their shadows.

    Args:
        arrays: see `spiking.simulators.fixed_point.program.Program`.
        prefix: what the names of the layer's arrays start with.
    """

    def __init__(self, arrays: Mapping[str, Tensor], prefix: str) -> None:
        self.kept = 1.0 - arrays[f"{prefix}.constant.dv"] / UNITY
        self.v = arrays[f"{prefix}.state.v"].clone()
        self.sum = torch.zeros_like(self.v)

    @property
    def states(self) -> dict[str, Tensor]:
        """The state by name."""
        return {"v": self.v}

    @abstractmethod
    def step(self, current: Tensor) -> Tensor:
        """Advance the potentials and return what is emitted."""


Kind = TypeVar("Kind", bound=Membrane)


class Run(ABC, Generic[Kind]):
    """A program under way; arguments are those of `emulate`."""

    membrane: ClassVar[type[Membrane]]

    def __init__(
        self,
        network: Network,
        arrays: Mapping[str, Tensor],
        *,
        direct: bool,
        closed: bool,
        record: frozenset[str],
    ) -> None:
        self.arrays, self.direct, self.closed, self.record = arrays, direct, closed, record
        self.layers = range(network.depth)
        self.window = arrays["window"].t()[:, None, :, None]
        self.counted = (arrays["window"] != 0).any(0).tolist()
        self.membranes = self._membranes("layer")
        self.shadows = self._membranes("shadow") if "shadow.0.extra_bias" in arrays else []
        self.u = [arrays[f"layer.{i}.state.synapse"].clone() for i in self.layers]
        self.bias = [arrays[f"layer.{i}.bias"] + arrays.get(f"layer.{i}.injected", 0.0) for i in self.layers]
        connections = network.connections
        self.synapses = [
            Synapse(arrays, f"weight.{i}", arrays.get(f"history.{i}")) for i in range(len(connections))
        ]
        if direct:
            self.synapses[0].history = None
        pairs = zip(self.synapses, connections, strict=True)
        self.carrying = [(s, c.pre, c.post - 1) for s, c in pairs if not (direct and c.pre == 0)]
        """Synapses that do not act at once, with the layers before (0 to L) and behind (0 to L - 1)."""
        self.feedback = [Synapse(arrays, f"feedback.{i}") for i in self.layers] if closed else []
        self.control = Control(arrays)
        self.control_sum = torch.zeros_like(self.control.trace)
        self.records: dict[str, list[Tensor]] = {}
        self.prepare()

    def _membranes(self, kind: str) -> list[Kind]:
        return [self.membrane(self.arrays, f"{kind}.{i}") for i in self.layers]  # type: ignore[misc]

    @abstractmethod
    def prepare(self) -> None:
        """Set up what only this kind of network has."""

    @abstractmethod
    def step(self, t: int, signal: Tensor | None) -> None:
        """Run step t, with a control signal where the loop is closed."""

    @abstractmethod
    def count(self, t: int) -> None:
        """Add what is emitted in step t to the sums of the window."""

    @abstractmethod
    def emitted(self, layer: int) -> Tensor:
        """Return what a layer (0 to L - 1) emits now."""

    def basal(self, i: int, current: Tensor) -> Tensor:
        """Return the current of the shadows of a layer."""
        ratio, extra = self.arrays[f"shadow.{i}.ratio"], self.arrays[f"shadow.{i}.extra_bias"]
        return shifted(current * ratio, 12).add_(extra)

    @final
    def run(self) -> dict[str, Tensor]:
        """Run all steps and return final state, sums and records by name."""
        for t, counted in enumerate(self.counted):
            signal = self.control.signal() if self.closed else None
            self.step(t, signal)
            if counted:
                self.count(t)
            if counted and signal is not None:
                self.control_sum.addcmul_(signal, self.window[t])
            if self.record:
                self._remember(signal)
        return self.results() | {name: torch.stack(rows, 2) for name, rows in self.records.items()}

    def _remember(self, signal: Tensor | None) -> None:
        trace = self.control.trace
        now = {"readout": trace, "control": torch.zeros_like(trace) if signal is None else signal}
        for i, membrane in enumerate(self.membranes):
            now |= {f"spikes.{i}": self.emitted(i), f"voltage.{i}": membrane.v, f"current.{i}": self.u[i]}
        for name, value in now.items():
            if name.split(".")[0] in self.record:
                self.records.setdefault(f"record.{name}", []).append(value.clone())

    def results(self) -> dict[str, Tensor]:
        """Return final state and sums by name."""
        control = self.control
        found = {"trace": control.trace, "integral": control.integral, "sum.control": self.control_sum}
        for kind, sums, membranes in (
            ("layer", "sum", self.membranes),
            ("shadow", "sum.shadow", self.shadows),
        ):
            for i, membrane in enumerate(membranes):
                found |= {f"{kind}.{i}.state.{name}": value for name, value in membrane.states.items()}
                found[f"{sums}.{i}"] = membrane.sum
        found |= {f"layer.{i}.state.synapse": u for i, u in enumerate(self.u)}
        for i, synapse in enumerate(self.synapses):
            if f"history.{i}" in self.arrays:
                kept = synapse.history
                found[f"history.{i}"] = self.arrays[f"history.{i}"] if kept is None else kept
        return found
