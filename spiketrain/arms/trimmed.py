"""Training on the design, deployment onto chips whose neurons were measured and trimmed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from chips.base import Chips
from learning.model import Model
from learning.rule import LearningRule
from learning.state import RuleState
from learning.stimulus import Batch
from mismatch.chip import bench_of
from mismatch.spec import MismatchSpec
from rate_bridge.calibration import MeasuredTransfer, measured_transfer
from rate_bridge.transfer import Transfer
from root.errors import UnsupportedError
from root.seeds import SeedTree
from spiketrain.arms.base import Arm
from spiketrain.curves import POINTS, measure_at, measure_curves
from spiking.connections import Synapses
from spiking.network import Network
from spiking.presentation import Weights

__all__ = ["Trimmed", "trims"]

LEVELS = torch.linspace(0.1, 1.0, 19, dtype=torch.float64)
"""Rates at which a neuron is to agree with its design, 1 = ``max_rate_hz``."""

OUTPUTS = torch.linspace(-0.6, 0.6, 49, dtype=torch.float64).exp()
"""Factors of the rate that are tried."""

DEPTH = 16.0
"""How far below the usual levels a neuron is looked for."""

HIGHEST = 0.95
"""Share of the highest rate of a design that saturates, up to which it is to agree."""


@final
@dataclass(frozen=True)
class Trims(RuleState):
    """What neurons need to do as their design, per layer 1 to L, ``(chips, n)`` each.

    Args:
        gain: factor a of the current.
        offset: b, added to it.
        output: factor c of the rate.
    """

    gain: tuple[Tensor, ...] = ()
    offset: tuple[Tensor, ...] = ()
    output: tuple[Tensor, ...] = ()

    prefix: ClassVar[str] = "trim"


@final
@dataclass(frozen=True)
class Trimmed(Arm):
    r"""One model is trained on the design; every chip gets its weights, adjusted neuron by neuron.

    Before anything is deployed the f-I curve of every neuron is measured on its chip, at levels around its
    design's and at as many below them, where thresholds are that were made far too low. Where the design
    gives the rate f(I), neuron j is taken to give :math:`c_j f(I)` for the current :math:`a_j I + b_j`, and
    gets just that, while those behind it are told less of it:

    .. math:: W_{ij} \leftarrow \frac{a_j}{c_i} W_{ij}, \qquad \beta_j \leftarrow a_j \beta_j + b_j

    with the biases β, and the least squares a, b and c of what the curves differ by, over rates from .1 to 1.
    A LIF neuron's threshold that is off by a factor is so made good (a), its membrane's time constant too
    where it has no refractory time (c), gain and offset of a rate neuron (c, b). The rate of an output and
    single synapses are not.

    Source: the practice of calibrating analog chips, as for BrainScaleS-2 in Pehle et al. 2022,
    doi:10.3389/fnins.2022.795876.
    """

    name: ClassVar[str] = "trimmed"
    calibration: ClassVar[int] = 2 * POINTS
    trains_elsewhere: ClassVar[str] = "the design itself, as a simulation"
    one_model: ClassVar[bool] = True

    def check(self, rule: LearningRule, spec: MismatchSpec) -> None:
        Arm.check(self, rule, spec)
        if spec.is_ideal:
            self.refuse("offline: no parameter deviates, so there is nothing to trim")

    def check_network(self, network: Network) -> None:
        for name, synapses in zip(network.connection_names, network.synapses, strict=True):
            if synapses.count > math.prod(synapses.parameters):
                allowed = (
                    "connections whose synapses have numbers of their own: shared ones cannot be trimmed"
                )
                raise UnsupportedError("network.connections", name, allowed)

    def begin(self, chips: Chips, model: Model) -> None:
        model.truth = None
        found = []
        for index, curve in enumerate(_curves(chips)):
            last = index == model.network.depth - 1  # nothing behind it could be told less
            found.append(trims(model.transfer(index), curve, OUTPUTS.new_ones(1) if last else OUTPUTS))
        model.memory |= Trims(*(tuple(values) for values in zip(*found, strict=True))).entries()

    def population(self, chips: Chips, batch: Batch, model: Model, seeds: SeedTree) -> Chips:
        bench = bench_of(chips)
        return bench.sibling(bench.spec.ideal)

    def deployed(self, weights: Weights, chips: int, model: Model) -> Weights:
        copied = Arm.deployed(self, weights, chips, model)
        if not Trims.known(model.memory):  # nothing was measured yet
            return copied
        network, like, known = model.network, copied.bias[0], Trims.of(model.memory)
        gains, offsets, outputs = (
            [value.to(like) for value in values] for values in (known.gain, known.offset, known.output)
        )
        inputs = like.new_ones(chips, network.inputs)
        forward = tuple(
            weight * _factor(1.0 / [inputs, *outputs][c.pre], gains[c.post - 1], synapses)
            for weight, c, synapses in zip(copied.forward, network.connections, network.synapses, strict=True)
        )
        bias = tuple(g * own + b for g, own, b in zip(gains, copied.bias, offsets, strict=True))
        return replace(copied, forward=forward, bias=bias)


def _curves(chips: Chips) -> list[MeasuredTransfer]:
    """Measure every neuron around its design; and further below, which counts where it is not silent yet."""
    around = measure_curves(chips)
    below = measure_at(chips, [_lower(curve.currents) for curve in around])
    found = []
    for low, curve in zip(below, around, strict=True):
        lowest = curve.rates[..., :1]
        # above the median fewer than half of LEVELS are seen in the usual range, too few for `trims`
        rates = torch.where(lowest > LEVELS.median(), low.rates, lowest)
        currents = torch.cat([low.currents, curve.currents])
        found.append(measured_transfer(currents, torch.cat([rates, curve.rates], dim=-1)))
    return found


def _lower(currents: Tensor) -> Tensor:
    """Return as many levels below: by equal factors down to a `DEPTH`-th, or as far again if they reach 0."""
    points, lowest = len(currents), currents[0]
    if lowest > 0:
        return lowest * torch.logspace(-1, 0, points + 1, base=DEPTH, dtype=currents.dtype)[:-1].to(currents)
    return currents + lowest - currents[-1] - currents.diff()[0]


def trims(
    design: Transfer, measured: MeasuredTransfer, outputs: Tensor = OUTPUTS
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Return factor a and offset b of the current, and factor c of the rate, ``(chips, n)`` each.

    For every c the straight line through the currents that give :math:`c f(I)` on the chip against I is
    fitted, weighted by the square of the design's slope; the c with the least error of the rate is taken.

    Args:
        design: the nominal curve f.
        measured: the curve of every neuron.
        outputs: the c to try.
    """
    chips, neurons = measured.rates.shape[:2]
    top = float(design.rate(torch.tensor([1e4], dtype=torch.float64)))
    levels = (LEVELS * min(1.0, HIGHEST * top)).to(measured.rates).view(1, -1, 1)
    current = design.inverse(levels)
    slope = design.slope(current).expand(chips, -1, neurons)
    low, high = (measured.rates[..., end].unsqueeze(1) for end in (0, -1))
    found, errors = [], []
    for c in outputs.tolist():
        wanted = (c * levels).expand(chips, -1, neurons)
        seen = ((wanted > low) & (wanted < high)).to(levels)  # rates outside were not measured
        fit = _line(current, measured.inverse(wanted), seen * slope.square())
        residual = (fit[0].unsqueeze(1) * current + fit[1].unsqueeze(1) - measured.inverse(wanted)) * slope
        error = (seen * (residual / fit[0].unsqueeze(1)).square()).sum(1) / seen.sum(1).clamp(min=1.0)
        enough = seen.sum(1) > levels.shape[1] / 2
        found.append(torch.stack([*fit, torch.full_like(error, c)]))
        errors.append(torch.where(enough & (fit[0] > 0), error, torch.inf))
    least = torch.stack(errors)
    best = least.argmin(0).view(1, 1, chips, neurons).expand(1, 3, -1, -1)
    gain, offset, output = torch.stack(found).gather(0, best).squeeze(0)
    known = least.min(0).values < torch.inf  # a neuron that is silent, or never is, stays as it is
    return torch.where(known, gain, 1.0), torch.where(known, offset, 0.0), torch.where(known, output, 1.0)


def _line(x: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return slope and offset of the weighted least squares of y against x, along the axis of the levels."""
    total = weight.sum(1).clamp(min=1e-12)
    mean_x, mean_y = (weight * x).sum(1) / total, (weight * y).sum(1) / total
    centred = x - mean_x.unsqueeze(1)
    slope = (weight * centred * y).sum(1) / (weight * centred.square()).sum(1).clamp(min=1e-12)
    return slope, mean_y - slope * mean_x


def _factor(before: Tensor, behind: Tensor, synapses: Synapses) -> Tensor:
    """Return a factor for every number that is programmed: its neurons' before and behind, multiplied."""
    if synapses.dense:
        return before.unsqueeze(2) * behind.unsqueeze(1)
    pre, post, _ = synapses.wiring
    return synapses.programmed(before[:, pre] * behind[:, post])
