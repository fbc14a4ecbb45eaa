"""Times the Brian2 simulator against the obvious Brian2 script and against a compiled loop.

    python benchmarks/brian2_presentation.py

Two claims, at 64-100-10, 32 samples, 4 chips with mismatch, 150 steps of 1 ms, controller closed,
basal shadows beside the neurons:

- at least 20 times faster per sample than one batch per ``run`` with Cython ``Synapses``;
- within 3 times of a fused single-core loop (numba) per simulated neuron-step, the start of the
  process and all traffic through files included. Both are counted in processor time of one core.

All three compute the same: their window counts are compared before anything is timed.
"""

from __future__ import annotations

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch
from machine import machine
from numpy.typing import NDArray
from torch import Tensor

from rate_bridge.filters import decay, window
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons import LIF
from spiking.presentation import Controller, Phase, Recording, Snapshot, SpikeDrive
from spiking.simulators.brian2.simulator import Brian2Simulator

Array = NDArray[Any]

SIZES, BATCH, CHIPS, STEPS, WINDOW = (64, 100, 10), 32, 4, 150, 75
KP, KI, LEAK = 0.5, 0.01, 0.005
OBVIOUS_AT_LEAST, LOOP_WITHIN = 20.0, 3.0


def problem() -> tuple[Network, Hardware, Phase, Snapshot]:
    """Return chips with 20 % mismatch and a controlled presentation of spikes, as digits give them."""
    g = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    network = chain(SIZES, LIF(bias=0.5))

    def values(size: int, nominal: LIF) -> dict[str, Tensor]:
        given = {
            p.field: torch.full((CHIPS, size), float(getattr(nominal, p.field))) for p in nominal.parameters
        }
        made = {field: value.double() for field, value in given.items()}
        for field in ("threshold", "tau_m_ms"):
            made[field] = made[field] * (1 + 0.2 * normal(CHIPS, size)).clamp(0.3, 3)
        return made

    layers = network.layers
    hardware = Hardware(
        neurons=tuple(values(layer.size, layer.neuron) for layer in layers),
        shadows=tuple(values(layer.size, layer.neuron) for layer in layers),
        weights=tuple(normal(CHIPS, a, b) / math.sqrt(a) for a, b in pairwise(SIZES)),
        feedback=tuple(0.1 * normal(CHIPS, SIZES[-1], layer.size) for layer in layers),
        readout={
            "gain": torch.ones(CHIPS, SIZES[-1]).double(),
            "offset": torch.zeros(CHIPS, SIZES[-1]).double(),
            "kp": torch.ones(CHIPS, SIZES[-1]).double(),
            "ki": torch.ones(CHIPS, SIZES[-1]).double(),
        },
    )
    bright = torch.rand(BATCH, 1, SIZES[0], generator=g) * (torch.rand(BATCH, 1, SIZES[0], generator=g) < 0.5)
    spikes = torch.rand(BATCH, STEPS, SIZES[0], generator=g) < 0.1 * bright
    target = torch.full((BATCH, SIZES[-1]), 0.1, dtype=torch.float64)
    target[torch.arange(BATCH), torch.arange(BATCH) % SIZES[-1]] = 0.8
    controller = Controller(target, KP, KI, LEAK)
    phase = Phase("p", SpikeDrive(spikes), window(STEPS, WINDOW), controller, shadow=True)
    uniform = [torch.rand(CHIPS, BATCH, n, generator=g, dtype=torch.float64) for n in SIZES[1:]]
    return network, hardware, phase, initial_snapshot(network, hardware, uniform, shadow=True)


# the obvious script: one chip and one batch per run, every sample with synapses of its own


def obvious(network: Network, hardware: Hardware, phase: Phase, start: Snapshot) -> Callable[[], Array]:
    """Build Brian2's objects for one chip; the returned function presents the batch to it."""
    import brian2 as b2  # noqa: PLC0415 (it takes seconds, and the simulator needs none of it)

    b2.prefs.codegen.target = "cython"
    b2.defaultclock.dt = network.dt_ms * b2.ms
    value, trace_gain = network.spike_value, _trace_gain(network)
    names = {"taus": 10 * b2.ms, "taur": network.readout_tau_ms * b2.ms, "KP": KP}
    names |= {
        "KI": KI / b2.ms,
        "LEAK": LEAK / b2.ms,
        "first": (STEPS - WINDOW - 0.5) * b2.ms,
        "inc": trace_gain,
    }
    groups = []
    for index, size in enumerate(SIZES[1:]):
        groups.append(
            b2.NeuronGroup(
                BATCH * size,
                """dv/dt = (I + 0.5 + fb - v)/tau : 1
                dw/dt = (I + 0.5 - w)/tauw : 1
                dI/dt = -I/taus : 1
                dr/dt = -r/taur : 1
                fb : 1
                tau : second (constant)
                tauw : second (constant)
                theta : 1 (constant)
                thetaw : 1 (constant)
                count : 1
                countw : 1""",
                threshold="v > theta",
                reset="v = 0; r += inc; count += int(t > first)",
                events={"shadow": "w > thetaw"},
                method="exponential_euler",
                namespace=names,
                name=f"layer{index}",
            )
        )
        groups[-1].run_on_event("shadow", "w = 0; countw += int(t > first)")
    raster = phase.drive.spikes.transpose(0, 1).reshape(STEPS, -1).numpy()  # type: ignore[union-attr]
    times, indices = np.nonzero(raster)
    source = b2.SpikeGeneratorGroup(BATCH * SIZES[0], indices, times * network.dt_ms * b2.ms)
    control = b2.NeuronGroup(
        BATCH * SIZES[-1],
        """dui/dt = KI*(target - r) - LEAK*ui : 1
        r : 1 (linked)
        target : 1 (constant)
        u : 1""",
        method="euler",
        namespace=names,
        order=-4,
        name="control",
    )
    control.r = b2.linked_var(groups[-1], "r")
    control.run_regularly("u = KP*(target - r) + ui", when="groups", order=-3)
    control.target = phase.controller.target.numpy().ravel()  # type: ignore[union-attr]
    objects, weighted = [source, *groups, control], []
    gain = (1 - math.exp(-network.dt_ms / 10)) * value
    for index, (pre, post) in enumerate(zip((source, groups[0]), groups, strict=True)):
        synapses = b2.Synapses(pre, post, "g : 1 (constant)", on_pre="I_post += g", name=f"forward{index}")
        synapses.connect(condition=f"i//{SIZES[index]} == j//{SIZES[index + 1]}")
        back = b2.Synapses(
            control, post, "q : 1 (constant)\nfb_post = q*u_pre : 1 (summed)", name=f"back{index}"
        )
        back.connect(condition=f"i//{SIZES[-1]} == j//{SIZES[index + 1]}")
        objects += [synapses, back]
        weighted.append((synapses, back))
    network_ = b2.Network(*objects)
    network_.store()

    def present(chip: int) -> Array:
        network_.restore()
        for index, (group, (synapses, back)) in enumerate(zip(groups, weighted, strict=True)):
            size, pre_size = SIZES[index + 1], SIZES[index]
            for field, values in (("", hardware.neurons[index]), ("w", hardware.shadows[index])):
                setattr(group, f"tau{field}", np.tile(values["tau_m_ms"][chip], BATCH) * b2.ms)
                setattr(group, f"theta{field}", np.tile(values["threshold"][chip], BATCH))
            group.v = start.neurons[index]["v"][chip].numpy().ravel()
            group.w = start.shadows[index]["v"][chip].numpy().ravel()
            weights = gain * hardware.weights[index][chip].numpy()
            synapses.g = weights[synapses.i[:] % pre_size, synapses.j[:] % size]
            feedback = hardware.feedback[index][chip].numpy()
            back.q = feedback[back.i[:] % SIZES[-1], back.j[:] % size]
        network_.run(STEPS * network.dt_ms * b2.ms, namespace={})
        return np.array(groups[0].count[:]).reshape(BATCH, -1)

    return lambda: np.stack([present(chip) for chip in range(CHIPS)])


# the compiled loop: all of a step in one pass, one sample after the other


@numba.njit
def _membrane(  # noqa: PLR0917 (numba takes arrays, not objects)
    v: Array, current: Array, factor: Array, theta: Array, spikes: Array, sums: Array, weight: float
) -> None:
    for j in range(v.shape[0]):
        moved = current[j] + (v[j] - current[j]) * factor[j]
        spikes[j] = moved > theta[j]
        if spikes[j]:
            sums[j] += weight
        v[j] = 0.0 if spikes[j] else moved


@numba.njit
def _present(  # noqa: PLR0912, PLR0917 (a fused loop is one function)
    raster, weights, target, w0, w1, q0, q1, v0, v1, s0, s1, factors, thetas, constants, sums0, sums1
):  # type: ignore[no-untyped-def]
    synapse_decay, trace_decay, trace_gain, bias, kp, ki, leak = constants
    batch, steps, inputs = raster.shape
    n, k = v0.shape[2], v1.shape[2]
    basal0, basal1 = np.zeros(n), np.zeros(k)
    for chip in range(w0.shape[0]):
        a0, a1, b0, b1 = (
            factors[chip, 0, :n],
            factors[chip, 0, n:],
            factors[chip, 1, :n],
            factors[chip, 1, n:],
        )
        c0, c1, d0, d1 = thetas[chip, 0, :n], thetas[chip, 0, n:], thetas[chip, 1, :n], thetas[chip, 1, n:]
        for sample in range(batch):
            i0, i1 = np.zeros(n), np.zeros(k)
            trace, integral, u = np.zeros(k), np.zeros(k), np.zeros(k)
            current0, current1 = np.empty(n), np.empty(k)
            fired0, fired1 = np.zeros(n, np.bool_), np.zeros(k, np.bool_)
            unseen0, unseen1 = np.zeros(n, np.bool_), np.zeros(k, np.bool_)
            for t in range(steps):
                for j in range(k):
                    error = target[sample, j] - trace[j]
                    integral[j] += ki * error - leak * integral[j]
                    u[j] = kp * error + integral[j]
                for j in range(n):
                    current0[j] = i0[j] + bias
                for j in range(k):
                    current1[j] = i1[j] + bias
                _membrane(s0[chip, sample], current0, b0, d0, unseen0, basal0, weights[t])
                _membrane(s1[chip, sample], current1, b1, d1, unseen1, basal1, weights[t])
                for m in range(k):
                    for j in range(n):
                        current0[j] += u[m] * q0[chip, m, j]
                    for j in range(k):
                        current1[j] += u[m] * q1[chip, m, j]
                _membrane(v0[chip, sample], current0, a0, c0, fired0, sums0[chip, sample], weights[t])
                _membrane(v1[chip, sample], current1, a1, c1, fired1, sums1[chip, sample], weights[t])
                for j in range(n):
                    i0[j] *= synapse_decay
                for j in range(k):
                    i1[j] *= synapse_decay
                    trace[j] *= trace_decay
                for m in range(inputs):
                    if raster[sample, t, m]:
                        for j in range(n):
                            i0[j] += w0[chip, m, j]
                for m in range(n):
                    if fired0[m]:
                        for j in range(k):
                            i1[j] += w1[chip, m, j]
                for j in range(k):
                    if fired1[j]:
                        trace[j] += trace_gain


def _trace_gain(network: Network) -> float:
    return (1 - math.exp(-network.dt_ms / network.readout_tau_ms)) * network.spike_value


def loop(network: Network, hardware: Hardware, phase: Phase, start: Snapshot) -> Callable[[], Array]:
    """Prepare the arrays; the returned function presents the batch to all chips."""
    kinds = (hardware.neurons, hardware.shadows)

    def stacked(pick: Callable[[Any], Tensor]) -> Array:
        rows = [torch.cat([pick(values) for values in kind], dim=-1) for kind in kinds]
        return torch.stack(rows, dim=1).numpy()

    factors = stacked(lambda values: decay(values["tau_m_ms"], network.dt_ms))
    thetas = stacked(lambda values: values["threshold"])
    synapse_decay = math.exp(-network.dt_ms / 10)
    scale = (1 - synapse_decay) * network.spike_value
    constants = (synapse_decay, math.exp(-network.dt_ms / network.readout_tau_ms), _trace_gain(network), 0.5)
    gains = (KP, KI * network.dt_ms, LEAK * network.dt_ms)
    weights = [(w * scale).numpy() for w in hardware.weights]
    feedback = [q.numpy() for q in hardware.feedback]
    target = phase.controller.target.numpy()  # type: ignore[union-attr]
    raster = phase.drive.spikes.numpy()  # type: ignore[union-attr]

    def present() -> Array:
        states = [state["v"].numpy().copy() for state in (*start.neurons, *start.shadows)]
        sums = [np.zeros((CHIPS, BATCH, n)) for n in SIZES[1:]]
        window_ = phase.window.numpy()
        _present(
            raster, window_, target, *weights, *feedback, *states, factors, thetas, constants + gains, *sums
        )
        return sums[0]

    return present


# timing


def _seconds() -> float:
    """Return the processor time of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def timed(present: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return the median processor time of a call, and its median wall-clock time, in milliseconds."""
    processor, wall = [], []
    for _ in range(repeats):
        t, c = time.perf_counter(), _seconds()
        present()
        processor.append(_seconds() - c)
        wall.append(time.perf_counter() - t)
    return 1e3 * statistics.median(processor), 1e3 * statistics.median(wall)


def main() -> int:
    """Print both ratios; return 1 where a claim does not hold."""
    print(machine())
    torch.set_num_threads(1)
    network, hardware, phase, start = problem()
    simulator = Brian2Simulator()

    def ours() -> Recording:
        return simulator.run(network, hardware, [phase], {"p": start})["p"]

    in_brian2, in_numba = obvious(network, hardware, phase, start), loop(network, hardware, phase, start)
    counts = (ours().rates[1] * WINDOW / network.spike_value).numpy()
    for name, given in (("obvious script", in_brian2()), ("compiled loop", in_numba())):
        differing = int((np.abs(given - counts) > 1e-6).sum())
        print(f"{name}: {differing} of {counts.size} window counts differ; {counts.sum():.0f} spikes counted")
        if differing:
            return 1
    results = {
        "this simulator": timed(ours, 15),
        "obvious script": timed(in_brian2, 3),
        "compiled loop": timed(in_numba, 15),
    }
    samples = CHIPS * BATCH
    neuron_steps = samples * STEPS * sum(SIZES[1:])
    print(f"\n{'':16}{'ms processor':>14}{'ms wall':>10}{'ms/sample':>11}{'ns/neuron-step':>16}")
    for name, (processor, wall) in results.items():
        print(
            f"{name:16}{processor:14.1f}{wall:10.1f}{processor / samples:11.3f}"
            f"{1e6 * processor / neuron_steps:16.2f}"
        )
    mine = results["this simulator"][0]
    faster, slower = results["obvious script"][0] / mine, mine / results["compiled loop"][0]
    print(f"\nfaster than the obvious script: {faster:.1f} times (claimed: at least {OBVIOUS_AT_LEAST:g})")
    print(f"slower than the compiled loop:  {slower:.2f} times (claimed: at most {LOOP_WITHIN:g})")
    return int(faster < OBVIOUS_AT_LEAST or slower > LOOP_WITHIN)


if __name__ == "__main__":
    sys.exit(main())
