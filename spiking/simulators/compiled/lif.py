# ruff: noqa: PLR0917 (compiled functions take arrays, and by position)
"""The step of LIF neurons, written by hand: shadows, and feedback that is summed on the way, in one pass."""

from __future__ import annotations

from spiking.simulators.compiled.arrays import ROWS
from spiking.simulators.compiled.parts import Array, part

__all__ = ["CONSTANTS", "FREE", "STATES", "advance", "advance_fed", "advance_held", "move"]

# --- the neuron: what stands between such marks is another in the modules that `generated` makes of this file
STATES = ("v", "refractory")
"""The state variables, in the order of the rows of `Variables.neurons`."""

CONSTANTS = ("decay", "threshold", "reset", "refractory_steps")
"""The constants, in the order of the rows of `Chips.constants`; the last may be missing."""

FREE = 3
"""The number of constants where no neuron is held; `_advance` then takes shadows along."""
# ---


@part
def move(v: float, current: float, decay: float) -> float:
    """Return a membrane after a step towards a current."""
    return (v - current) * decay + current


@part
def advance(
    v: Array,
    shadow: Array | None,
    synapse: Array,
    drive: Array,
    extra: Array,
    shift: Array,
    constants: Array,
    shadow_constants: Array,
    factors: Array,
    flags: Array,
    shadow_flags: Array,
) -> None:
    """Advance membranes towards ``synapse + drive + extra`` and flag those that spike.

    Shadows, or None, go towards ``synapse + drive + shift`` in the same pass; then `synapse` decays.
    """
    decay, threshold, reset = constants[0], constants[1], constants[2]
    for j in range(v.shape[0]):
        given = synapse[j] + drive[j]
        moved = move(v[j], given + extra[j], decay[j])
        spikes = moved > threshold[j]
        v[j] = reset[j] if spikes else moved
        flags[j] = spikes
        if shadow is not None:
            moved = move(shadow[j], given + shift[j], shadow_constants[0, j])
            spikes = moved > shadow_constants[1, j]
            shadow[j] = shadow_constants[2, j] if spikes else moved
            shadow_flags[j] = spikes
        synapse[j] *= factors[j]


@part
def advance_fed(
    v: Array,
    shadow: Array | None,
    synapse: Array,
    drive: Array,
    extra: Array,
    u: Array,
    feedback: Array,
    shift: Array,
    constants: Array,
    shadow_constants: Array,
    factors: Array,
    flags: Array,
    shadow_flags: Array,
) -> None:
    """Do the same with the current of the last rows of feedback weights, which need not be stored."""
    decay, threshold, reset = constants[0], constants[1], constants[2]
    k = feedback.shape[0] - ROWS
    a, b, c, d, e = u[k], u[k + 1], u[k + 2], u[k + 3], u[k + 4]
    p, q, r, s, t = feedback[k], feedback[k + 1], feedback[k + 2], feedback[k + 3], feedback[k + 4]
    for j in range(v.shape[0]):
        fed = extra[j] + (a * p[j] + b * q[j] + c * r[j] + d * s[j] + e * t[j])
        given = synapse[j] + drive[j]
        moved = move(v[j], given + fed, decay[j])
        spikes = moved > threshold[j]
        v[j] = reset[j] if spikes else moved
        flags[j] = spikes
        if shadow is not None:
            moved = move(shadow[j], given + shift[j], shadow_constants[0, j])
            spikes = moved > shadow_constants[1, j]
            shadow[j] = shadow_constants[2, j] if spikes else moved
            shadow_flags[j] = spikes
        synapse[j] *= factors[j]


# --- the neuron's step
@part
def advance_held(
    own: Array, synapse: Array, drive: Array, extra: Array, constants: Array, flags: Array
) -> None:
    """Advance membranes, ``own[0]``, of which some are held after a spike, for ``own[1]`` steps."""
    v, waiting = own[0], own[1]
    decay, threshold, reset, held = constants[0], constants[1], constants[2], constants[3]
    none = waiting.dtype.type(0)
    one = waiting.dtype.type(1)
    for j in range(v.shape[0]):
        current = synapse[j] + drive[j] + extra[j]
        moved = move(v[j], current, decay[j])
        moved = reset[j] if waiting[j] > none else moved
        spikes = moved > threshold[j]
        v[j] = reset[j] if spikes else moved
        left = waiting[j] - one
        left = left if left > none else none
        waiting[j] = held[j] if spikes else left
        flags[j] = spikes


# ---
