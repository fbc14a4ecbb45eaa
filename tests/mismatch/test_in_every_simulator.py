"""Every kind acts in every simulator, with the same effective values, or is refused with a reason."""

import pytest
import torch
from kinds import EXAMPLES, history, population

from mismatch.distributions import Normal
from mismatch.oracle import reveal
from root.errors import UnsupportedError
from root.plugins import available, load
from spiking.network import chain
from spiking.neurons import Rate
from spiking.simulators.torch import TorchSimulator

OPTIONS = {"brian2": {"mode": "runtime"}}
"""Modes that need no compiler; what they compute is the same."""


def machine(name):
    kind = load("simulators", name)
    works, reason = kind.status()
    if not works and not kind.anywhere:
        pytest.skip(reason)
    return kind(**{**kind.anywhere, **OPTIONS.get(name, {})})


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("name", [n for n in available("simulators") if n not in ("torch", "lava")])
def test_a_kind_acts_alike_or_is_refused(name, kind):
    simulator = machine(name)
    try:
        chips = population(kind, chips=2, simulator=simulator)
    except UnsupportedError as error:
        pytest.skip(str(error))
    given = history(chips)
    if simulator.dtype == torch.float64:
        expected = history(population(kind, chips=2, simulator=TorchSimulator()))
        for ours, theirs in zip(given, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    else:
        without = history(population(chips=2, simulator=simulator))
        assert any(not torch.equal(a, b) for a, b in zip(given, without, strict=True))


def test_the_shape_of_activations_deviates_on_its_own():
    network = chain([12, 10, 4], Rate(tau_ms=4.0))
    deviations = {"shape": Normal(0.2)}
    chips = population(network=network, deviations=deviations)
    expected = history(chips, network=network)
    ideal = history(population(network=network, deviations={}), network=network)
    assert any(not torch.equal(a, b) for a, b in zip(expected, ideal, strict=True))
    for values in reveal(chips).neurons:
        assert bool((values["gain"] == 1).all())
        assert bool((values["saturation"] == 1).all())
        assert float(values["shape"].std()) > 0.1
    brian2 = population(network=network, deviations=deviations, simulator=machine("brian2"))
    for ours, theirs in zip(history(brian2, network=network), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_lava_acts_alike():
    """All kinds that it can express at once: a start of its runtime takes a second."""
    simulator = machine("lava")
    kinds = [n for n in EXAMPLES if n not in ("membrane_noise", "faults")]
    expected = history(population(*kinds, chips=1, simulator=TorchSimulator()), rounds=2)
    given = history(population(*kinds, chips=1, simulator=simulator), rounds=2)
    for ours, theirs in zip(given, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    with pytest.raises(UnsupportedError):
        population("membrane_noise", simulator=simulator)
