import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rate_bridge.calibration import current_levels, measured_transfer, stretch
from rate_bridge.transfer import LIFTransfer
from root.errors import InputError
from spiking.neurons import LIF
from tests.learning.student import student


@st.composite
def measurements(draw, strict=False):
    points = draw(st.integers(2, 12))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    currents = generator.permutation(np.cumsum(generator.uniform(0.05, 1.0, points)) - 2.0)
    rates = generator.uniform(0.0, 1.0, (2, 3, points))
    if strict:
        order = np.argsort(currents)
        rates[..., order] = np.cumsum(rates + 0.01, axis=-1)
    return torch.from_numpy(currents), torch.from_numpy(rates)


def inside(transfer, shape, seed=0):
    uniform = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return transfer.currents[0] + uniform * (transfer.currents[-1] - transfer.currents[0])


@given(measurements(strict=True))
@settings(max_examples=60, deadline=None)
def test_goes_through_monotone_measurements(data):
    currents, rates = data
    transfer = measured_transfer(currents, rates)
    torch.testing.assert_close(transfer.rate(currents.view(1, -1, 1).expand(2, -1, 3)), rates.transpose(1, 2))


@given(measurements(strict=True))
@settings(max_examples=60, deadline=None)
def test_inverse_undoes_the_curve(data):
    transfer = measured_transfer(*data)
    current = inside(transfer, (2, 7, 3))
    torch.testing.assert_close(transfer.inverse(transfer.rate(current)), current)


@given(measurements())
@settings(max_examples=60, deadline=None)
def test_monotone_within_the_data_and_its_slope_is_the_difference(data):
    transfer = measured_transfer(*data)
    current = inside(transfer, (2, 50, 3)).sort(1).values
    rate, slope = transfer.rate(current), transfer.slope(current)
    assert (rate.diff(dim=1) >= -1e-12).all()
    assert (slope >= 0).all()
    assert rate.min() >= data[1].min() - 1e-12
    assert rate.max() <= data[1].max() + 1e-12
    h = 1e-7
    away = ((current.unsqueeze(-1) - transfer.currents).abs() > 2 * h).all(-1)
    finite = (transfer.rate(current + h) - transfer.rate(current - h)) / (2 * h)
    torch.testing.assert_close(slope[away], finite[away], rtol=1e-5, atol=1e-6)


@given(measurements())
@settings(max_examples=40, deadline=None)
def test_rate_of_the_inverse_is_the_wanted_rate(data):
    """Where the curve is flat the inverse is not unique, but its rate is."""
    transfer = measured_transfer(*data)
    low, high = transfer.rates[..., 0].unsqueeze(1), transfer.rates[..., -1].unsqueeze(1)
    wanted = low + (high - low) * torch.linspace(0, 1, 9, dtype=torch.float64).view(1, -1, 1)
    torch.testing.assert_close(transfer.rate(transfer.inverse(wanted)), wanted)


def test_noise_is_made_monotone_and_a_clean_curve_is_left_alone():
    currents = torch.arange(5, dtype=torch.float64)
    noisy = torch.tensor([[[0.0, 0.2, 0.1, 0.1, 0.5]]])
    torch.testing.assert_close(
        measured_transfer(currents, noisy).rates, torch.tensor([[[0.0, 0.15, 0.15, 0.15, 0.5]]]).double()
    )


def test_constant_outside_and_safe_on_silent_and_saturated_neurons():
    currents = torch.tensor([0.0, 1.0, 2.0, 3.0])
    rates = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]])
    transfer = measured_transfer(currents, rates)
    outside = torch.tensor([[[-5.0, -5.0], [9.0, 9.0]]], dtype=torch.float64)
    assert transfer.rate(outside).tolist() == [[[0.0, 0.0], [0.0, 0.5]]]
    assert transfer.slope(outside).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]
    wanted = torch.tensor([[[0.0, 0.0], [0.7, 0.7], [-0.1, -0.1]]], dtype=torch.float64)
    assert transfer.inverse(wanted).tolist() == [[[3.0, 1.0], [3.0, 3.0], [0.0, 0.0]]]


def test_any_number_of_middle_axes():
    transfer = measured_transfer(torch.arange(4.0), torch.rand(2, 3, 4).cumsum(-1))
    current = torch.rand(2, 5, 6, 3, dtype=torch.float64) * 3
    rate = transfer.rate(current)
    assert torch.equal(rate[:, 4], transfer.rate(current[:, 4]))
    assert torch.equal(rate[:, 0, 0], transfer.rate(current[:, 0, 0]))


def test_calibration_of_mismatched_neurons_beats_the_nominal_curve():
    generator = torch.Generator().manual_seed(3)
    factor = 1 + 0.2 * torch.randn(2, 2, 1, 30, dtype=torch.float64, generator=generator).clamp(-3, 3)
    nominal = LIFTransfer(1.0, 0.0, 20.0, 2.0, 100.0, dt_ms=1.0)
    true = LIFTransfer(factor[0], 0.0, 20.0 * factor[1], 2.0, 100.0, dt_ms=1.0)
    levels = current_levels(nominal, points=41, highest_rate=1.2, deviation=0.6)
    presented = levels.view(1, -1, 1).expand(2, -1, 30)
    transfer = measured_transfer(levels, true.clocked_rate(presented).transpose(1, 2))
    wanted = torch.linspace(0.2, 1.0, 17, dtype=torch.float64).view(1, -1, 1).expand(2, -1, 30)
    calibrated = (true.clocked_rate(transfer.inverse(wanted)) - wanted).abs().mean()
    uncalibrated = (true.clocked_rate(nominal.inverse(wanted)) - wanted).abs().mean()
    assert calibrated < 0.05
    assert uncalibrated > 5 * calibrated


@pytest.mark.parametrize("width", [0.0, 0.02])
def test_levels_cover_the_deviating_neurons(width):
    nominal = LIFTransfer(1.0, 0.0, 20.0, 2.0, 100.0, width=width)
    levels = current_levels(nominal, 11, highest_rate=1.0, deviation=0.5)
    assert levels.shape == (11,)
    assert float(levels[0]) == pytest.approx(0.5, abs=0.01)
    assert float(levels[-1]) == pytest.approx(1.5 * float(nominal.inverse(torch.tensor(1.0))))
    torch.testing.assert_close(levels.diff(), levels.diff().mean().expand(10))


@pytest.mark.parametrize(
    ("currents", "rates", "key"),
    [
        ([0.0], [[[0.0]]], "currents"),
        ([0.0, 0.0], [[[0.0, 1.0]]], "currents"),
        ([0.0, float("nan")], [[[0.0, 1.0]]], "currents"),
        ([0.0, 1.0], [[0.0, 1.0]], "rates"),
        ([0.0, 1.0], [[[0.0, 1.0, 2.0]]], "rates"),
        ([0.0, 1.0], [[[0.0, float("inf")]]], "rates"),
    ],
)
def test_bad_measurements_are_refused(currents, rates, key):
    with pytest.raises(InputError, match=key):
        measured_transfer(torch.tensor(currents), torch.tensor(rates))


@pytest.mark.parametrize("options", [{"points": 1}, {"deviation": 1.0}, {"deviation": -0.1}])
def test_bad_levels_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        current_levels(LIFTransfer(1.0, 0.0, 20.0, 2.0, 100.0), **options)


def test_stretch_finds_how_much_more_steeply_neurons_answer():
    design = LIFTransfer(1.0, 0.0, 20.0, 2.0, 100.0, dt_ms=1.0, width=0.05)
    levels = torch.linspace(0.3, 4.0, 25, dtype=torch.float64)
    steeper = torch.tensor([[0.6, 1.0, 1.5]], dtype=torch.float64)
    rates = design.rate(steeper.unsqueeze(-1) * levels - 0.1)
    torch.testing.assert_close(
        stretch(measured_transfer(levels, rates), design), steeper, rtol=1e-6, atol=1e-6
    )
    dead = measured_transfer(levels, torch.zeros_like(rates))
    assert torch.equal(stretch(dead, design), torch.ones_like(steeper))


def test_a_calibrated_neuron_that_is_silent_has_not_the_slope_of_its_onset():
    model, _ = student(neuron=LIF(bias=0.0))
    design = model.network.layers[0].neuron.transfer(model.network.max_rate_hz, model.network.dt_ms)
    size, levels = model.network.sizes[1], current_levels(design)
    model.calibrate(
        [
            measured_transfer(levels, design.rate(levels).expand(model.chips, n, -1).double())
            for n in model.network.sizes[1:]
        ]
    )
    rates = torch.tensor([0.0, 0.3, 0.6], dtype=torch.float64).view(1, 3, 1).expand(model.chips, 3, size)
    wanted = design.slope(design.inverse(rates))
    torch.testing.assert_close(model.slope(0, rates), wanted, rtol=1e-6, atol=1e-9)
    assert (model.slope(0, rates)[:, 0] < 0.05 * wanted[:, 1]).all()
