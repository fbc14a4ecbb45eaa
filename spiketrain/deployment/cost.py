r"""What a network costs on Loihi 2: spikes, synaptic operations, steps, an estimate of energy, memory.

The energy of a presentation of T steps, with :math:`s_l` spikes of layer l, is taken to be

.. math:: E = 23.6\,\mathrm{pJ} \sum_{l \to m} s_l n_m + 81\,\mathrm{pJ}\; T \sum_l n_l

Where the figures come from, and what they are worth: per-operation energies of Loihi 2 were never
published. Those here are of Loihi 1 (Davies et al. 2018, IEEE Micro 38(1), doi:10.1109/MM.2018.112130359,
Table 2), and its table is of *pre-silicon simulations* at 0.75 V, not of measurements: 23.6 pJ is the
minimum of a synaptic operation, 81 pJ an active neuron's update (an inactive one's is 52 pJ; all are
counted as active here). It also has 1.7 pJ per spike within a tile and 3 to 4 pJ per tile hop, which
depend on the placement and are left out, as are static power, the host, input and output. So this is an
order of magnitude for comparing networks, not a power measurement.

Memory: Intel's Loihi 2 technology brief (2021) gives 128 cores of 192 KB, flexibly allotted, and a
million neurons per chip, hence 8192 per core. A neuron's state takes 0 to 4096 bytes, depending on its
program; Loihi 1's fixed 24 bytes are counted. Routing tables and programs are not.

The paper's and the brief's figures are quoted from secondary sources that reproduce the two tables.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from spiking.network import Network

__all__ = ["cost"]

SYNAPTIC_OPERATION_PJ = 23.6
NEURON_UPDATE_PJ = 81.0
ENERGY_SOURCE = (
    "Davies et al. 2018, IEEE Micro 38(1), Table 2: Loihi 1, pre-silicon simulations at 0.75 V (23.6 pJ per "
    "synaptic operation, its minimum; 81 pJ per update of an active neuron); an order of magnitude: Loihi 2 "
    "differs, and routing, static power, input and output are not counted"
)

CORE_NEURONS = 8192
CORE_BYTES = 192 * 1024
CHIP_CORES = 128
NEURON_BYTES = 24
MEMORY_SOURCE = (
    "Intel, Loihi 2 technology brief (2021): 128 cores of 192 KB, a million neurons; state of a neuron as "
    "on Loihi 1, 24 bytes; routing tables and programs not counted"
)


def cost(network: Network, input_spikes: float, layer_spikes: Tensor, steps: int) -> dict[str, Any]:
    """Return the account of one presentation, as means over chips and samples.

    Args:
        network: the description.
        input_spikes: mean input spikes per sample.
        layer_spikes: mean spikes per sample of layers 1 to L.
        steps: length of a presentation.
    """
    spikes = [input_spikes, *layer_spikes.tolist()]
    operations = sum(
        spikes[c.pre] * synapses.count / network.sizes[c.pre]
        for c, synapses in zip(network.connections, network.synapses, strict=True)
    )
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
        pairs = zip(network.connections, network.synapses, strict=True)
        weights = sum(synapses.count for c, synapses in pairs if c.post == index)
        needed = weights + NEURON_BYTES * size
        cores = max(math.ceil(size / CORE_NEURONS), math.ceil(needed / CORE_BYTES))
        layers.append(
            {
                "layer": index,
                "cores": cores,
                "neurons_per_core": math.ceil(size / cores),
                "synapse_bytes_per_core": math.ceil(weights / cores),
                "neuron_bytes_per_core": math.ceil(NEURON_BYTES * size / cores),
                "share_of_core_memory": needed / cores / CORE_BYTES,
            }
        )
    used = sum(layer["cores"] for layer in layers)
    return {"layers": layers, "cores": used, "fits_one_chip": used <= CHIP_CORES, "source": MEMORY_SOURCE}
