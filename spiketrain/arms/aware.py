"""Training on the design with random mismatch injected, deployment onto chips never seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

from chips.base import Chips
from learning.model import Model
from learning.rule import LearningRule
from learning.stimulus import Batch
from mismatch.chip import bench_of
from mismatch.spec import MismatchSpec
from root.seeds import SeedTree
from spiketrain.arms.base import Arm

__all__ = ["Aware"]


@final
@dataclass(frozen=True)
class Aware(Arm):
    """One model is trained on a different random chip in every batch; its weights go to all chips.

    The random chips are drawn from the distributions of the reported ones, with seeds of their own, so
    training learns to live with mismatch in general and nothing about any chip that is reported.

    Source: Büchel et al. 2022, doi:10.1038/s42256-021-00446-1 lists the variants; Murray & Edwards 1994,
    doi:10.1109/72.317730 (synaptic noise in training).
    """

    name: ClassVar[str] = "aware"
    trains_elsewhere: ClassVar[str] = "other chips of the design, as simulations"
    one_model: ClassVar[bool] = True

    def check(self, rule: LearningRule, spec: MismatchSpec) -> None:
        Arm.check(self, rule, spec)
        if spec.is_ideal:
            self.refuse("offline or in_loop: no parameter deviates, so there is no mismatch to inject")

    def population(self, chips: Chips, batch: Batch, model: Model, seeds: SeedTree) -> Chips:
        seed = int(seeds.child("draw", *batch.key).generator().integers(2**63))
        bench = bench_of(chips)
        return bench.sibling(replace(bench.spec, chips=1, first_chip=0, seed=seed))
