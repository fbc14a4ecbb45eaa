"""Without weight transport: what is carried back comes to lie along the weights, or never crosses a layer."""

from dataclasses import replace

import pytest
import torch
from test_error_feedback import setup

from learning.backprop import Backprop
from learning.kolen_pollack import KolenPollack
from learning.local_errors import LocalErrors
from learning.losses import CrossEntropy, Squared
from learning.optimizers import SGD
from learning.stimulus import Batch
from learning.weight_mirror import WeightMirror
from mismatch import oracle
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from root.seeds import SeedTree
from spiketrain.observing import shown
from spiking.simulators.steady import SteadySimulator


def steady(chips, **deviations):
    """Return the chips of a network at rest, and whatever deviates by so much."""
    spec = MismatchSpec(chips.chips, 4, {name: Normal(cv=cv) for name, cv in deviations.items()})
    return ChipPopulation(chips.network, spec, SteadySimulator(), SeedTree(0))


def test_kolen_pollack_comes_to_the_transposed_weights_as_fast_as_it_forgets():
    model, ideal, batch = setup("tanh")
    chips, rule = steady(ideal, weight=0.2, gain=0.2), KolenPollack(decay=0.02)
    rule.start(model)
    stepper = SGD(momentum=0.5).bind(model, (1.0,) * 3)

    def distances():
        pairs = [(model.memory[f"backward.weights.{i}"], model.forward_weights[i + 1]) for i in range(2)]
        return [backward - forward.transpose(1, 2) for backward, forward in pairs]

    first = distances()
    for step in range(30):
        own = replace(batch, key=("train", step))
        update = rule.update(own, shown(rule, chips, own, model).observation, model)
        before = [w.clone() for w in model.forward_weights]
        stepper.apply(update, 0.1)
        rule.follow(tuple(w - b for w, b in zip(model.forward_weights, before, strict=True)), model)
    for now, then in zip(distances(), first, strict=True):
        torch.testing.assert_close(now, then * 0.98**30)


def test_kolen_pollack_is_backprop_once_it_is_there():
    model, chips, batch = setup("tanh")
    rule = KolenPollack()
    rule.start(model)
    for index in range(2):
        model.memory[f"backward.weights.{index}"] = model.forward_weights[index + 1].transpose(1, 2).clone()
    seen = shown(rule, chips, batch, model).observation
    for mine, exact in zip(
        rule.update(batch, seen, model).connections,
        Backprop().update(batch, seen, model).connections,
        strict=True,
    ):
        torch.testing.assert_close(mine.weight(), exact.weight())


def test_a_mirror_shows_the_weights_as_they_are_on_the_chip():
    """Nearer to the effective weights than the programmed ones are, from random, told nothing."""
    model, ideal, _ = setup("linear")
    chips, rule = steady(ideal, weight=0.4), WeightMirror(asked=150, every=0, eta=1e-3, sigma=0.5)
    rule.start(model)
    for number in range(150):
        x = torch.from_numpy(SeedTree(5).child(number).generator().random((32, 4)))
        batch = Batch(x, torch.zeros(32, 3, dtype=torch.float64), ("warmup", number))
        chips.program(model.weights())
        seen = chips.present(rule.warmup(batch, model), *batch.key)
        model.remember(None, rule.identify(batch, seen, model).memory)
    chips.program(model.weights())
    true = [w.transpose(1, 2) for w in oracle.reveal(chips).weights[1:]]
    for index, wanted in enumerate(true):
        programmed = model.forward_weights[index + 1].transpose(1, 2)
        mirrored = rule.mirror.current(model)[index]

        def cosine(weights, wanted=wanted):
            return torch.cosine_similarity(weights.flatten(1), wanted.flatten(1), dim=1)

        assert bool((cosine(mirrored) > 0.98).all())
        assert bool((cosine(mirrored) > cosine(programmed) + 0.01).all())


@pytest.mark.parametrize("loss", [Squared(), CrossEntropy(0.3)])
def test_local_errors_are_the_gradients_of_local_losses(loss):
    model, chips, batch = setup("tanh")
    rule = LocalErrors(loss)
    rule.start(model)
    update = rule.update(batch, shown(rule, chips, batch, model).observation, model)
    weights = [w.detach().clone().requires_grad_() for w in model.forward_weights]
    rate, total = batch.x.unsqueeze(0), 0.0
    for index, (weight, bias) in enumerate(zip(weights, model.bias, strict=True)):
        rate = model.transfer(index).rate(rate.detach() @ weight + bias.detach().unsqueeze(1))
        said = rate @ model.memory[f"readouts.weights.{index}"].transpose(1, 2) if index < 2 else rate
        total = total + loss.value(said, batch.target).mean(1).sum()
    total.backward()
    for change, weight in zip(update.connections, weights, strict=True):
        torch.testing.assert_close(change.weight(), -weight.grad, atol=1e-6, rtol=1e-6)
