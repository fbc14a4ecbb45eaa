"""The rate neuron: its curve, its dynamics against closed forms, and what may deviate."""

import math
from itertools import pairwise

import pytest
import torch

from mismatch.spec import deviating
from rate_bridge.transfer import LIFTransfer
from root.errors import InputError
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import chain
from spiking.neurons import Rate
from spiking.neurons.activations import ACTIVATIONS
from spiking.neurons.bend import bend
from spiking.presentation import CurrentDrive, Phase
from spiking.simulators.torch import TorchSimulator

NAMES = list(ACTIVATIONS)
NEURONS = [Rate(activation=name) for name in NAMES] + [
    Rate(activation=name, gain=1.7, offset=0.3, saturation=0.8) for name in NAMES
]
BENT = [
    Rate(activation=name, gain=1.7, offset=0.3, saturation=saturation, shape=shape)
    for name in NAMES
    for saturation in (None, 0.8)
    for shape in (0.6, 1.5)
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


@pytest.mark.parametrize("neuron", NEURONS + BENT)
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


@pytest.mark.parametrize("shape", [0.6, 1.5])
@pytest.mark.parametrize("name", NAMES)
def test_a_shape_leaves_the_origin_its_slope_and_the_range(name, shape):
    phi = ACTIVATIONS[name]
    bent, plain = (Rate(activation=name, shape=k, gain=2.0).transfer(100.0, 1.0) for k in (shape, 1.0))
    near = phi.centre + torch.tensor([-1e-9, 1e-9], dtype=torch.float64)
    torch.testing.assert_close(bent.rate(near), plain.rate(near))
    torch.testing.assert_close(bent.slope(near), plain.slope(near))
    far = torch.tensor([-1e9, 1e9], dtype=torch.float64)
    if phi.stretched:
        torch.testing.assert_close(bent.rate(far), plain.rate(far))
    else:
        floor = plain.rate(far)[0]
        assert bent.rate(far)[0] == floor == 0 or bent.rate(far)[0] < -1e3
        assert bent.rate(far)[1] > 1e3
    away = phi.centre + torch.tensor([2.0], dtype=torch.float64)
    assert (bent.rate(away) > plain.rate(away)).item() is (shape > 1)


def test_the_shape_of_tanh_in_numbers():
    transfer = Rate(saturation=2.0, shape=2.0).transfer(100.0, 1.0)
    rate = transfer.rate(torch.tensor([-1.0, 3.0], dtype=torch.float64))
    expected = [-2 * math.tanh((1.5**2 - 1) / 2), 2 * math.tanh((2.5**2 - 1) / 2)]
    assert rate.tolist() == pytest.approx(expected)


def test_shapes_of_1_leave_every_bit_and_the_loop_as_they_were():
    neuron = Rate(gain=1.7, offset=0.3, saturation=0.8)
    values = {p.field: torch.full((2, 3), float(getattr(neuron, p.field))) for p in neuron.parameters}
    assert set(neuron.constants(values, 1.0)) == {"decay", "gain", "offset", "saturation"}
    assert "expm1" not in neuron.program(neuron.constants(values, 1.0)).emission
    current = torch.linspace(-2, 2, 41, dtype=torch.float64)
    expected = 1.7 * (0.8 * torch.tanh((current - 0.3) / 0.8))
    assert torch.equal(neuron.transfer(100.0, 1.0).rate(current), expected)


def test_a_bent_argument_has_its_derivative_at_the_origin_too():
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    bend(x, torch.tensor(1.5, dtype=torch.float64)).sum().backward()
    assert x.grad.item() == 1.0


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


@pytest.mark.parametrize("neuron", NEURONS + BENT)
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
    assert {"tau", "gain", "offset", "saturation", "shape", "bias", "weight"} <= named
    assert "saturation" not in deviating(chain([2, 2], Rate(activation="relu")))
    assert "saturation" in deviating(chain([2, 2], Rate(activation="relu", saturation=1.0)))


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"activation": "tan"}, "neuron.activation"),
        ({"tau_ms": 0.0}, "neuron.tau_ms"),
        ({"gain": -1.0}, "neuron.gain"),
        ({"saturation": 0.0}, "neuron.saturation"),
        ({"shape": 0.0}, "neuron.shape"),
        ({"offset": math.nan}, "neuron.offset"),
    ],
)
def test_senseless_values_are_refused(options, key):
    with pytest.raises(InputError, match=key):
        Rate(**options)
