"""What all devices of a die have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, final

import numpy as np
from numpy.typing import NDArray

from mismatch.distributions.base import Distribution
from mismatch.distributions.nested import nested
from mismatch.distributions.normal import Normal
from root.errors import InputError
from root.ranges import CUT, SPREAD, check_ranges

__all__ = ["DieShift"]


@final
@dataclass(frozen=True)
class DieShift(Distribution):
    r"""One factor for the whole chip, times, if wanted, a factor of every device's own.

    .. math::
        f_{chip, i} = s_{chip}\, d_{chip, i}, \qquad cv = \sqrt{(1 + cv_s^2)(1 + cv_d^2) - 1}

    with s from :class:`~mismatch.distributions.normal.Normal` and d from `local`. Mean (that of `local`,
    1 for most), cv and support are those over chips and devices, exactly; within a chip only d varies.

    Args:
        shift_cv: standard deviation over mean of the common factor.
        local: a distribution of what varies within the chip, such as
            ``{distribution: lognormal, cv: 0.1}``; nothing by default.
        limit: where the tails of the common factor are cut, in standard deviations.
    """

    shift_cv: Annotated[float, SPREAD]
    local: Mapping[str, Any] | None = None
    limit: Annotated[float, CUT] = 4.0

    def __post_init__(self) -> None:
        check_ranges(self)
        try:
            _ = self._shift
        except InputError as error:
            key = "shift_cv" if error.key == "cv" else error.key
            raise InputError(key, error.given, error.allowed, error.fix) from None
        if isinstance(self._local, DieShift):
            raise InputError("local.distribution", "die_shift", "a distribution within the chip")

    @cached_property
    def _shift(self) -> Normal:
        return Normal(self.shift_cv, self.limit)

    @cached_property
    def _local(self) -> Distribution | None:
        return None if self.local is None else nested(self.local, "local")

    @property
    def mean(self) -> float:
        return 1.0 if self._local is None else self._local.mean

    @property
    def cv(self) -> float:
        """Standard deviation over mean, over chips and devices."""
        local = 0.0 if self._local is None else self._local.cv
        return math.sqrt((1 + self.shift_cv**2) * (1 + local**2) - 1)

    @property
    def support(self) -> tuple[float, float]:
        low, high = (1.0, 1.0) if self._local is None else self._local.support
        return low * self._shift.support[0], high * self._shift.support[1]

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return np.ones(shape) if self._local is None else self._local.draw(generator, shape)

    def common(self, generator: np.random.Generator) -> float:
        return float(self._shift.draw(generator, (1,))[0])
