"""No kind of imperfection is visible to a rule but through what is observed."""

import pytest
import torch
from kinds import EXAMPLES, examples, phases, population, weights
from kinds import kind as made

from learning.model import Model
from learning.stimulus import Batch, Stimulus
from mismatch.distributions import Normal
from rate_bridge.encodings import CurrentEncoding, PhaseEncoding
from root.errors import UnsupportedError
from root.plugins import available, load
from root.seeds import SeedTree
from spiking.network import bidirectional, chain
from spiking.neurons import LIF, Rate
from spiking.presentation import Recording

NEURONS = {"lif": LIF(bias=0.8), "rate": Rate(tau_ms=4.0, saturation=1.5)}
ENCODINGS = {"lif": PhaseEncoding(), "rate": CurrentEncoding()}
CASES = [(rule, neuron) for rule in available("rules") for neuron in NEURONS]


def rule_and_network(name, neuron):
    """Return a rule and the first network that it can train."""
    rule = load("rules", name)()
    plain = chain([12, 10, 4], NEURONS[neuron])
    for network in (plain, bidirectional(plain)):
        try:
            rule.check(network)
        except UnsupportedError:
            continue
        return rule, network
    pytest.skip(f"{name} cannot train networks of {neuron} neurons")
    return None


def model_of(rule, network, encoding):
    seeds = SeedTree(5)
    stimulus = Stimulus(network, encoding, seeds.child("stimulus"), 40, 20, "rectangular")
    gains = (2.0,) * len(network.connections)
    model = Model(network, stimulus, 2, seeds.child("rule"), weight_gain=gains, bias_spread=(0.3, 0.0))
    rule.start(model)
    model.feedback = rule.feedback_weights(model)
    return model


def used(chips, network):
    """Return the chips after a life that lets every kind act: programmed often, and aged."""
    for number in range(4):
        chips.program(weights(2, network=network, seed=number))
        chips.advance(500.0)
    return chips


def tensors(update):
    for part in update.connections:
        if part is not None:
            yield from (t for t in (part.weight(), part.bias()) if t is not None)
    yield from update.feedback or ()
    yield from (*update.memory.values(), *update.measures.values())


def same(one, other):
    pairs = zip(one.values(), other.values(), strict=True)
    return all(torch.equal(x, y) for a, b in pairs for x, y in zip(a.rates, b.rates, strict=True))


@pytest.mark.parametrize(("name", "neuron"), CASES)
def test_the_same_observation_gives_the_same_update_whatever_the_chips(name, neuron):
    """What one chip showed is replayed against twins that have every kind of imperfection in turn."""
    rule, network = rule_and_network(name, neuron)
    if rule.needs_truth:
        pytest.skip("told the truth: an upper bound")
    g = torch.Generator().manual_seed(0)
    inputs, target = (torch.rand(3, n, generator=g, dtype=torch.float64) for n in (12, 4))
    batch = Batch(inputs, target, ("batch", 0))
    deviations = {"weight": Normal(0.2), "bias": Normal(0.1)}

    def twin(seed=1, recorded=None, **kinds):
        """Return the update made of what was recorded, and what these chips show themselves."""
        rule = rule_and_network(name, neuron)[0]
        model = model_of(rule, network, ENCODINGS[neuron])
        chips = population(chips=2, seed=seed, network=network, deviations=deviations, **kinds)
        assert used(chips, network).program(model.weights()) is None
        chips.advance(500.0)
        own = chips.present(rule.presentation(batch, model), *batch.key)
        return list(tensors(rule.update(batch, recorded or own, model))), own

    expected, recorded = twin(seed=9)
    plain = twin()[1]
    assert not same(plain, recorded)
    for kind, options in examples(neuron).items():
        update, own = twin(recorded=recorded, **{kind: made(kind, options)})
        assert not same(own, plain), f"{kind} does nothing here"
        assert len(update) == len(expected)
        assert all(torch.equal(a, b) for a, b in zip(update, expected, strict=True)), kind


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_observation_holds_recordings_of_tensors_and_nothing_else(kind):
    chips = population(kind)
    chips.program(weights())
    for recording in chips.present(phases(), "a").values():
        assert type(recording) is Recording
        for value in vars(recording).values():
            parts = (
                value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
            )
            for part in parts:
                assert part is None or type(part) is torch.Tensor
                assert part is None or part.grad_fn is None


@pytest.mark.parametrize("kind", EXAMPLES)
def test_what_was_asked_is_left_as_it_was(kind):
    chips, program = population(kind), weights()
    kept = [w.clone() for w in (*program.forward, *program.feedback)]
    chips.program(program)
    chips.program(program)
    assert all(torch.equal(a, b) for a, b in zip(kept, (*program.forward, *program.feedback), strict=True))
