"""Plasticity inside the machine, against the host's steps and against sums over recorded traces."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from learning.rule import Outer
from mismatch.distributions import Normal
from mismatch.draw import Draw
from mismatch.spec import MismatchSpec
from rate_bridge.filters import window
from root.seeds import SeedTree
from spiking.blocks.snapshots import cut, initial_snapshot
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Controller, CurrentDrive, Phase, Plasticity, SpikeDrive, Weights
from spiking.simulators.brian2.simulator import Brian2Simulator
from spiking.simulators.torch import TorchSimulator

SIZES, CHIPS, BATCH, STEPS, WINDOW = (5, 8, 3), 2, 6, 60, 40
NETWORK = chain(SIZES, LIF(bias=1.1), readout_tau_ms=20.0)
DEVIATIONS = {name: Normal(cv=0.2) for name in ("threshold", "tau_m", "weight", "feedback")}
DRIVES = ("currents", "spikes")


def generator(name):
    return SeedTree(5).child(name).generator()


def weights_and_draw():
    def drawn(name, shape):
        return torch.from_numpy(generator(name).standard_normal((CHIPS, *shape)))

    forward = tuple(2.0 * drawn(f"w{i}", SIZES[i : i + 2]) for i in range(2))
    bias = tuple(1.1 + 0.2 * drawn(f"b{i}", (n,)) for i, n in enumerate(SIZES[1:]))
    eye = torch.eye(3, dtype=torch.float64).expand(CHIPS, -1, -1)
    feedback = (0.3 * drawn("q", (3, 8)), eye)
    return Weights(forward, bias, feedback), Draw(NETWORK, MismatchSpec(CHIPS, 1, DEVIATIONS))


def phase_and_start(hardware, drive, **options):
    random = generator(drive).random((BATCH, STEPS, 5))
    shown = CurrentDrive(torch.from_numpy(random[:, 0])) if drive == "currents" else None
    shown = shown or SpikeDrive(torch.from_numpy(random < 0.1))
    target = torch.from_numpy(generator("target").random((BATCH, 3)))
    controller = Controller(target, 1.0, 0.02)
    phase = Phase("controlled", shown, window(STEPS, WINDOW, "rectangular"), controller, **options)
    uniform = [torch.from_numpy(generator(f"v{n}").random((CHIPS, BATCH, n))) for n in SIZES[1:]]
    return phase, initial_snapshot(NETWORK, hardware, uniform, phase.shadow)


def part_of(phase, part):
    drive = phase.drive
    values = drive.spikes[part] if isinstance(drive, SpikeDrive) else drive.values[part]
    controller = replace(phase.controller, target=phase.controller.target[part])
    return replace(phase, drive=type(drive)(values), controller=controller)


def present(simulator, hardware, phase, start):
    return simulator.run(NETWORK, hardware, [phase], {"controlled": start})["controlled"]


SIMULATORS = {
    "torch": TorchSimulator,
    "brian2": Brian2Simulator,
    "runtime": partial(Brian2Simulator, mode="runtime"),
}


@pytest.mark.parametrize("drive", DRIVES)
@pytest.mark.parametrize("name", SIMULATORS)
def test_an_epoch_on_the_chip_is_the_host_s_updates_one_after_the_other(name, drive):
    written, draw = weights_and_draw()
    steps, size = (0.9, 0.3), 2
    hardware = draw.hardware(written)
    phase, start = phase_and_start(hardware, drive, shadow=True)
    plastic = replace(phase, plasticity=Plasticity(size, None, steps))
    on_chip = present(SIMULATORS[name](), hardware, plastic, start)
    forward, bias, rates = list(written.forward), list(written.bias), []
    for first in range(0, BATCH, size):
        part = slice(first, first + size)
        hardware = draw.hardware(Weights(tuple(forward), tuple(bias), written.feedback))
        seen = present(TorchSimulator(), hardware, part_of(phase, part), cut(start, part))
        rates.append(seen.rates[-1])
        for index, step in enumerate(steps):
            change = Outer(seen.rates[index], seen.rates[index + 1] - seen.basal[index])
            forward[index] = forward[index] + step * change.weight()
            bias[index] = bias[index] + step * change.bias()
    for index, change in enumerate(on_chip.changes):
        assert torch.allclose(written.forward[index] + change.weight, forward[index], rtol=0, atol=1e-12)
        assert torch.allclose(written.bias[index] + change.bias, bias[index], rtol=0, atol=1e-12)
        assert bool((change.weight != 0).any())
    assert torch.equal(on_chip.rates[-1], torch.cat(rates, dim=1))  # spike for spike


@pytest.mark.parametrize("drive", DRIVES)
def test_synapses_sum_feedback_current_times_trace(drive):
    written, draw = weights_and_draw()
    hardware = draw.hardware(written)
    plasticity = Plasticity(trace_ms=10.0)
    options = {"plasticity": plasticity, "record": frozenset({"spikes", "control"})}
    phase, start = phase_and_start(hardware, drive, **options)
    seen = present(TorchSimulator(), hardware, phase, start)
    spikes, (control,) = seen.traces["spikes"], seen.traces["control"]
    value, keep = NETWORK.spike_value, math.exp(-1.0 / 10.0)
    if drive == "spikes":
        inputs = phase.drive.spikes.double() * value
    else:
        inputs = phase.drive.values.unsqueeze(1).expand(-1, STEPS, -1)
    before = [inputs.unsqueeze(0).expand(CHIPS, -1, -1, -1), spikes[0] * value]
    for index, (pre, q) in enumerate(zip(before, hardware.feedback, strict=True)):
        total = torch.zeros_like(seen.changes[index].weight)
        for t in range(STEPS - WINDOW, STEPS):
            ages = torch.arange(t - 1, -1, -1, dtype=torch.float64)
            trace = torch.einsum("t,cbti->cbi", (1 - keep) * keep**ages, pre[:, :, :t])
            current = torch.einsum("cbk,ckj->cbj", control[:, :, t], q)
            if index == 0:
                current = current * (spikes[0][:, :, :t].sum(2) > 0)
            total += torch.einsum("cbi,cbj->cij", trace, current) / (WINDOW * BATCH)
        assert torch.allclose(seen.changes[index].weight, total, atol=1e-12)


@pytest.mark.parametrize("drive", DRIVES)
def test_small_steps_change_the_weights_by_the_sum_and_large_ones_relieve_the_controller(drive):
    written, draw = weights_and_draw()
    hardware = draw.hardware(written)
    phase, start = phase_and_start(hardware, drive)

    def learnt(*steps):
        plastic = replace(phase, plasticity=Plasticity(0, 10.0, steps))
        return present(TorchSimulator(), hardware, plastic, start)

    summed, small, large = learnt(), learnt(1e-7, 1e-7), learnt(3.0, 3.0)
    for still, changed in zip(summed.changes, small.changes, strict=True):
        assert torch.allclose(changed.weight / 1e-7, still.weight, rtol=1e-3, atol=1e-6)
        assert torch.allclose(changed.bias / 1e-7, still.bias, rtol=1e-3, atol=1e-6)
    assert float(large.control.square().sum()) < float(summed.control.square().sum())
