"""Rates of input spikes, counted in bytes, against the weighted sum in floating point."""

import pytest
import torch

from rate_bridge.filters import window
from spiking.blocks.recordings import input_rates
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import SpikeDrive

SILENT = 5


@pytest.mark.parametrize("inputs", [1, 8, 20, 64])
@pytest.mark.parametrize("counted", [3, 255, 256, 600])
@pytest.mark.parametrize("shape", ["rectangular", "hann"])
def test_rates_are_weighted_means(inputs: int, counted: int, shape: str) -> None:
    spikes = torch.rand(3, SILENT + counted, inputs, generator=torch.Generator().manual_seed(1)) < 0.9
    weights = window(SILENT + counted, counted, shape)
    rates = input_rates(chain([inputs, 2], LIF()), SpikeDrive(spikes), weights)
    expected = torch.einsum("t,bti->bi", weights, spikes.double()) * 10 / weights.sum()
    torch.testing.assert_close(rates, expected, rtol=1e-12, atol=0)


def test_spikes_that_lie_oddly_in_memory_are_counted_too() -> None:
    network, spikes = chain([8, 2], LIF()), torch.rand(4, 30, 9) < 0.5
    part = spikes[..., 1:]
    weights = window(30, 10)
    expected = input_rates(network, SpikeDrive(part.contiguous()), weights)
    assert torch.equal(input_rates(network, SpikeDrive(part), weights), expected)
