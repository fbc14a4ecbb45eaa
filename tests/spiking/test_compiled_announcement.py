"""Compiling takes half a minute: it is said, and only where it happens."""

from __future__ import annotations

import logging
import time

import numpy as np
import pytest

from spiking.simulators.compiled import simulator
from spiking.simulators.compiled.generated import kernel


@pytest.mark.parametrize(
    ("ready", "takes_s", "said"),
    [
        ([False, False], 0.3, 1),  # neither in memory nor on the disk
        ([False, True], 0.3, 0),  # soon read from the disk; what takes long is the simulation
        ([False, False], 0.0, 0),  # over before anybody could wonder
        ([True, True], 0.3, 0),
    ],
)
def test_what_is_said(
    ready: list[bool],
    takes_s: float,
    said: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(simulator, "SILENCE_S", 0.05)
    caplog.set_level(logging.INFO, logger="spiketrain.compiled")
    answers = iter(ready)
    with simulator._announced(lambda: next(answers)):
        time.sleep(takes_s)
    assert sum("compiling" in record.getMessage() for record in caplog.records) == said


def test_numbers_of_each_type_have_a_loop_of_their_own() -> None:
    compiled = kernel(None).compiled
    assert compiled(np.float64) is compiled(np.dtype(np.float64))
    assert compiled(np.float64) is not compiled(np.float32)
