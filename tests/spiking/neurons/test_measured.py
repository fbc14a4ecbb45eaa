"""The curve of a neuron without a closed one, against closed forms and against its own simulation."""

import math

import pytest
import torch

from rate_bridge.transfer import LIFTransfer
from root.errors import InputError
from spiking.neurons import ALIF, IF, LI, LIF, QIF, Equations
from spiking.neurons.measured import measured_curve

CURRENTS = torch.linspace(1.4, 4.0, 27, dtype=torch.float64)


@pytest.mark.parametrize("dt_ms", [1.0, 0.25])
def test_the_lif_neuron_has_its_closed_curve_and_slope(dt_ms):
    curve = measured_curve(LIF(refractory_ms=2.0), 100.0, dt_ms)
    closed = LIFTransfer(1.0, 0.0, 20.0, 2.0, 100.0, dt_ms)
    torch.testing.assert_close(curve.rate(CURRENTS), closed.rate(CURRENTS), atol=0.01, rtol=0.01)
    torch.testing.assert_close(curve.slope(CURRENTS), closed.slope(CURRENTS), atol=0.04, rtol=0.12)
    assert float(curve.rate(torch.tensor(0.8, dtype=torch.float64))) < 0.01


def test_the_integrate_and_fire_neuron_has_the_current_for_its_rate():
    neuron = IF(threshold=0.5)
    curve = neuron.transfer(100.0, 1.0)
    current = torch.linspace(0.2, 1.8, 9, dtype=torch.float64)
    torch.testing.assert_close(curve.rate(current), current / (20.0 * 0.5 * 0.1), atol=0.01, rtol=0.01)
    torch.testing.assert_close(curve.slope(current), torch.ones_like(current), atol=0.06, rtol=0.06)


def test_the_adaptive_neuron_settles_where_its_threshold_does():
    r"""In the mean over an interval T the threshold is θ + β / (exp(T/τ_a) - 1) when it is reached."""
    neuron = ALIF(jump=0.2, tau_a_ms=200.0)
    rate = neuron.transfer(100.0, 0.1).rate(CURRENTS)
    for current, measured in zip(CURRENTS.tolist(), rate.tolist(), strict=True):
        interval = 10.0 / measured
        threshold = 1.0 + 0.2 / math.expm1(interval / 200.0)
        assert current * -math.expm1(-interval / 20.0) == pytest.approx(threshold, rel=0.02)


def test_the_quadratic_neuron_has_its_closed_curve():
    r"""The time from reset to peak is :math:`\tau \int dv / ((v - 1/2)^2 + I - 1/4)`."""
    curve = QIF().transfer(100.0, 0.1)
    assert float(curve.rate(torch.tensor(0.15, dtype=torch.float64))) < 0.02
    for current in (0.35, 0.6, 1.5, 4.0):
        root = math.sqrt(current - 0.25)
        interval = 20.0 / root * (math.atan(1.5 / root) + math.atan(0.5 / root))
        measured = float(curve.rate(torch.tensor(current, dtype=torch.float64)))
        assert measured == pytest.approx(10.0 / interval, rel=0.03)


def test_a_neuron_without_spikes():
    current = torch.linspace(-1.5, 1.5, 13, dtype=torch.float64)
    curve = LI().transfer(100.0, 1.0)
    torch.testing.assert_close(curve.rate(current), current)
    torch.testing.assert_close(curve.slope(current), torch.ones_like(current))


def test_inverse_and_slope_belong_to_the_curve():
    curve = ALIF().transfer(100.0, 1.0)
    low, high = float(curve.currents[0]), float(curve.currents[-1])
    current = torch.linspace(low, high, 500, dtype=torch.float64)
    rate = curve.rate(current)
    assert bool((rate.diff() >= 0).all())
    rising = (curve.slope(current) > 1e-6) & (rate > 1e-3)
    torch.testing.assert_close(curve.inverse(rate)[rising], current[rising])
    h = 1e-6
    slope = (curve.rate(current + h) - curve.rate(current - h)) / (2 * h)
    assert float((slope - curve.slope(current)).abs().median()) < 1e-6
    ends = torch.tensor([-1.0, 0.0, 1e6], dtype=torch.float64)
    assert curve.inverse(ends).tolist()[-1] == high
    assert float(curve.inverse(ends)[0]) == low
    assert curve.slope(torch.tensor([low - 1.0, high + 1.0])).tolist() == [0.0, 0.0]
    assert curve.rate(torch.zeros(2, 3, 4)).shape == (2, 3, 4)


def test_it_is_measured_once():
    assert ALIF().transfer(100.0, 1.0) is ALIF().transfer(100.0, 1.0)
    assert ALIF().transfer(100.0, 1.0) is not ALIF(jump=0.2).transfer(100.0, 1.0)
    own = {"threshold": "v > theta", "reset": "v = 0"}
    first, second = (
        Equations("dv/dt = (current - v) / tau", values={"tau": "20 ms", "theta": theta}, **own)
        for theta in (1.0, 2.0)
    )
    assert first.transfer(100.0, 1.0) is not second.transfer(100.0, 1.0)


def test_a_neuron_that_no_current_moves_is_refused():
    deaf = Equations("dv/dt = -v / tau", threshold="v > 1", reset="v = 0", values={"tau": "20 ms"})
    with pytest.raises(InputError, match="depends on a constant current"):
        deaf.transfer(100.0, 1.0)
