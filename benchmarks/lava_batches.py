"""Lava: samples in blocks against one at a time, and the emulator of its integers, in one run.

784-100-10, closed loop, 1000 samples of 100 steps. One at a time is timed on a few samples, after Lava has
compiled the network, and scaled up. The spikes are the same in every way of running.

    python benchmarks/lava_batches.py [--samples 1000] [--singles 10] [--block 250]
"""

from __future__ import annotations

import argparse
import time

import torch
from machine import machine

from rate_bridge.filters import window
from spiking.blocks.snapshots import cut, initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons import LIF
from spiking.presentation import Controller, Phase, SpikeDrive
from spiking.simulators.base import Simulator
from spiking.simulators.fixed_point.simulator import LoihiSimulator
from spiking.simulators.lava.simulator import LavaSimulator

STEPS = 100


def hardware_of(network: Network) -> Hardware:
    """Return one chip with 20 % mismatch."""
    g = torch.Generator().manual_seed(1)

    def near(value: float, *shape: int) -> torch.Tensor:
        return value * (1 + 0.2 * torch.randn(*shape, generator=g).double()).clamp(0.4, 1.6)

    values = tuple(
        {p.field: near(layer.neuron.nominal[p.field], 1, layer.size) for p in layer.neuron.parameters}
        for layer in network.layers
    )
    sizes, one = network.sizes, torch.ones(1, network.outputs).double()
    weights = [
        torch.randn(1, sizes[c.pre], sizes[c.post], generator=g).double() / sizes[c.pre] ** 0.5
        for c in network.connections
    ]
    feedback = [0.1 * torch.randn(1, sizes[-1], n, generator=g).double() for n in sizes[1:]]
    readout = {"gain": one, "offset": 0 * one, "kp": one, "ki": one}
    return Hardware(values, values, tuple(weights), tuple(feedback), readout)


class Bench:
    """The samples, and the ways of running them."""

    def __init__(self, samples: int) -> None:
        self.network = chain([784, 100, 10], LIF(bias=1.0))
        self.hardware = hardware_of(self.network)
        g = torch.Generator().manual_seed(2)
        self.spikes = torch.rand(samples, STEPS, 784, generator=g) < 0.05
        self.target = torch.rand(samples, 10, generator=g).double()
        uniform = [torch.rand(1, samples, n, generator=g).double() for n in (100, 10)]
        self.start = initial_snapshot(self.network, self.hardware, uniform, shadow=False)

    def run(self, simulator: Simulator, part: slice) -> torch.Tensor:
        """Return the spike counts of `part`."""
        controller = Controller(self.target[part], kp=0.5, ki_per_ms=0.01)
        phase = Phase("p", SpikeDrive(self.spikes[part]), window(STEPS, STEPS), controller=controller)
        found = simulator.run(self.network, self.hardware, [phase], {"p": cut(self.start, part)})
        return torch.cat(found["p"].rates[1:], dim=-1)

    def timed(self, simulator: Simulator, block: int, samples: int) -> tuple[float, torch.Tensor]:
        """Return seconds and rates of the first `samples`, in blocks, the network compiled before."""
        self.run(simulator, slice(0, block))
        begin = time.perf_counter()
        parts = [self.run(simulator, slice(i, i + block)) for i in range(0, samples, block)]
        return time.perf_counter() - begin, torch.cat(parts, dim=1)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--singles", type=int, default=10)
    parser.add_argument("--block", type=int, default=250)
    options = parser.parse_args()
    print(machine())
    bench = Bench(options.samples)
    for arithmetic in ("float", "fixed"):
        lava = LavaSimulator(arithmetic=arithmetic)
        blocks, rates = bench.timed(lava, options.block, options.samples)
        single, alone = bench.timed(lava, 1, options.singles)
        lava.close()
        single *= options.samples / options.singles
        same = torch.equal(alone, rates[:, : options.singles])
        print(f"Lava {arithmetic}: blocks of {options.block} {blocks:6.2f} s; one at a time {single:7.1f} s")
        print(f"  {100 * blocks / single:.1f} % of the time, the same spikes: {same}")
        if arithmetic == "fixed":
            emulator = LoihiSimulator()
            seconds, emulated = bench.timed(emulator, options.block, options.samples)
            each, _ = bench.timed(emulator, 1, options.singles)
            each *= options.samples / options.singles
            print(f"emulator: blocks of {options.block} {seconds:6.2f} s; one at a time {each:7.1f} s")
            print(f"  {single / seconds:.0f} x faster in blocks than Lava one sample at a time, as usual")
            print(f"  {blocks / seconds:.0f} x faster in blocks than Lava in blocks")
            print(f"  {single / each:.0f} x faster one at a time than Lava one at a time")
            print(f"  the same spikes: {torch.equal(emulated, rates)}")


if __name__ == "__main__":
    main()
