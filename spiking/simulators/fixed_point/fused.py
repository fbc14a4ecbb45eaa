# ruff: noqa: PLR0917 (compiled functions take arrays, and by position)
"""The bit-accurate step as one compiled loop per chip and sample, for free presentations.

What a test asks of a chip (no controller, no shadows, nothing recorded, delays of one step) is a small
part of what `emulate` can do and nearly all of what is run: here a sample stays in the processor's first
cache for all of its steps, and only neurons that spiked touch their weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numba import njit
from torch import Tensor

from spiking.network import Network
from spiking.simulators.compiled.parts import Array, part
from spiking.simulators.fixed_point.arithmetic import LIMIT, UNITY

__all__ = ["run_free"]


@part
def _advance(v: Array, u: Array, bias: Array, kept: Array, current_kept: Array) -> None:
    """Let potentials and currents decay, and potentials take in the currents; saturate."""
    for j in range(v.shape[0]):
        moved = np.trunc(v[j] * kept[j]) + u[j] + bias[j]
        v[j] = min(max(moved, 1.0 - LIMIT), LIMIT - 1.0)
        u[j] = np.trunc(u[j] * current_kept[j])


@part
def _wait(v: Array, waiting: Array) -> None:
    """Hold what is refractory at 0."""
    for j in range(v.shape[0]):
        v[j] = 0.0 if waiting[j] > 0 else v[j]
        waiting[j] = max(waiting[j] - 1.0, 0.0)


@part
def _fire(v: Array, threshold: Array, waiting: Array, held: Array, fired: Array) -> int:
    """Reset what is above its threshold, write its indices to `fired` and return their number."""
    count = 0
    for j in range(v.shape[0]):
        if v[j] > threshold[j]:
            v[j] = 0.0
            waiting[j] = held[j]
            fired[count] = j
            count += 1
    return count


@part
def _add_rows(total: Array, weights: Array, rows: Array, first: int, size: int) -> None:
    """Add up the rows of `weights` that belong to neurons ``first`` to ``first + size``."""
    n = total.shape[0]
    for k in range(rows.shape[0]):
        row = rows[k] - first
        if 0 <= row < size:
            for j in range(n):
                total[j] += weights[row * n + j]


@part
def _deliver(u: Array, total: Array, shift: int) -> None:
    for j in range(u.shape[0]):
        moved = total[j] << shift if shift >= 0 else total[j] >> -shift
        u[j] += 64.0 * moved
        total[j] = 0


@part
def _wrap(u: Array) -> None:
    for j in range(u.shape[0]):
        over = 2.0 * LIMIT if u[j] > LIMIT else 0.0
        under = 2.0 * LIMIT if u[j] <= -LIMIT else 0.0
        u[j] += under - over


@part
def _follow(trace: Array, kept: float, gain: float, fired: Array, first: int) -> None:
    for j in range(trace.shape[0]):
        trace[j] = np.trunc(trace[j] * kept)
    for k in range(fired.shape[0]):
        if fired[k] >= first:
            trace[fired[k] - first] += gain
    for j in range(trace.shape[0]):
        trace[j] = min(max(trace[j], 1.0 - LIMIT), LIMIT - 1.0)


@part
def _nonzero(row: Array, found: Array) -> int:
    count = 0
    for i in range(row.shape[0]):
        if row[i]:
            found[count] = i
            count += 1
    return count


@njit(cache=True, nogil=True)
def _loop(
    raster: Array,
    window: Array,
    kept: Array,
    threshold: Array,
    held: Array,
    current_kept: Array,
    bias: Array,
    wires: Array,
    weights: Array,
    shifts: Array,
    v: Array,
    refractory: Array,
    u: Array,
    trace: Array,
    sums: Array,
    trace_kept: float,
    trace_gain: float,
) -> None:
    """Run all samples of all chips; the five arrays from `v` on are changed in place."""
    chips, batch, neurons = v.shape
    first_output = neurons - trace.shape[2]
    fired, shown = np.zeros(neurons, np.int64), np.zeros(raster.shape[2], np.int64)
    total = np.zeros(neurons, np.int64)
    for chip in range(chips):
        for sample in range(batch):
            vs, us, waiting = v[chip, sample], u[chip, sample], refractory[chip, sample]
            for t in range(raster.shape[1]):
                _advance(vs, us, bias[chip, sample], kept[chip], current_kept[chip])
                _wait(vs, waiting)
                spikes = fired[: _fire(vs, threshold[chip], waiting, held[chip], fired)]
                inputs = shown[: _nonzero(raster[sample, t], shown)]
                for c in range(wires.shape[0]):
                    pre, n_pre, post, n_post, offset = wires[c]
                    part = total[post : post + n_post]
                    if pre < 0:
                        _add_rows(part, weights[chip, offset:], inputs, 0, n_pre)
                    else:
                        _add_rows(part, weights[chip, offset:], spikes, pre, n_pre)
                    _deliver(us[post : post + n_post], part, shifts[chip, c])
                _wrap(us)
                for k in range(spikes.shape[0]):
                    sums[chip, sample, spikes[k]] += window[sample, t]
                _follow(trace[chip, sample], trace_kept, trace_gain, spikes, first_output)


def run_free(network: Network, arrays: Mapping[str, Tensor], *, direct: bool) -> dict[str, Tensor]:
    """Do what `emulate` does, for a free presentation without shadows, records and longer delays.

    Args:
        network: for its connections.
        arrays: see `emulate`; a direct drive must be constant.
        direct: whether the input acts at once, through the first connection.
    """
    sizes = network.sizes[1:]

    def side_by_side(name: str) -> Array:
        rows = [arrays[f"layer.{i}.{name}"] for i in range(network.depth)]
        return np.ascontiguousarray(torch.cat(rows, -1).numpy())

    v = side_by_side("state.v").copy()
    refractory, u = side_by_side("state.refractory").copy(), side_by_side("state.synapse").copy()
    trace = arrays["trace"].numpy().copy()
    sums = np.zeros_like(v)
    wires, weights, shifts = _wires(network, arrays, direct)
    batch, steps = arrays["window"].shape
    raster = np.zeros((batch, steps, 0), np.uint8)
    if not direct:
        raster = arrays["drive"].to(torch.uint8).contiguous().numpy()
    _loop(
        raster,
        arrays["window"].contiguous().numpy(),
        1.0 - side_by_side("constant.dv")[:, 0] / UNITY,
        64.0 * side_by_side("constant.vth")[:, 0],
        side_by_side("constant.refractory_steps")[:, 0],
        1.0 - side_by_side("constant.synapse_decay")[:, 0] / UNITY,
        _bias(network, arrays, v.shape, direct),
        wires,
        weights,
        shifts,
        v,
        refractory,
        u,
        trace,
        sums,
        float(1.0 - arrays["controller.trace_decay"] / UNITY),
        float(arrays["controller.trace_gain"]),
    )
    found = {"trace": torch.from_numpy(trace), "integral": arrays["integral"]}
    found["sum.control"] = torch.zeros_like(arrays["trace"])
    names = {"state.v": v, "state.refractory": refractory, "state.synapse": u}
    for name, values in names.items():
        for i, own in enumerate(torch.split(torch.from_numpy(values), list(sizes), -1)):
            found[f"layer.{i}.{name}"] = own
    for i, own in enumerate(torch.split(torch.from_numpy(sums), list(sizes), -1)):
        found[f"sum.{i}"] = own
    return found


def _bias(network: Network, arrays: Mapping[str, Tensor], shape: tuple[int, ...], direct: bool) -> Array:
    """Return everything constant that reaches the membranes, ``(chips, batch, neurons)``."""
    rows = []
    for i in range(network.depth):
        bias = arrays[f"layer.{i}.bias"] + arrays.get(f"layer.{i}.injected", torch.zeros(()))
        if direct and i == 0:
            factor = 2.0 ** arrays["weight.0.exponent"].view(-1, 1, 1)
            bias = bias + torch.floor(torch.matmul(arrays["drive"], arrays["weight.0"]) * factor)
        rows.append(bias.expand(*shape[:2], -1))
    return np.ascontiguousarray(torch.cat(rows, -1).numpy())


def _wires(network: Network, arrays: Mapping[str, Tensor], direct: bool) -> tuple[Array, Array, Array]:
    """Return where connections begin and end, their weights as ``(chips, all of them)``, their shifts."""
    starts = np.concatenate([[0], np.cumsum(network.sizes[1:])])
    wires, weights, shifts, offset = [], [], [], 0
    for index, connection in enumerate(network.connections):
        if connection.pre == 0 and direct:
            continue
        pre = -1 if connection.pre == 0 else starts[connection.pre - 1]
        n_pre, n_post = network.sizes[connection.pre], network.sizes[connection.post]
        wires.append([pre, n_pre, starts[connection.post - 1], n_post, offset])
        offset += n_pre * n_post
        weights.append(arrays[f"weight.{index}"].flatten(1))
        shifts.append(arrays[f"weight.{index}.exponent"])
    chips = len(arrays["trace"])
    if not wires:
        return np.zeros((0, 5), np.int64), np.zeros((chips, 0), np.int32), np.zeros((chips, 0), np.int64)
    flat = torch.cat(weights, 1).to(torch.int32).numpy()
    return np.array(wires, np.int64), flat, torch.stack(shifts, 1).long().numpy()
