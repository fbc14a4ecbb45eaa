"""Model-free rules: what they want is the gradient in the mean, and nothing else enters."""

from dataclasses import replace

import pytest
import torch
from test_error_feedback import gradients, setup

from learning.losses import CrossEntropy, Squared
from learning.model import Model
from learning.node_perturbation import NodePerturbation
from learning.optimizers import SGD
from learning.rule import LearningRule
from learning.stimulus import Batch, Stimulus
from learning.weight_perturbation import WeightPerturbation
from mismatch import oracle
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.imperfections.write_noise import WriteNoise
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.seeds import SeedTree
from spiketrain.observing import shown
from spiking.network import chain
from spiking.neurons import LIF
from spiking.simulators.steady import SteadySimulator
from spiking.simulators.torch import TorchSimulator

RULES = [NodePerturbation(sigma=0.01, draws=5), WeightPerturbation(sigma=0.01, draws=5)]


def steady(chips, deviations=None):
    """Return the chips of a network at rest, ideal or not."""
    spec = MismatchSpec(chips.chips, 4, deviations or {})
    return ChipPopulation(chips.network, spec, SteadySimulator(), SeedTree(0))


def wanted(rule: LearningRule, model, chips, batch) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    update = rule.update(batch, shown(rule, chips, batch, model).observation, model)
    changes = [change for change in update.connections if change is not None]
    return [c.weight() for c in changes], [c.bias() for c in changes]


@pytest.mark.parametrize("loss", [Squared(), CrossEntropy(0.3)])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_mean_over_signs_is_the_gradient(rule, loss):
    """The estimates' own spread says how near their mean must be to backpropagation through the curves."""
    model, chips, batch = setup("tanh", (3, 4, 3), chips=1)
    rule = replace(rule, loss=loss)
    chips, seen = steady(chips), []
    for number in range(60):
        weights, biases = wanted(rule, model, chips, replace(batch, key=("train", number)))
        seen.append(torch.cat([change.flatten() for change in (*weights, *biases)]))
    estimates = torch.stack(seen)
    exact = -torch.cat([g.flatten() for part in gradients(model, loss, batch) for g in part])
    error = estimates.std(0) / len(estimates) ** 0.5
    assert float(((estimates.mean(0) - exact) / error).abs().max()) < 4.5
    assert float(torch.cosine_similarity(estimates.mean(0), exact, dim=0)) > 0.9


def test_a_draw_of_weights_is_a_finite_difference_of_the_loss_on_the_chip_as_it_is():
    """On a mismatched chip the directional derivative is that of the chip, not of the design."""
    model, ideal, batch = setup("tanh", (3, 4, 3), chips=2)
    spec = MismatchSpec(2, 4, {"weight": Normal(cv=0.3), "gain": Normal(cv=0.3)})
    chips = ChipPopulation(ideal.network, spec, TorchSimulator(), SeedTree(0))
    rule = WeightPerturbation(sigma=1e-3)
    weights, biases = wanted(rule, model, chips, batch)
    changes = [change for part in rule.changes(0, batch, model) for change in part]
    chips.program(model.weights())
    hardware = oracle.reveal(chips)
    factors = [true / w for true, w in zip(hardware.weights, model.forward_weights, strict=True)]
    losses = []
    for sign in (1, -1):
        rate = batch.x.unsqueeze(0)
        for layer, factor in enumerate(factors):
            w = (model.forward_weights[layer] + sign * changes[layer]) * factor
            b = model.bias[layer] + sign * changes[2 + layer]
            gain, offset = (hardware.neurons[layer][name].unsqueeze(1) for name in ("gain", "offset"))
            rate = gain * torch.tanh(rate @ w + b.unsqueeze(1) - offset)
        losses.append(rule.loss.value(rate, batch.target).mean(1))
    slope = (losses[1] - losses[0]) / 2
    for found, change in zip([*weights, *biases], changes, strict=True):
        torch.testing.assert_close(found * change, slope.view(-1, *[1] * (change.ndim - 1)).expand_as(change))


def test_every_program_is_written_and_read_anew():
    """Both presentations of a pair see a write of their own; afterwards nothing of the change is left."""
    model, ideal, batch = setup("tanh", (3, 4, 3), chips=1)
    spec = MismatchSpec(1, 4, imperfections={"write_noise": WriteNoise(std=0.5)})
    chips = ChipPopulation(ideal.network, spec, TorchSimulator(), SeedTree(0))
    before = [w.clone() for w in model.forward_weights]
    same = shown(WeightPerturbation(sigma=1e-6), chips, batch, model).observation
    assert not torch.allclose(same["plus_0"].rates[-1], same["minus_0"].rates[-1], atol=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, model.forward_weights, strict=True))


def test_more_draws_make_an_estimate_better():
    """Cosine with the gradient: its square grows with the number of draws while it is small."""
    model, chips, batch = setup("tanh", (4, 8, 3), chips=1)
    exact = -torch.cat([g.flatten() for g in gradients(model, Squared(), batch)[0]])

    def near(draws):
        found = []
        for number in range(8):
            rule = NodePerturbation(sigma=0.01, draws=draws)
            weights, _ = wanted(rule, model, steady(chips), replace(batch, key=("train", number)))
            estimate = torch.cat([w.flatten() for w in weights])
            found.append(torch.cosine_similarity(estimate, exact, dim=0))
        return float(torch.stack(found).mean())

    assert near(32) > near(1) + 0.25


@pytest.mark.parametrize(
    ("rule", "rate"), [(NodePerturbation(sigma=0.1), 0.03), (WeightPerturbation(), 0.01)]
)
def test_the_loss_of_a_mismatched_chip_falls(rule, rate):
    model, ideal, batch = setup("tanh", (4, 8, 3), chips=2)
    chips = steady(ideal, {"weight": Normal(cv=0.2), "gain": Normal(cv=0.2)})
    stepper, losses = SGD().bind(model, (1.0, 1.0)), []
    for step in range(150):
        own = replace(batch, key=("train", step))
        update = rule.update(own, shown(rule, chips, own, model).observation, model)
        stepper.apply(update, rate)
        losses.append(update.measures["loss"])
    assert bool((torch.stack(losses[-20:]).mean(0) < 0.5 * torch.stack(losses[:5]).mean(0)).all())


def test_spiking_chips_give_an_estimate_that_points_downhill():
    """A step along the mean of many draws lowers the loss of both mismatched chips, as they are measured."""
    network = chain([4, 12, 3], LIF(bias=1.2))
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), 200, 150)
    model = Model(network, stimulus, 2, SeedTree(2), weight_gain=(2.0, 2.0), bias_spread=(0.3, 0.1))
    spec = MismatchSpec(2, 1, {"threshold": Normal(cv=0.2), "weight": Normal(cv=0.2)})
    chips = ChipPopulation(network, spec, TorchSimulator(), SeedTree(0))
    target = torch.tensor([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]], dtype=torch.float64)
    batch = Batch(torch.from_numpy(SeedTree(3).generator().random((2, 4))), target, ("train",))
    rule, losses = NodePerturbation(sigma=0.3, draws=64), []
    for _ in range(2):
        update = rule.update(batch, shown(rule, chips, batch, model).observation, model)
        losses.append(update.measures["loss"])
        SGD().bind(model, (1.0, 1.0)).apply(update, 0.3)
    assert bool((losses[1] < 0.9 * losses[0]).all())
