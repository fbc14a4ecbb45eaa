"""One seed tree: every random number of a run comes from a named leaf of it.

A leaf is a function of the root seed and the path to it alone, never of what was drawn before. So
chip k is the same chip in any population, a resumed run needs no generator state, and a rule can be
given a branch from which no other branch can be reached.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

__all__ = ["SeedTree"]


@dataclass(frozen=True)
class SeedTree:
    """A node of the seed tree.

    Args:
        seed: the root seed, a non-negative integer.
        path: names and numbers from the root to this node.
    """

    seed: int
    path: tuple[int, ...] = ()

    def child(self, *names: str | int) -> SeedTree:
        """Return the node reached from this one by `names`; strings and integers never collide."""
        steps: list[int] = []
        for name in names:
            is_text = isinstance(name, str)
            steps += [int(is_text), zlib.crc32(name.encode()) if isinstance(name, str) else int(name)]
        return SeedTree(self.seed, self.path + tuple(steps))

    def generator(self) -> np.random.Generator:
        """Return a fresh generator for this node; the same node always gives the same numbers."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=self.path)))
