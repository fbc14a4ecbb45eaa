"""When two recordings of the same phase agree: spike for spike, and to a last digit in everything else."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from spiketrain.testing.cases import require
from spiking.network import Network
from spiking.presentation import Recording

__all__ = ["LAST_DIGIT", "agree", "close"]

LAST_DIGIT = 1e-12
"""How far numbers may be apart whose sums are taken in another order."""

RUNAWAY = 1e-9
"""The same for potentials that run away before a spike, which multiplies a last bit by thousands."""


def agree(
    network: Network,
    given: Recording,
    expected: Recording,
    *,
    within: float = LAST_DIGIT,
    relative: float = 0.0,
    unstable: Collection[int] = (),
) -> None:
    """Raise AssertionError where two recordings of a phase differ.

    Args:
        network: what ran.
        given: what is checked.
        expected: what it must be.
        within: the largest difference of anything but spikes.
        relative: the same, as a fraction of what is expected.
        unstable: layers, from 0, whose potentials run away before a spike.
    """
    require(
        set(given.traces) == set(expected.traces),
        f"traces {sorted(given.traces)}, not {sorted(expected.traces)}",
    )
    names = network.names[1:]
    for name, traces in expected.traces.items():
        require(len(given.traces[name]) == len(traces), f"{len(given.traces[name])} traces of {name}")
        for index, (mine, wanted) in enumerate(zip(given.traces[name], traces, strict=True)):
            where = f"{name} of {names[index]}" if len(traces) == len(names) else name
            if name == "spikes" and network.layers[index].neuron.emits_spikes:
                _same_spikes(mine, wanted, where)
            elif name == "voltage" and index in unstable:
                close(mine, wanted, where, RUNAWAY, RUNAWAY)
            else:
                close(mine, wanted, where, within, relative)
    for key in ("rates", "basal", "apical"):
        ours, theirs = getattr(given, key), getattr(expected, key)
        require(len(ours) == len(theirs), f"{key} of {len(ours)} layers, not {len(theirs)}")
        for index, (mine, wanted) in enumerate(zip(ours, theirs, strict=True)):
            where = f"{key} of {network.names[index] if key == 'rates' else names[index]}"
            close(mine, wanted, where, within, relative)
    require((given.control is None) == (expected.control is None), "a control signal, or none")
    if given.control is not None and expected.control is not None:
        close(given.control, expected.control, "control", within, relative)
    close(given.readout, expected.readout, "readout", within, relative)


def close(given: Tensor, expected: Tensor, where: str, within: float, relative: float = 0.0) -> None:
    """Raise AssertionError where numbers are further apart than allowed, or there are none."""
    require(bool(expected.isfinite().all()), f"{where}: what is expected is not finite")
    shapes = tuple(given.shape), tuple(expected.shape)
    require(shapes[0] == shapes[1], f"{where}: of shape {shapes[0]}, not {shapes[1]}")
    torch.testing.assert_close(
        given, expected, atol=within, rtol=relative, msg=lambda said: f"{where}: {said}"
    )


def _same_spikes(given: Tensor, expected: Tensor, where: str) -> None:
    require(
        given.shape == expected.shape, f"{where}: of shape {tuple(given.shape)}, not {tuple(expected.shape)}"
    )
    if torch.equal(given, expected):
        return
    places = (given != expected).nonzero()
    chip, sample, step, neuron = places[places[:, 2].argmin()].tolist()
    raise AssertionError(
        f"{where}: {len(places)} of {int(expected.sum())} spikes differ, the first in step {step} "
        f"(neuron {neuron}, sample {sample}, chip {chip})"
    )
