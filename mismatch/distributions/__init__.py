"""How devices scatter, one distribution per file; found by name through ``spiketrain.distributions``."""

from mismatch.distributions.base import Distribution
from mismatch.distributions.lognormal import Lognormal
from mismatch.distributions.normal import Normal
from mismatch.distributions.uniform import Uniform

__all__ = ["Distribution", "Lognormal", "Normal", "Uniform"]
