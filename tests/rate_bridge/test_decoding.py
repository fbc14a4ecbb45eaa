import numpy as np
import pytest
import torch

from rate_bridge.decoding import spike_trace, window_rate
from rate_bridge.encodings import PhaseEncoding
from rate_bridge.filters import window


def spikes_of(rate, steps=2000):
    return PhaseEncoding().encode(
        torch.full((3, 4), rate, dtype=torch.float64), steps, 1.0, 100.0, np.random.default_rng(0)
    )


@pytest.mark.parametrize("shape", ["rectangular", "hann"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_window_rate_measures_the_rate(rate, shape):
    measured = window_rate(spikes_of(rate), window(2000, 1500, shape), 1.0, 100.0)
    assert measured.shape == (3, 4)
    assert (measured - rate).abs().max() < (1 / 150 if shape == "rectangular" else 1e-3) + 1e-12


def test_rectangular_window_counts_spikes():
    spikes = torch.rand(2, 3, 60, 5) < 0.2
    counts = spikes[..., 20:, :].sum(-2)
    rate = window_rate(spikes, window(60, 40), 0.5, 80.0)
    torch.testing.assert_close(rate, counts / (40 * 0.0005 * 80.0), check_dtype=False)


def test_trace_is_the_convolution_with_an_exponential():
    spikes = torch.rand(2, 50, 3) < 0.3
    trace = spike_trace(spikes, 12.0, 0.5, 100.0)
    kernel = (1 - np.exp(-0.5 / 12)) * 20.0 * np.exp(-np.arange(50) * 0.5 / 12)
    expected = np.convolve(spikes[1, :, 2].numpy().astype(float), kernel)[:50]
    np.testing.assert_allclose(trace[1, :, 2].numpy(), expected, rtol=1e-12, atol=1e-15)


def test_trace_settles_at_the_rate_and_goes_on_from_its_start():
    spikes = spikes_of(0.5)
    trace = spike_trace(spikes, 40.0, 1.0, 100.0)
    assert (trace[:, 1000:].mean(1) - 0.5).abs().max() < 0.01
    rest = spike_trace(spikes[:, 700:], 40.0, 1.0, 100.0, start=trace[:, 699])
    assert torch.equal(rest, trace[:, 700:])


def test_no_filter_without_a_time_constant():
    spikes = torch.rand(1, 20, 2) < 0.5
    assert torch.equal(spike_trace(spikes, 0.0, 1.0, 100.0), spikes.double() * 10.0)
