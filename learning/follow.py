"""A recurrent network learns the dynamics of a system under error feedback, and then runs them without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, final

import torch

from learning.controlled_population import ControlledPopulation, Fit
from learning.model import Model
from learning.population_code import Sums, filtered
from learning.rule import Dense, Update
from learning.stimulus import Batch
from root.errors import InputError, UnsupportedError
from root.ranges import FACTOR
from spiking.presentation import CurrentDrive, Observation, Phase, Plasticity

__all__ = ["Follow"]


@final
@dataclass(frozen=True)
class LoopFit(Fit):
    """That of the recurrent weights and those from the input, in open loop."""

    prefix: ClassVar[str] = "follow.loop"


@final
@dataclass(frozen=True)
class Follow(ControlledPopulation):
    r"""FOLLOW: feedback-based online local learning of weights, on chips.

    Network, controller and read-out are those of `ControlledPopulation`. Every synapse onto the population
    changes by the feedback current that its neuron receives times its own presynaptic trace, in every step:

    .. math:: \Delta w_{ij} = \eta\, I_{fb,i}\, r_j

    Where the feedback synapses deviate, it is the deviating current that is learned from.

    With ``begin: open_loop`` the rule does not begin with the weights that are drawn, but with such as
    are regressed on the chip: the system's states x are injected instead of noise, and weights are fitted
    that would give the population this current, :math:`D r + B \tilde u \approx x` with the filtered commands
    :math:`\tilde u`. On the design that is the Neural Engineering Framework's construction (Eliasmith &
    Anderson 2003). What chips do with it is what is tested before training, in epoch 0.

    Source: Gilra & Gerstner 2017, doi:10.7554/eLife.28295.

    Args:
        controller, trace_ms, rates_hz, fit_batches, fit_correlation_ms, hold, radius: see
            `ControlledPopulation`.
        input_rate: factor on the step size of the synapses from the input, whose traces are smaller.
        begin: ``drawn``: with the weights of the config; ``open_loop``: with regressed ones.
    """

    input_rate: Annotated[float, FACTOR] = 100.0
    begin: Literal["drawn", "open_loop"] = "drawn"

    name: ClassVar[str] = "follow"
    records: ClassVar[frozenset[str]] = frozenset({"readout"})

    def __post_init__(self) -> None:
        ControlledPopulation.__post_init__(self)
        if self.begin not in ("drawn", "open_loop"):
            raise InputError("rule.begin", self.begin, "drawn, open_loop")

    def abilities(self, *, on_chip: bool) -> frozenset[str]:
        if not on_chip:
            allowed = "on_chip: synapses learn in every step of time"
            raise UnsupportedError("training.plasticity", "host", allowed)
        return frozenset({"eligibility", "tracking"})

    # weights that are regressed in open loop

    def start(self, model: Model) -> None:
        ControlledPopulation.start(self, model)
        if self.begin == "open_loop":
            model.memory |= LoopFit.begun(model.chips).entries()

    def warmup(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        noise = ControlledPopulation.warmup(self, batch, model)
        if self.begin == "drawn":
            return noise
        return (*noise, self.injecting("system", batch.target[:1], model))

    def identify(self, batch: Batch, observation: Observation, model: Model) -> Update:
        """Add a presentation to the fits; the last one ends them."""
        update = ControlledPopulation.identify(self, batch, observation, model)
        if self.begin == "drawn":
            return update
        fit = LoopFit.of(model.memory).with_sums(self._open_loop(batch, observation, model))
        changes = list(update.of(model.network))
        if fit.shown == self.fit_batches:
            for pre, change in self._loop(fit, model).items():
                changes[self.index(model.network, pre, 1)] = change
            fit = LoopFit.begun(model.chips)
        return Update(tuple(changes), memory={**update.memory, **fit.entries()})

    def _open_loop(self, batch: Batch, observation: Observation, model: Model) -> Sums:
        """Return the sums of what is injected times the traces and commands of the step before."""
        found, network = observation["system"], model.network
        r, _, y = self.seen(found, network)
        drive = model.stimulus.drive(batch, "system")
        assert isinstance(drive, CurrentDrive)
        first = r.shape[2] + 1
        commands = filtered(drive.values[:1], self.trace_ms, network.dt_ms)[None, :, -first:-1]
        features = torch.cat([r, commands.expand(r.shape[0], -1, -1, -1)], dim=-1)
        return Sums.of(features, found.traces["control"][0].cpu().double()[:, :, -y.shape[2] :])

    def _loop(self, fit: Fit, model: Model) -> dict[int, Dense]:
        """Return the changes to the regressed weights, by the layer before them."""
        neurons, encoders = model.network.layers[0].size, model.feedback[0].cpu()
        found = Sums(fit.squares, fit.products).solve() @ encoders
        fitted = {1: found[:, :neurons], 0: found[:, neurons:]}
        return {
            pre: Dense(weights.to(own.device) - own)
            for pre, weights in fitted.items()
            for own in (model.forward_weights[self.index(model.network, pre, 1)].detach(),)
        }

    # training

    def plasticity(self, model: Model, steps: float) -> Plasticity:
        """Return how synapses onto the population learn; a learning rate is per step of time."""
        known = model.on_chip
        if known is None:
            return Plasticity(1, self.trace_ms, biases=False, from_first_spike=False)
        factors = {(0, 1): self.input_rate, (1, 1): 1.0}
        sizes = tuple(
            rate * steps * factors.get((c.pre, c.post), 0.0)
            for rate, c in zip(known.steps, model.network.connections, strict=True)
        )
        return Plasticity(known.batch, self.trace_ms, sizes, biases=False, from_first_spike=False)

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        found = observation["controlled"]
        connections = tuple(
            Dense(change.weight) if connection.post == 1 else None
            for change, connection in zip(found.changes, model.network.connections, strict=True)
        )
        measures = self.reached(batch, found, model)
        return Update(connections, residual=measures.pop("residual"), measures=measures)
