"""What is printed from the text of LIF and Rate is, bit for bit, what was written by hand."""

import math

import pytest
import torch
from by_hand import lif_constants, lif_start, lif_step, rate_constants, rate_step

from spiking.neurons import LIF, Rate
from spiking.neurons.activations import ACTIVATIONS

CHIPS, BATCH, N = 2, 3, 40


def drawn(neuron, seed=0, spread=0.2):
    g = torch.Generator().manual_seed(seed)
    values = {}
    for p in neuron.parameters:
        noise = spread * torch.randn(CHIPS, N, generator=g, dtype=torch.float64)
        value = neuron.nominal[p.field]
        values[p.field] = value + noise if p.additive else value * (1 + noise).clamp(0.3, 3)
    return values, torch.rand(CHIPS, BATCH, N, generator=g, dtype=torch.float64), g


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name
        assert ours[name].dtype == value.dtype


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("dt_ms", [1.0, 0.25])
@pytest.mark.parametrize("neuron", [LIF(), LIF(refractory_ms=2.0, reset=-0.1), LIF(tau_syn_ms=0.0)])
def test_lif(neuron, dt_ms, dtype):
    values, uniform, g = drawn(neuron)
    constants, expected = neuron.constants(values, dt_ms), lif_constants(values, dt_ms)
    same(constants, expected)
    state, other = neuron.initial_state(values, uniform), lif_start(values, uniform)
    same(state, other)
    constants = {name: value.to(dtype) for name, value in constants.items()}
    state, other = ({name: value.to(dtype) for name, value in s.items()} for s in (state, other))
    spikes = 0.0
    for _ in range(500):
        current = (3 * torch.rand(CHIPS, BATCH, N, generator=g, dtype=torch.float64)).to(dtype)
        kept = current.clone()
        emitted = neuron.step(state, current, constants)
        assert torch.equal(emitted, lif_step(other, current, constants))
        same(state, other)
        assert torch.equal(current, kept)
        spikes += float(emitted.sum())
    assert spikes > 1000


@pytest.mark.parametrize("shape", [1.0, 0.7])
@pytest.mark.parametrize("saturation", [None, 0.8])
@pytest.mark.parametrize("deviating", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_rate(name, deviating, saturation, shape):
    neuron = Rate(activation=name, gain=1.3 if deviating else 1.0, saturation=saturation, shape=shape)
    values, uniform, g = drawn(neuron, spread=0.2 if deviating else 0.0)
    for dt_ms in (1.0, math.inf):
        constants = neuron.constants(values, dt_ms)
        same(constants, rate_constants(neuron, values, dt_ms))
        state = neuron.initial_state(values, uniform)
        other = {"v": torch.zeros_like(uniform)}
        same(state, other)
        for _ in range(50):
            current = 3 * torch.randn(CHIPS, BATCH, N, generator=g, dtype=torch.float64)
            assert torch.equal(
                neuron.step(state, current, constants), rate_step(neuron, other, current, constants)
            )
            same(state, other)
