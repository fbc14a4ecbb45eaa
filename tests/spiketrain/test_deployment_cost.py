"""What a deployment is said to cost, against numbers worked out by hand."""

import pytest
import torch

from spiketrain.deployment.cost import cost
from spiking.network import chain
from spiking.neurons import LIF


def test_the_account_of_a_small_network():
    account = cost(chain([4, 10, 2], LIF(), delay_steps=[1, 3]), 5.0, torch.tensor([7.0, 1.0]), 100)
    assert account["synaptic_operations_per_sample"] == 5 * 10 + 7 * 2
    assert account["neuron_updates_per_sample"] == 100 * 12
    assert account["latency_steps"] == 4
    wanted = (64 * 23.6 + 1200 * 81.0) * 1e-6
    assert account["energy_uj_per_sample_estimate"] == pytest.approx(wanted)
    assert "pre-silicon" in account["energy_source"]
    assert account["memory"]["cores"] == 2


@pytest.mark.parametrize(
    ("sizes", "cores", "fits"),
    [
        ([784, 250, 10], (2, 1), True),  # 196 000 + 6000 bytes are more than 196 608
        ([784, 240, 10], (1, 1), True),
        ([1, 8000, 10], (2, 1), True),
        ([20000, 2000, 10], (204, 1), False),
    ],
)
def test_layers_are_spread_over_cores_of_192_kb(sizes, cores, fits):
    network = chain(sizes, LIF())
    memory = cost(network, 0.0, torch.zeros(2), 10)["memory"]
    assert tuple(layer["cores"] for layer in memory["layers"]) == cores
    assert memory["fits_one_chip"] == fits
    assert all(layer["share_of_core_memory"] <= 1 for layer in memory["layers"])
