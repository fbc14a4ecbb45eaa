"""The arms: what is trained on which chips, what is told, and what is refused."""

import itertools
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from learning.backprop import Backprop
from learning.error_feedback import ErrorFeedback
from learning.model import Model
from learning.stimulus import Batch, Stimulus
from mismatch import oracle
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root import plugins
from root.errors import InputError, UnsupportedError
from root.plugins import available
from root.seeds import SeedTree
from spiketrain import teaching
from spiketrain.arms.aware import Attack, Aware
from spiketrain.arms.base import Arm
from spiketrain.arms.lesson import Lesson
from spiketrain.arms.oracle import tell
from spiketrain.arms.trimmed import Trimmed
from spiketrain.config import Experiment
from spiketrain.experiment import run
from spiketrain.parts import build
from spiketrain.record.tables import read_rows
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
    chips, model = population(network, ["weight"]), model_of(network, Aware().draws)
    x = torch.rand(6, 4, dtype=torch.float64)

    def rates(key):
        batch = Batch(x, torch.zeros(6, 3, dtype=torch.float64), key)
        drawn = Aware().population(chips, batch, model, SeedTree(7))
        drawn.program(model.weights())
        return drawn.present(Backprop().presentation(batch, model), "shown")["free"].rates[-1]

    assert torch.equal(rates(("train", 0, 0)), rates(("train", 0, 0)))
    assert not torch.equal(rates(("train", 0, 0)), rates(("train", 0, 1)))
    assert rates(("train", 0, 0)).shape[0] == Aware().draws


def aware_lesson(arm, deviations=("weight", "gain", "offset")):
    """Return a model, the lesson of a batch on random chips, and the chips' own parameters."""
    network = chain([4, 6, 5, 3], Rate(activation="tanh", tau_ms=0.5))
    chips, model = population(network, deviations), model_of(network, arm.draws)
    target = torch.from_numpy(SeedTree(8).generator().random((8, 3))) - 0.5
    batch = Batch(torch.from_numpy(SeedTree(9).generator().random((8, 4))), target, ("train", 0))
    drawn = arm.population(chips, batch, model, SeedTree(7))
    drawn.program(model.weights())
    return Lesson(Backprop(), drawn, batch, model), oracle.reveal(drawn)


def losses(hardware, factors, weights, biases, batch):
    """Return every drawn chip's loss as a function of what is written to all of them."""
    rate = batch.x.unsqueeze(0)
    for values, factor, weight, bias in zip(hardware.neurons, factors, weights, biases, strict=True):
        gain, offset = values["gain"].unsqueeze(1), values["offset"].unsqueeze(1)
        rate = gain * torch.tanh(rate @ (factor * weight) + bias - offset)
    return (batch.target - rate).square().sum(-1).mean(1) / 2


def test_aware_follows_the_gradient_of_the_mean_loss_over_the_chips_it_drew():
    lesson, hardware = aware_lesson(Aware(draws=5, strength=1.3))
    model, update = lesson.model, Aware(draws=5, strength=1.3).teach(lesson).update
    factors = [true / w for true, w in zip(hardware.weights, model.forward_weights, strict=True)]
    weights = [w[0].clone().requires_grad_() for w in model.forward_weights]
    biases = [b[0].clone().requires_grad_() for b in model.bias]
    losses(hardware, factors, weights, biases, lesson.batch).mean().backward()
    for change, weight, bias in zip(update.connections, weights, biases, strict=True):
        for chip in range(5):
            torch.testing.assert_close(change.weight()[chip], -weight.grad, atol=1e-7, rtol=1e-6)
            torch.testing.assert_close(change.bias()[chip], -bias.grad, atol=1e-7, rtol=1e-6)


def test_strength_stretches_every_deviation():
    wide, narrow = (aware_lesson(Aware(draws=6, strength=s))[1] for s in (0.5, 1.0))
    plain = model_of(chain([4, 6, 5, 3], Rate(activation="tanh", tau_ms=0.5)), 6).forward_weights
    for half, whole, written in zip(wide.weights, narrow.weights, plain, strict=True):
        torch.testing.assert_close(half / written - 1, 0.5 * (whole / written - 1))


def test_an_attack_raises_every_chips_loss_within_its_bound_and_is_undone():
    attack = Attack(size=0.2, steps=3, weight=0.7)
    lesson, hardware = aware_lesson(Aware(draws=3, attack=attack))
    model, before = lesson.model, [w.clone() for w in lesson.model.forward_weights]
    factors = [true / w for true, w in zip(hardware.weights, before, strict=True)]
    biases = [b.unsqueeze(1) for b in model.bias]
    shown = []

    def show():
        tell(lesson.chips, model)
        shown.append([w.clone() for w in model.forward_weights])
        return lesson.show()

    together = attack.teach(lesson, show)
    found = [losses(hardware, factors, weights, biases, lesson.batch) for weights in shown]
    assert len(found) == 4
    assert all(bool((later > earlier).all()) for earlier, later in itertools.pairwise(found))
    for moved, own in zip(shown[-1], before, strict=True):
        torch.testing.assert_close((moved - own).abs().max(), 0.2 * own.abs().max(), rtol=0.2, atol=0)
        assert bool(((moved - own).abs() <= 0.2 * own.abs() + 1e-12).all())
    assert all(torch.equal(a, b) for a, b in zip(model.forward_weights, before, strict=True))
    own = show().update.connections[0].weight()
    for weight, moved in zip(model.forward_weights, shown[3], strict=True):
        weight.data = moved.clone()
    attacked = show().update.connections[0].weight()
    torch.testing.assert_close(together.update.connections[0].weight(), own + 0.7 * attacked)


def test_the_models_of_aware_stay_one(tmp_path):
    arm = {"name": "aware", "draws": 3, "attack": {"steps": 1}}
    summary, _ = train(tmp_path, arm)
    assert summary["arm"] == "aware"
    state = load_file(tmp_path / "checkpoint.safetensors")
    models = [value for name, value in state.items() if value.ndim == 3 and value.shape[0] == 3]
    assert len(models) > 4
    assert all(torch.equal(value[0], value[k]) for value in models for k in (1, 2))


def test_an_optimiser_that_needs_both_ends_of_a_synapse_is_refused_where_they_are_mixed():
    plain = config("aware")
    plain["training"]["optimizer"] = "nlms"
    with pytest.raises(InputError, match=r"training\.optimizer\.name.*aware"):
        Experiment.from_mapping(plain)
    Experiment.from_mapping(
        plain | {"training": plain["training"] | {"arm": {"name": "aware", "told": False}}}
    )


@pytest.mark.parametrize(
    ("neuron", "deviations", "cv"),
    [
        (LIF(bias=1.3), {"threshold": None}, 0.2),  # a threshold and a time constant are hard to tell apart
        (LIF(bias=1.3), {"threshold": None}, 0.5),  # the lowest are .09 (hidden) and .07 (outputs)
        (LIF(bias=1.3), {"threshold": None, "tau_m": None}, 0.2),
        (Rate("tanh", tau_ms=0.5), {"gain": "output", "offset": "offset"}, 0.2),
    ],
    ids=["thresholds", "thresholds far too low", "time constants too", "rates"],
)
def test_trimmed_neurons_do_as_their_design(neuron, deviations, cv):
    """Mean rates become the ideal chip's, but for the gain of outputs; rate neurons' deviations are found."""
    network = chain([4, 12, 6], neuron)
    spec = MismatchSpec(2, 5, {name: Normal(cv=cv) for name in deviations})
    chips = ChipPopulation(network, spec, TorchSimulator(), SeedTree(0))
    model = model_of(network, 1)
    Trimmed().begin(chips, model)
    true = oracle.reveal(programmed(chips, model.weights(), 2)).neurons[0]
    for name, trim in ((name, trim) for name, trim in deviations.items() if trim is not None):
        torch.testing.assert_close(model.memory[f"trim.{trim}.0"], true[name], atol=0.07, rtol=0)
    ideal = chips.sibling(replace(chips.spec, deviations={}))
    batch = Batch(torch.from_numpy(SeedTree(9).generator().random((20, 4))), torch.zeros(20, 6), ("test",))
    plain = Arm.deployed(Trimmed(), model.weights(), 2, model)
    written = (plain, Trimmed().deployed(model.weights(), 2, model))

    def rates(population, weights):
        phase = replace(model.stimulus, steps=600, window_steps=500).phase("free", batch)
        population.program(weights)
        return population.present((phase,), "shown")["free"].rates[-1]

    wanted = rates(ideal, plain)
    far, near = (float((rates(chips, weights) - wanted).abs().mean()) for weights in written)
    assert near < (0.35 if "gain" in deviations else 0.15) * far


def programmed(chips, weights, count):
    """Return the same chips with one model's weights on each."""
    trial = chips.trial()
    trial.program(Arm.deployed(Trimmed(), weights, count, None))
    return trial


def test_shared_numbers_cannot_be_trimmed():
    plain = config("trimmed")
    plain["network"] = {
        "input": [8, 8],
        "populations": {"maps": {}, "output": {"size": 10}},
        "connections": {
            "first": {"pre": "input", "post": "maps", "kind": "conv2d", "channels": 2, "kernel": 3},
            "last": {"pre": "maps", "post": "output"},
        },
        "neuron": {"model": "rate"},
    }
    with pytest.raises(UnsupportedError, match=r"network\.connections.*first"):
        Experiment.from_mapping(plain)


def test_training_goes_on_where_the_design_left_off_and_counts_what_chips_are_shown(tmp_path):
    """Offline, then on the chip by another rule: the weights at the start are those of the offline run."""
    _, design = train(tmp_path / "design", "offline")
    plain = config("in_loop", rule="node_perturbation")
    plain["training"] |= {
        "before": {
            "rule": "backprop",
            "training.arm": "offline",
            "training.epochs": 1,
            "training.batch": 32,
        },
        "presentations": 640,
        "batch": 16,
        "epochs": 3,
    }
    result = run(Experiment.from_mapping(plain), tmp_path / "chips", quiet=True, report=False)
    begun = load_file(tmp_path / "chips" / "initial_weights.safetensors")
    assert all(torch.equal(begun[name], design[name]) for name in begun)
    rows = read_rows(tmp_path / "chips" / "metrics.csv")
    assert {row["epoch"]: row["presentations"] for row in rows} == {"0": "0.0", "1": "640.0"}
    assert result.parts.presented == 640  # twenty batches of sixteen, each shown twice


def test_what_comes_before_is_taught_once_while_nothing_changes(monkeypatch):
    taught = []

    def counted(first, parts):
        taught.append(first.training.epochs)
        return parts.average.weights()

    monkeypatch.setattr(teaching, "_taught", counted)
    monkeypatch.setattr(teaching, "_kept", OrderedDict())

    def begin(rate, epochs):
        plain = config("in_loop", rule="backprop")
        before = {"training.arm": "offline", "training.epochs": epochs, "training.learning_rate": 0.01}
        plain["training"] |= {"before": before, "learning_rate": rate}
        plain["name"] = f"rate-{rate}"
        experiment = Experiment.from_mapping(plain)
        return teaching.taught_before(experiment.before(), build(experiment, None))

    first = begin(0.01, 1)
    assert begin(0.02, 1) is first
    assert begin(0.02, 2) is not first
    assert taught == [1, 2]
    monkeypatch.setitem(plugins._OWN, ("rules", "own"), type("Own", (), {}))
    begin(0.01, 1)
    assert taught == [1, 2, 1], "a part may be another one now"
    for epochs in range(3, 3 + teaching.KEPT):
        begin(0.01, epochs)
    assert len(teaching._kept) == teaching.KEPT


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ({}, "arm that trains one network elsewhere"),
        ({"training.arm": "offline", "network.layers": [64, 9, 10]}, "those of the network itself"),
        ({"training.arm": "offline", "training.epoch": 1}, "training.epoch"),
    ],
)
def test_what_cannot_come_before_is_refused(before, reason):
    plain = config("in_loop")
    plain["training"]["before"] = before
    with pytest.raises(InputError, match=r"training\.before.*" + reason):
        Experiment.from_mapping(plain)


def test_a_budget_that_the_arm_never_touches_is_refused():
    plain = config("offline")
    plain["training"]["presentations"] = 100
    with pytest.raises(InputError, match=r"training\.presentations.*offline"):
        Experiment.from_mapping(plain)


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
