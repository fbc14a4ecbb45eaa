"""Training on the chips themselves, with curves that were measured on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from chips.base import Chips
from learning.model import Model
from learning.rule import LearningRule
from learning.stimulus import Batch
from mismatch.spec import MismatchSpec
from root.seeds import SeedTree
from spiketrain.arms.base import Arm
from spiketrain.curves import measure_curves

__all__ = ["Calibrated"]


@final
@dataclass(frozen=True)
class Calibrated(Arm):
    """As in the loop, but every neuron's f-I curve is measured on its chip before training.

    Nothing is told that could not be measured from outside: known currents in, rates out. The weights stay
    hidden.

    Source: the practice of calibrating analog chips, as for BrainScaleS-2 in Pehle et al. 2022,
    doi:10.3389/fnins.2022.795876.
    """

    name: ClassVar[str] = "calibrated"

    def check(self, rule: LearningRule, spec: MismatchSpec) -> None:
        Arm.check(self, rule, spec)
        if not rule.uses_model:
            self.refuse(f"in_loop: the rule {rule.name} uses no curves, so measuring them is in vain")
        if spec.is_ideal:
            self.refuse("in_loop: no parameter deviates, so the curves are the design's")

    def population(self, chips: Chips, batch: Batch, model: Model, seeds: SeedTree) -> Chips:
        if not model.calibrated:
            model.calibrate(measure_curves(chips))
        return chips
