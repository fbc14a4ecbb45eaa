"""Plasticity in every step of time: feedback current times presynaptic trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from torch import Tensor

from learning.feedback_control.prediction import Prediction
from learning.model import Model
from root.ranges import TIME_MS, check_ranges
from spiking.presentation import Observation, Plasticity

__all__ = ["ApicalOnline"]


@final
@dataclass(frozen=True)
class ApicalOnline(Prediction):
    r"""Nothing is predicted and nothing compared: every synapse learns from what it sees, when it sees it.

    .. math::
        \Delta w_{ij} \propto \int x_i(t)\, I_{fb,j}(t)\, dt

    with the presynaptic trace x and the feedback current that the neuron really receives, the deviation
    of its feedback synapses included. Hidden neurons learn from their first spike in a presentation on.
    With ``training.plasticity: host`` the sums are read and the host makes the step; with ``on_chip``
    the weights change while the presentation runs, so that the controller needs less and less current.

    Source: Saponati et al. 2026, arXiv 2602.13261.

    Args:
        trace_ms: time constant of the presynaptic trace, > 0.
    """

    trace_ms: Annotated[float, TIME_MS] = 20.0

    origin: ClassVar[str] = "apical_online"
    predicts: ClassVar[bool] = False
    gives_outer: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self, "rule.prediction")

    def rates(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        """Return the controlled rates: nothing else was measured."""
        return observation["controlled"].rates[1:]

    def abilities(self, *, on_chip: bool) -> frozenset[str]:
        return frozenset({"eligibility"})

    def plasticity(self, model: Model) -> Plasticity:
        known = model.on_chip
        if known is None:
            return Plasticity(trace_ms=self.trace_ms)
        return Plasticity(known.batch, self.trace_ms, known.steps)
