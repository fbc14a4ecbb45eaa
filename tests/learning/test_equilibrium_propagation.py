"""Equilibrium propagation against the gradient at the settled network's rest."""

import math
from dataclasses import replace

import pytest
import torch

from learning.equilibrium_propagation import EquilibriumPropagation
from learning.model import Model
from learning.stimulus import Batch, Stimulus
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.errors import InputError, UnsupportedError
from root.seeds import SeedTree
from spiking.connections import Conv2d, Dense, OneToOne, Recurrent
from spiking.network import Connection, Layer, Network, bidirectional, chain
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


def symmetric() -> Network:
    """A convolution of the input, pairs all-to-all and neuron by neuron, skips, loops, an input skip."""
    neuron = Rate(activation="tanh")
    layers = (Layer(8, neuron, (2, 2, 2)), Layer(8, neuron), Layer(6, neuron), Layer(3, neuron))
    pairs = [(1, 2, OneToOne()), (2, 3, Dense()), (3, 4, Dense()), (1, 3, Dense()), (2, 4, Dense())]
    connections = [
        Connection(0, 1, 1, Conv2d(channels=2, kernel=3)),
        *(Connection(pre, post, 1, pattern) for pre, post, pattern in pairs),
        *(Connection(post, pre, 1, pattern) for pre, post, pattern in pairs),
        Connection(2, 2, 1, Recurrent()),
        Connection(3, 3, 1, Recurrent(self_connections=True)),
        Connection(0, 3),
    ]
    return Network(16, layers, tuple(connections), input_shape=(4, 4))


def test_on_a_symmetric_graph_it_is_the_gradient_of_what_the_chips_do():
    """Finite differences along steps of both directions of every synapse at once."""
    network = symmetric()
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), 600, 1)
    gains = (0.6,) * len(network.connections)
    model = Model(network, stimulus, 2, SeedTree(2), weight_gain=gains, bias_spread=(0.3,) * network.depth)
    chips = ChipPopulation(network, MismatchSpec(2), SteadySimulator(tolerance=1e-14), SeedTree(0))
    generator = SeedTree(4).generator()
    x, target = torch.from_numpy(generator.random((5, 16))), torch.from_numpy(generator.random((5, 3)))
    batch, rule = Batch(x, target, ("b",)), EquilibriumPropagation(beta=0.003)
    rule.check(network)
    update = learn(rule, model, chips, batch)
    mirrors = {6: 1, 7: 2, 8: 3, 9: 4, 10: 5, 11: 11, 12: 12}  # and those of a layer onto itself
    g, weights = torch.Generator().manual_seed(3), list(model.forward_weights)

    def loss():
        chips.program(model.weights())
        rates = chips.present((model.stimulus.phase("free", batch),), "b")["free"].rates[-1]
        return 0.5 * (target - rates).square().sum(-1).mean(1)

    def slope(steps):
        ends = []
        for sign in (1e-5, -1e-5):
            for parameter, direction in steps:
                parameter.data += sign * direction
            ends.append(loss())
            for parameter, direction in steps:
                parameter.data -= sign * direction
        return (ends[0] - ends[1]) / 2e-5

    for index, weight in enumerate(weights):
        if mirrors.get(index, index) != index:
            forward, own = mirrors[index], network.synapses[mirrors[index]]
            torch.testing.assert_close(weight.data, own.turned(weights[forward].data))
            wanted = own.turned(update.connections[forward].weight())
            torch.testing.assert_close(update.connections[index].weight(), wanted)
            continue
        change, own = update.connections[index].weight(), network.synapses[index]
        direction = torch.randn(weight.shape, generator=g, dtype=torch.float64)
        along = (change * direction).flatten(1).sum(1)
        steps = [(weight, direction)]
        if index in mirrors:  # both ends of a symmetric matrix are the same number, counted twice
            direction = direction + own.turned(direction)
            steps, along = [(weight, direction)], (change * direction).flatten(1).sum(1) / 2.0
            if own.dense:  # but for its diagonal
                along = along + (change * direction).diagonal(dim1=1, dim2=2).sum(1) / 2.0
        elif index in mirrors.values():
            other = next(m for m, f in mirrors.items() if f == index)
            steps.append((weights[other], own.turned(direction)))
        torch.testing.assert_close(along, -slope(steps), rtol=2e-3, atol=1e-5)
    for layer, bias in enumerate(model.bias):
        direction = torch.randn(bias.shape, generator=g, dtype=torch.float64)
        changes = zip(network.connections, update.connections, strict=True)
        (change,) = [u.bias() for c, u in changes if c.post == layer + 1 and u.bias() is not None]
        torch.testing.assert_close(
            (change * direction).sum(1), -slope([(bias, direction)]), rtol=2e-3, atol=1e-5
        )


def test_what_has_no_mirror_image_is_refused_by_name():
    network = symmetric()
    skip = replace(network, connections=tuple(c for c in network.connections if (c.pre, c.post) != (4, 2)))
    with pytest.raises(UnsupportedError, match=r"network\.connections: got 'hidden 2->output'.*mirror image"):
        EquilibriumPropagation().check(skip)
    layers = (Layer(18, Rate(), (3, 3, 2)), Layer(2, Rate(), (1, 1, 2)))
    kernel = Conv2d(channels=2, kernel=3)
    kernels = (Connection(0, 1, 1, kernel), Connection(1, 2, 1, kernel), Connection(2, 1))
    with pytest.raises(
        UnsupportedError, match=r"network\.connections: got 'hidden->output, output->hidden'.*share"
    ):
        EquilibriumPropagation().check(Network(25, layers, kernels, input_shape=(5, 5)))


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
