"""Node perturbation: what known currents do to the loss tells every neuron its error, without a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.probing import Probe
from learning.losses import Loss, Squared
from learning.model import Model
from learning.rule import LearningRule, Update, local
from learning.stimulus import SHARED, Batch
from root.ranges import COUNT, GAIN, check_ranges
from spiking.presentation import Observation, Phase

__all__ = ["NodePerturbation"]


@final
@dataclass(frozen=True)
class NodePerturbation(LearningRule):
    r"""Every neuron gets a constant current of random sign; the loss is multiplied by it.

    A sample is shown twice, with currents :math:`\pm n` into all neurons at once, :math:`n_j = \pm\sigma`:

    .. math::
        \delta_l = -\frac{L^+ - L^-}{2\sigma^2}\, n_l, \qquad \Delta W_l \propto r_{l-1}^\top \delta_l,
        \qquad r = \tfrac12 (r^+ + r^-)

    Signs are independent, so the mean of δ over them is the negative gradient with respect to the current,
    up to σ²; its variance grows with the number of neurons. Nothing of the chip is modelled: no weight, no
    slope, no feedback path. A step costs 2 · `draws` presentations of every sample.

    Source: Widrow & Lehr 1990, doi:10.1109/5.58323 (Madaline rule III); Werfel, Xie & Seung 2005, Neural
    Computation 17, 2699, for its variance; simultaneous and antithetic as in Spall 1992,
    doi:10.1109/9.119632.

    Args:
        loss: what is descended.
        sigma: size of the currents, > 0; in the counts of few spikes a small one drowns.
        draws: pairs of presentations of a sample, each with signs of its own.
    """

    loss: Loss = field(default_factory=Squared)
    sigma: Annotated[float, GAIN] = 0.2
    draws: Annotated[int, COUNT] = 1

    name: ClassVar[str] = "node_perturbation"
    steady: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    @property
    def uses_model(self) -> bool:
        return False

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return True

    @property
    def _probes(self) -> tuple[Probe, ...]:
        return tuple(Probe(f"perturb_{k}", self.sigma, outputs=True) for k in range(self.draws))

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return tuple(phase for probe in self._probes for phase in probe.phases(batch, model))

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        layers = range(model.network.depth + 1)
        rates: list[list[Tensor]] = [[] for _ in layers]
        errors: list[list[Tensor]] = [[] for _ in layers[1:]]
        losses = []
        for probe in self._probes:
            plus, minus = probe.seen(observation)
            for layer in layers:
                rates[layer].append((plus.rates[layer] + minus.rates[layer]) / 2.0)
            target = batch.target.to(plus.rates[-1])
            high, low = (self.loss.value(seen.rates[-1], target) for seen in (plus, minus))
            push = (low - high).unsqueeze(-1) / (2.0 * self.sigma**2)
            for index, currents in enumerate(probe.currents(batch, model)):
                errors[index].append(push * currents.to(push))
            losses.append((high + low) / 2.0)
        before = [torch.cat(own, dim=1) for own in rates]  # draws count as further samples
        wanted = self.loss.error(before[-1], batch.target.to(before[-1]).repeat(self.draws, 1))
        late = {
            index: arrived.repeat(1, self.draws, 1)
            for index, arrived in model.stimulus.late(batch, SHARED, one_window=True).items()
        }
        return Update(
            local(model.network, before, [torch.cat(own, dim=1) for own in errors], late=late),
            residual=wanted.abs().mean(dim=(1, 2)),
            measures={"loss": torch.cat(losses, dim=1).mean(1)},
        )
