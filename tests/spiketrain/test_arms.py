"""The arms: what is trained on which chips, what is told, and what is refused."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from learning.backprop import Backprop
from learning.error_feedback import ErrorFeedback
from learning.model import Model
from learning.stimulus import Batch, Stimulus
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.errors import InputError
from root.plugins import available
from root.seeds import SeedTree
from spiketrain.arms.aware import Aware
from spiketrain.arms.oracle import tell
from spiketrain.config import Experiment
from spiketrain.experiment import run
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.simulators.torch import TorchSimulator

DEVIATIONS = {name: {"distribution": "normal", "cv": 0.2} for name in ("weight", "gain", "offset")}


def config(arm, *, seed=1, chips=3, rule="backprop", deviations=DEVIATIONS):
    return {
        "name": "small",
        "task": {"name": "digits"},
        "network": {"layers": [64, 12, 10], "neuron": {"model": "rate", "activation": "tanh", "tau_ms": 0.5}},
        "mismatch": {"chips": chips, "seed": seed, **deviations},
        "bridge": {"encoding": "current"},
        "rule": {"name": rule},
        "simulator": {"name": "torch", "presentation_ms": 8, "window_ms": 1},
        "training": {"epochs": 1, "batch": 32, "learning_rate": 0.01, "optimizer": "adam", "arm": arm},
    }


def train(directory, *args, **kwargs):
    result = run(Experiment.from_mapping(config(*args, **kwargs)), directory, quiet=True, report=False)
    return result.summary, load_file(directory / "weights.safetensors")


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("arm", available("arms"))
def test_every_arm_trains_and_tests_every_chip(arm, tmp_path):
    summary, weights = train(tmp_path, arm)
    assert summary["arm"] == arm
    assert len(summary["test_accuracy"]) == 3
    assert min(summary["test_accuracy"]) > 0.15
    assert all(value.shape[0] == 3 for value in weights.values())


@pytest.mark.parametrize("arm", ["offline", "aware"])
def test_one_model_knows_nothing_of_the_reported_chips(arm, tmp_path):
    summaries, weights = zip(*[train(tmp_path / str(seed), arm, seed=seed) for seed in (1, 2)], strict=True)
    assert same(*weights)
    assert summaries[0]["test_accuracy"] != summaries[1]["test_accuracy"]
    first = weights[0]["forward.input->hidden"]
    assert torch.equal(first[0], first[1])


def test_aware_sees_other_chips_than_offline(tmp_path):
    assert not same(train(tmp_path / "a", "offline")[1], train(tmp_path / "b", "aware")[1])


def population(network, deviations, chips=2):
    spec = MismatchSpec(chips, 5, {name: Normal(cv=0.3) for name in deviations})
    return ChipPopulation(network, spec, TorchSimulator(), SeedTree(0))


def model_of(network, chips=2):
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), 60, 1)
    ones = (1.5,) * network.depth
    return Model(network, stimulus, chips, SeedTree(2), weight_gain=ones, bias_spread=(0.2,) * network.depth)


def test_aware_draws_anew_for_every_batch_and_repeats_itself():
    network = chain([4, 5, 3], Rate(tau_ms=0.5))
    chips, model = population(network, ["weight"]), model_of(network, 1)
    x = torch.rand(6, 4, dtype=torch.float64)

    def rates(key):
        batch = Batch(x, torch.zeros(6, 3, dtype=torch.float64), key)
        drawn = Aware().population(chips, batch, model, SeedTree(7))
        drawn.program(model.weights())
        return drawn.present(Backprop().presentation(batch, model), "shown")["free"].rates[-1]

    assert torch.equal(rates(("train", 0, 0)), rates(("train", 0, 0)))
    assert not torch.equal(rates(("train", 0, 0)), rates(("train", 0, 1)))
    assert rates(("train", 0, 0)).shape[0] == 1


def test_an_oracle_follows_the_true_gradient():
    network = chain([4, 6, 5, 3], Rate(activation="tanh", tau_ms=0.5))
    chips, model = population(network, ["weight", "gain", "offset", "saturation"]), model_of(network)
    batch = Batch(torch.rand(8, 4, dtype=torch.float64), torch.rand(8, 3, dtype=torch.float64) - 0.5, ("b",))
    tell(chips, model)
    assert model.truth is not None
    chips.program(model.weights())
    observation = chips.present(Backprop().presentation(batch, model), *batch.key)
    update = Backprop().update(batch, observation, model)
    potential = [torch.zeros(1)] * 3
    rate, weights = batch.x.unsqueeze(0), [w.clone().requires_grad_() for w in model.truth.weights]
    for index, weight in enumerate(weights):
        potential[index] = rate @ weight + model.bias[index].unsqueeze(1)
        rate = model.truth.transfers[index].rate(potential[index])
    torch.testing.assert_close(observation["free"].rates[-1], rate.detach())
    ((batch.target - rate).square().sum(-1).mean(1) / 2).sum().backward()
    for change, weight in zip(update.connections, weights, strict=True):
        torch.testing.assert_close(change.weight(), -weight.grad, atol=1e-7, rtol=1e-6)


def test_an_oracle_tells_the_curves_of_spiking_neurons():
    network = chain([4, 6, 3], LIF())
    chips, model = population(network, ["threshold", "tau_m"]), model_of(network)
    nominal = model.transfer(0)
    tell(chips, model)
    told = model.transfer(0)
    assert told.threshold.shape == (2, 1, 6)
    assert not torch.equal(told.threshold, nominal.threshold.expand(2, 1, 6))
    assert told.max_rate_hz == nominal.max_rate_hz


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arm": "aware", "deviations": {}}, "no mismatch to inject"),
        ({"arm": "oracle", "deviations": {}}, "nothing to tell"),
        ({"arm": "oracle", "rule": "readout_only"}, "telling is in vain"),
        ({"arm": "offlin"}, "did you mean 'offline'"),
    ],
)
def test_senseless_arms_are_refused(changes, reason):
    with pytest.raises(InputError, match=r"training\.arm.*" + reason):
        Experiment.from_mapping(config(**changes))


def test_a_rule_that_needs_the_truth_is_for_the_oracle_alone():
    class Told(ErrorFeedback):
        name = "told"
        needs_truth = True

        def arriving(self, layer, errors, output, model):
            return output

    with pytest.raises(InputError, match=r"training\.arm.*oracle"):
        Aware().check(Told(), replace(MismatchSpec(), deviations={"weight": Normal(cv=0.1)}))
