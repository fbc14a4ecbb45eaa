"""Backpropagation and its relatives on settled rate networks, against autograd."""

import pytest
import torch

from learning.backprop import Backprop
from learning.direct_feedback_alignment import DirectFeedbackAlignment
from learning.feedback_alignment import Backward, FeedbackAlignment
from learning.losses import CrossEntropy, Squared
from learning.model import Model
from learning.sign_symmetry import SignSymmetry
from learning.stimulus import Batch, Stimulus
from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.errors import UnsupportedError
from root.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.simulators.torch import TorchSimulator

ACTIVATIONS = ["tanh", "sigmoid", "relu", "softplus", "linear"]
LOSSES = [Squared(), CrossEntropy(0.3)]


def setup(activation, sizes=(4, 7, 6, 3), chips=2):
    """Return a model, unmismatched chips that settle within a presentation, and a batch."""
    network = chain(sizes, Rate(activation=activation, tau_ms=0.5, gain=1.3, offset=0.1))
    seeds = SeedTree(3)
    stimulus = Stimulus(network, CurrentEncoding(), seeds.child("stimulus"), 90, 1)
    model = Model(
        network,
        stimulus,
        chips,
        seeds.child("rule"),
        weight_gain=(1.5,) * network.depth,
        bias_spread=(0.3,) * network.depth,
    )
    for index, weight in enumerate(model.forward_weights):
        weight.data += 0.2 * torch.from_numpy(seeds.child(index).generator().standard_normal(weight.shape))
    population = ChipPopulation(network, MismatchSpec(chips), TorchSimulator(), seeds.child("chips"))
    x = torch.from_numpy(seeds.child("x").generator().random((5, sizes[0])))
    target = torch.full((5, sizes[-1]), 0.1, dtype=torch.float64)
    target[torch.arange(5), torch.arange(5) % sizes[-1]] = 0.8
    return model, population, Batch(x, target, ("train", 0))


def learn(rule, model, population, batch):
    rule.start(model)
    population.program(model.weights())
    return rule.update(batch, population.present(rule.presentation(batch, model), *batch.key), model)


def gradients(model, loss, batch):
    """Return the gradients of every chip's loss by automatic differentiation."""
    weights = [w.detach().clone().requires_grad_() for w in model.forward_weights]
    biases = [b.detach().clone().requires_grad_() for b in model.bias]
    rate = batch.x.unsqueeze(0)
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        rate = model.transfer(index).rate(rate @ weight + bias.unsqueeze(1))
    loss.value(rate, batch.target).mean(1).sum().backward()
    return [w.grad for w in weights], [b.grad for b in biases]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_backprop_is_the_gradient(activation, loss):
    model, population, batch = setup(activation)
    update = learn(Backprop(loss), model, population, batch)
    weights, biases = gradients(model, loss, batch)
    for change, weight, bias in zip(update.connections, weights, biases, strict=True):
        torch.testing.assert_close(change.weight(), -weight, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(change.bias(), -bias, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_errors_are_the_losses_negative_gradients(loss):
    rates = torch.rand(2, 5, 3, dtype=torch.float64, requires_grad=True)
    target = torch.rand(5, 3, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(loss.value(rates, target).sum(), rates)
    torch.testing.assert_close(loss.error(rates.detach(), target), -gradient)


def test_alignments_become_backprop_when_given_its_matrices():
    model, population, batch = setup("tanh")
    exact = learn(Backprop(), model, population, batch)
    rule = FeedbackAlignment()
    rule.start(model)
    drawn = Backward.of(model.memory).weights
    own = {index: w.transpose(1, 2) for index, w in enumerate(model.chain_weights[1:], start=1)}
    assert {i: w.shape for i, w in own.items()} == {i: w.shape for i, w in drawn.items()}
    model.memory |= Backward(own).entries()
    observation = population.present(rule.presentation(batch, model), *batch.key)
    for mine, other in zip(
        rule.update(batch, observation, model).connections, exact.connections, strict=True
    ):
        torch.testing.assert_close(mine.weight(), other.weight())


def test_direct_alignment_is_feedback_alignment_with_one_hidden_layer():
    model, population, batch = setup("tanh", (4, 7, 3))
    one = learn(FeedbackAlignment(), model, population, batch)
    other = learn(DirectFeedbackAlignment(), model, population, batch)
    torch.testing.assert_close(one.connections[0].weight(), other.connections[0].weight())


def test_sign_symmetry_is_backprop_where_all_weights_have_one_size():
    model, population, batch = setup("tanh")
    for weight in model.forward_weights:
        weight.data = 0.4 * weight.data.sign()
    exact = learn(Backprop(), model, population, batch)
    mine = learn(SignSymmetry(), model, population, batch)
    for a, b in zip(mine.connections, exact.connections, strict=True):
        torch.testing.assert_close(a.weight(), b.weight())


def test_without_the_output_slope_it_is_the_gradient_of_the_matching_loss():
    """For r = g tanh(I - o) the matching loss is g ln cosh(I - o) - r* I, summed over the outputs."""
    model, population, batch = setup("tanh")
    update = learn(Backprop(output_slope=False), model, population, batch)
    weights = [w.detach().clone().requires_grad_() for w in model.forward_weights]
    rate = batch.x.unsqueeze(0)
    for index, (weight, bias) in enumerate(zip(weights, model.bias, strict=True)):
        current = rate @ weight + bias.detach().unsqueeze(1)
        rate = model.transfer(index).rate(current)
    loss = 1.3 * torch.log(torch.cosh(current - 0.1)) - batch.target * current
    loss.sum(-1).mean(1).sum().backward()
    for change, weight in zip(update.connections, weights, strict=True):
        torch.testing.assert_close(change.weight(), -weight.grad, rtol=1e-6, atol=1e-9)


def test_a_silent_spiking_output_learns_without_its_slope_and_hardly_with_it():
    network = chain((4, 6, 3), (LIF(bias=1.2), LIF(bias=-2.0)))
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), 60, 40)
    model = Model(network, stimulus, 1, SeedTree(2), weight_gain=(1.0, 0.1), bias_spread=(0.0, 0.0))
    chips = ChipPopulation(network, MismatchSpec(1), TorchSimulator(), SeedTree(3))
    batch = Batch(torch.ones(2, 4), torch.full((2, 3), 0.8), ("train", 0))
    sizes = {}
    for slope in (True, False):
        update = learn(Backprop(output_slope=slope), model, chips, batch)
        sizes[slope] = float(update.connections[-1].bias().mean())
    assert sizes[False] == pytest.approx(0.8)
    assert 0 < sizes[True] < 0.02


def test_leaving_out_a_slope_that_is_one_is_refused():
    network = chain((4, 6, 3), (Rate(), Rate(activation="linear")))
    Backprop().check(network)
    Backprop(output_slope=False).check(chain((4, 6, 3), Rate()))
    with pytest.raises(UnsupportedError, match="output_slope"):
        Backprop(output_slope=False).check(network)
