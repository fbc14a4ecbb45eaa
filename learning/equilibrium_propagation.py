"""Equilibrium propagation: learning from how a network's rest changes when its output is nudged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, final

import torch
from torch import Tensor

from learning.model import Model
from learning.rule import Dense, LearningRule, Outer, Update
from learning.stimulus import Batch
from rate_bridge.errors import InputError, UnsupportedError
from rate_bridge.ranges import GAIN, check_ranges
from spiking.named import Named
from spiking.network import Network
from spiking.presentation import Controller, Observation, Phase

__all__ = ["EquilibriumPropagation"]

FREE, PLUS, MINUS = "free", "plus", "minus"


@final
@dataclass(frozen=True)
class EquilibriumPropagation(LearningRule):
    r"""Equilibrium propagation on a network with backward connections, squared loss.

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
        chain, mirrors = set(range(network.depth)), self._backward(network)
        others = [c for i, c in enumerate(network.connection_names) if i not in chain and i not in mirrors]
        if others or not network.dense:
            given = ", ".join(others) or "connections that are not all-to-all"
            allowed = f"a chain of all-to-all layers and its mirror image, for {self.name}"
            raise UnsupportedError("network.connections", given, allowed)

    def start(self, model: Model) -> None:
        """Make the programmed weights symmetric, and the feedback a plain nudge of the output."""
        for index, forward in self._backward(model.network).items():
            model.forward_weights[index].detach().copy_(model.forward_weights[forward].transpose(1, 2))
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
        changes: list[Outer | Dense | None] = [Outer(high[0], (high[1] - low[1]) / distance)]
        for layer in range(1, model.network.depth):
            pre = torch.cat([high[layer], low[layer]], dim=1)
            post = torch.cat([high[layer + 1], -low[layer + 1]], dim=1) * (2.0 / distance)
            change = Outer(pre, post)
            changes.append(Dense(change.weight(), change.bias()))
        backward = self._backward(model.network)
        for index in range(model.network.depth, len(model.network.connections)):
            changes.append(self._transposed(changes, backward.get(index)))
        residual = (batch.target.to(high[-1]) - observation[FREE].rates[-1]).abs().mean(dim=(1, 2))
        return Update(Named(model.network.connection_names, changes), residual=residual)

    @staticmethod
    def _backward(network: Network) -> dict[int, int]:
        """Return the index of every backward connection with that of the forward one it mirrors."""
        chain = {(c.post, c.pre): index for index, c in enumerate(network.connections[: network.depth])}
        pairs = enumerate(network.connections)
        return {index: chain[c.pre, c.post] for index, c in pairs if (c.pre, c.post) in chain}

    @staticmethod
    def _transposed(changes: list[Outer | Dense | None], forward: int | None) -> Dense | None:
        """Return the change of a backward connection: its forward one's, without the bias."""
        change = None if forward is None else changes[forward]
        return None if change is None else Dense(_swap(change.weight()))


def _swap(weight: Tensor) -> Tensor:
    return weight.transpose(1, 2)
