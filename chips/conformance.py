"""What a lab runs on its own chips: whether they do what `Chips` promises, as seen from outside.

Nothing is known of the chips but their card. A check shows them something whose answer follows from what
rates, weights and samples are; it must hold with a few dead neurons, coarse and noisy weights and mismatch,
and it names what is wrong where it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import final

import torch

from chips.base import Chips
from chips.probing import BUSY, QUIET, SHARE, STEPS, Bench
from rate_bridge.filters import spike_value
from root.errors import SpiketrainError
from spiking.presentation import Controller, SpikeDrive

__all__ = ["CHECKS", "Finding", "examine"]

PROBES = 8
"""Neurons, or inputs, that are tried one by one."""


@final
@dataclass(frozen=True)
class Finding:
    """What came of a check.

    Args:
        name: of the check.
        wrong: what is wrong, in words; empty where nothing is.
        asked: whether there was anything to check.
    """

    name: str
    wrong: str = ""
    asked: bool = True


def _shapes(bench: Bench) -> str:
    """Recordings are laid out as (chips, batch, neurons), and hold numbers."""
    seen = bench.show(bench.uniform(), bench.phase(bench.busy(1.0, 0.0, 1.0)))
    wanted = [(bench.count, 3, n) for n in bench.sizes[1:]]
    found = [tuple(r.shape) for r in seen.rates[1:]]
    if found != wanted:
        return f"rates of the shapes {found}, not {wanted}"
    if tuple(seen.readout.shape) != wanted[-1]:
        return f"a read-out of the shape {tuple(seen.readout.shape)}, not {wanted[-1]}"
    if not all(bool(t.isfinite().all()) for t in (*seen.rates, seen.readout)):
        return "rates or a read-out that are not finite"
    return ""


def _active(bench: Bench) -> str:
    """Active inputs and strong weights make neurons spike."""
    seen = bench.show(bench.uniform(), bench.phase(bench.busy(1.0)))
    silent = [i for i, r in enumerate(seen.rates[1:], start=1) if float((r > QUIET).double().mean()) < SHARE]
    return f"most neurons of layer {silent[0]} are silent at the strongest weights tried" if silent else ""


def _silence(bench: Bench) -> str:
    """Without input, weights and biases nothing happens."""
    seen = bench.show(bench.weights(0.0), bench.phase(bench.busy(0.0, 0.0)))
    high = max(float(r.mean()) for r in seen.rates[1:])
    return f"a mean rate of {high:.3g} without input, weights and biases" if high > QUIET else ""


def _rates(bench: Bench) -> str:
    """A rate is spikes in the window per time, and no neuron spikes more often than once a step."""
    card = bench.chips.card
    limit = spike_value(card.max_rate_hz, card.dt_ms)
    seen = bench.show(bench.uniform(), bench.phase(bench.busy(1.0)))
    high = max(float(r.max()) for r in seen.rates[1:])
    spiking = all(layer.neuron.emits_spikes for layer in bench.chips.network.layers)
    if spiking and high > limit * 1.0001:
        return f"a rate of {high:.4g}, where a spike in every step is {limit:.4g}: counts, or another unit"
    longer = bench.show(bench.uniform(), bench.phase(bench.busy(1.0), 2 * STEPS))
    ratio = float(longer.rates[-1].mean() / seen.rates[-1].mean().clamp(min=1e-9))
    return (
        f"rates that are {ratio:.2f} times as high where the window is twice as long" if ratio > 1.5 else ""
    )


def _inputs(bench: Bench) -> str:
    """The rates of layer 0 are those of what was shown."""
    phase = bench.phase(bench.busy(1.0, 0.3))
    seen = bench.show(bench.uniform(), phase).rates[0].double()
    counted = phase.window / phase.window.sum()
    drive = phase.drive
    if isinstance(drive, SpikeDrive):
        wanted = torch.einsum("t,btn->bn", counted * bench.chips.network.spike_value, drive.spikes.double())
    else:
        wanted = torch.einsum("t,btn->bn", counted, drive.values)
    off = float((seen - wanted).abs().max())
    return f"input rates that differ by {off:.3g} from what was shown" if off > 1e-3 else ""


def _window(bench: Bench) -> str:
    """Only the window counts."""
    first = torch.zeros(1, STEPS, bench.sizes[0])
    first[:, : STEPS // 3] = BUSY
    late = bench.show(bench.uniform(), bench.phase(first, last=STEPS // 4)).rates[1].mean()
    weights = torch.zeros(STEPS, dtype=torch.float64)
    weights[: STEPS // 3] = 1.0
    early = bench.show(bench.uniform(), bench.phase(first, window=weights)).rates[1].mean()
    if float(late) > 0.5 * float(early):
        return f"a rate of {float(late):.3g} in a window after the input, {float(early):.3g} in one during it"
    return ""


def _order(bench: Bench) -> str:
    """Samples come back in the order in which they were shown."""
    shown = (
        bench.show(bench.uniform(), bench.phase(bench.busy(0.0, 1.0, 0.0, 1.0, 1.0))).rates[1].mean((0, 2))
    )
    found = (shown > shown.max() / 2).tolist()
    wanted = [False, True, False, True, True]
    return (
        f"activity in the samples {_places(found)}, where {_places(wanted)} were active"
        if found != wanted
        else ""
    )


def _memory(bench: Bench) -> str:
    """A sample does not depend on the one before it."""
    before, after = bench.busy(0.0, 0.0), bench.busy(1.0, 0.0)
    window_ = torch.zeros(STEPS, dtype=torch.float64)
    window_[: STEPS // 2] = 1.0
    alone, behind = (
        bench.show(bench.uniform(), bench.phase(busy, window=window_)).rates[1][:, 1].mean()
        for busy in (before, after)
    )
    more = float(behind - alone)
    return (
        f"a rate that is {more:.3g} higher in a silent sample behind an active one"
        if abs(more) > QUIET
        else ""
    )


def _signs(bench: Bench) -> str:
    """Negative weights keep neurons silent."""
    positive, phase = bench.uniform(), bench.phase(bench.busy(1.0))
    negative = replace(positive, forward=(-positive.forward[0], *positive.forward[1:]))
    up, down = (float(bench.show(w, phase).rates[1].mean()) for w in (positive, negative))
    return (
        f"a rate of {down:.3g} with negative weights, {up:.3g} with positive ones" if down > 0.2 * up else ""
    )


def _wiring(bench: Bench) -> str:
    """A synapse goes from the neuron and to the neuron that it is written for, in every connection."""
    for index, connection in enumerate(bench.chips.network.connections[: bench.chips.network.depth]):
        right = total = 0
        for pre, post in _pairs(bench.sizes[connection.pre], bench.sizes[connection.post]):
            total += 1
            right += _reaches(bench, index, pre, post)
        if right < SHARE * total:
            ends = f"{connection.pre} to {connection.post}"
            return (
                f"only {right} of {total} single synapses from layer {ends} reach their neuron and no other"
            )
    return ""


def _pairs(before: int, after: int) -> Iterator[tuple[int, int]]:
    """Yield some pairs of neurons, spread over both layers."""
    for number in range(PROBES):
        yield (7 * number + 1) % before, (5 * number + 2) % after


def _reaches(bench: Bench, index: int, pre: int, post: int) -> bool:
    """Return whether one synapse, everything before it being driven, makes its own neuron the most active."""
    weights = bench.weights(0.0)
    driven = bench.uniform().forward
    forward = [driven[i] if i < index else w for i, w in enumerate(weights.forward)]
    forward[index] = forward[index].clone()
    forward[index][:, pre, post] = 8.0 * bench.strength
    others = [1.0, 1.0] if index else [0.0, 1.0]
    busy = torch.stack([torch.full((bench.sizes[0],), level) for level in others]) * BUSY
    if not index:
        busy[:, pre] = BUSY
        busy[1] = BUSY - busy[0]  # everything but that input: the neuron must stay silent
    rates = bench.show(replace(weights, forward=tuple(forward)), bench.phase(busy)).rates[index + 1].mean(0)
    own = float(rates[0, post])
    alone = own > QUIET and own >= float(rates[0].max()) and float(rates[0].sum()) < 1.5 * own
    return alone and (bool(index) or float(rates[1, post]) < 0.2 * own)


def _programming(bench: Bench) -> str:
    """What was programmed last is what holds."""
    phase = bench.phase(bench.busy(1.0))
    first, off, again = (
        float(bench.show(w, phase).rates[1].mean())
        for w in (bench.uniform(), bench.weights(0.0), bench.uniform())
    )
    if off > 0.2 * first:
        return f"a rate of {off:.3g} after weights of 0 were written over active ones ({first:.3g})"
    return (
        f"a rate of {again:.3g} where {first:.3g} was with the same weights before"
        if again < 0.5 * first
        else ""
    )


def _grades(bench: Bench) -> str:
    """Weights have sizes, not only signs: half of them drive less."""
    rates = []
    for factor in (1.0, 0.5, 0.25):
        weights = bench.uniform()
        whole = weights.forward[0].clone()
        whole[:, 1:] *= (
            factor  # one input keeps the full size, so that no scale is found for each matrix anew
        )
        weights = replace(weights, forward=(whole, *weights.forward[1:]))
        rates.append(float(bench.show(weights, bench.phase(bench.busy(1.0))).rates[1].mean()))
    full, half, quarter = rates
    return (
        f"rates of {full:.3g}, {half:.3g}, {quarter:.3g} at weights of 1, 1/2, 1/4"
        if quarter > 0.8 * full
        else ""
    )


def _biases(bench: Bench) -> str:
    """A bias drives its own neuron."""
    phase, wrong = bench.phase(bench.busy(0.0)), 0
    neurons = [(5 * k + 2) % bench.sizes[1] for k in range(PROBES)]
    for neuron in neurons:
        weights = bench.weights(0.0)
        weights.bias[0][:, neuron] = 4.0
        rates = bench.show(weights, phase).rates[1].mean((0, 1))
        wrong += not (float(rates[neuron]) > QUIET and float(rates.sum()) < 1.5 * float(rates[neuron]))
    return (
        f"{wrong} of {PROBES} biases do not drive their own neuron alone"
        if wrong > (1 - SHARE) * PROBES
        else ""
    )


def _again(bench: Bench) -> str:
    """The same is seen twice, but for noise."""
    busy = torch.linspace(0.1, 1.0, 6).unsqueeze(1).expand(-1, bench.sizes[0]) * BUSY
    weights = bench.uniform()
    one, two = (bench.show(weights, bench.phase(busy)).rates[1].flatten().double() for _ in range(2))
    r = float(torch.corrcoef(torch.stack([one, two]))[0, 1])
    return f"answers to the same that correlate by {r:.2f} only" if not r > 0.8 else ""


def _clock(bench: Bench) -> str:
    """Time passes with what is presented and when it is told to."""
    began, phase = bench.chips.now_ms, bench.phase(bench.busy(0.0, 0.0))
    bench.show(bench.weights(0.0), phase)
    shown = bench.chips.now_ms - began
    needed = 2 * STEPS * bench.chips.card.dt_ms
    bench.chips.advance(50.0)
    waited = bench.chips.now_ms - began - shown
    if shown < 0.999 * needed or waited < 49.9:
        return f"a clock that went on by {shown:g} ms in {needed:g} ms of samples, by {waited:g} in 50 ms"
    return ""


def _trial(bench: Bench) -> str | None:
    """A trial leaves no trace."""
    if "trial" not in bench.chips.card.abilities:
        return None
    phase = bench.phase(bench.busy(1.0))
    first = float(bench.show(bench.uniform(), phase).rates[1].mean())
    clock = bench.chips.now_ms
    bench.show(bench.weights(0.0), phase, bench.chips.trial())
    then = float(bench.chips.present((phase,), "check", "trial")[phase.name].rates[1].mean())
    if bench.chips.now_ms - clock > 1.5 * STEPS * bench.chips.card.dt_ms:
        return "a clock that went on in a trial"
    return (
        f"a rate of {then:.3g} after a trial with other weights, {first:.3g} before"
        if then < 0.5 * first
        else ""
    )


def _traces(bench: Bench) -> str | None:
    """Traces that the card promises are there, one value a step, and spikes add up to rates."""
    names = bench.chips.card.traces - {"control"}
    if not names:
        return None
    phase = bench.phase(bench.busy(1.0, 0.5), record=frozenset(names))
    seen = bench.show(bench.uniform(), phase)
    for name in sorted(names):
        if name not in seen.traces:
            return f"no trace of {name}, which the card promises"
        sizes = bench.sizes[-1:] if name == "readout" else bench.sizes[1:]
        wanted = [(bench.count, 2, STEPS, n) for n in sizes]
        if (found := [tuple(t.shape) for t in seen.traces[name]]) != wanted:
            return f"traces of {name} of the shapes {found}, not {wanted}"
    if "spikes" in names and bench.chips.network.layers[0].neuron.emits_spikes:
        counted = phase.window / phase.window.sum() * bench.chips.network.spike_value
        rates = torch.einsum("t,cbtn->cbn", counted, seen.traces["spikes"][0].double())
        if float((rates - seen.rates[1]).abs().max()) > 1e-3:
            return "spikes that do not add up to the rates"
    return ""


def _control(bench: Bench) -> str | None:
    """A controller inside the loop has a signal, and moves the output towards its target."""
    if "control" not in bench.chips.card.abilities:
        return None
    network = bench.chips.network
    feedback = tuple(
        torch.ones(bench.count, *shape, dtype=torch.float64) for shape in network.feedback_shapes
    )
    if network.feedback.relayed:
        return None
    weights, outputs = replace(bench.weights(0.0), feedback=feedback), bench.sizes[-1]
    target = torch.ones(1, outputs, dtype=torch.float64)
    held = bench.phase(bench.busy(0.0), controller=Controller(target, kp=2.0, ki_per_ms=0.05))
    seen = bench.show(weights, held)
    if seen.control is None or tuple(seen.control.shape) != (bench.count, 1, outputs):
        return "no control signal of the shape (chips, batch, outputs)"
    rate = float(seen.rates[-1].mean())
    return f"an output of {rate:.3g} under control, where 1 was wanted" if rate < 0.2 else ""


CHECKS: dict[str, Callable[[Bench], str | None]] = {
    "shapes": _shapes,
    "activity": _active,
    "silence": _silence,
    "rates": _rates,
    "input rates": _inputs,
    "window": _window,
    "order of samples": _order,
    "no memory of samples": _memory,
    "signs": _signs,
    "wiring": _wiring,
    "programming": _programming,
    "sizes of weights": _grades,
    "biases": _biases,
    "the same twice": _again,
    "clock": _clock,
    "trials": _trial,
    "traces": _traces,
    "control": _control,
}
"""What is checked, in this order; a check returns what is wrong, or None where there is nothing to check."""


def examine(chips: Chips) -> Iterator[Finding]:
    """Yield what comes of every check; one that cannot be made is wrong too.

    Args:
        chips: the chips; they are programmed and shown many things.
    """
    bench = Bench(chips)
    try:
        bench.find_strength()
    except (SpiketrainError, RuntimeError, ValueError, IndexError, TypeError) as error:
        yield Finding("programming", _words(error))
        return
    for name, check in CHECKS.items():
        try:
            wrong = check(bench)
        except (SpiketrainError, RuntimeError, ValueError, IndexError, TypeError) as error:
            wrong = _words(error)
        yield Finding(name, wrong or "", asked=wrong is not None)


def _words(error: Exception) -> str:
    return f"it fails: {str(error).partition(chr(10))[0]}"


def _places(active: list[bool]) -> list[int]:
    return [number for number, there in enumerate(active) if there]
