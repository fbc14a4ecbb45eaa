"""The kernel's text for a network: the template with the neurons' equations before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

import torch

from spiking.programs.statements import Program
from spiking.programs.to_c import function
from spiking.simulators.cuda.arguments import text

__all__ = ["MOST_THREADS", "Shape", "source"]

MOST_THREADS = 512
"""Threads of a block; what has more columns gives several to a thread."""

RESIDENT = {True: 640, False: 1024}
"""Threads that are to be on a multiprocessor together, in float64 and float32: 96 and 64 registers each, with
which nothing is spilled (65536 registers a multiprocessor, compute capability 7.0 to 10.0)."""

FOLDER = Path(__file__).parent


@final
@dataclass(frozen=True)
class Shape:
    """What is known when a kernel is compiled.

    Args:
        columns: neurons of all layers, each layer padded to whole words.
        programs: the steps of the models.
        flags: what of the template is needed: ``SHADOW``, ``RELAY``, ``VALUES``, ``NOISE``, ``CLOSED``,
            ``DELAYS``.
        double: whether it computes in float64.
    """

    columns: int
    programs: tuple[Program, ...]
    flags: tuple[tuple[str, bool], ...]
    double: bool

    @property
    def threads(self) -> int:
        """Threads of a block, whole warps."""
        each = -(-self.columns // MOST_THREADS)
        return -(-self.columns // (32 * each)) * 32

    @property
    def each(self) -> int:
        """Columns of a thread."""
        return -(-self.columns // self.threads)

    @property
    def states(self) -> int:
        """State variables of a neuron, of the model that has most."""
        return max(len(program.states) for program in self.programs)

    @property
    def constants(self) -> int:
        """Constants of a neuron, of the model that has most, one at least."""
        return max(1, *(len(program.reads) for program in self.programs))

    def flag(self, name: str) -> bool:
        """Return whether a part of the template is needed."""
        return dict(self.flags)[name]

    def shared_bytes(self, outputs: int) -> int:
        """Return the shared memory of a block."""
        real = 8 if self.double else 4
        reals = 4 * outputs + self.columns * (self.flag("RELAY") + self.flag("VALUES"))
        return -(-reals * real // 8) * 8 + self.columns // 32 * 4

    @property
    def dtype(self) -> torch.dtype:
        """The type that is computed with."""
        return torch.float64 if self.double else torch.float32


@cache
def source(shape: Shape, *, host: bool = False) -> str:
    """Return the text, complete.

    Args:
        shape: what is known of the network.
        host: for a C++ compiler instead of CUDA's.
    """
    numbers: Mapping[str, int] = {
        "THREADS": shape.threads,
        "BLOCKS": max(1, RESIDENT[shape.double] // shape.threads),
        "PER": shape.each,
        "STATES": shape.states,
        "CONSTANTS": shape.constants,
        **dict(shape.flags),
    }
    real = "double" if shape.double else "float"
    around = ("host.h", "host_launch.h") if host else ("card.h", "")
    parts = [
        _read(around[0]),
        f"#define REAL {real}",
        *(f"#define {name} {int(value)}" for name, value in numbers.items()),
        text(),
        *_steps(shape.programs),
        _read("presentation.cu"),
        _read(around[1]) if around[1] else "",
    ]
    return "\n".join(parts)


def _steps(programs: Sequence[Program]) -> list[str]:
    inline = "__device__ static inline"
    steps = [
        function(program, f"advance_{place}", program.reads, inline) for place, program in enumerate(programs)
    ]
    cases = [
        f"    if (group == {place}) return advance_{place}(state, current, constants);"
        for place in range(1, len(programs))
    ]
    head = f"{inline} REAL advance(int group, REAL *state, REAL current, const REAL *constants)\n{{"
    return [*steps, "\n".join([head, *cases, "    return advance_0(state, current, constants);", "}", ""])]


def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")
