"""How the controller's signal reaches the layers of a network: directly, or relayed from layer to layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from torch import Tensor

from rate_bridge.filters import whole_steps
from root.errors import InputError
from root.ranges import TIME_MS, check_ranges
from spiking.connections import Synapses

__all__ = ["Direct", "FeedbackPath", "Layered"]


@dataclass(frozen=True)
class FeedbackPath(ABC):
    """Which feedback synapses a chip has."""

    plugin_group: ClassVar[str] = "feedback_paths"
    origin: ClassVar[str]
    relayed: ClassVar[bool] = False
    """Whether layers pass on what they receive, through gates."""

    def check(self, dt_ms: float) -> None:  # noqa: B027 (most paths have no time of their own)
        """Raise `InputError` where the path's times are no whole steps."""

    @abstractmethod
    def synapses(self, chain: Sequence[Synapses]) -> tuple[Synapses, ...]:
        """Return the feedback synapses of every layer 1 to L, whose programmed numbers are the physical ones.

        Args:
            chain: the forward synapses onto layers 1 to L, each from the layer before.
        """

    @abstractmethod
    def end_to_end(self, synapses: Sequence[Synapses], feedback: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return what the controller's signal comes to in every layer 1 to L, ``(chips, n_out, n_l)``.

        Args:
            synapses: the feedback synapses of the layers, as `synapses` returns them.
            feedback: their weights.
        """


@final
@dataclass(frozen=True)
class Direct(FeedbackPath):
    r"""Every layer has synapses of its own from the controller: :math:`I_{fb,l} = u\, Q_l`.

    Source: Meulemans et al. 2021, arXiv 2106.07887.
    """

    origin: ClassVar[str] = "direct"

    def synapses(self, chain: Sequence[Synapses]) -> tuple[Synapses, ...]:
        return tuple(_all_to_all(chain[-1].outputs, own.outputs) for own in chain)

    def end_to_end(self, synapses: Sequence[Synapses], feedback: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(feedback)


@final
@dataclass(frozen=True)
class Layered(FeedbackPath):
    r"""Every layer has synapses from the apical compartments of the layer above.

    .. math::
        a_L = u, \qquad a_l = (g_{l+1} \odot a_{l+1})\, B_{l+1}, \qquad g_L = 1, \qquad
        I_{fb,l} = \kappa_l\, a_l, \qquad I_{fb,L} = u\, Q_L

    The gate of a neuron is a curve over its own recent activity, straight lines between programmed points:

    .. math:: g_l = G_l(x_l), \qquad \tau\, \dot x_l = -x_l + r_l

    What hidden layers receive may be refreshed less often than in every step, from the control signal and the
    activities of that moment, and held in between: on a chip the feedback shares one bus, and in a simulation
    it costs more than all spikes, since every value is real.

    Source: the relay of errors from layer to layer is that of backpropagation; local, gated and through
    weights of its own, of Kolen & Pollack 1994 and Akrout et al. 2019, arXiv 1904.05391. See `docs/model.md`.

    Args:
        refresh_ms: time between two refreshes, whole steps; null for every step.
        trace_ms: time constant τ of the activity that the gates see.
    """

    refresh_ms: Annotated[float, TIME_MS] | None = None
    trace_ms: Annotated[float, TIME_MS] = 40.0

    origin: ClassVar[str] = "layered"
    relayed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self, "network.feedback")

    def synapses(self, chain: Sequence[Synapses]) -> tuple[Synapses, ...]:
        """Return one where every forward synapse is, the other way."""
        return (*(own.backward for own in chain[1:]), _all_to_all(chain[-1].outputs, chain[-1].outputs))

    def end_to_end(self, synapses: Sequence[Synapses], feedback: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the products of the weights from the output down: what is relayed where all gates are 1."""
        products = [feedback[-1]]
        pairs = zip(reversed(synapses[:-1]), reversed(feedback[:-1]), strict=True)
        for number, (own, weights) in enumerate(pairs):
            products.append(own.apply(weights, products[-1]) if number else own.matrix(weights))
        return tuple(reversed(products))

    def check(self, dt_ms: float) -> None:
        if self.refresh_ms is not None and whole_steps(self.refresh_ms, dt_ms) is None:
            allowed = (
                f"a multiple of simulator.dt_ms ({dt_ms:g} ms), one step or more, or null for every step"
            )
            raise InputError("network.feedback.refresh_ms", self.refresh_ms, allowed)

    def refresh_steps(self, dt_ms: float) -> int:
        """Return the whole steps between two refreshes, one or more."""
        return 1 if self.refresh_ms is None else max(1, round(self.refresh_ms / dt_ms))


def _all_to_all(sources: int, size: int) -> Synapses:
    return Synapses((sources, size), sources, size, None)
