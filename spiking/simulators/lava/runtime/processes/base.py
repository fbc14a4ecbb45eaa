"""What all processes share: the step counter, the samples that are shown, the arrays they live in."""

from __future__ import annotations

from typing import Any

from lava.magma.core.model.py.model import PyLoihiProcessModel
from numpy.typing import NDArray

__all__ = ["Model"]


class Model(PyLoihiProcessModel):
    """A process model whose state lies in shared arrays.

    A run is one presentation after the other, each of ``batch`` samples and ``steps`` steps; where
    synapses learn, each ends in Lava's learning phase, unless they learn in every step (``inside``).

    Parameters of the process: ``arrays`` (by name), ``clock`` (``start``: the step at which the present
    run began; ``progress``: steps finished by every process, -1 before it is made), ``slot`` (this process's
    place there), ``steps`` and ``batch`` of a presentation, ``samples`` of all of them, ``learns``: how
    synapses learn, or None, and ``deltas``: whether messages are changes, see `runtime.deltas`.
    """

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters)
        self.arrays, self.clock, self.slot = (parameters[key] for key in ("arrays", "clock", "slot"))
        self.steps, self.batch, self.samples = (parameters[key] for key in ("steps", "batch", "samples"))
        self.learns, self.deltas = parameters["learns"], parameters["deltas"]
        self.presentation, self.t = 0, -1
        self.prepare(parameters)
        self.clock["progress"][self.slot] = 0

    def prepare(self, parameters: Any) -> None:
        """Look up what `step` needs."""

    def begin(self, shown: slice) -> None:
        """Turn to the samples `shown`."""

    def step(self, t: int) -> None:
        """Do step t of the present presentation, t = 0, 1, ..."""
        raise NotImplementedError

    def learn(self, presentation: int) -> None:
        """Learn from the presentation that has just ended."""

    def part(self, array: NDArray[Any], shown: slice) -> NDArray[Any]:
        """Return what of an array belongs to the samples `shown`: all of it where they share it."""
        return array[:, shown] if array.ndim > 1 and array.shape[1] == self.samples else array

    def run_spk(self) -> None:
        """Do one step; Lava counts them from 1 and never starts again."""
        done = self.time_step - 1 - int(self.clock["start"][0])
        self.presentation, self.t = divmod(done, self.steps)
        if self.t == 0:
            first = self.presentation * self.batch
            self.begin(slice(first, first + self.batch))
        self.step(self.t)
        self.clock["progress"][self.slot] = self.time_step

    def lrn_guard(self) -> bool:
        """Whether this step ends in the learning phase: the last one of a presentation does."""
        return bool(self.learns) and not self.learns["inside"] and self.t == self.steps - 1

    def run_lrn(self) -> None:
        """Lava's learning phase."""
        self.learn(self.presentation)
