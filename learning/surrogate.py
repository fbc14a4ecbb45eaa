"""Backpropagation through time with surrogate gradients, on the design's equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from learning.losses import Squared
from learning.through_time import ThroughTime, fast_sigmoid
from learning.unrolled import Surrogate, Through
from root.errors import UnsupportedError
from root.plugins import name_of
from root.ranges import GAIN, check_ranges

__all__ = ["SurrogateBPTT"]


@final
@dataclass(frozen=True)
class SurrogateBPTT(ThroughTime):
    r"""Surrogate-gradient backpropagation through time.

    The design's equations, whatever its neurons and connections, are unrolled over the presentation; a
    spike's derivative with respect to the distance m from the threshold (v - θ for a LIF) is that of a fast
    sigmoid (snnTorch's),

    .. math:: \frac{\partial s}{\partial m} \approx \frac{1}{(1 + k\,|m|)^2},

    and what is emitted is what the chip emitted: the forward pass is the chip's, the backward pass the
    design's, or the chip's own where an arm tells it. Trained ``offline``, the chip is the ideal one and this
    is ordinary BPTT. Neurons that do not spike have the derivative that they have.

    Source: Neftci, Mostafa & Zenke 2019, doi:10.1109/MSP.2019.2931595; Eshraghian et al. 2023
    (snnTorch), doi:10.1109/JPROC.2023.3308088; Cramer et al. 2022, doi:10.1073/pnas.2109194119, for
    the chip in the loop.

    Args:
        loss: what is descended, of the mean rates over the window.
        steepness: k > 0 of the fast sigmoid. Half a threshold below θ = 1 its slope is (1 + k/2)⁻² of the
            peak: .0055 for snnTorch's usual 25, .04 for 8, .08 for 5. In small steps of time a membrane
            spends most of them away from θ; a large k then favours neurons that wait without a spike.
        through_reset: whether what a spike resets (a potential, an adaptation) depends on the spike too;
            otherwise a reset is taken as it happened, which is steadier (Zenke & Vogels 2021,
            doi:10.1162/neco_a_01367).
    """

    steepness: Annotated[float, GAIN] = 25.0
    through_reset: bool = False

    name: ClassVar[str] = "surrogate_bptt"
    kept: ClassVar[float] = 9
    """4 (LIF) to 8.5 (QIF) were measured."""

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    def check_moving(self) -> None:
        if not isinstance(self.loss, Squared):
            given = name_of(self.loss.plugin_group, type(self.loss))
            raise UnsupportedError("rule.loss.name", given, "squared: what is wanted are states, no labels")

    def through(self, dt_ms: float) -> Through:
        return Surrogate(fast_sigmoid(self.steepness), self.through_reset)
