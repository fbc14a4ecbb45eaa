"""Recursive least squares in the loop: what a rule that is not local makes of the same observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.controlled_population import ControlledPopulation
from learning.model import Model
from learning.population_code import THIN, Sums, filtered
from learning.rule import Dense, Update
from learning.state import RuleState
from learning.stimulus import Batch
from root.ranges import EPSILON, SHARE
from spiking.presentation import CurrentDrive, Observation, Plasticity

__all__ = ["Force"]


@final
@dataclass(frozen=True)
class Squares(RuleState):
    """S, the sums of the features' products, ``(chips, n + m, n + m)``."""

    squares: Tensor

    prefix: ClassVar[str] = "force"


@final
@dataclass(frozen=True)
class Force(ControlledPopulation):
    r"""FORCE: recursive least squares in the loop, as a rival of `Follow`.

    Network, controller and read-out are the same. In a sample the n neurons of the population get the
    current :math:`e_i \cdot (D r + B c + u)`, from their traces r and the m commands c through weights
    :math:`w_{ij} = e_i \cdot D_j`, and from the control signal u. This sum made the output follow the system:
    it is regressed on :math:`\phi = (r, c)`, so that the population gives it to itself. After every batch

    .. math::
        S \leftarrow \lambda S + \langle \phi\, \phi^\top \rangle, \qquad
        (D, B) \leftarrow (D, B) + \eta\, S^{-1} \langle \phi\, u^\top \rangle

    from :math:`S = \alpha` on, with the learning rate η. With η = 1 that is, to rounding, the regression on
    all batches at once, each weighed by λ to the power of its age, with the ridge α on the difference from
    the weights at the beginning: recursive least squares in blocks. Where control is weak, u is only the
    k / (1 + k)-th part of what was missing, and the state that was visited is not the system's, so that what
    was long ago is better forgotten.

    The rule needs all traces in one place, a matrix of :math:`(n + m)^2` numbers a chip and its inverse; a
    synapse cannot do this. Chips are asked for spikes, output and control signal, never for a parameter.

    Source: Sussillo & Abbott 2009, doi:10.1016/j.neuron.2009.07.018; on spiking networks Nicola & Clopath
    2017, doi:10.1038/s41467-017-01827-3.

    Args:
        controller, trace_ms, rates_hz, fit_batches, fit_correlation_ms, hold, radius: see
            `ControlledPopulation`.
        forget: λ, above 0 and at most 1.
        ridge: α; a trace's mean square is about .01.
    """

    forget: Annotated[float, SHARE] = 0.9
    ridge: Annotated[float, EPSILON] = 1e-5

    name: ClassVar[str] = "force"
    records: ClassVar[frozenset[str]] = frozenset({"spikes", "control", "readout"})

    def abilities(self, *, on_chip: bool) -> frozenset[str]:
        return ControlledPopulation.abilities(self, on_chip=on_chip) | {"tracking"}

    def start(self, model: Model) -> None:
        ControlledPopulation.start(self, model)
        size = model.network.layers[0].size + model.network.inputs
        one = torch.eye(size, dtype=torch.float64).repeat(model.chips, 1, 1)
        model.memory |= Squares(self.ridge * one).entries()

    def plasticity(self, model: Model, steps: float) -> Plasticity | None:
        return None

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        features, control = self.features(batch, observation, model)
        sums = Sums.of(features, control)
        moments = control[0, :, ::THIN, 0].numel()
        squares = self.forget * Squares.of(model.memory).squares + sums.squares / moments
        found = torch.linalg.solve(squares, sums.products / moments) @ model.feedback[0].cpu()
        neurons = model.network.layers[0].size
        parts = {1: found[:, :neurons], 0: found[:, neurons:]}
        changes: list[Dense | None] = [None] * len(model.network.connections)
        for pre, change in parts.items():
            changes[self.index(model.network, pre, 1)] = Dense(change.to(model.device))
        measures = self.reached(batch, observation["controlled"], model)
        return Update(
            tuple(changes),
            memory=Squares(squares).entries(),
            residual=measures.pop("residual"),
            measures=measures,
        )

    def features(self, batch: Batch, observation: Observation, model: Model) -> tuple[Tensor, Tensor]:
        """Return what gave the population its currents in the counted steps, and the control signal.

        Returns:
            traces of the step before, and commands, ``(chips, batch, time, n + m)``, and
            ``(chips, batch, time, n_out)``; on the host.
        """
        network, first = model.network, self.settled(model)
        drive = model.stimulus.phase("controlled", batch).drive
        assert isinstance(drive, CurrentDrive)
        found = observation["controlled"].traces
        spikes = found["spikes"][0].double().cpu()
        if first:
            spikes = torch.cat([observation["held"].traces["spikes"][0].double().cpu(), spikes], dim=2)
        traces = filtered(spikes * network.emission_value(1), self.trace_ms, network.dt_ms)
        traces = torch.nn.functional.pad(traces, (0, 0, 1, 0))[:, :, first:-1]
        commands = drive.values[None, :, first:].cpu().double().expand(len(traces), -1, -1, -1)
        return torch.cat([traces, commands], dim=-1), found["control"][0].cpu().double()
