"""The centred, normalised least-mean-squares step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, final

import torch
from torch import Tensor

from learning.model import Model
from learning.optimizers import Optimizer, Stepper
from learning.rule import Outer, Update
from root.errors import UnsupportedError
from root.ranges import SHARE, check_ranges

__all__ = ["CentredNLMS"]


@final
@dataclass(frozen=True)
class CentredNLMS(Optimizer):
    r"""Centred normalised least mean squares, for local updates (`Outer`).

    .. math::
        \Delta W = \eta\,\frac{\langle (r - m)^\top \delta\rangle}{1 + \langle |r - m|^2\rangle}, \qquad
        \Delta b = \eta\,\frac{\langle\delta\rangle}{1 + \langle |r - m|^2\rangle} - m\,\Delta W

    with m a running mean of the presynaptic rates r. Rates are positive, so without centring the
    mean input dominates the step and limits its size; dividing by the input's power makes the step
    independent of it. Where synapses share numbers, the power is that of all that one set of them sees.

    Source: Widrow & Hoff 1960; Nagumo & Noda 1967 (doi:10.1109/TAC.1967.1098599) for the
    normalisation.

    Args:
        mean_rate: weight of a new batch in the running mean and power, in (0, 1].
    """

    mean_rate: Annotated[float, SHARE] = 0.02
    name: ClassVar[str] = "nlms"
    needs_outer: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self, "training.optimizer")

    def bind(self, model: Model, scales: tuple[float, ...]) -> Stepper:
        return _NlmsStepper(self, model, scales)


@final
class _NlmsStepper(Stepper):
    def __init__(self, settings: CentredNLMS, model: Model, scales: tuple[float, ...]) -> None:
        self.settings, self.model, self.scales = settings, model, scales
        self.steps = 0
        self.means: dict[int, Tensor] = {}
        self.powers: dict[int, Tensor] = {}

    def apply(self, update: Update, rate: float) -> None:
        self.steps += 1
        for index, change in enumerate(update.of(self.model.network)):
            if change is None:
                continue
            if not isinstance(change, Outer):
                raise UnsupportedError("training.optimizer.name", "nlms", "sgd or adam for this rule")
            self._step(index, change, rate * self.scales[index])

    def _step(self, index: int, change: Outer, rate: float) -> None:
        pre = change.pre.expand(change.post.shape[0], -1, -1)
        synapses = self.model.network.synapses[index]
        mean = self._running(self.means, index, pre.mean(1)).unsqueeze(1)
        centred = pre - mean
        power = self._running(self.powers, index, synapses.power(centred).mean(1))
        size = rate / (1.0 + power)
        bias = change.bias()
        bias_step = 0.0 if bias is None else bias * size.view(-1, 1)
        if change.learns:
            weight_step = replace(change, pre=centred).weight()
            weight_step = weight_step * size.view(-1, *(1,) * (weight_step.ndim - 1))
            bias_step = bias_step - synapses.apply(weight_step, mean).squeeze(1)
            self.model.forward_weights[index].data += weight_step
        self.model.bias[self.model.network.connections[index].post - 1].data += bias_step

    def _running(self, store: dict[int, Tensor], index: int, value: Tensor) -> Tensor:
        """Mix `value` into a running mean that starts as the plain mean."""
        share = max(self.settings.mean_rate, 1.0 / self.steps)
        store[index] = torch.lerp(store[index], value, share) if index in store else value.clone()
        return store[index]

    def forget(self, chips: Tensor) -> None:
        """Keep the means of the rates, which are about as they were, unless they are no numbers."""
        for store in (self.means, self.powers):
            for value in store.values():
                value[chips] = value[chips].nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "means": dict(self.means), "powers": dict(self.powers)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = int(state["steps"])
        there = self.model.device
        for name in ("means", "powers"):
            held = {int(index): value.to(there, copy=True) for index, value in state[name].items()}
            setattr(self, name, held)
