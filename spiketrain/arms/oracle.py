"""Training on the chips with their true parameters told to the rule: the upper bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, final

from torch import Tensor

from chips.base import Chips
from learning.model import Model, Truth
from learning.rule import LearningRule
from learning.stimulus import Batch
from mismatch import oracle
from mismatch.spec import MismatchSpec
from rate_bridge.transfer import Transfer
from root.seeds import SeedTree
from spiketrain.arms.base import Arm

__all__ = ["Oracle", "tell"]


@final
@dataclass(frozen=True)
class Oracle(Arm):
    """Every chip is trained by what is measured on it; the rule is told its true weights and curves."""

    name: ClassVar[str] = "oracle"
    trains_elsewhere: ClassVar[str] = "the chips' true parameters"
    needs_truth: ClassVar[bool] = True

    def check(self, rule: LearningRule, spec: MismatchSpec) -> None:
        Arm.check(self, rule, spec)
        if not rule.uses_model:
            self.refuse(
                f"in_loop: the rule {rule.name} uses neither weights nor curves, so telling is in vain"
            )
        if spec.is_ideal and not rule.needs_truth:
            self.refuse("in_loop: no parameter deviates, so there is nothing to tell")

    def population(self, chips: Chips, batch: Batch, model: Model, seeds: SeedTree) -> Chips:
        tell(chips, model)
        return chips


def tell(chips: Chips, model: Model) -> None:
    """Tell the model what the chips make of its present weights, and the neurons' true curves."""
    chips.program(model.weights())
    hardware = oracle.reveal(chips)
    model.truth = None
    curves = (model.transfer(index) for index in range(model.network.depth))
    model.truth = Truth(
        weights=hardware.weights,
        transfers=tuple(_with(curve, v) for curve, v in zip(curves, hardware.neurons, strict=True)),
    )


def _with(curve: Transfer, values: Mapping[str, Tensor]) -> Transfer:
    """Return a nominal curve with true parameters; a curve calls them by the names the neuron does."""
    assert is_dataclass(curve)
    known = {f.name for f in fields(curve)}
    true: dict[str, Any] = {name: value.unsqueeze(1) for name, value in values.items() if name in known}
    changed: Transfer = replace(curve, **true)
    return changed
