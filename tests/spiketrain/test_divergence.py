"""Chips that diverged are named, with the right reason, and no others."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from spiketrain.divergence import Watch, activity, merge, rate_limits, reasons
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons.lif import LIF
from spiking.presentation import CurrentDrive, Phase, Recording, Weights
from spiking.simulators.torch import TorchSimulator

CHIPS, BATCH = 3, 4
WEIGHTS = Weights(
    (torch.ones(CHIPS, 2, 5), torch.ones(CHIPS, 5, 3)), (torch.zeros(CHIPS, 5), torch.zeros(CHIPS, 3))
)


def network(refractory_ms: float = 0.0) -> Network:
    return chain((2, 5, 3), LIF(refractory_ms=refractory_ms), max_rate_hz=100.0)


def recording(hidden: Tensor | float = 0.5, output: Tensor | float = 0.5) -> Recording:
    def rates(value: Tensor | float, size: int) -> Tensor:
        per_chip = torch.as_tensor(value, dtype=torch.float64).expand(CHIPS)
        return per_chip.view(-1, 1, 1).expand(-1, BATCH, size).clone()

    return Recording((rates(0.5, 2)[:1], rates(hidden, 5), rates(output, 3)), (), None, rates(0.5, 3))


def test_a_healthy_epoch_has_no_reasons() -> None:
    assert reasons(activity({"free": recording()}), network(), WEIGHTS) == {}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(bad: float) -> None:
    weights = replace(WEIGHTS, bias=(WEIGHTS.bias[0].clone(), WEIGHTS.bias[1]))
    weights.bias[0][2, 4] = bad
    found = reasons(activity({"free": recording()}), network(), weights)
    assert found == {2: "biases of layer 1 are not finite"}


@pytest.mark.parametrize("where", ["rates", "readout", "control"])
def test_activity_that_is_not_finite_is_seen_everywhere(where: str) -> None:
    seen = recording()
    bad = torch.zeros(CHIPS, BATCH, 3)
    bad[1, 2, 0] = float("nan")
    changed = (*seen.rates[:2], seen.rates[2] + bad) if where == "rates" else bad
    found = reasons(activity({"free": replace(seen, **{where: changed})}), network(), WEIGHTS)
    assert found == {1: "activity is not finite"}


def test_silence_is_a_matter_of_the_whole_epoch() -> None:
    silent = activity({"free": recording(output=torch.tensor([0.5, 0.0, 0.5]))})
    assert reasons(silent, network(), WEIGHTS) == {1: "the output layer is silent on every sample"}
    assert reasons(merge(silent, activity({"free": recording()})), network(), WEIGHTS) == {}


def test_a_chip_that_the_controller_wakes_is_not_silent() -> None:
    seen = activity({"free": recording(output=0.0), "controlled": recording()})
    assert reasons(seen, network(), WEIGHTS) == {}


def test_a_silent_hidden_layer_is_named() -> None:
    seen = activity({"free": recording(hidden=torch.tensor([0.0, 0.1, 0.1]))})
    assert reasons(seen, network(), WEIGHTS) == {0: "layer 1 is silent on every sample"}


def test_one_neuron_that_spikes_once_is_enough() -> None:
    seen = recording(output=0.0)
    seen.rates[2][:, 0, 0] = 0.01
    assert reasons(activity({"free": seen}), network(), WEIGHTS) == {}


@pytest.mark.parametrize(("refractory_ms", "limit"), [(0.0, 10.0), (1.0, 5.0), (4.0, 2.0)])
def test_the_limit_is_what_a_simulator_reaches(refractory_ms: float, limit: float) -> None:
    net = network(refractory_ms)
    assert rate_limits(net) == (limit, limit)
    parameters = [p.field for p in LIF.parameters]
    neurons = tuple(
        {
            f: torch.full((1, layer.size), float(getattr(layer.neuron, f)), dtype=torch.float64)
            for f in parameters
        }
        for layer in net.layers
    )
    huge = tuple(torch.full((1, a, b), 1e6, dtype=torch.float64) for a, b in ((2, 5), (5, 3)))
    one = torch.ones(1, 3, dtype=torch.float64)
    hardware = Hardware(neurons, neurons, huge, (), {"gain": one, "offset": 0 * one, "kp": one, "ki": one})
    phase = Phase("free", CurrentDrive(torch.ones(1, 2, dtype=torch.float64)), torch.ones(400))
    uniform = [torch.zeros(1, 1, n, dtype=torch.float64) for n in (5, 3)]
    start = initial_snapshot(net, hardware, uniform, shadow=False)
    seen = activity(TorchSimulator().run(net, hardware, [phase], {"free": start}))
    assert seen.total[0, 0] == pytest.approx(limit, rel=0.01)
    found = reasons(seen, net, Weights((), ()))
    assert found == {0: f"layer 1 fires at its limit of {100 * limit:g} Hz on every sample"}


def test_half_the_limit_is_no_saturation() -> None:
    assert reasons(activity({"free": recording(hidden=5.0)}), network(), WEIGHTS) == {}


def test_a_watch_says_since_when_and_forgives() -> None:
    watch = Watch(network())
    lost = {"free": recording(output=torch.tensor([0.0, 0.5, 0.0]))}
    for epoch, observation in ((1, {"free": recording()}), (2, lost)):
        watch.batch(observation)
        watch.epoch(epoch, WEIGHTS)
    assert watch.reasons["2"] == "the output layer is silent on every sample, since epoch 2"
    resumed = Watch(network(), json.loads(json.dumps(watch.state)))
    assert resumed.reasons == watch.reasons
    resumed.batch({"free": recording(output=torch.tensor([0.0, 0.5, 0.5]))})
    resumed.epoch(3, WEIGHTS)
    assert resumed.reasons == {"0": "the output layer is silent on every sample, since epoch 2"}
