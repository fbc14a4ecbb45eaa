"""All-to-all connections with weights that all samples share."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from .base import Model

__all__ = ["Dense"]


class Dense(AbstractProcess):
    """Receives ``(chips or 1, batch, n_pre)`` and sends its product with ``(chips, n_pre, n_post)``.

    Parameters: ``weight`` and ``history`` name arrays; the history, ``(chips or 1, batch, delay - 1,
    n_pre)``, holds what is still under way, as a ring whose oldest entry is overwritten in each step.
    """

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.pre = InPort(parameters["pre_shape"])
        self.post = OutPort(parameters["post_shape"])


class _DenseModel(Model):
    def prepare(self, parameters: Any) -> None:
        self.weight = self.arrays[parameters["weight"]]
        self.history = self.arrays[parameters["history"]] if parameters["history"] else None

    def step(self, t: int) -> None:
        self.post.send(self.product(self._delayed(self.pre.recv(), t)))

    def _delayed(self, emitted: NDArray[Any], t: int) -> Any:
        if self.history is None:
            return emitted
        slot = t % self.history.shape[2]
        arriving = self.history[:, :, slot].copy()
        self.history[:, :, slot] = emitted
        return arriving


@implements(proc=Dense, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class DenseFloat(_DenseModel):
    """Floating point; the weights carry the synapse's gain."""

    pre: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    post: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)

    def product(self, arriving: NDArray[Any]) -> Any:
        return np.matmul(arriving, self.weight)


@implements(proc=Dense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DenseFixed(_DenseModel):
    """Loihi: 8-bit weights whose accumulated sum is shifted by the connection's exponent."""

    pre: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    post: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def prepare(self, parameters: Any) -> None:
        super().prepare(parameters)
        exponent = self.arrays[parameters["weight"] + ".exponent"]
        self.exponent = exponent

    def product(self, arriving: NDArray[Any]) -> Any:
        # exact: payloads of 24 bits times weights of 9 over 2^20 synapses fit into 53 bits
        total = np.matmul(arriving.astype(float), self.weight.astype(float)).astype(np.int64)
        exponent = self.exponent[:, None, None]
        return np.where(exponent >= 0, total << np.maximum(exponent, 0), total >> np.maximum(-exponent, 0))
