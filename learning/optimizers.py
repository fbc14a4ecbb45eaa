"""Optimisers: how an update becomes new weights; one class per method, built on torch.optim."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

import torch
from torch import Tensor

from learning.model import Model, OnChip
from learning.rule import Update
from root.ranges import EPSILON, FACTOR, FRACTION_BELOW_1, check_ranges

__all__ = ["SGD", "Adam", "Optimizer", "Stepper", "TorchStepper"]


class Stepper(ABC):
    """An optimiser at work on one model; its state can be stored and restored."""

    @abstractmethod
    def apply(self, update: Update, rate: float) -> None:
        """Change the model's weights.

        Args:
            update: directions of descent.
            rate: the learning rate of this step.
        """

    def on_chip(self, rate: float) -> OnChip | None:
        """Return the steps that the chips are to make themselves, or None where the host makes them."""
        return None

    def forget(self, chips: Tensor) -> None:  # noqa: B027 (without a memory there is nothing to forget)
        """Forget what was learnt of `chips`, ``(chips,)`` of booleans, whose weights were set back."""

    def measures(self) -> Mapping[str, Tensor]:
        """Return what is worth recording of the steps, each ``(chips,)``; by default nothing."""
        return {}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""


@dataclass(frozen=True)
class Optimizer(ABC):
    """Settings of an optimiser."""

    plugin_group: ClassVar[str] = "optimizers"
    name: ClassVar[str]
    needs_outer: ClassVar[bool] = False
    """Whether it steps by what is before and behind a synapse, not by a change that is known as a whole."""

    @abstractmethod
    def bind(self, model: Model, scales: tuple[float, ...]) -> Stepper:
        """Return a stepper for `model`.

        Args:
            model: whose weights it changes.
            scales: per connection, a factor on the learning rate.
        """


@final
class TorchStepper(Stepper):
    """Any element-wise optimiser of torch.optim: chips stay independent."""

    def __init__(self, optimizer: torch.optim.Optimizer, model: Model, scales: tuple[float, ...]) -> None:
        self.optimizer, self.model, self.scales = optimizer, model, scales

    def apply(self, update: Update, rate: float) -> None:
        for group, scale in zip(self.optimizer.param_groups, self.scales, strict=True):
            group["lr"] = rate * scale
        for parameter in self.model.parameters():
            parameter.grad = None
        for index, change in enumerate(update.of(self.model.network)):
            if change is None:
                continue
            if self.model.network.connections[index].pattern.trained:
                self._descend(self.model.forward_weights[index], change.weight())
            bias = change.bias()
            if bias is not None:
                self._descend(self.model.bias[self.model.network.connections[index].post - 1], bias)
        self.optimizer.step()

    def forget(self, chips: Tensor) -> None:
        """Set to zero the moments, which are those of other weights."""
        for parameter, state in self.optimizer.state.items():
            for value in state.values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    value[chips] = 0.0

    def _descend(self, parameter: Tensor, change: Tensor) -> None:
        step = change.to(parameter)  # a chip may be measured in another type than it is programmed in
        if parameter.grad is not None:
            parameter.grad.sub_(step)
        else:
            parameter.grad = -step if step is change else step.neg_()

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state)


def _groups(model: Model) -> list[dict[str, list[Tensor]]]:
    """One parameter group per connection: its weights, and the bias of the layer it is first to reach."""
    seen: set[int] = set()
    groups = []
    for weight, connection in zip(model.forward_weights, model.network.connections, strict=True):
        members: list[Tensor] = [weight]
        if connection.post not in seen:
            members.append(model.bias[connection.post - 1])
            seen.add(connection.post)
        groups.append({"params": members})
    return groups


@final
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent (``torch.optim.SGD``).

    Args:
        momentum: in [0, 1).
        weight_decay: 0 or more.
    """

    momentum: Annotated[float, FRACTION_BELOW_1] = 0.0
    weight_decay: Annotated[float, FACTOR] = 0.0
    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        check_ranges(self, "training.optimizer")

    def bind(self, model: Model, scales: tuple[float, ...]) -> Stepper:
        sgd = torch.optim.SGD(
            _groups(model), lr=1.0, momentum=self.momentum, weight_decay=self.weight_decay, foreach=False
        )
        return TorchStepper(sgd, model, scales)


@final
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (``torch.optim.Adam``; Kingma & Ba 2015, arXiv 1412.6980).

    Args:
        beta1: decay of the mean, in [0, 1).
        beta2: decay of the mean square, in [0, 1).
        epsilon: added to the root mean square, > 0.
        weight_decay: 0 or more.
    """

    beta1: Annotated[float, FRACTION_BELOW_1] = 0.9
    beta2: Annotated[float, FRACTION_BELOW_1] = 0.999
    epsilon: Annotated[float, EPSILON] = 1e-8
    weight_decay: Annotated[float, FACTOR] = 0.0
    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        check_ranges(self, "training.optimizer")

    def bind(self, model: Model, scales: tuple[float, ...]) -> Stepper:
        adam = torch.optim.Adam(
            _groups(model),
            lr=1.0,
            betas=(self.beta1, self.beta2),
            eps=self.epsilon,
            weight_decay=self.weight_decay,
            foreach=False,
        )
        return TorchStepper(adam, model, scales)
