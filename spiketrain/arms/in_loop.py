"""Training on the chips themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from chips.base import Chips
from learning.model import Model
from learning.stimulus import Batch
from root.seeds import SeedTree
from spiketrain.arms.base import Arm

__all__ = ["InLoop"]


@final
@dataclass(frozen=True)
class InLoop(Arm):
    """Every chip is trained by what is measured on it; all else the rule has from the design.

    Source: Schmitt et al. 2017, arXiv 1703.01909 (training with the chip in the loop).
    """

    name: ClassVar[str] = "in_loop"

    def population(self, chips: Chips, batch: Batch, model: Model, seeds: SeedTree) -> Chips:
        return chips
