"""A guard on any optimiser: chips that get worse are set back, and small errors make small steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from learning.model import Model
from learning.optimizers import Stepper
from learning.rule import Update

__all__ = ["GuardedStepper"]

CERTAIN = 5.0
"""Standard errors that make a rise a fall; the lowest of many means is itself low by two."""


@final
class GuardedStepper(Stepper):
    r"""Another stepper, chip by chip under guard, by nothing but what its rule has observed.

    With the residual :math:`\epsilon` of an update, a chip's mean output error in this batch, and its
    running mean :math:`\bar\epsilon` over `batches` batches, the step of the other stepper is scaled by

    .. math:: s\,\min(1, \bar\epsilon / \rho)

    so that a chip that has learnt little is left to learn and one that has little left to learn hardly
    moves: the noise of its updates does not shrink with its error. Every `batches` batches a chip whose
    :math:`\bar\epsilon` is the lowest so far has its weights kept. One whose :math:`\bar\epsilon` rises above
    `fall` times that lowest value, or whose residual or weights are not finite, is *set back*: to the weights
    that were kept, with :math:`s \leftarrow` `back_off` :math:`\cdot\, s` from then on. The rise must also be
    five times what chance does to a mean of `batches` residuals, whose scatter is estimated along with
    it from one batch to the next: what is nearly learnt is noisy in proportion.

    Source: going back and trying a smaller step is backtracking, Armijo 1966 (doi:10.2140/pjm.1966.16.1).

    Args:
        inner: what makes the steps.
        model: whose weights it changes.
        residual: ρ > 0, or None to leave the steps as they are.
        fall: factor above 1, or None to set nothing back.
        back_off: factor of the step after every setback, in (0, 1].
        batches: 1 or more; the running mean's memory, and how often weights are kept.
    """

    def __init__(
        self,
        inner: Stepper,
        model: Model,
        *,
        residual: float | None,
        fall: float | None,
        back_off: float,
        batches: int,
    ) -> None:
        self.inner, self.model = inner, model
        self.residual, self.fall, self.back_off, self.batches = residual, fall, back_off, batches
        chips = model.chips
        numbers = torch.zeros(chips, dtype=torch.float64, device=model.device)
        self._seen = numbers.to(torch.int64)
        self._mean = numbers.clone()
        self._variance = numbers.clone()
        self._last = numbers.clone()
        self._lowest = torch.full_like(numbers, torch.inf)
        self._strength = torch.ones_like(numbers)
        self._setbacks = numbers.to(torch.int64)
        self._kept = self._copies()

    def apply(self, update: Update, rate: float) -> None:
        if update.residual is None:
            self.inner.apply(update, rate)
            return
        before = self._copies()
        self._observe(update.residual.detach().to(self._mean))
        self._keep(before)  # what was shown is what was seen, before this step
        self.inner.apply(update, rate)
        self._shorten(before)
        self._set_back()

    def _copies(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.model.parameters()]

    def _observe(self, residual: Tensor) -> None:
        """Take a residual into the running means, which start as plain means."""
        self._seen += 1
        share = (1.0 / self._seen.to(residual)).clamp(min=1.0 / self.batches)
        self._mean += share * (residual - self._mean)
        # from one batch to the next, so that a trend is no scatter
        jump = torch.where(self._seen > 1, residual - self._last, 0.0)
        self._variance += share * (0.5 * jump.square() - self._variance)
        self._last = residual

    def _scale(self) -> Tensor:
        """Return the part of the step that each chip makes, ``(chips,)``."""
        if self.residual is None:
            return self._strength
        return self._strength * (self._mean / self.residual).clamp(max=1.0)

    def _shorten(self, before: list[Tensor]) -> None:
        """Take the steps since `before` back in part; a full step keeps its bits."""
        scale = self._scale()
        if bool((scale == 1.0).all()):
            return
        for parameter, old in zip(self.model.parameters(), before, strict=True):
            parameter.detach().copy_(torch.lerp(old, parameter.detach(), _beside(scale, old)))

    def _keep(self, weights: list[Tensor]) -> None:
        """Keep the weights of chips that have never been better, now and then."""
        better = (self._seen % self.batches == 0) & (self._mean < self._lowest)
        if self.fall is None or not bool(better.any()):
            return
        self._lowest = torch.where(better, self._mean, self._lowest)
        for kept, now in zip(self._kept, weights, strict=True):
            kept[better] = now[better]

    def _set_back(self) -> None:
        """Set back the chips that have fallen, or are not finite."""
        if self.fall is None:
            return
        lost = ~self._mean.isfinite()
        for parameter in self.model.parameters():
            lost |= ~parameter.isfinite().flatten(1).all(1)
        allowed = torch.maximum(
            (self.fall - 1.0) * self._lowest, CERTAIN * (self._variance / self.batches).sqrt()
        )
        # a chip that was set back must first be seen with its old weights again
        fallen = (self._seen >= self.batches) & (self._mean > self._lowest + allowed)
        back = lost | fallen
        if not bool(back.any()):
            return
        for parameter, kept in zip(self.model.parameters(), self._kept, strict=True):
            parameter.detach()[back] = kept[back]
        self.inner.forget(back)
        self._strength[back] *= self.back_off
        self._setbacks[back] += 1
        self._seen[back] = 0
        self._mean[back] = 0.0
        self._variance[back] = 0.0

    def measures(self) -> Mapping[str, Tensor]:
        """Return per chip what part of a step it makes, and how often it was set back."""
        return {"step_scale": self._scale(), "setbacks": self._setbacks.clone(), **self.inner.measures()}

    def state_dict(self) -> dict[str, Any]:
        return {
            "inner": self.inner.state_dict(),
            "kept": list(self._kept),
            **{name: getattr(self, f"_{name}") for name in _STATE},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state["inner"])
        there = self.model.device
        self._kept = [kept.to(there, copy=True) for kept in state["kept"]]
        for name in _STATE:
            setattr(self, f"_{name}", state[name].to(there, copy=True))


_STATE = ("seen", "mean", "variance", "last", "lowest", "strength", "setbacks")


def _beside(scale: Tensor, weights: Tensor) -> Tensor:
    """Return one factor per chip in the shape and type of `weights`."""
    return scale.to(weights).view(-1, *(1,) * (weights.ndim - 1))
