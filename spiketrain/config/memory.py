"""How much memory a run will need, from the sizes alone, before anything is made."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["estimate_bytes"]

WEIGHT_COPIES = 10
"""Programmed, effective, deviation, two optimizer moments, gradient, average, checkpoint, scaled, spare."""

STATE_COPIES = 24
"""Membranes, shadows, synapses, currents, noise, sums and temporaries of a simulator, per neuron."""

MODEL_BYTES = 8
"""Rules compute in float64."""

PRESENTATIONS = 2
"""A rule shows a batch twice side by side (free and controlled)."""


def estimate_bytes(
    layers: Sequence[int],
    under_way: Sequence[tuple[int, int]],
    *,
    synapses: int,
    chips: int,
    batch: int,
    steps: int,
    item_bytes: int,
    feedback: int,
    kept: int = 0,
) -> int:
    r"""Return an estimate of the memory of a run without the data set.

    .. math::
        M = s\,C\,(10\,S + 10\,F + 48\,B\,\sum_l n_l
            + 2 B \sum_c d_c n_c) + 2 B T n_0 (1 + s) + 8 B K

    Args:
        layers: sizes n_0 to n_L.
        under_way: d_c and n_c, per connection: its delay in steps and the neurons before it.
        synapses: S, those of a chip.
        chips: C.
        batch: B, samples side by side.
        steps: T, the longest presentation.
        item_bytes: s, bytes of a number.
        feedback: F, feedback weights of a chip.
        kept: K, numbers in float64 that the rule keeps per sample for all its models, until its update.
    """
    neurons = sum(layers[1:])
    synapses += feedback
    shown = PRESENTATIONS * batch
    waiting = sum(delay * pre for delay, pre in under_way)
    per_chip = WEIGHT_COPIES * synapses + shown * (STATE_COPIES * neurons + waiting)
    presented = shown * steps * layers[0] * (1 + item_bytes)
    return item_bytes * chips * per_chip + presented + MODEL_BYTES * batch * kept
