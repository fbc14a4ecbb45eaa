"""Equilibrium propagation against the gradient at the settled network's rest."""

import math

import pytest
import torch

from learning.equilibrium_propagation import EquilibriumPropagation
from learning.model import Model
from learning.stimulus import Batch, Stimulus
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from rate_bridge.errors import InputError, UnsupportedError
from rate_bridge.seeds import SeedTree
from spiking.network import bidirectional, chain
from spiking.neurons import Rate
from spiking.simulators.steady import SteadySimulator

SIZES = (4, 7, 6, 3)


def setup(activation="sigmoid", deviations=()):
    network = bidirectional(chain(SIZES, Rate(activation=activation)))
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), 600, 1)
    gains, spread = (1.0,) * len(network.connections), (0.3,) * network.depth
    model = Model(network, stimulus, 2, SeedTree(2), weight_gain=gains, bias_spread=spread)
    spec = MismatchSpec(2, 3, {name: Normal(cv=0.3) for name in deviations})
    chips = ChipPopulation(network, spec, SteadySimulator(tolerance=1e-14), SeedTree(0))
    generator = SeedTree(4).generator()
    x, target = torch.from_numpy(generator.random((5, 4))), torch.from_numpy(generator.random((5, 3)))
    return model, chips, Batch(x, target, ("b",))


def learn(rule, model, chips, batch):
    rule.start(model)
    chips.program(model.weights())
    return rule.update(batch, chips.present(rule.presentation(batch, model), *batch.key), model)


def gradient(model, batch):
    """Return the gradients of the loss at rest, by differentiating through the relaxation."""
    weights = [w.detach().clone().requires_grad_() for w in model.chain_weights]
    biases = [b.detach().clone().requires_grad_() for b in model.bias]
    rates = [torch.zeros(2, 5, n, dtype=torch.float64) for n in SIZES[1:]]
    for _ in range(150):
        for layer in range(3):
            below = batch.x.unsqueeze(0) if layer == 0 else rates[layer - 1]
            current = below @ weights[layer] + biases[layer].unsqueeze(1)
            if layer < 2:
                current = current + rates[layer + 1] @ weights[layer + 1].transpose(1, 2)
            rates[layer] = model.transfer(layer).rate(current)
    (0.5 * (batch.target - rates[-1]).square().sum(-1).mean(1)).sum().backward()
    return [w.grad for w in weights] + [b.grad for b in biases]


def degrees(update, reference, depth=3):
    changes = update.connections[:depth]
    mine = torch.cat([t.flatten() for c in changes for t in (c.weight(), c.bias())])
    other = -torch.cat(
        [t.flatten() for layer in range(depth) for t in (reference[layer], reference[depth + layer])]
    )
    return math.degrees(math.acos(min(1.0, float(torch.cosine_similarity(mine, other, dim=0)))))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softplus"])
def test_a_small_symmetric_nudge_follows_the_gradient(activation):
    model, chips, batch = setup(activation)
    if activation == "softplus":  # unbounded: keep the loop's gain below one
        for weight in model.forward_weights:
            weight.data *= 0.4
    update = learn(EquilibriumPropagation(beta=0.01), model, chips, batch)
    reference = gradient(model, batch)
    assert degrees(update, reference) < 0.5
    weight = update.connections[1].weight()
    torch.testing.assert_close(weight, -reference[1], rtol=0.01, atol=1e-4)


def test_a_one_sided_nudge_is_biased_by_the_order_of_beta():
    model, chips, batch = setup()
    reference = gradient(*_started(model), batch)
    angle = {
        (nudging, beta): degrees(learn(EquilibriumPropagation(beta, nudging), model, chips, batch), reference)
        for nudging in ("one_sided", "symmetric")
        for beta in (0.1, 0.05)
    }
    assert angle["symmetric", 0.1] < angle["one_sided", 0.1] / 3
    assert angle["one_sided", 0.1] / angle["one_sided", 0.05] == pytest.approx(2.0, rel=0.1)
    assert angle["symmetric", 0.1] / angle["symmetric", 0.05] == pytest.approx(4.0, rel=0.1)


def _started(model):
    EquilibriumPropagation().start(model)
    return (model,)


def test_both_directions_are_programmed_alike():
    model, chips, batch = setup(deviations=["weight"])
    update = learn(EquilibriumPropagation(), model, chips, batch)
    for forward, backward in ((1, 4), (2, 3)):
        programmed = model.forward_weights
        assert torch.equal(programmed[forward], programmed[backward].transpose(1, 2))
        change, mirrored = update.connections[forward], update.connections[backward]
        assert torch.equal(change.weight(), mirrored.weight().transpose(1, 2))
        assert mirrored.bias() is None


def test_mismatch_between_the_directions_turns_the_update():
    model, chips, batch = setup(deviations=["weight"])
    update = learn(EquilibriumPropagation(beta=0.01), model, chips, batch)
    assert degrees(update, gradient(model, batch)) > 2


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match=r"rule\.beta"):
        EquilibriumPropagation(beta=0.0)
    with pytest.raises(InputError, match=r"rule\.nudging"):
        EquilibriumPropagation(nudging="both")
    with pytest.raises(UnsupportedError, match="bidirectional"):
        EquilibriumPropagation().check(chain(SIZES, Rate()))
