"""Devices that resemble their neighbours on the die."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, final

import numpy as np
from numpy.typing import NDArray

from mismatch.distributions.base import Distribution
from mismatch.distributions.normal import Normal
from root.ranges import CUT, FRACTION, PITCHES, SPREAD, check_ranges

__all__ = ["Correlated", "gaussian_field"]

REACH = 5.0
"""Correlation lengths after which two devices count as independent (correlation below 4e-6)."""

"""Longest correlation length: longer ones are better described as common to the die."""


@final
@dataclass(frozen=True)
class Correlated(Distribution):
    r"""A smooth Gaussian field over the die plus a white part.

    .. math::
        z = \sqrt{1 - w}\, g + \sqrt w\, n, \qquad
        \mathrm{corr}(g_i, g_j) = e^{-d_{ij}^2 / 2 \ell^2}, \quad n_i \sim \mathcal N(0, 1), \qquad
        f = F^{-1}(\Phi(z))

    with F the distribution function of :class:`~mismatch.distributions.normal.Normal`, whose mean, cv and
    support (over chips) these are, exactly. The correlation of two factors is that of z,
    :math:`(1 - w) e^{-d^2 / 2 \ell^2}` at distances :math:`d > 0`, as long as the cut at `limit` is far out.

    Layout: devices sit on a grid of unit pitch. A matrix of synapses is the grid, as in a crossbar;
    the n neurons of a layer fill a square grid of width :math:`\lceil \sqrt n \rceil` row by row. Layers are
    independent of each other.

    Source: Pelgrom, Duinmaijer, Welbers 1989, doi:10.1109/JSSC.1989.572629, for the two parts; the
    field by circulant embedding, Dietrich & Newsam 1997, doi:10.1137/S1064827592240555.

    Args:
        cv: standard deviation over mean.
        length: ℓ, the correlation length, in pitches.
        white: w, the fraction of the variance that is white, in [0, 1].
        limit: where the tails are cut, in standard deviations.
    """

    cv: Annotated[float, SPREAD]
    length: Annotated[float, PITCHES]
    white: Annotated[float, FRACTION] = 0.5
    limit: Annotated[float, CUT] = 4.0

    def __post_init__(self) -> None:
        check_ranges(self)
        _ = self._marginal.sigma

    @cached_property
    def _marginal(self) -> Normal:
        return Normal(self.cv, self.limit)

    @property
    def mean(self) -> float:
        return self._marginal.mean

    @property
    def support(self) -> tuple[float, float]:
        return self._marginal.support

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        rows, columns = _grid(shape)
        field = gaussian_field(generator, rows, columns, self.length)
        scores = math.sqrt(1 - self.white) * field + math.sqrt(self.white) * generator.standard_normal(
            (rows, columns)
        )
        count = math.prod(shape)
        return self._marginal.of_scores(scores.reshape(-1)[:count]).reshape(shape)


def gaussian_field(
    generator: np.random.Generator, rows: int, columns: int, length: float
) -> NDArray[np.float64]:
    r"""Return a stationary Gaussian field of variance 1 and correlation :math:`e^{-d^2 / 2 \ell^2}`.

    White noise on a torus, larger than the grid by several correlation lengths, is filtered with the
    square root of the correlation's spectrum.

    Args:
        generator: where the noise comes from.
        rows: height of the grid.
        columns: width of the grid.
        length: ℓ, in pitches.

    Returns:
        ``(rows, columns)``.
    """
    from scipy import fft  # noqa: PLC0415 (no other distribution needs it, and every start would load it)

    rings = [fft.next_fast_len(size + math.ceil(REACH * length), real=True) for size in (rows, columns)]
    noise = generator.standard_normal(rings)
    for axis, shape in enumerate([(-1, 1), (1, -1)]):
        spectrum = _spectrum(rings[axis], length)
        kept = fft.rfft(noise, axis=axis) * np.sqrt(spectrum.reshape(shape))
        noise = fft.irfft(kept, rings[axis], axis=axis)
    return noise[:rows, :columns]


def _spectrum(ring: int, length: float) -> NDArray[np.float64]:
    """Return the spectrum of the correlation on a ring of so many points.

    The Gaussian and its neighbouring images are added up, which keeps the spectrum positive.
    """
    distance = np.arange(ring)
    images = [np.exp(-((distance - shift) ** 2) / (2 * length**2)) for shift in (-ring, 0, ring)]
    correlation = np.sum(images, axis=0)
    from scipy import fft  # noqa: PLC0415

    return np.asarray(fft.rfft(correlation / correlation[0]).real.clip(min=0))


def _grid(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) == 2:
        return shape[0], shape[1]
    columns = math.ceil(math.sqrt(math.prod(shape)))
    return math.ceil(math.prod(shape) / columns), columns
