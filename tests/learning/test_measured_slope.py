"""Slopes of measured curves: how they are stretched is found once for a measurement, and anew for another."""

import pytest
import torch

import learning.model
from rate_bridge.calibration import MeasuredTransfer, stretch
from tests.learning.student import student


def test_the_stretch_is_fitted_once_for_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = student(chips=2, cv=0.0)
    fitted = []
    monkeypatch.setattr(
        learning.model, "stretch", lambda measured, nominal: fitted.append(1) or stretch(measured, nominal)
    )
    sizes = model.network.sizes[1:]
    currents = torch.linspace(0.0, 4.0, 21, dtype=torch.float64)

    def measure(steepness: float) -> None:
        nominal = [model.nominal(index).rate(steepness * currents) for index in range(len(sizes))]
        curves = [rates.expand(2, n, -1) for rates, n in zip(nominal, sizes, strict=True)]
        model.calibrate([MeasuredTransfer(currents, rates) for rates in curves])

    rate = torch.full((2, 3, sizes[0]), 0.3, dtype=torch.float64)
    measure(1.0)
    first = [model.slope(0, rate) for _ in range(3)]
    assert len(fitted) == 1
    measure(2.0)
    second = model.slope(0, rate)
    assert len(fitted) == 2
    assert all(torch.equal(slope, first[0]) for slope in first)
    torch.testing.assert_close(second, 2.0 * first[0], rtol=0.05, atol=0.0)
