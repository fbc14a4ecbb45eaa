"""The rate neuron: its curve, its dynamics against closed forms, and what may deviate."""

import math
from itertools import pairwise

import pytest
import torch

from mismatch.spec import deviating
from rate_bridge.errors import InputError
from rate_bridge.transfer import LIFTransfer
from spiking.hardware import Hardware
from spiking.network import chain
from spiking.neurons import Rate
from spiking.neurons.activations import ACTIVATIONS
from spiking.presentation import CurrentDrive, Phase
from spiking.simulators.base import initial_snapshot
from spiking.simulators.torch import TorchSimulator

NAMES = list(ACTIVATIONS)
NEURONS = [Rate(activation=name) for name in NAMES] + [
    Rate(activation=name, gain=1.7, offset=0.3, saturation=0.8) for name in NAMES
]


def hardware(network, weights, **changes):
    """Return one chip with nominal values but for `changes`."""
    values = []
    for layer in network.layers:
        fields = {
            p.field: changes.get(p.field, getattr(layer.neuron, p.field)) for p in layer.neuron.parameters
        }
        values.append(
            {k: torch.full((1, layer.size), float(v), dtype=torch.float64) for k, v in fields.items()}
        )
    ones = torch.ones(1, network.outputs, dtype=torch.float64)
    readout = {"gain": ones, "offset": 0 * ones, "kp": ones, "ki": ones}
    return Hardware(tuple(values), tuple(values), tuple(weights), (), readout)


def run(network, chip, x, steps, record=frozenset()):
    window = torch.zeros(steps, dtype=torch.float64)
    window[-1] = 1.0
    phase = Phase("free", CurrentDrive(x), window, record=record)
    start = initial_snapshot(
        network, chip, [torch.rand(1, len(x), n, dtype=torch.float64) for n in network.sizes[1:]], False
    )
    return TorchSimulator().run(network, chip, [phase], {"free": start})["free"]


@pytest.mark.parametrize("neuron", NEURONS)
def test_slope_is_the_derivative_and_inverse_inverts(neuron):
    transfer = neuron.transfer(100.0, 1.0)
    current = torch.linspace(-2, 2, 401, dtype=torch.float64) + 0.0037
    current.requires_grad_()
    rate = transfer.rate(current)
    (derivative,) = torch.autograd.grad(rate.sum(), current)
    torch.testing.assert_close(transfer.slope(current.detach()), derivative)
    again = transfer.rate(transfer.inverse(rate.detach()))
    torch.testing.assert_close(again, rate.detach(), atol=1e-8, rtol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_plain_functions_are_the_usual_ones(name):
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    usual = {
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "relu": torch.relu,
        "softplus": torch.nn.functional.softplus,
        "linear": lambda value: value,
        "lif": LIFTransfer(1.0, 0.0, tau_m_ms=20.0, refractory_ms=0.0, max_rate_hz=50.0).rate,
    }[name]
    torch.testing.assert_close(Rate(activation=name).transfer(100.0, 1.0).rate(x), usual(x))


@pytest.mark.parametrize("name", NAMES)
def test_saturation_bounds_the_rate_and_leaves_the_slope_at_the_origin(name):
    bounded = Rate(activation=name, saturation=2.5, gain=2.0).transfer(100.0, 1.0)
    plain = Rate(activation=name, gain=2.0).transfer(100.0, 1.0)
    assert bounded.rate(torch.tensor([1e3], dtype=torch.float64)).item() == pytest.approx(5.0)
    origin = torch.tensor([1e-12], dtype=torch.float64)
    torch.testing.assert_close(bounded.slope(origin), plain.slope(origin))


def test_a_silent_relu_has_no_slope():
    transfer = Rate(activation="relu").transfer(100.0, 1.0)
    silent = transfer.inverse(torch.zeros(3, dtype=torch.float64))
    assert transfer.slope(silent).tolist() == [0.0] * 3


@pytest.mark.parametrize("neuron", NEURONS)
def test_one_layer_charges_exponentially(neuron):
    network = chain([2, 3], neuron)
    weight = torch.randn(1, 2, 3, dtype=torch.float64)
    x = torch.randn(4, 2, dtype=torch.float64)
    recording = run(network, hardware(network, [weight]), x, 37, frozenset({"voltage"}))
    expected = (x @ weight[0]) * (1 - math.exp(-37 / neuron.tau_ms))
    torch.testing.assert_close(recording.traces["voltage"][0][0, :, -1], expected)
    torch.testing.assert_close(recording.rates[1][0], neuron.transfer(100.0, 1.0).rate(expected))
    torch.testing.assert_close(recording.readout, recording.rates[1])


@pytest.mark.parametrize("neuron", NEURONS)
def test_a_deep_network_settles_at_its_feedforward_rates(neuron):
    network = chain([3, 5, 4, 2], neuron)
    sizes = network.sizes
    weights = [torch.randn(1, a, b, dtype=torch.float64) for a, b in pairwise(sizes)]
    x = torch.randn(6, 3, dtype=torch.float64)
    recording = run(network, hardware(network, weights), x, 900)
    rate = x
    for layer, weight in enumerate(weights):
        rate = neuron.transfer(100.0, 1.0).rate(rate @ weight[0])
        torch.testing.assert_close(recording.rates[layer + 1][0], rate)


def test_what_may_deviate():
    named = set(deviating(chain([2, 2], Rate(activation="tanh"))))
    assert {"tau", "gain", "offset", "saturation", "bias", "weight"} <= named
    assert "saturation" not in deviating(chain([2, 2], Rate(activation="relu")))
    assert "saturation" in deviating(chain([2, 2], Rate(activation="relu", saturation=1.0)))


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"activation": "tan"}, "neuron.activation"),
        ({"tau_ms": 0.0}, "neuron.tau_ms"),
        ({"gain": -1.0}, "neuron.gain"),
        ({"saturation": 0.0}, "neuron.saturation"),
        ({"offset": math.nan}, "neuron.offset"),
    ],
)
def test_senseless_values_are_refused(options, key):
    with pytest.raises(InputError, match=key):
        Rate(**options)
