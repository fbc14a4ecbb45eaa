"""A neuron model in words that an equation-based simulator reads: strings with units, nothing imported."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Equations"]


@dataclass(frozen=True)
class Equations:
    """One neuron's dynamics in Brian2's notation.

    The names of the state variables are those of `Neuron.initial_state`, the names of the constants
    those of `Neuron.constants`; ``current`` is the sum of all currents and the bias, ``dt`` the time
    step. A time constant is written through its decay factor, ``tau = -dt/log(decay)``, so that the
    factor is what the simulation is given and no exponential is left in its loop.

    Args:
        dynamics: differential equations (linear in their own variable), subexpressions and further
            state variables; the constants need no declaration.
        after: statements at the end of the integration, before spikes are looked for.
        threshold: the condition for a spike; empty for a model that does not spike.
        reset: statements run for the neurons that spiked.
        emission: the variable that holds the activity of a model that does not spike.
    """

    dynamics: str
    after: str = ""
    threshold: str = ""
    reset: str = ""
    emission: str = ""
