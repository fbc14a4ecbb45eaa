"""What a neuron model says about itself: text in Brian2's notation, and the names that it may use."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Dynamics"]


@dataclass(frozen=True)
class Dynamics:
    """A neuron's equations as text; names of parameters stand for their values, times are in ms.

    ``current`` is the sum of all currents and the bias. Every text may hold several lines, and comments
    after ``#``; statements on one line are separated by ``;``.

    Args:
        equations: ``dx/dt = expression : unit`` for every state, ``v``, the potential, among them, and
            ``x = expression : unit`` for what is used more than once. A unit is ``1`` (and may be left
            out), ``ms`` or ``Hz``.
        threshold: the condition for a spike; empty for a neuron that does not spike.
        reset: ``x = expression`` or ``x += expression`` (also ``-=``, ``*=``), for neurons that spiked.
        refractory: name of the time for which the ``x = expression`` of the reset hold after a spike.
        emission: what a neuron that does not spike emits.
        start: ``x = expression``, the states at first, 0 where nothing is said; ``uniform`` is a random
            number in [0, 1) for every neuron and sample.
        parameters: names of the parameters that may be used, each with its dimension, a power of time.
    """

    equations: str
    threshold: str = ""
    reset: str = ""
    refractory: str = ""
    emission: str = ""
    start: str = ""
    parameters: tuple[tuple[str, int], ...] = ()
