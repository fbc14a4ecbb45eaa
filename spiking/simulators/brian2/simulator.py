"""The Brian2 simulator: equations, compiled once for every structure of a network.

Brian2 itself is imported only where something is built, or run without a compiler.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
from torch import Tensor

from root.errors import InputError, UnsupportedError
from spiking.blocks.block import Block
from spiking.blocks.recordings import Outcome
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import CurrentDrive
from spiking.simulators.base import Simulator
from spiking.simulators.brian2.cache import compiler, program
from spiking.simulators.brian2.data import arrays, outcome
from spiking.simulators.brian2.shape import Shape
from spiking.simulators.brian2.standalone import run_program
from spiking.simulators.brian2.structure import shape_of
from spiking.simulators.plasticity import check_one_at_a_time, difference, in_batches

if TYPE_CHECKING:
    from spiking.simulators.brian2.plain import PlainModel

__all__ = ["MODES", "Brian2Simulator"]

MODES = ("standalone", "runtime")
"""The ways to run a network; see `Brian2Simulator`."""

KEPT = 4
"""Models that are kept in memory where nothing is compiled."""

NO_COMPILER = (
    "no C++ compiler was found, so Brian2 runs its slow mode in numpy; install one "
    "(Debian and Ubuntu: apt install g++; macOS: xcode-select --install) or set CXX to its path"
)


@final
class Brian2Simulator(Simulator):
    """Runs networks of neurons that are written as equations, in float64 on the CPU.

    Args:
        device: ``"cpu"``.
        dtype: float64.
        mode: ``"standalone"``: a C++ program, built once for every structure and kept in the user's
            cache folder; ``"runtime"``: numpy in this process, chosen by itself where there is no
            compiler.
    """

    name: ClassVar[str] = "brian2"
    elsewhere: ClassVar[str] = "cuda"
    abilities: ClassVar[frozenset[str]] = frozenset(
        {"plasticity", "eligibility", "relay", "input_skips", "tracking"}
    )

    def __init__(
        self, device: str = "cpu", dtype: torch.dtype = torch.float64, mode: str = "standalone"
    ) -> None:
        if dtype != torch.float64:
            raise UnsupportedError("simulator.dtype", str(dtype), "float64", "or use simulator.name=torch")
        if mode not in MODES:
            raise InputError("simulator.mode", mode, ", ".join(MODES))
        if mode == "standalone" and compiler() is None:
            warnings.warn(NO_COMPILER, RuntimeWarning, stacklevel=2)
            mode = "runtime"
        super().__init__(device, dtype)
        self.mode = mode
        self._kept: dict[tuple[Any, ...], PlainModel] = {}

    @classmethod
    def status(cls) -> tuple[bool, str]:
        if compiler() is None:
            return True, NO_COMPILER
        return True, "compiles its programs once, into the user's cache folder"

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        plasticity = block.plasticity
        traced = plasticity is not None and plasticity.trace_ms is not None
        if plasticity is None or (plasticity.steps and self.mode == "standalone" and not traced):
            return self._run(network, hardware, block)
        if plasticity.batch:
            return in_batches(partial(self.run_block, network), network, hardware, block)
        if traced:
            check_one_at_a_time(block)
            return self._run(network, hardware, block)
        plain = self._run(network, hardware, replace(block, plasticity=None))
        return replace(plain, changes=difference(network, block, plain.sums, plain.basal))

    def _run(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        shape = shape_of(network, hardware, block)
        data = arrays(network, hardware, block, shape)
        sizes = {"chips": hardware.chips, "batch": block.batch, "steps": block.steps, "drive_steps": 1}
        if isinstance(block.drive, CurrentDrive):
            sizes["drive_steps"] = data["values"].shape[1]
        if self.mode == "standalone":
            result = run_program(program(shape), shape, data, sizes, network.dt_ms)
        else:
            result = self._interpret(shape, sizes, network.dt_ms, data)
        return outcome(block, shape, result)

    def _interpret(
        self, shape: Shape, sizes: dict[str, int], dt_ms: float, data: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        from spiking.simulators.brian2.plain import PlainModel  # noqa: PLC0415 (brian2 takes seconds)

        key = (shape, tuple(sizes.items()), dt_ms)
        if key not in self._kept:
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = PlainModel(shape, sizes, dt_ms)
        return self._kept[key].run(data)
