"""Small problems for Lava's processes, as arrays and as phases."""

import torch

from rate_bridge.filters import window
from spiking.blocks.block import Block, stack
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons import LIF
from spiking.presentation import Controller, Phase, Snapshot, SpikeDrive


def uniform(g, low, high, *shape):
    """Whole numbers from low to high, both included, as float64."""
    return torch.randint(low, high + 1, shape, generator=g).double()


def random_program(seed, network, chips, batch, steps):
    """Registers drawn over their whole legal ranges, such that wraps and saturations occur.

    On even chips all synapses exist and share a small exponent, on odd ones every neuron has one strong
    synapse; both reach, and never exceed, what the accumulator holds.
    """
    g = torch.Generator().manual_seed(seed)
    arrays = {"window": torch.rand(batch, steps, generator=g).double()}
    arrays["drive"] = (torch.rand(batch, steps, network.inputs, generator=g) < 0.4).double()
    for index, size in enumerate(network.sizes[1:]):
        for name in (f"layer.{index}", f"shadow.{index}"):
            shape = (chips, 1, size)
            arrays[f"{name}.constant.dv"] = uniform(g, 0, 4095, *shape)
            # small ones too, so that everybody spikes
            arrays[f"{name}.constant.vth"] = uniform(g, 0, 131071, *shape) // 2 ** uniform(g, 0, 12, *shape)
            held = uniform(g, 0, 63, *shape) * (torch.rand(*shape, generator=g) < 0.2)
            arrays[f"{name}.constant.refractory_steps"] = held
            arrays[f"{name}.state.v"] = uniform(g, -(2**23) + 1, 2**23 - 1, chips, batch, size)
            arrays[f"{name}.state.refractory"] = uniform(g, 0, 3, chips, batch, size)
        # slow ones too, so that currents add up until they wrap
        du = uniform(g, 0, 4095, chips, 1, size) // 2 ** uniform(g, 0, 12, chips, 1, size)
        arrays[f"layer.{index}.constant.synapse_decay"] = du + 1
        arrays[f"layer.{index}.state.synapse"] = uniform(g, -(2**23) + 1, 2**23, chips, batch, size)
        mantissa, exponent = uniform(g, -4096, 4095, chips, 1, size), uniform(g, 0, 7, chips, 1, size)
        arrays[f"layer.{index}.bias"] = mantissa * 2.0**exponent
        arrays[f"shadow.{index}.extra_bias"] = uniform(g, -(2**19), 2**19, chips, 1, size)
        arrays[f"shadow.{index}.ratio"] = uniform(g, 0, 8192, chips, 1, size)
    for index, connection in enumerate(network.connections):
        pre, post = network.sizes[connection.pre], network.sizes[connection.post]
        weight = 2 * uniform(g, -128, 127, chips, pre, post)
        exponent = torch.full((chips,), 1.0 - index).double()
        for chip in range(1, chips, 2):
            only = uniform(g, 0, pre - 1, post).long()
            mask = torch.zeros(pre, post).double()
            mask[only, torch.arange(post)] = 1
            weight[chip] *= mask * (weight[chip] > -256)
            exponent[chip] = 7 - index
        arrays[f"weight.{index}"], arrays[f"weight.{index}.exponent"] = weight, exponent
        if connection.delay_steps > 1:
            first = 1 if connection.pre == 0 else chips
            shape = (first, batch, connection.delay_steps - 1, pre)
            arrays[f"history.{index}"] = uniform(g, 0, 1, *shape)
    return arrays | random_controller(g, network, chips, batch)


def random_rate_program(seed, network, chips, batch, steps):
    """The same for rate neurons: tables of any values, sums that wrap, potentials that saturate."""
    g = torch.Generator().manual_seed(seed)
    arrays = random_program(seed, network, chips, batch, steps)
    arrays = {n: a for n, a in arrays.items() if not n.endswith((".vth", "refractory", "refractory_steps"))}
    arrays["drive"] = uniform(g, -(2**23) + 1, 2**23 - 1, batch, steps, network.inputs)
    for index, size in enumerate(network.sizes[1:]):
        for name in (f"layer.{index}", f"shadow.{index}"):
            table = uniform(g, -(2**16), 2**16, chips, size, 33).cumsum(2).clamp(1 - 2**23, 2**23 - 1)
            table[..., 0], table[..., -1] = table[..., 1], table[..., -2]
            arrays[f"{name}.constant.table"] = table
            arrays[f"{name}.constant.table_bits"] = uniform(g, 12, 18, chips, 1, 1)
        arrays[f"layer.{index}.constant.synapse_decay"] = torch.zeros(1, 1, 1).double()
        arrays[f"layer.{index}.exponent"] = uniform(g, -12, -4, chips)
        start = (chips, batch, size)
        arrays[f"layer.{index}.state.synapse"] = uniform(g, -(2**30), 2**30, *start)
    for index in range(len(network.connections)):
        arrays[f"weight.{index}.exponent"] = torch.zeros(chips).double()
        if f"history.{index}" in arrays:
            history = arrays[f"history.{index}"]
            arrays[f"history.{index}"] = uniform(g, -4096, 4096, *history.shape)
    for layer, size in enumerate(network.sizes):
        arrays[f"sent.{layer}"] = uniform(g, -(2**20), 2**20, chips if layer else 1, batch, size)
        arrays[f"message_threshold.{layer}"] = uniform(g, 2**10, 2**14)[()]
    arrays["heard"] = arrays[f"sent.{network.depth}"].clone()
    arrays["controller.trace_gain"] = torch.tensor(16.0).double()
    arrays["controller.trace_decay"] = torch.tensor(4096.0).double()
    return arrays


def random_controller(g, network, chips, batch):
    outputs = network.outputs
    arrays = {
        "trace": uniform(g, -(2**23) + 1, 2**23 - 1, chips, batch, outputs),
        "integral": uniform(g, -(2**31) + 1, 2**31 - 1, chips, batch, outputs),
        "controller.trace_decay": uniform(g, 50, 200)[()],
        "controller.trace_gain": uniform(g, 0, 2**16)[()],
        "controller.target": uniform(g, 0, 2**17, 1, batch, outputs),
        "controller.kp": uniform(g, 0, 2**13, chips, batch, outputs),
        "controller.ki": uniform(g, 0, 2**15, chips, batch, outputs),
        "controller.leak": uniform(g, 0, 2**14, 1, batch, 1),
        "controller.on": uniform(g, 0, 1, 1, batch, 1),
        "controller.gain": uniform(g, 3000, 5000, chips, 1, outputs),
        "controller.offset": uniform(g, -(2**12), 2**12, chips, 1, outputs),
    }
    for index, size in enumerate(network.sizes[1:]):
        arrays[f"feedback.{index}"] = 2 * uniform(g, -128, 127, chips, outputs, size)
        arrays[f"feedback.{index}.exponent"] = uniform(g, -8, 2, chips)
    return arrays


def header(network, chips, batch, steps, *, arithmetic="fixed_pt", record=("spikes", "voltage", "current")):
    """What the runtime is told of a network with shadows and a closed loop."""
    return {
        "arithmetic": arithmetic,
        "sizes": list(network.sizes),
        "chips": chips,
        "batch": batch,
        "steps": steps,
        "drive": "spikes",
        "connections": [[c.pre, c.post, c.delay_steps] for c in network.connections],
        "layers": [{"model": layer.neuron.model} for layer in network.layers],
        "shadow": True,
        "closed": True,
        "record": list(record),
    }


def small(steps: int = 100) -> tuple[Network, Hardware, Block]:
    """A closed loop of 4-3-2 neurons and a block of `steps` steps."""
    network = chain([4, 3, 2], LIF(bias=1.5))
    g = torch.Generator().manual_seed(0)

    def values(size: int):
        neuron = network.layers[0].neuron
        return {
            p.field: torch.full((1, size), float(getattr(neuron, p.field))).double()
            for p in neuron.parameters
        }

    one = torch.ones(1, 2).double()
    hardware = Hardware(
        neurons=(values(3), values(2)),
        shadows=(values(3), values(2)),
        weights=(torch.rand(1, 4, 3, generator=g).double(), torch.rand(1, 3, 2, generator=g).double()),
        feedback=(torch.rand(1, 2, 3, generator=g).double(), torch.eye(2).double()[None]),
        readout={"gain": one, "offset": 0 * one, "kp": one, "ki": one},
    )
    start: Snapshot = initial_snapshot(
        network, hardware, [torch.rand(1, 2, n, generator=g).double() for n in (3, 2)], shadow=False
    )
    loop = Controller(torch.rand(2, 2, generator=g).double(), kp=0.5, ki_per_ms=0.01)
    drive = SpikeDrive(torch.rand(2, steps, 4, generator=g) < 0.2)
    block = stack(network, hardware, [Phase("p", drive, window(steps, steps), controller=loop)], [start], {})
    return network, hardware, block
