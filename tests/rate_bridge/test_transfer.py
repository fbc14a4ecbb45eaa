import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rate_bridge.filters import window
from rate_bridge.transfer import LIFTransfer
from root.errors import InputError
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import CurrentDrive, Phase
from spiking.simulators.torch import TorchSimulator

MAX_RATE_HZ = 100.0


def curve(threshold=1.0, reset=0.0, tau_m_ms=20.0, refractory_ms=2.0, **options):
    return LIFTransfer(threshold, reset, tau_m_ms, refractory_ms, MAX_RATE_HZ, **options)


@st.composite
def curves(draw):
    threshold = draw(st.floats(0.2, 3.0))
    return curve(
        threshold,
        threshold - draw(st.floats(0.1, 3.0)),
        draw(st.floats(1.0, 100.0)),
        draw(st.floats(0.0, 10.0)),
        dt_ms=draw(st.sampled_from([0.0, 0.1, 1.0])),
        width=draw(st.sampled_from([0.0, 0.02, 0.3])),
    )


def measured_rates(neuron, currents, steps=20_000, dt_ms=1.0):
    """Simulate one LIF per current for a long time, each driven through a weight of 1."""
    network = chain([1, 1], neuron, dt_ms=dt_ms, max_rate_hz=MAX_RATE_HZ)
    values = {
        p.field: torch.full((1, 1), getattr(neuron, p.field), dtype=torch.float64) for p in LIF.parameters
    }
    hardware = Hardware((values,), (values,), (torch.ones(1, 1, 1, dtype=torch.float64),), (), {})
    start = initial_snapshot(
        network, hardware, [torch.zeros(1, len(currents), 1, dtype=torch.float64)], False
    )
    phase = Phase("free", CurrentDrive(currents.reshape(-1, 1)), window(steps, steps))
    recording = TorchSimulator().run(network, hardware, [phase], {"free": start})["free"]
    return recording.rates[1][0, :, 0]


@pytest.mark.parametrize("refractory_ms", [0.0, 2.0, 2.4])
@pytest.mark.parametrize("dt_ms", [1.0, 0.25])
def test_agrees_with_the_simulator(refractory_ms, dt_ms):
    neuron = LIF(threshold=1.1, reset=-0.2, tau_m_ms=17.0, refractory_ms=refractory_ms)
    currents = torch.linspace(0.5, 5.0, 61, dtype=torch.float64)
    steps = 8000
    measured = measured_rates(neuron, currents, steps, dt_ms)
    clocked = curve(1.1, -0.2, 17.0, refractory_ms, dt_ms=dt_ms)
    one_count = 1000.0 / (MAX_RATE_HZ * dt_ms * steps)
    assert (clocked.clocked_rate(currents) - measured).abs().max() <= one_count + 1e-12
    # the smooth curve, without and with the half step: a period is off by at most one or half a step
    period = 1000.0 / (MAX_RATE_HZ * clocked.rate(currents)[measured > 0])
    staircase = 1000.0 / (MAX_RATE_HZ * clocked.clocked_rate(currents)[measured > 0])
    assert (period - staircase).abs().max() <= 0.5 * dt_ms + 1e-9
    if refractory_ms == 2.0:  # a whole number of steps
        ideal = 1000.0 / (MAX_RATE_HZ * curve(1.1, -0.2, 17.0, refractory_ms).rate(currents)[measured > 0])
        assert (staircase - ideal).min() >= -1e-9
        assert (staircase - ideal).max() <= dt_ms + 1e-9


def test_half_a_step_removes_the_mean_error_of_the_clock():
    currents = torch.linspace(1.2, 4.0, 5000, dtype=torch.float64)
    exact = curve(dt_ms=1.0).clocked_rate(currents)
    plain = (curve().rate(currents) / exact - 1).mean()
    corrected = (curve(dt_ms=1.0).rate(currents) / exact - 1).mean()
    assert plain > 0.03
    assert abs(corrected) < 0.1 * plain


def test_known_value():
    # tau ln 2 + t_ref = 15.863 ms at twice the threshold
    rate = curve().rate(torch.tensor(2.0, dtype=torch.float64))
    assert float(rate) == pytest.approx(10.0 / (20.0 * 0.6931471805599453 + 2.0), rel=1e-14)


@given(curves(), st.lists(st.floats(1e-3, 10.0), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_inverse_undoes_the_curve(transfer, above):
    current = transfer.threshold + torch.tensor(above, dtype=torch.float64)
    torch.testing.assert_close(transfer.inverse(transfer.rate(current)), current, rtol=1e-6, atol=1e-9)


@given(curves(), st.lists(st.floats(-1.0, 10.0), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_slope_is_the_derivative(transfer, offsets):
    drive = torch.tensor(offsets, dtype=torch.float64)
    if transfer.width == 0:
        drive = torch.where(drive.abs() < 1e-2, 1e-2, drive)
    current = (transfer.threshold + drive).requires_grad_()
    transfer.rate(current).sum().backward()
    slope = transfer.slope(current.detach())
    torch.testing.assert_close(slope, current.grad, rtol=1e-6, atol=1e-12)
    h = 1e-5
    finite = (transfer.rate(current.detach() + h) - transfer.rate(current.detach() - h)) / (2 * h)
    torch.testing.assert_close(slope, finite, rtol=1e-3, atol=1e-6)


@given(curves(), st.floats(1e-12, 1.0))
@settings(max_examples=60, deadline=None)
def test_monotone_and_finite_everywhere(transfer, small):
    threshold = float(transfer.threshold)
    special = [
        -1e6,
        threshold - 1,
        threshold - small,
        threshold,
        threshold + 5e-16,
        threshold + small,
        1e3,
        1e9,
    ]
    current = torch.tensor(special, dtype=torch.float64).sort().values
    rate, slope = transfer.rate(current), transfer.slope(current)
    assert torch.isfinite(rate).all()
    assert torch.isfinite(slope).all()
    assert (rate.diff() >= 0).all()
    assert (slope >= 0).all()
    if transfer.width == 0:
        assert (rate[current <= threshold] == 0).all()
        assert (slope[current <= threshold] == 0).all()
    rates = torch.tensor([-1.0, 0.0, 1e-300, 0.5, 1.0, 50.0, 1e6], dtype=torch.float64)
    inverse = transfer.inverse(rates)
    assert torch.isfinite(inverse).all()
    assert (inverse.diff() >= 0).all()


def test_rate_zero_is_reached_at_the_threshold():
    assert float(curve().inverse(torch.tensor(0.0))) == 1.0


def test_soft_curve_tends_to_the_exact_one():
    current = torch.linspace(1.1, 5.0, 50, dtype=torch.float64)
    torch.testing.assert_close(curve(width=1e-3).rate(current), curve().rate(current))
    assert float(curve(width=0.05).slope(torch.tensor(1.0, dtype=torch.float64))) > 0


def test_parameters_per_neuron_broadcast():
    threshold = torch.tensor(
        [[[0.8, 1.0, 1.2]], [[0.9, 1.1, 1.3]]], dtype=torch.float64
    )  # (chips, 1, neurons)
    transfer = curve(threshold, tau_m_ms=torch.tensor([10.0, 20.0, 30.0]))
    current = torch.rand(2, 5, 3, dtype=torch.float64) * 4
    rate = transfer.rate(current)
    single = curve(1.1, tau_m_ms=20.0)
    torch.testing.assert_close(rate[1, :, 1], single.rate(current[1, :, 1]))
    assert transfer.slope(current).shape == transfer.inverse(rate).shape == (2, 5, 3)


@pytest.mark.parametrize("options", [{"dt_ms": -1.0}, {"width": -0.1}, {"width": float("nan")}])
def test_options_are_checked(options):
    with pytest.raises(InputError, match=next(iter(options))):
        curve(**options)


def test_a_clocked_rate_needs_a_clock():
    with pytest.raises(InputError, match="dt_ms"):
        curve().clocked_rate(torch.ones(1))
