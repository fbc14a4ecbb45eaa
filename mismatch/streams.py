"""Random numbers chip by chip: every chip has streams of its own, whatever its neighbours."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from root.seeds import SeedTree

__all__ = ["Streams"]

Place = tuple[str | int, ...]


@final
@dataclass(frozen=True)
class Streams:
    """The random numbers of a population, by name and chip.

    What is drawn is a function of the node, the chip's number and the name alone, never of what was
    drawn before: so chip k is the same in any population, and a resumed run needs no generator's state.

    Args:
        node: below it, every chip has a branch of its own.
        chips: the numbers of the chips.
        place: what the streams are for, below the chip's branch.
        device: where the numbers are put; they are drawn on the processor, the same everywhere.
    """

    node: SeedTree
    chips: range
    place: Place = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def child(self, *names: str | int) -> Streams:
        """Return the streams for something more particular."""
        return Streams(self.node, self.chips, (*self.place, *names), self.device)

    def nodes(self, *names: str | int) -> list[SeedTree]:
        """Return one node of the seed tree per chip."""
        return [self.node.child(chip, *self.place, *names) for chip in self.chips]

    def draw(self, make: Callable[[np.random.Generator], NDArray[Any]], *names: str | int) -> Tensor:
        """Return what `make` draws for every chip, stacked along the first axis."""
        generators = [node.generator() for node in self.nodes(*names)]
        if self.device.type == "cpu":
            rows = [make(generator) for generator in generators]
        else:  # a card must not wait for one core: what fills an array lets other threads run
            with ThreadPoolExecutor(min(len(generators), os.cpu_count() or 1)) as pool:
                rows = list(pool.map(make, generators))
        return torch.from_numpy(np.stack(rows)).to(self.device)

    def normal(self, *names: str | int, shape: tuple[int, ...]) -> Tensor:
        """Return standard normal numbers, ``(chips, *shape)``, drawn in single precision for speed."""
        return self.draw(lambda g: g.standard_normal(shape, dtype=np.float32), *names).double()

    def uniform(self, *names: str | int, shape: tuple[int, ...]) -> Tensor:
        """Return numbers uniform in [0, 1), ``(chips, *shape)``."""
        return self.draw(lambda g: g.random(shape), *names)
