"""What all processes share: the step counter, and the arrays they live in."""

from __future__ import annotations

from typing import Any

from lava.magma.core.model.py.model import PyLoihiProcessModel

__all__ = ["Model"]


class Model(PyLoihiProcessModel):
    """A process model whose state lies in shared arrays.

    Parameters of the process: ``arrays`` (by name), ``clock`` (``start``: the step at which the present
    run began; ``progress``: steps finished by every process) and ``slot`` (this process's place there).
    """

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters)
        self.arrays, self.clock, self.slot = (parameters[key] for key in ("arrays", "clock", "slot"))
        self.prepare(parameters)

    def prepare(self, parameters: Any) -> None:
        """Look up what `step` needs."""

    def step(self, t: int) -> None:
        """Do step t of the present run, t = 0, 1, ..."""
        raise NotImplementedError

    def run_spk(self) -> None:
        """Do one step; Lava counts them from 1 and never starts again."""
        self.step(self.time_step - 1 - int(self.clock["start"][0]))
        self.clock["progress"][self.slot] = self.time_step
