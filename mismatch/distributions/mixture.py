"""Devices of several kinds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mismatch.distributions.base import Distribution
from mismatch.distributions.die_shift import DieShift
from mismatch.distributions.nested import nested
from root.errors import InputError

__all__ = ["Mixture"]


@final
@dataclass(frozen=True)
class Mixture(Distribution):
    r"""Every device belongs to one of several components, at random.

    .. math::
        f = \frac{s_k d_k}{\sum_j p_j s_j m_j}, \qquad k \sim p, \qquad
        cv^2 = \frac{\sum_k p_k s_k^2 m_k^2 (1 + cv_k^2)}{(\sum_k p_k s_k m_k)^2} - 1

    with :math:`d_k` a draw of component k, of mean :math:`m_k`, and its scale :math:`s_k`. The weights p are
    normalised to sum 1. Mean 1 and `cv` are exact; the support runs from the lowest to the highest
    bound of the components.

    Args:
        components: 2 or more distributions with their keys, each with a ``weight`` > 0 and, if its mean
            differs from the others', a ``scale`` > 0:
            ``[{distribution: normal, cv: 0.1, weight: 9}, {distribution: lognormal, cv: 0.5, weight: 1}]``.
    """

    components: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        if len(self.components) < 2:
            raise InputError("components", list(self.components), "2 or more distributions")
        for index, options in enumerate(self.components):
            for key in ("weight", "scale"):
                value = options.get(key, 1.0 if key == "scale" else None)
                number = isinstance(value, int | float) and not isinstance(value, bool)
                if not number or not (math.isfinite(value) and value > 0):
                    raise InputError(f"components.{index}.{key}", value, "a finite number > 0")
        for index, part in enumerate(self._parts):
            if isinstance(part, DieShift):
                allowed = "distributions within a chip"
                fix = "Make the mixture the local part of a die_shift"
                raise InputError(f"components.{index}.distribution", "die_shift", allowed, fix)

    @cached_property
    def _parts(self) -> list[Distribution]:
        outer = ("weight", "scale")
        return [
            nested({k: v for k, v in options.items() if k not in outer}, f"components.{index}")
            for index, options in enumerate(self.components)
        ]

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        weights = np.array([options["weight"] for options in self.components], dtype=np.float64)
        return np.asarray(weights / weights.sum())

    @cached_property
    def _scales(self) -> NDArray[np.float64]:
        """Scale of every component, such that the mixture's mean is 1."""
        scales = np.array([options.get("scale", 1.0) for options in self.components], dtype=np.float64)
        means = np.array([part.mean for part in self._parts])
        return np.asarray(scales / (self._weights * scales * means).sum())

    @property
    def mean(self) -> float:
        return 1.0

    @property
    def cv(self) -> float:
        """Standard deviation over mean of the mixture."""
        squares = [(part.mean**2) * (1 + part.cv**2) for part in self._parts]
        return math.sqrt(max(0.0, float((self._weights * self._scales**2 * np.array(squares)).sum()) - 1))

    @property
    def support(self) -> tuple[float, float]:
        bounds = [
            np.array(part.support) * scale for part, scale in zip(self._parts, self._scales, strict=True)
        ]
        return float(min(low for low, _ in bounds)), float(max(high for _, high in bounds))

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        kind = np.searchsorted(self._weights.cumsum()[:-1], generator.random(shape), side="right")
        drawn = np.empty(shape)
        for index, (part, scale) in enumerate(zip(self._parts, self._scales, strict=True)):
            here = kind == index
            drawn[here] = scale * part.draw(generator, shape)[here]
        return drawn
