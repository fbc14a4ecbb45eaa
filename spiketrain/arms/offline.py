"""Training on the ideal design, deployment onto chips never seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from chips.base import Chips
from learning.model import Model
from learning.stimulus import Batch
from mismatch.chip import bench_of
from root.seeds import SeedTree
from spiketrain.arms.base import Arm

__all__ = ["Offline"]


@final
@dataclass(frozen=True)
class Offline(Arm):
    """One model is trained on the design without any deviation; its weights are written to all chips."""

    name: ClassVar[str] = "offline"
    trains_elsewhere: ClassVar[str] = "the design itself, as a simulation"
    one_model: ClassVar[bool] = True

    def population(self, chips: Chips, batch: Batch, model: Model, seeds: SeedTree) -> Chips:
        bench = bench_of(chips)
        return bench.sibling(bench.spec.ideal)
