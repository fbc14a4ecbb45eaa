"""What becomes of an input value: spikes with a phase, random spikes, one early spike, or a current.

Values over time become rates or currents that follow them; what else there is for them, and for events, is in
:mod:`rate_bridge.encodings_in_time`.
"""

from __future__ import annotations

import math
from abc import ABC
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, final

import numpy as np
import torch
from torch import Tensor

from rate_bridge.sequences import Events, Form, Samples, Series
from root.errors import InputError, UnsupportedError
from root.ranges import INNER, POTENTIAL, SHARE, check_ranges

__all__ = ["CurrentEncoding", "Encoding", "LatencyEncoding", "PhaseEncoding", "PoissonEncoding"]

ROUNDING = 1e-9
"""Forgiven below an integer phase, so that a rate of 29 Hz spikes 29 times in a second, not 28 times."""


@dataclass(frozen=True)
class Encoding(ABC):
    """A way to present input values x in [0, 1]; members are final.

    Attributes:
        kind: ``"spikes"`` or ``"current"``: what `encode` returns.
        takes: what samples it can present: ``values``, ``series``, ``events``.
    """

    kind: ClassVar[Literal["spikes", "current"]]
    takes: ClassVar[frozenset[Form]] = frozenset({"values"})

    def lines(self, inputs: int) -> int:
        """Return how many inputs a network needs for samples of so many."""
        return inputs

    @final
    def check_form(self, form: Form) -> None:
        """Raise `UnsupportedError` where samples of this form cannot be presented."""
        if form not in self.takes:
            words = {"values": "a value per input", "series": "values over time", "events": "events"}
            allowed = f"one for {words[form]}, as the task has them; this one is for"
            raise UnsupportedError(
                "bridge.encoding.name", type(self).__name__, f"{allowed} {', '.join(sorted(self.takes))}"
            )

    @final
    def encode(
        self, x: Samples, steps: int, dt_ms: float, max_rate_hz: float, generator: np.random.Generator
    ) -> Tensor:
        """Present values for a number of time steps.

        Args:
            x: values in [0, 1], ``(batch, inputs)``, or samples over time; where values are rates,
                1 = `max_rate_hz`. After the end of a sample there is nothing.
            steps: length of the presentation.
            dt_ms: time step.
            max_rate_hz: the rate that counts as 1.
            generator: where randomness comes from; the same seed gives the same presentation.

        Returns:
            boolean spikes ``(batch, time, lines)``, or currents: ``(batch, inputs)`` where they are held
            for the whole presentation, ``(batch, time, inputs)`` for values over time.

        Raises:
            InputError: values outside [0, 1], or a rate above one spike per step.
            UnsupportedError: samples of a form that this encoding cannot present.
        """
        expected = max_rate_hz * dt_ms / 1000.0
        self.check(dt_ms, max_rate_hz)
        if isinstance(x, Tensor):
            self.check_form("values")
            _check_values(x)
            return self._present(x.to(torch.float64), steps, expected, generator)
        self.check_form(x.form)
        if isinstance(x, Events):
            return self._bin(x, steps, dt_ms)
        assert isinstance(x, Series)
        _check_values(x.values)
        shown = self._follow(x.held(steps, dt_ms).to(torch.float64), expected, generator)
        times = torch.arange(steps, device=shown.device)
        there = (times < x.lengths(dt_ms).unsqueeze(1)).unsqueeze(2)
        return shown & there if shown.dtype == torch.bool else shown * there

    @final
    def check(self, dt_ms: float, max_rate_hz: float) -> None:
        """Raise `InputError` where 1 cannot be presented: a rate above one spike per step.

        Args:
            dt_ms: time step.
            max_rate_hz: the rate that counts as 1.
        """
        if self.kind == "spikes" and not 0 < max_rate_hz * dt_ms / 1000.0 <= 1:
            allowed = f"a rate of at most one spike per step, {1000.0 / dt_ms:g} Hz"
            raise InputError("bridge.max_rate_hz", max_rate_hz, allowed, "Take a shorter simulator.dt_ms")

    @property
    def largest_current(self) -> float:
        """The largest absolute current that is presented; 0 for spikes."""
        return 0.0

    def _present(self, x: Tensor, steps: int, expected: float, generator: np.random.Generator) -> Tensor:
        """Present checked float64 values; `expected` is the number of spikes per step that x = 1 means."""
        raise NotImplementedError

    def _follow(self, x: Tensor, expected: float, generator: np.random.Generator) -> Tensor:
        """Present checked float64 values over time, ``(batch, time, inputs)``, the last one held to the end.

        What is presented after the end of a sample is taken away.
        """
        raise NotImplementedError

    def _bin(self, x: Events, steps: int, dt_ms: float) -> Tensor:
        """Present events."""
        raise NotImplementedError


def _check_values(x: Tensor) -> None:
    if not bool(((x >= 0) & (x <= 1)).all()):  # also refuses NaN
        raise InputError("x", (float(x.min()), float(x.max())), "values in [0, 1]", "Rescale the data")


def _uniform(generator: np.random.Generator, shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.from_numpy(generator.random(shape)).to(like.device)


@final
@dataclass(frozen=True)
class PhaseEncoding(Encoding):
    r"""Input neurons that integrate their value and fire: regular spikes with a random phase.

    Of values over time the phase is the sum so far: :math:`\varphi_t = \varphi_0 + \sum_{s \le t} x_s\,
    r_{max}\, dt`.

    .. math::
        \varphi_t = \varphi_0 + (t + 1)\, x\, r_{max}\, dt, \qquad
        s_t = \lfloor \varphi_t \rfloor - \lfloor \varphi_{t-1} \rfloor

    that is, the k-th spike in the step where the phase reaches k; only the spikes are computed, not the
    steps between them. The count in any window of n steps differs by less than 1 from
    :math:`n\,x\,r_{max}\,dt`, and with a random start its mean is that exactly: the least noisy spike code
    of a rate.

    Args:
        start: initial phases, ``"random"`` (uniform in [0, 1), new for every input and sample) or ``"zero"``
            (the first spike comes after one whole interval).
    """

    start: Literal["random", "zero"] = "random"

    kind: ClassVar[Literal["spikes", "current"]] = "spikes"
    takes: ClassVar[frozenset[Form]] = frozenset({"values", "series"})

    def __post_init__(self) -> None:
        if self.start not in ("random", "zero"):
            raise InputError("start", self.start, "random, zero")

    def _present(self, x: Tensor, steps: int, expected: float, generator: np.random.Generator) -> Tensor:
        per_step = (x * expected).unsqueeze(1)
        start = torch.full_like(per_step, ROUNDING)
        if self.start == "random":
            start += _uniform(generator, tuple(x.shape), x).unsqueeze(1)
        most = math.ceil(steps * float(per_step.max())) + 1
        numbers = torch.arange(1, most + 1, dtype=torch.float64, device=x.device).view(1, -1, 1)
        when = ((numbers - start) / per_step).ceil_().sub_(1.0).clamp_(0, steps)
        when = torch.where(per_step > 0, when, steps).to(torch.int64)
        spikes = torch.zeros(x.shape[0], steps + 1, x.shape[1], dtype=torch.bool, device=x.device)
        return spikes.scatter_(1, when, True)[:, :steps]

    def _follow(self, x: Tensor, expected: float, generator: np.random.Generator) -> Tensor:
        start = torch.full_like(x[:, :1], ROUNDING)
        if self.start == "random":
            start += _uniform(generator, tuple(start.shape), x)
        reached = torch.floor(start + (x * expected).cumsum(1))
        return torch.diff(reached, dim=1, prepend=torch.zeros_like(start)) > 0


@final
@dataclass(frozen=True)
class PoissonEncoding(Encoding):
    r"""Independent random spikes: in every step one with probability :math:`x\, r_{max}\, dt`.

    The Bernoulli approximation of a Poisson process, drawn with 24 random bits a step; the count in n
    steps is binomial. The variance over the mean is :math:`1 - x\, r_{max}\, dt`, 1 in the limit of short
    steps.
    """

    kind: ClassVar[Literal["spikes", "current"]] = "spikes"
    takes: ClassVar[frozenset[Form]] = frozenset({"values", "series"})

    def _present(self, x: Tensor, steps: int, expected: float, generator: np.random.Generator) -> Tensor:
        batch, inputs = x.shape
        drawn = torch.from_numpy(generator.random((batch, steps, inputs), dtype=np.float32))
        return drawn.to(x.device) < (x * expected).to(torch.float32).unsqueeze(1)

    def _follow(self, x: Tensor, expected: float, generator: np.random.Generator) -> Tensor:
        drawn = torch.from_numpy(generator.random(tuple(x.shape), dtype=np.float32))
        return drawn.to(x.device) < (x * expected).to(torch.float32)


@final
@dataclass(frozen=True)
class LatencyEncoding(Encoding):
    r"""At most one spike per input, the earlier the larger the value.

    .. math::
        t = \left\lfloor (s n - 1)\, g(x) + \tfrac12 \right\rfloor, \qquad
        g_{linear} = \frac{1 - x}{1 - x_0}, \qquad g_{logarithmic} = \frac{\ln x}{\ln x_0}

    for a presentation of n steps, of which the fraction s is used; x = 1 spikes in step 0, the faintest
    value :math:`x_0` last, and what is fainter (and 0 always) not at all. The logarithmic curve is that
    of a threshold which falls exponentially from 1 until it meets x.

    Source: Thorpe, "Spike arrival times: a highly efficient coding scheme for neural networks" (1990).

    Args:
        curve: ``"linear"`` or ``"logarithmic"``.
        faintest: :math:`x_0`, the smallest value that spikes, in (0, 1).
        span: s, the fraction of the presentation that is used, in (0, 1].
    """

    curve: Literal["linear", "logarithmic"] = "linear"
    faintest: Annotated[float, INNER] = 0.01
    span: Annotated[float, SHARE] = 1.0

    kind: ClassVar[Literal["spikes", "current"]] = "spikes"

    def __post_init__(self) -> None:
        if self.curve not in ("linear", "logarithmic"):
            raise InputError("curve", self.curve, "linear, logarithmic")
        check_ranges(self, "bridge.encoding")

    def _present(self, x: Tensor, steps: int, expected: float, generator: np.random.Generator) -> Tensor:
        bright = x.clamp(min=self.faintest)
        if self.curve == "linear":
            delay = (1.0 - bright) / (1.0 - self.faintest)
        else:
            delay = torch.log(bright) / math.log(self.faintest)
        last = max(0.0, self.span * steps - 1.0)
        when = torch.floor(delay * last + 0.5).clamp(max=steps - 1).to(torch.int64)
        spikes = torch.zeros(x.shape[0], steps, x.shape[1], dtype=torch.bool, device=x.device)
        return spikes.scatter_(1, when.unsqueeze(1), (x >= self.faintest).unsqueeze(1))


@final
@dataclass(frozen=True)
class CurrentEncoding(Encoding):
    """The values themselves, held as currents: no spikes, no noise, no synaptic filter.

    Args:
        low: the current that 0 stands for.
        high: the current that 1 stands for; values between are linear.
    """

    low: Annotated[float, POTENTIAL] = 0.0
    high: Annotated[float, POTENTIAL] = 1.0

    kind: ClassVar[Literal["spikes", "current"]] = "current"
    takes: ClassVar[frozenset[Form]] = frozenset({"values", "series"})

    def __post_init__(self) -> None:
        check_ranges(self, "bridge.encoding")
        if self.low == self.high:
            raise InputError("bridge.encoding.high", self.high, "a number other than low")

    @property
    def largest_current(self) -> float:
        return max(abs(self.low), abs(self.high))

    def _present(self, x: Tensor, steps: int, expected: float, generator: np.random.Generator) -> Tensor:
        return x if (self.low, self.high) == (0.0, 1.0) else self.low + (self.high - self.low) * x

    def _follow(self, x: Tensor, expected: float, generator: np.random.Generator) -> Tensor:
        return self._present(x, x.shape[1], expected, generator)
