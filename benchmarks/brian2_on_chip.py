"""Times learning inside Brian2: an epoch in one process, the weights changing after every batch.

    python benchmarks/brian2_on_chip.py

The claim, at 64-100-10, batches of 32, 4 chips with mismatch, 150 steps of 1 ms, controller closed, basal
shadows beside the neurons: at most 0.15 ms of processor time per sample and chip, the start of the process
and all traffic with it included.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import replace

import torch
from brian2_presentation import BATCH, CHIPS, SIZES, STEPS, WINDOW, problem
from machine import machine

from rate_bridge.filters import window
from spiking.blocks.snapshots import initial_snapshot
from spiking.presentation import Phase, Plasticity, SpikeDrive
from spiking.simulators.brian2.simulator import Brian2Simulator

BATCHES, REPEATS, AT_MOST_MS = 44, 3, 0.15


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it started."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> int:
    """Print the time per sample and chip; return 0 where the claim holds."""
    print(machine())
    torch.set_num_threads(1)
    network, hardware, phase, _ = problem()
    hardware = replace(hardware, synapses=(None,) * len(hardware.weights))
    assert isinstance(phase.drive, SpikeDrive)
    assert phase.controller is not None
    spikes = phase.drive.spikes.repeat(BATCHES, 1, 1)
    controller = replace(phase.controller, target=phase.controller.target.repeat(BATCHES, 1))
    epoch = Phase(
        phase.name,
        SpikeDrive(spikes),
        window(STEPS, WINDOW),
        controller,
        shadow=True,
        plasticity=Plasticity(BATCH, None, (0.1, 0.1)),
    )
    generator = torch.Generator().manual_seed(1)
    uniform = [
        torch.rand(CHIPS, BATCH * BATCHES, n, generator=generator, dtype=torch.float64) for n in SIZES[1:]
    ]
    starts = {phase.name: initial_snapshot(network, hardware, uniform, shadow=True)}
    simulator, best = Brian2Simulator(), float("inf")
    for _ in range(1 + REPEATS):  # the first run compiles
        before = processor_seconds()
        simulator.run(network, hardware, [epoch], starts)
        best = min(best, processor_seconds() - before)
    each = 1e3 * best / (CHIPS * BATCH * BATCHES)
    print(f"{BATCHES} batches in one process: {each:.3f} ms per sample and chip (at most {AT_MOST_MS})")
    return 0 if each <= AT_MOST_MS else 1


if __name__ == "__main__":
    sys.exit(main())
