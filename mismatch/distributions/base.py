"""What a distribution of mismatch is: factors around 1 with a stated mean, spread and support."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from root.errors import InputError

__all__ = ["Distribution", "check_cv"]


class Distribution(ABC):
    """A distribution of dimensionless factors around 1; members are final frozen dataclasses.

    A multiplicative parameter (threshold, time constant, weight) has the effective value
    ``nominal * factor``. An additive one (bias, reset: values that may be zero) has
    ``nominal + (factor - 1)``: the deviation is then in the parameter's own units, so that
    ``cv: 0.1`` reads as a standard deviation of 0.1.

    Every member states its exact `mean`, `cv` (standard deviation over mean) and `support`, over devices
    and chips. A layer of a chip is drawn at once, from a stream of its own; what is common to all layers
    of the chip comes from another. So what is drawn is a function of the seeds and the shape alone.
    """

    if (
        TYPE_CHECKING
    ):  # a field in most members, a property in others: a runtime property would forbid the field

        @property
        def cv(self) -> float:
            """Standard deviation over mean of what `draw` returns."""

    @property
    @abstractmethod
    def mean(self) -> float:
        """Mean of what `draw` returns; 1 unless the member says otherwise."""

    @property
    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Lower and upper bound of what `draw` returns; bounds may be attained."""

    @abstractmethod
    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the factors of a layer, but for what the whole chip has in common.

        Args:
            generator: a fresh generator; the same seed gives the same factors.
            shape: ``(neurons,)`` or, for synapses, ``(n_pre, n_post)``.

        Returns:
            float64 array of that shape.
        """

    def common(self, generator: np.random.Generator) -> float:
        """Return the factor that all layers of a chip have in common; 1 for most members.

        Args:
            generator: a fresh generator, seeded for the chip and the parameter, not the layer.
        """
        del generator
        return 1.0

    @final
    def factors(
        self, layer: np.random.Generator, chip: np.random.Generator, shape: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Return `draw` times `common`: the factors of one parameter of one layer of one chip."""
        return self.draw(layer, shape) * self.common(chip)


def check_cv(cv: float, below: float, fix: str) -> None:
    """Raise `InputError` unless ``0 <= cv < below``."""
    if not 0 <= cv < below:
        raise InputError("cv", cv, f"a finite number >= 0 and < {below:.4g}", fix)
