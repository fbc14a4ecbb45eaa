"""What all processes share: ports, the step counter, the samples that are shown, the arrays they live in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

__all__ = ["Model", "Process", "model_of"]

TAGS: dict[type, str] = {float: "floating_pt", np.int64: "fixed_pt"}
"""Lava's tags of models, by the numbers that they compute with."""


class Process(AbstractProcess):
    """A process whose class names its ports; the parameter ``shape`` is theirs, but for ``pre_shape``."""

    receives: ClassVar[tuple[str, ...]] = ()
    sends: ClassVar[tuple[str, ...]] = ()
    real: ClassVar[tuple[str, ...]] = ()
    """Ports that carry floating point in every model."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        for ports, kind in ((self.receives, InPort), (self.sends, OutPort)):
            for name in ports:
                setattr(self, name, kind(parameters.get(f"{name}_shape", parameters["shape"])))


def model_of(process: type[Process], number: type) -> Callable[[type[Model]], type[Model]]:
    """Return what makes a class the model of a process.

    Args:
        process: whose ports the class is given.
        number: what these carry, and it computes with: a key of `TAGS`.
    """

    def made(model: type[Model]) -> type[Model]:
        for ports, kind in ((process.receives, PyInPort.VEC_DENSE), (process.sends, PyOutPort.VEC_DENSE)):
            for name in ports:
                setattr(model, name, LavaPyType(kind, float if name in process.real else number))
        return implements(proc=process, protocol=LoihiProtocol)(requires(CPU)(tag(TAGS[number])(model)))  # type: ignore[no-any-return]

    return made


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
