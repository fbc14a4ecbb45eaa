"""How devices scatter, one distribution per file; found by name through ``spiketrain.distributions``."""

from mismatch.distributions.base import Distribution
from mismatch.distributions.correlated import Correlated
from mismatch.distributions.die_shift import DieShift
from mismatch.distributions.empirical import Empirical
from mismatch.distributions.lognormal import Lognormal
from mismatch.distributions.mixture import Mixture
from mismatch.distributions.normal import Normal
from mismatch.distributions.two_point import TwoPoint
from mismatch.distributions.uniform import Uniform

__all__ = [
    "Correlated",
    "DieShift",
    "Distribution",
    "Empirical",
    "Lognormal",
    "Mixture",
    "Normal",
    "TwoPoint",
    "Uniform",
]
