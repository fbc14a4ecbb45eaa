"""The shapes of what is handed to a machine, checked where it enters: no raster is read past its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from root.errors import InputError, UnsupportedError

if TYPE_CHECKING:  # phases check themselves when they are made
    from spiking.connections import Synapses
    from spiking.network import Network
    from spiking.presentation import Controller, Phase, Weights

__all__ = ["check_phase", "check_phases", "check_weights"]

Shape = Mapping[str, int | None]
"""Names of axes to their sizes; None for any size of 1 or more."""


def check_phase(phase: Phase) -> None:
    """Raise `InputError` where the tensors of a phase do not fit each other.

    Args:
        phase: whose window says the steps, and whose drive says the batch.
    """
    _check("phase.window", phase.window, {"steps": None})
    place, values, shapes = _drive(phase, None)
    _check(place, values, *shapes)
    _check_windows(phase)
    if phase.controller is not None:
        _check_target(phase, phase.controller, None, None)
    for index, current in enumerate(phase.currents):
        if current is not None:
            _check(f"phase.currents[{index}]", current, *_per_sample(phase, f"n_{index + 1}", None, None))


def check_phases(network: Network, chips: int, phases: Sequence[Phase]) -> None:
    """Raise `InputError` where phases do not fit the network, the chips or each other.

    Args:
        network: the description.
        chips: number of chips.
        phases: what is to be run, in order.
    """
    seen: dict[str, Phase] = {}
    for phase in phases:
        _check_order(phase, seen)
        place, values, shapes = _drive(phase, network.inputs)
        _check(place, values, *shapes)
        if phase.controller is not None:
            _check_target(phase, phase.controller, chips, network.outputs)
        _check_layers(network, chips, phase)
        seen[phase.name] = phase


def check_weights(network: Network, chips: int, weights: Weights) -> None:
    """Raise `InputError` where `weights` are not those of `network` on so many chips."""
    sizes = network.sizes
    wanted: dict[str, list[dict[str, int | None]]] = {
        "forward": [{"chips": chips, **_numbers(synapses)} for synapses in network.synapses],
        "bias": [{"chips": chips, "n": size} for size in sizes[1:]],
        "feedback": [
            {"chips": chips, **_numbers(synapses, "n_from", "n")} for synapses in network.feedback_synapses
        ],
    }
    for name, shapes in wanted.items():
        tensors = getattr(weights, name)
        if name == "feedback" and not tensors:
            continue
        if len(tensors) != len(shapes):
            raise InputError(f"weights.{name}", f"{len(tensors)} tensors", f"{len(shapes)} tensors")
        for index, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True)):
            _check(f"weights.{name}[{index}]", tensor, shape)


def _numbers(synapses: Synapses, before: str = "n_pre", behind: str = "n_post") -> dict[str, int | None]:
    """Return the axes of what is programmed."""
    names = (before, behind) if synapses.dense else [f"axis_{i}" for i in range(len(synapses.parameters))]
    return dict(zip(names, synapses.parameters, strict=True))


def _drive(phase: Phase, inputs: int | None) -> tuple[str, Tensor, list[Shape]]:
    """Return the drive's tensor, how it is called, and the shapes that it may have."""
    over_time: Shape = {"batch": None, "steps": phase.steps, "inputs": inputs}
    spikes: Tensor | None = getattr(phase.drive, "spikes", None)
    if spikes is not None:
        return "phase.drive.spikes", spikes, [over_time]
    values: Tensor = getattr(phase.drive, "values")  # noqa: B009 (the other kind of drive)
    return "phase.drive.values", values, [{"batch": None, "inputs": inputs}, over_time]


def _per_sample(phase: Phase, axis: str, chips: int | None, size: int | None) -> list[Shape]:
    """Return the shapes of what acts on every sample, on all chips alike or chip by chip."""
    one: Shape = {"batch": phase.batch, axis: size}
    return [one, {"chips": chips, **one}]


def _check_target(phase: Phase, controller: Controller, chips: int | None, outputs: int | None) -> None:
    if controller.moves:
        over_time: Shape = {"batch": phase.batch, "steps": phase.steps, "n_out": outputs}
        _check("phase.controller.target", controller.target, over_time)
        return
    shapes = _per_sample(phase, "n_out", chips, outputs)
    fix = "A target does not change over time, unless the controller is told that it moves."
    if not phase.whole:
        fix = "A target does not change within a window."
        one: Shape = {"windows of samples": len(phase.rows[0]), "n_out": outputs}
        shapes = [one, {"chips": chips, **one}]
    _check("phase.controller.target", controller.target, *shapes, fix=fix)


def _check_windows(phase: Phase) -> None:
    """Refuse ends and windows that do not fit the presentation, and what cannot be told apart by them."""
    if phase.windows < 1 or phase.steps % phase.windows:
        allowed = f"a number that {phase.steps} steps can be divided by"
        raise InputError("phase.windows", phase.windows, allowed)
    if phase.lengths is not None:
        _check("phase.lengths", phase.lengths, {"batch": phase.batch})
        low, high = int(phase.lengths.min()), int(phase.lengths.max())
        if phase.lengths.is_floating_point() or low < 0 or high > phase.steps:
            given = f"{phase.lengths.dtype} from {low} to {high}"
            raise InputError("phase.lengths", given, f"whole steps from 0 to {phase.steps}")
    if phase.counted is not None:
        _check("phase.counted", phase.counted, {"batch": phase.batch, "windows": phase.windows})
    if phase.plasticity is not None and not (phase.whole and phase.lengths is None):
        fix = "Let the host make the steps: training.plasticity: host."
        raise UnsupportedError("phase.plasticity", "beside windows", "samples of one length, one window", fix)
    if phase.noise is not None and phase.windows > 1:
        allowed = "1: what noise is correlated with is one window"
        raise UnsupportedError("phase.windows", phase.windows, allowed)


def _check_layers(network: Network, chips: int, phase: Phase) -> None:
    if phase.currents and len(phase.currents) != network.depth:
        given = f"{len(phase.currents)} of them"
        raise InputError("phase.currents", given, f"one per layer of neurons ({network.depth}), or none")
    for index, current in enumerate(phase.currents):
        if current is not None:
            size, axis = network.layers[index].size, f"n_{index + 1}"
            _check(f"phase.currents[{index}]", current, *_per_sample(phase, axis, chips, size))
    steps = phase.plasticity.steps if phase.plasticity else ()
    if steps and len(steps) != len(network.connections):
        allowed = f"one per connection ({len(network.connections)}), or none"
        raise InputError("phase.plasticity.steps", f"{len(steps)} of them", allowed)


def _check_order(phase: Phase, seen: Mapping[str, Phase]) -> None:
    """Refuse a name that stands twice, and what goes on from phases that were not before."""
    if phase.name in seen:
        raise InputError("phase.name", phase.name, "a name of its own for every phase")
    places = {
        "phase.after": phase.after,
        "phase.controller.nudge_from": phase.controller.nudge_from if phase.controller else None,
    }
    for key, name in places.items():
        if name is None:
            continue
        if name not in seen:
            raise InputError(
                key, name, f"the name of an earlier phase ({', '.join(seen) or 'there is none'})"
            )
        if seen[name].batch != phase.batch:
            raise InputError(
                key, f"{name}, of {seen[name].batch} samples", f"a phase of the same {phase.batch} samples"
            )
        if "nudge" in key and seen[name].windows != phase.windows:
            given = f"{name}, of {seen[name].windows} windows"
            raise InputError(key, given, f"a phase of {phase.windows} windows")


def _check(key: str, value: Tensor, *shapes: Shape, fix: str = "") -> None:
    """Raise `InputError` where `value` has none of `shapes`."""
    if not any(_fits(tuple(value.shape), tuple(shape.items())) for shape in shapes):
        raise InputError(key, tuple(value.shape), " or ".join(_words(shape) for shape in shapes), fix)


def _fits(found: tuple[int, ...], wanted: tuple[tuple[str, int | None], ...]) -> bool:
    """Return whether every axis has its size; 1 for all chips will do, and nothing where it is wanted."""
    return len(found) == len(wanted) and all(
        (length >= 1 or size == 0) and (size is None or length == size or (axis == "chips" and length == 1))
        for length, (axis, size) in zip(found, wanted, strict=True)
    )


def _words(shape: Shape) -> str:
    sizes = [f"{axis} = {size}" for axis, size in shape.items() if size is not None]
    return f"({', '.join(shape)})" + (f" with {', '.join(sizes)}" if sizes else "")
