"""What a network costs on Loihi 2: spikes, synaptic operations, steps, an estimate of energy, memory."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from spiking.network import Network

__all__ = ["cost"]

SYNAPTIC_OPERATION_PJ = 23.6
NEURON_UPDATE_PJ = 81.0
ENERGY_SOURCE = (
    "Davies et al. 2018, IEEE Micro 38(1), Table 2 (Loihi 1, measured at 0.75 V: 23.6 pJ per synaptic "
    "operation, 81 pJ per neuron update); Loihi 2 differs, and static power, input and output are not counted"
)

CORE_NEURONS = 8192
CORE_BYTES = 192 * 1024
CHIP_CORES = 128
MEMORY_SOURCE = "Intel, Loihi 2 technology brief (2021): 128 cores, each up to 8192 neurons and 192 KB"


def cost(network: Network, input_spikes: float, layer_spikes: Tensor, steps: int) -> dict[str, Any]:
    """Return the account of one presentation, as means over chips and samples.

    Args:
        network: the description.
        input_spikes: mean input spikes per sample.
        layer_spikes: mean spikes per sample of layers 1 to L.
        steps: length of a presentation.
    """
    spikes = [input_spikes, *layer_spikes.tolist()]
    operations = sum(spikes[c.pre] * network.sizes[c.post] for c in network.connections)
    updates = steps * sum(network.sizes[1:])
    energy = (operations * SYNAPTIC_OPERATION_PJ + updates * NEURON_UPDATE_PJ) * 1e-6
    return {
        "spikes_per_sample": {f"layer {index}": value for index, value in enumerate(spikes)},
        "synaptic_operations_per_sample": operations,
        "neuron_updates_per_sample": updates,
        "steps_per_sample": steps,
        "latency_steps": sum(c.delay_steps for c in network.connections[: network.depth]),
        "energy_uj_per_sample_estimate": energy,
        "energy_source": ENERGY_SOURCE,
        "memory": _memory(network),
    }


def _memory(network: Network) -> dict[str, Any]:
    """Spread every layer over as many cores as its neurons and its incoming weights of 8 bits need."""
    layers = []
    for index, size in enumerate(network.sizes[1:], start=1):
        weights = sum(network.sizes[c.pre] * size for c in network.connections if c.post == index)
        cores = max(math.ceil(size / CORE_NEURONS), math.ceil(weights / CORE_BYTES))
        layers.append(
            {
                "layer": index,
                "cores": cores,
                "neurons_per_core": math.ceil(size / cores),
                "synapse_bytes_per_core": math.ceil(weights / cores),
                "share_of_core_memory": weights / cores / CORE_BYTES,
            }
        )
    used = sum(layer["cores"] for layer in layers)
    return {"layers": layers, "cores": used, "fits_one_chip": used <= CHIP_CORES, "source": MEMORY_SOURCE}
