r"""All-to-all connections with weights that all samples share, and that may learn.

In the learning phase at the end of a presentation, a plastic connection multiplies what it has seen of
its presynaptic neurons, in the window, with what the postsynaptic ones say the feedback made of them, sums
over the samples, and changes its weights before the next presentation begins:

.. math:: \Delta W = \eta \, \langle \bar r_{pre}^\top\, (\bar r_{post} - \hat r_{post}) \rangle

One that learns in every step multiplies a presynaptic trace with the feedback currents of that step, and
changes before it sends; only currents of the input, which act in their own step, are sent first.

See ``spiking.presentation.Plasticity``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..loihi import scaled
from ..neurons import part
from .base import Model, Process, model_of

__all__ = ["Dense"]


class Dense(Process):
    """Receives ``(chips or 1, batch, n_pre)`` and sends its product with ``(chips, n_pre, n_post)``.

    Parameters: ``weight`` and ``history`` name arrays; the history, ``(chips or 1, batch, delay - 1,
    n_pre)``, holds what is still under way, as a ring whose oldest entry is overwritten in each step.
    ``index`` is the connection's number and ``pre_layer`` where it begins; both None for feedback weights,
    which do not learn; ``direct`` where it carries currents of the input. With ``every``, messages come and
    go every so many steps only. The errors of the postsynaptic neurons come in on ``error``.
    """

    receives = ("pre", "error")
    sends = ("post",)
    real = ("error",)


class _DenseModel(Model):
    def prepare(self, parameters: Any) -> None:
        self.weight = self.arrays[parameters["weight"]]
        self.histories = self.arrays[parameters["history"]] if parameters["history"] else None
        self.index, self.pre_layer = parameters["index"], parameters["pre_layer"]
        self.every = parameters.get("every", 1)
        self.learns = self.learns if self.index is not None else None
        self.inside = bool(self.learns) and self.learns["inside"]
        self.direct = parameters.get("direct", False)
        if self.learns:
            self.seen = np.zeros(parameters["pre_shape"])

    def begin(self, shown: slice) -> None:
        self.history = None if self.histories is None else self.histories[:, shown]
        if self.learns:
            self.window = self.arrays["window"][shown]
            self.seen[...] = 0

    def step(self, t: int) -> None:
        if t % self.every:
            return
        emitted = self.pre.recv()
        if self.inside and not self.direct:
            self._learn_now()
        self.post.send(self.product(self._delayed(emitted, t)))
        if self.inside:
            if self.direct:
                self._learn_now()
            now = emitted * self.arrays["learning.scale"][self.pre_layer]
            self.seen += self.arrays["learning.share"] * (now - self.seen)
        elif self.learns:
            self.seen += self.window[:, t, None] * emitted

    def _learn_now(self) -> None:
        """Change by the traces of the steps before and the feedback currents of this one."""
        change = np.matmul(self.seen.transpose(0, 2, 1), self.error.recv())
        self._change(change, self.presentation)

    def learn(self, presentation: int) -> None:
        rates = self.seen * self.arrays["learning.scale"][self.pre_layer]
        self._change(np.matmul(rates.transpose(0, 2, 1), self.error.recv()), presentation)

    def _change(self, change: NDArray[Any], presentation: int) -> None:
        arrays, index = self.arrays, self.index
        change *= arrays["learning.factor"][presentation, index]
        arrays[f"change.weight.{index}"] += change
        if self.learns["changes"]:
            synapse = part(arrays, f"plastic.{index}.")
            synapse["weight"] += change * synapse["factor"]
            self.weight[...] = synapse["weight"] * synapse["gain"]

    def _delayed(self, emitted: NDArray[Any], t: int) -> Any:
        if self.history is None:
            return emitted
        slot = t % self.history.shape[2]
        arriving = self.history[:, :, slot].copy()
        self.history[:, :, slot] = emitted
        return arriving


@model_of(Dense, float)
class DenseFloat(_DenseModel):
    """Floating point; the weights carry the synapse's gain."""

    def product(self, arriving: NDArray[Any]) -> Any:
        return np.matmul(arriving, self.weight)


@model_of(Dense, np.int64)
class DenseFixed(_DenseModel):
    """Loihi: 8-bit weights whose accumulated sum is shifted by the connection's exponent."""

    def prepare(self, parameters: Any) -> None:
        super().prepare(parameters)
        exponent = self.arrays[parameters["weight"] + ".exponent"]
        self.exponent = exponent

    def product(self, arriving: NDArray[Any]) -> Any:
        # exact: payloads of 24 bits times weights of 9 over 2^20 synapses fit into 53 bits
        total = np.matmul(arriving.astype(float), self.weight.astype(float)).astype(np.int64)
        return scaled(total, self.exponent)
