"""Dynamical systems: commands over time, the states that they lead to, and free runs as a test."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter

from rate_bridge.filters import whole_steps
from root.arrays import Header
from root.errors import InputError
from root.ranges import DT_MS, SAMPLES, SEED, TIME_MS, TIME_OR_0_MS, check_ranges
from root.seeds import SeedTree
from spiketrain.tasks.base import FreeRun, Task, TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford

__all__ = ["DampedOscillator", "DynamicalSystem", "Lorenz", "VanDerPol"]

Array = NDArray[np.float64]

SWING = 0.2
"""Standard deviation of commands, of the current that 1 stands for; what is beyond that is clipped."""


@dataclass(frozen=True)
class DynamicalSystem(Task):
    r"""A system :math:`\dot z = f(z) + G c` that a network is to run by itself, given its commands c.

    Commands are independent Ornstein-Uhlenbeck processes of standard deviation 0.2, clipped to [-1, 1]. A
    task's inputs are :math:`(1 + c)/2`, for ``bridge.encoding: {name: current, low: -1, high: 1}``; what is
    wanted are the states, shifted and scaled to about the unit sphere, in every step. Integrated by Heun's
    method at the network's own time step.

    In a test the controller is on for `controlled_ms`, then off; the error counts from `skipped_ms` later on:

    .. math:: E = \frac{\langle |y - x|^2 \rangle}{\langle |x|^2 \rangle}

    and the score is 1 - E.

    Args:
        train_samples: number of training samples.
        sample_ms: their length; ``simulator.presentation_ms`` is the same.
        test_samples: number of test samples.
        test_ms: their length; ``simulator.test_presentation_ms`` is the same.
        controlled_ms: for how long of it the controller is on.
        skipped_ms: for how long after that the error does not count.
        dt_ms: time step; that of the simulator.
        seed: of the commands.
    """

    train_samples: Annotated[int, SAMPLES] = 20
    sample_ms: Annotated[float, TIME_MS] = 5000.0
    test_samples: Annotated[int, SAMPLES] = 4
    test_ms: Annotated[float, TIME_MS] = 6000.0
    controlled_ms: Annotated[float, TIME_OR_0_MS] = 0.0
    skipped_ms: Annotated[float, TIME_OR_0_MS] = 0.0
    dt_ms: Annotated[float, DT_MS] = 1.0
    seed: Annotated[int, SEED] = 0

    command_ms: ClassVar[float]
    """Correlation time of the commands."""
    settle_ms: ClassVar[float]
    """How long a system runs before a sample begins; a test without control begins at rest instead."""
    gains: ClassVar[tuple[tuple[float, ...], ...]]
    """G, ``(states, commands)``, per ms."""
    centre: ClassVar[tuple[float, ...]]
    scale: ClassVar[tuple[float, ...]]
    start: ClassVar[tuple[float, ...]]

    def __post_init__(self) -> None:
        check_ranges(self)
        for name in ("sample_ms", "test_ms", "controlled_ms", "skipped_ms"):
            value = getattr(self, name)
            if value and whole_steps(value, self.dt_ms) is None:
                raise InputError(name, value, f"a multiple of dt_ms ({self.dt_ms:g})")
        if self.controlled_ms + self.skipped_ms >= self.test_ms:
            given = self.controlled_ms + self.skipped_ms
            raise InputError("test_ms", self.test_ms, f"more than {given:g}, controlled and skipped")

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.gains[0]), len(self.scale)

    @property
    def free_run(self) -> FreeRun:
        times = (self.controlled_ms, self.skipped_ms, self.sample_ms, self.test_ms)
        return FreeRun(self.dt_ms, *(round(time / self.dt_ms) for time in times))

    @abstractmethod
    def field(self, z: Array) -> Array:
        """Return f per ms of states ``(samples, states)``."""

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        free = self.free_run
        train, test = free.train, free.test
        numbers = self.train_samples * train + self.test_samples * test
        header = Header((numbers, sum(self.shape)), np.dtype(np.float64))
        afford("the states", {"all samples": header}, memory_bytes)
        x_train, y_train = self._samples("train", self.train_samples, train, self.settle_ms)
        settle = 0.0 if self.controlled_ms == 0 else self.settle_ms
        x_test, y_test = self._samples("test", self.test_samples, test, settle)
        return TaskData(
            x_train,
            y_train,
            x_test,
            y_test,
            x_train[:0],
            y_train[:0],
            self.shape[1],
            kind="dynamics",
            free_run=free,
        )

    def _samples(self, name: str, count: int, steps: int, settle: float) -> tuple[Any, Any]:
        """Return inputs and wanted states of samples that are integrated side by side."""
        random = SeedTree(self.seed).child(type(self).__name__, name).generator()
        before = round(settle / self.dt_ms)
        commands = self._commands(random, count, before + steps)
        z = np.tile(np.array(self.start), (count, 1))
        if before:
            z = z + 0.1 * np.array(self.scale) * random.standard_normal(z.shape)
        states = np.empty((before + steps, count, len(self.scale)))
        gains = np.array(self.gains)
        for t in range(before + steps):
            states[t] = z
            push = commands[:, t] @ gains.T
            slope = self.field(z) + push
            z = z + 0.5 * self.dt_ms * (slope + self.field(z + self.dt_ms * slope) + push)
        wanted = (states[before:].transpose(1, 0, 2) - np.array(self.centre)) / np.array(self.scale)
        inputs = 0.5 + 0.5 * commands[:, before:]
        return torch.from_numpy(inputs.copy()), torch.from_numpy(np.ascontiguousarray(wanted))

    def _commands(self, random: np.random.Generator, count: int, steps: int) -> Array:
        kept = np.exp(-self.dt_ms / self.command_ms)
        white = random.standard_normal((count, steps, len(self.gains[0])))
        white[:, 1:] *= np.sqrt(1.0 - kept * kept)  # the first has the variance of all
        process: Array = lfilter([1.0], [1.0, -kept], white, axis=1)
        return np.clip(SWING * process, -1.0, 1.0)


@final
@dataclass(frozen=True)
class DampedOscillator(DynamicalSystem):
    r"""A driven damped oscillator, whose two states turn and decay.

    .. math:: \tau \dot z_1 = -0.2\, z_1 - z_2 + c_1, \qquad \tau \dot z_2 = z_1 - 0.2\, z_2 + c_2

    With τ = 50 ms its period is 314 ms, and it forgets in 250 ms. It is tested from rest, without control.
    """

    skipped_ms: Annotated[float, TIME_OR_0_MS] = 1000.0

    command_ms: ClassVar[float] = 100.0
    settle_ms: ClassVar[float] = 1000.0
    gains: ClassVar[tuple[tuple[float, ...], ...]] = ((0.02, 0.0), (0.0, 0.02))
    centre: ClassVar[tuple[float, ...]] = (0.0, 0.0)
    scale: ClassVar[tuple[float, ...]] = (0.64, 0.64)
    start: ClassVar[tuple[float, ...]] = (0.0, 0.0)

    def field(self, z: Array) -> Array:
        return np.stack([-0.2 * z[:, 0] - z[:, 1], z[:, 0] - 0.2 * z[:, 1]], axis=1) / 50.0


@final
@dataclass(frozen=True)
class VanDerPol(DynamicalSystem):
    r"""The van der Pol oscillator.

    .. math:: \tau \dot z_1 = z_2, \qquad \tau \dot z_2 = \mu\,(1 - z_1^2)\, z_2 - z_1 + c

    With μ = 2 and τ = 125 ms it has a cycle of its own of about a second, whose phase only control, or a chip
    that runs it, knows: it is held there for two seconds, and then let go.

    Source: van der Pol 1926, doi:10.1080/14786442608564127; the system of Gilra & Gerstner 2017.
    """

    test_samples: Annotated[int, SAMPLES] = 6
    test_ms: Annotated[float, TIME_MS] = 4000.0
    controlled_ms: Annotated[float, TIME_OR_0_MS] = 2000.0

    command_ms: ClassVar[float] = 200.0
    settle_ms: ClassVar[float] = 3000.0
    gains: ClassVar[tuple[tuple[float, ...], ...]] = ((0.0,), (2.5 / 125.0,))
    centre: ClassVar[tuple[float, ...]] = (0.0, 0.0)
    scale: ClassVar[tuple[float, ...]] = (2.2, 4.0)
    start: ClassVar[tuple[float, ...]] = (1.0, 0.0)

    def field(self, z: Array) -> Array:
        fall = 2.0 * (1.0 - z[:, 0] ** 2) * z[:, 1] - z[:, 0]
        return np.stack([z[:, 1], fall], axis=1) / 125.0


@final
@dataclass(frozen=True)
class Lorenz(DynamicalSystem):
    r"""The Lorenz system, :math:`\sigma = 10, \rho = 28, \beta = 8/3`, a unit of its time being 333 ms.

    It forgets where it was in a Lyapunov time of 368 ms: what counts is for how long a free run is valid.

    Source: Lorenz 1963, doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2.
    """

    test_samples: Annotated[int, SAMPLES] = 8
    test_ms: Annotated[float, TIME_MS] = 4000.0
    controlled_ms: Annotated[float, TIME_OR_0_MS] = 2000.0

    command_ms: ClassVar[float] = 200.0
    settle_ms: ClassVar[float] = 5000.0
    gains: ClassVar[tuple[tuple[float, ...], ...]] = ((0.0,), (0.15,), (0.0,))
    centre: ClassVar[tuple[float, ...]] = (0.0, 0.0, 23.5)
    scale: ClassVar[tuple[float, ...]] = (20.0, 26.0, 24.0)
    start: ClassVar[tuple[float, ...]] = (1.0, 1.0, 25.0)

    def field(self, z: Array) -> Array:
        x, y, w = z.T
        return 0.003 * np.stack([10.0 * (y - x), x * (28.0 - w) - y, x * y - 8.0 / 3.0 * w], axis=1)
