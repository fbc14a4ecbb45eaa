"""Equilibrium propagation: learning from how a network's rest changes when its output is nudged."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, final

import torch
from torch import Tensor

from learning.model import Model
from learning.rule import Dense, LearningRule, Outer, Update
from learning.stimulus import Batch
from root.errors import InputError, UnsupportedError
from root.ranges import GAIN, check_ranges
from spiking.connections import Synapses
from spiking.named import Named
from spiking.network import Network
from spiking.presentation import Controller, Observation, Phase

__all__ = ["EquilibriumPropagation"]

FREE, PLUS, MINUS = "free", "plus", "minus"


@final
@dataclass(frozen=True)
class EquilibriumPropagation(LearningRule):
    r"""Equilibrium propagation on a network whose connections between neurons are symmetric, squared loss.

    Every connection has a mirror image, or is one of a population onto itself; those from the input may be
    of any kind. Skips between hidden layers take part like others.

    The chip settles freely, then, from there, with the output nudged by currents
    :math:`\pm\beta\,(r^* - r_L)`, and

    .. math::
        \Delta W_l \propto
        \frac{1}{2\beta} \left( [r_{l-1}^\top r_l]_{+\beta} - [r_{l-1}^\top r_l]_{-\beta} \right)

    (``symmetric``), or :math:`\frac1\beta ([\cdot]_{+\beta} - [\cdot]_{free})` (``one_sided``, biased by
    O(β)). With symmetric weights and small β this is the negative gradient of
    :math:`\frac12 |r^* - r_L|^2` at the free rest; both directions of a synapse are programmed alike, but
    on a chip each has its own mismatch. A nudge is a proportional controller on the output alone, inside
    the chip.

    Source: Scellier & Bengio 2017, doi:10.3389/fncom.2017.00024; symmetric nudging: Laborieux et al. 2021,
    doi:10.3389/fnins.2021.633674.

    Args:
        beta: strength β of the nudge, > 0.
        nudging: ``symmetric`` or ``one_sided``.
    """

    beta: Annotated[float, GAIN] = 0.2
    nudging: Literal["symmetric", "one_sided"] = "symmetric"

    name: ClassVar[str] = "equilibrium_propagation"
    uses_feedback: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self, "rule")
        if self.nudging not in ("symmetric", "one_sided"):
            raise InputError("rule.nudging", self.nudging, "symmetric, one_sided")

    @property
    def gives_outer(self) -> bool:
        return False

    @property
    def uses_model(self) -> bool:
        return False

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return True

    def check(self, network: Network) -> None:
        found = {(c.pre, c.post) for c in network.connections}
        missing = [layer for layer in range(1, network.depth) if (layer + 1, layer) not in found]
        if missing:
            allowed = "a rule for feedforward networks"
            raise UnsupportedError("rule.name", self.name, allowed, "Or set network.bidirectional: true")
        others = _unpaired(network)
        if others:
            names = ", ".join(network.connection_names[index] for index in others)
            allowed = (
                f"connections whose mirror image is one too, for {self.name}: dense, one_to_one, sparse and "
                "recurrent ones; numbers that synapses share, as those of a convolution, have none"
            )
            raise UnsupportedError("network.connections", names, allowed)

    def start(self, model: Model) -> None:
        """Make the programmed weights symmetric, and the feedback a plain nudge of the output."""
        network, weights = model.network, model.forward_weights
        for mirror, index in _mirrors(network).items():
            turned = network.synapses[index].turned(weights[index].detach())
            if mirror == index:
                turned = (turned + weights[index].detach()) / 2.0
            weights[mirror].detach().copy_(turned)
        outputs = model.network.outputs
        shapes = [(model.chips, outputs, layer.size) for layer in model.network.layers[:-1]]
        like = model.forward_weights[0]
        eye = torch.eye(outputs, dtype=like.dtype, device=like.device).expand(model.chips, -1, -1).clone()
        model.feedback = (*(like.new_zeros(shape) for shape in shapes), eye)

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        signs = {PLUS: 1.0, MINUS: -1.0} if self.nudging == "symmetric" else {PLUS: 1.0}
        free = model.stimulus.phase(FREE, batch, shared_input=True)

        def nudged(name: str, sign: float) -> Phase:
            nudge = Controller(batch.target, kp=sign * self.beta, ki_per_ms=0.0)
            return replace(free, name=name, controller=nudge, after=FREE)

        return (free, *(nudged(name, sign) for name, sign in signs.items()))

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        high = observation[PLUS].rates
        low = observation[MINUS if self.nudging == "symmetric" else FREE].rates
        distance = 2.0 * self.beta if self.nudging == "symmetric" else self.beta
        network, mirrors = model.network, _mirrors(model.network)
        changes: list[Outer | Dense | None] = []
        taught: set[int] = set()
        parts = zip(network.connections, network.synapses, strict=True)
        for index, (c, synapses) in enumerate(parts):
            forward = mirrors.get(index, index)
            if forward != index:
                changes.append(_turned(changes[forward], network.synapses[forward]))
                continue
            own = (None if synapses.dense else synapses, c.pattern.trained, c.post not in taught)
            taught.add(c.post)
            if c.pre == 0:
                changes.append(Outer(high[0], (high[c.post] - low[c.post]) / distance, *own))
                continue
            pre = torch.cat([high[c.pre], low[c.pre]], dim=1)
            post = torch.cat([high[c.post], -low[c.post]], dim=1) * (2.0 / distance)
            change = Outer(pre, post, *own)
            weight = change.weight()
            if mirrors.get(index) == index:
                weight = weight * _counted_once(synapses).to(weight)
            changes.append(Dense(weight, change.bias()))
        residual = (batch.target.to(high[-1]) - observation[FREE].rates[-1]).abs().mean(dim=(1, 2))
        return Update(Named(model.network.connection_names, changes), residual=residual)


def _mirrors(network: Network) -> dict[int, int]:
    """Return connections and those that they mirror; one of a layer onto itself mirrors itself."""
    found: dict[int, int] = {}
    for index in network.between_neurons:
        connection = network.connections[index]
        if index in found:
            continue
        for other in range(index, len(network.connections)):
            ends = network.connections[other]
            if (ends.pre, ends.post) != (connection.post, connection.pre) or other in found:
                continue
            if _alike(network.synapses[index], network.synapses[other]):
                found[other] = index
                break
    return found


def _counted_once(synapses: Synapses) -> Tensor:
    """Return 1/2 for synapses of a neuron onto itself, which the energy holds once, 1 for all others."""
    pre, post, _ = synapses.wiring
    return torch.where(pre == post, 0.5, 1.0).view(synapses.parameters)


def _unpaired(network: Network) -> list[int]:
    """Return the connections between neurons that have no mirror image."""
    mirrors = _mirrors(network)
    paired = {*mirrors, *mirrors.values()}
    return [index for index in network.between_neurons if index not in paired]


def _alike(forward: Synapses, backward: Synapses) -> bool:
    """Return whether synapses are each other's mirror image, each with a number of its own."""
    if forward.dense or backward.dense:
        return forward.dense and backward.dense
    if any(math.prod(own.parameters) != own.count for own in (forward, backward)):
        return False
    pairs = zip(forward.backward.wiring[:2], backward.wiring[:2], strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def _turned(change: Outer | Dense | None, synapses: Synapses) -> Dense | None:
    """Return the change of a mirror image: its forward one's, without the bias."""
    return None if change is None else Dense(synapses.turned(change.weight()))
