"""One suite over every registered rule: pure, blind to the chip, the same on its twin, and it learns.

It runs on rate and on spiking chips. A new rule joins by being registered.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from itertools import chain as concatenate

import pytest
import torch
from torch import Tensor, nn

from learning.model import Model, Truth
from learning.optimizers import SGD
from learning.readout_only import ReadoutOnly
from learning.rule import LearningRule
from learning.stimulus import Batch, Stimulus
from mismatch import oracle
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec, deviating
from rate_bridge.encodings import CurrentEncoding
from rate_bridge.errors import UnsupportedError
from rate_bridge.plugins import available, load
from rate_bridge.seeds import SeedTree
from spiketrain.arms.oracle import tell
from spiking.feedback import Direct, Layered
from spiking.hardware import Hardware
from spiking.network import bidirectional, chain
from spiking.neurons import LIF, Rate
from spiking.simulators.base import Simulator
from spiking.simulators.torch import TorchSimulator

RULES = available("rules")
NEURONS = {"rate": Rate(tau_ms=4.0, saturation=1.5), "lif": LIF(bias=1.2)}
PREDICTIONS = [f"dfc/{name}" for name in available("predictions")]
LAYERED = ["transposed/slope", "random/active", "kolen_pollack/measured", "identified_layers/active"]
RELAYED = [f"dfc/none/{name}" for name in LAYERED]
CASES = [(rule, neuron) for rule in [*RULES, *PREDICTIONS, *RELAYED] for neuron in NEURONS]
FORBIDDEN = (ChipPopulation, Hardware, Simulator, MismatchSpec, Normal, Truth)
CHIPS = 2


def rule_and_network(name: str, neuron: str):
    """Return a rule with its default settings and the first network that it can train.

    ``dfc/NAME`` is DFC with another prediction, ``dfc/NAME/FEEDBACK/GATE`` with layered feedback.
    """
    name, *parts = name.split("/")
    groups = zip(("predictions", "feedback", "gates"), parts, strict=False)
    options = {group.rstrip("s"): load(group, part)() for group, part in groups}
    rule: LearningRule = load("rules", name)(**options)
    path = Layered() if len(parts) > 1 else Direct()
    plain = replace(chain([6, 9, 8, 4], NEURONS[neuron]), feedback=path)
    for network in (plain, bidirectional(plain)):
        try:
            rule.check(network)
        except UnsupportedError:
            continue
        return rule, network
    pytest.skip(f"{name} cannot train networks of {neuron} neurons")
    return None


def population(network, seed):
    names = set(deviating(network)) - {"readout_offset", "refractory", "reset"}
    spec = MismatchSpec(CHIPS, seed, {name: Normal(cv=0.2) for name in sorted(names)})
    return ChipPopulation(network, spec, TorchSimulator(), SeedTree(0))


def model_of(network, gain=2.0):
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), 60, 40)
    gains = (gain,) * len(network.connections)
    return Model(network, stimulus, CHIPS, SeedTree(2), weight_gain=gains, bias_spread=(0.3,) * network.depth)


def batch_of(size=5):
    generator = SeedTree(3).generator()
    target = torch.full((size, 4), 0.1, dtype=torch.float64)
    target[torch.arange(size), torch.arange(size) % 4] = 0.7
    return Batch(torch.from_numpy(generator.random((size, 6))), target, ("train", 0, 0))


def observe(rule, model, chips, batch):
    """Do what an experiment does before an update."""
    if rule.needs_truth:
        tell(chips, model)
    rule.prepare(model)
    chips.program(model.weights())
    return chips.present(rule.presentation(batch, model), *batch.key)


@cache
def learnt(name, neuron):
    rule, network = rule_and_network(name, neuron)
    model, chips, batch = model_of(network), population(network, 1), batch_of()
    rule.start(model)
    return rule, model, chips, batch, observe(rule, model, chips, batch)


def numbers(update) -> list[Tensor]:
    """Return everything an update says."""
    changes = [c for c in update.connections if c is not None]
    found = [t for c in changes for t in (c.weight(), c.bias()) if t is not None]
    found += [*(update.feedback or ()), *update.memory.values(), *update.measures.values()]
    return [*found, *([] if update.residual is None else [update.residual])]


@pytest.mark.parametrize(("name", "neuron"), CASES)
def test_an_update_changes_something_and_is_finite(name, neuron):
    rule, model, _, batch, observation = learnt(name, neuron)
    update = rule.update(batch, observation, model)
    assert len(update.connections) == len(model.network.connections)
    changes = [c.weight() for c in update.connections if c is not None]
    assert changes
    assert any(bool((c != 0).any()) for c in changes)
    assert all(bool(value.isfinite().all()) for value in numbers(update))
    shapes = [tuple(w.shape) for w in model.forward_weights]
    for index, change in enumerate(update.connections):
        assert change is None or tuple(change.weight().shape) == shapes[index]


@pytest.mark.parametrize(("name", "neuron"), CASES)
def test_a_network_with_backward_connections_is_refused_or_trained_as_a_whole(name, neuron):
    rule, network = rule_and_network(name, neuron)
    both = network if len(network.connections) > network.depth else bidirectional(network)
    if not rule.trains_graphs(on_chip=False):
        with pytest.raises(UnsupportedError, match=r"network\.connections.*network\.bidirectional"):
            rule.check_connections(both, on_chip=False)
        return
    rule.check_connections(both, on_chip=False)
    model, chips, batch = model_of(both), population(both, 1), batch_of()
    rule.start(model)
    update = rule.update(batch, observe(rule, model, chips, batch), model)
    for change, connection in zip(update.connections, both.connections, strict=True):
        idle = isinstance(rule, ReadoutOnly) and connection.post != both.depth
        assert idle if change is None else bool((change.weight() != 0).any())


@pytest.mark.parametrize(("name", "neuron"), CASES)
def test_the_same_input_gives_the_same_update(name, neuron):
    rule, model, _, batch, observation = learnt(name, neuron)
    before = [p.clone() for p in model.parameters()]
    first = numbers(rule.update(batch, observation, model))
    torch.rand(7)  # a rule that draws from a global generator is found out
    second = numbers(rule.update(batch, observation, model))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(("name", "neuron"), CASES)
def test_twins_cannot_be_told_apart(name, neuron):
    """The same recorded observation, replayed against two different chips, gives the same update."""
    rule, network = rule_and_network(name, neuron)
    if rule.needs_truth:
        pytest.skip("told the truth: an upper bound")
    *_, batch, recorded = learnt(name, neuron)
    updates = []
    for seed in (1, 2):
        model, chips = model_of(network), population(network, seed)
        rule.start(model)
        own = observe(rule, model, chips, batch)
        updates.append((numbers(rule.update(batch, recorded, model)), own))
    (one, first), (two, second) = updates
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    phases = [(first[phase].rates[-1], second[phase].rates[-1]) for phase in first]
    assert any(not torch.equal(a, b) for a, b in phases)  # they are different chips


@pytest.mark.parametrize(("name", "neuron"), CASES)
def test_a_rule_finds_nothing_of_the_chip(name, neuron):
    rule, model, chips, batch, observation = learnt(name, neuron)
    if rule.needs_truth:
        pytest.skip("told the truth: an upper bound")
    secrets = [
        value
        for value in oracle.flatten(oracle.reveal(chips)).values()
        if value.unique().numel() > value.shape[0]
    ]
    assert len(secrets) > 6
    reached = list(walk((rule, model, batch, observation, rule.presentation(batch, model))))
    assert not [thing for thing in reached if isinstance(thing, FORBIDDEN)]
    tensors = [thing for thing in reached if isinstance(thing, Tensor)]
    assert len(tensors) > 10
    for tensor in tensors:
        assert tensor.grad_fn is None
        for secret in secrets:
            if tensor.shape == secret.shape:
                assert not torch.allclose(tensor.double(), secret, rtol=1e-4)
            storage = tensor.untyped_storage().data_ptr()
            assert storage == 0 or storage != secret.untyped_storage().data_ptr()


def walk(root, seen=None):
    """Yield every object that can be reached from `root` through attributes, containers and closures."""
    seen = set() if seen is None else seen
    if id(root) in seen or isinstance(root, type | str | bytes | int | float | torch.dtype):
        return
    seen.add(id(root))
    yield root
    for part in _parts(root):
        yield from walk(part, seen)


def _parts(thing):
    if isinstance(thing, Mapping):
        return list(concatenate(thing.keys(), thing.values()))
    if isinstance(thing, list | tuple | set | frozenset):
        return list(thing)
    found = []
    if is_dataclass(thing):
        found += [getattr(thing, f.name) for f in fields(thing)]
    if isinstance(thing, nn.Module | LearningRule) or hasattr(thing, "__dict__"):
        found += list(vars(thing).values())
    if callable(thing) and getattr(thing, "__closure__", None):
        found += [cell.cell_contents for cell in thing.__closure__]
    if hasattr(thing, "__self__"):
        found.append(thing.__self__)
    return found


@pytest.mark.parametrize("name", RULES)
def test_a_rule_learns_a_batch_on_a_rate_chip(name):
    """Following its own update, every rule tells the right outputs from the others."""
    rule, network = rule_and_network(name, "rate")
    model, chips, batch = model_of(network, 1.0), population(network, 1), batch_of()
    right = (batch.target == batch.target.max()).double()
    rule.start(model)
    stepper = SGD().bind(model, (1.0,) * len(network.connections))

    def margin():
        chips.program(model.weights())
        rates = chips.present((model.stimulus.phase("free", batch),), "test")["free"].rates[-1]
        return (rates * (right - 0.25)).sum(-1).mean(1)

    before = margin()
    for step in range(60):
        shown = Batch(batch.x, batch.target, ("train", 0, step))
        update = rule.update(shown, observe(rule, model, chips, shown), model)
        stepper.apply(update, 0.2)
        model.remember(update.feedback, update.memory)
    assert float((margin() - before).mean()) > 0.1
