"""What every learning rule must do: be pure, blind to the chip, the same on its twin, and learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from itertools import chain as concatenate
from typing import Any, final

import torch
from torch import Tensor, nn

from chips.base import Chips
from learning.model import Model, Truth
from learning.optimizers import SGD
from learning.rule import LearningRule, Update
from learning.stimulus import Batch, Stimulus
from mismatch import oracle
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.distributions.base import Distribution
from mismatch.spec import MismatchSpec, deviating
from rate_bridge.encodings import CurrentEncoding
from root.errors import UnsupportedError
from root.seeds import SeedTree
from spiketrain.arms.oracle import tell
from spiketrain.observing import shown
from spiketrain.testing.cases import Case, require, skip
from spiking.feedback import Direct, FeedbackPath
from spiking.hardware import Hardware
from spiking.network import Network, bidirectional, chain
from spiking.neurons import LI, LIF, Rate
from spiking.neurons.base import Neuron
from spiking.presentation import Observation
from spiking.simulators.base import Simulator
from spiking.simulators.torch import TorchSimulator

__all__ = ["NEURONS", "rule_cases"]

NEURONS: Mapping[str, Neuron] = {"rate": Rate(tau_ms=4.0, saturation=1.5), "lif": LIF(bias=1.2)}
"""Of the networks that a rule is tried on."""

FORBIDDEN = (Chips, Hardware, Simulator, MismatchSpec, Distribution, Truth)
"""What a rule must not be able to reach."""

CHIPS = 2
MOST_UPDATES = 300
"""Rules that know nothing of the chip take many."""

EXACT = frozenset({"readout_offset", "refractory", "reset"})
"""What does not deviate."""


@final
@dataclass(frozen=True)
class _Lesson:
    """A rule, what it knows, the chips, and what it has seen of a batch."""

    rule: LearningRule
    model: Model
    chips: ChipPopulation
    batch: Batch
    observation: Observation

    @property
    def update(self) -> Update:
        return self.rule.update(self.batch, self.observation, self.model)


def rule_cases(
    rule: LearningRule,
    neuron: Neuron | str = "rate",
    *,
    feedback: FeedbackPath | None = None,
    learns: bool = True,
) -> list[Case]:
    """Return what every rule must do on small networks of one kind of neuron, one check after the other.

    Args:
        rule: the rule, with its settings.
        neuron: of the network; a name from `NEURONS`, or a neuron of one's own.
        feedback: how the network passes on a controller's signal.
        learns: whether some hundred of its updates must make right outputs stand out; tried where neurons do
            not spike.
    """
    made = NEURONS[neuron] if isinstance(neuron, str) else neuron

    @cache
    def network() -> Network:
        return _trainable(rule, made, feedback or Direct())

    @cache
    def lesson() -> _Lesson:
        return _taught(rule, network())

    found = [
        Case("an update changes something and is finite", lambda: _changes(lesson())),
        Case("connections back are refused or trained", lambda: _as_a_whole(rule, network())),
        Case("the same input gives the same update", lambda: _pure(lesson())),
        Case("twins cannot be told apart", lambda: _twins(lesson())),
        Case("it finds nothing of the chip", lambda: _blind(lesson())),
    ]
    if learns and not made.emits_spikes:
        found.append(Case("it learns a batch", lambda: _learns(rule, network())))
    return found


def _trainable(rule: LearningRule, neuron: Neuron, feedback: FeedbackPath) -> Network:
    """Return the first network that a rule can train: a chain, with connections back, read by potentials."""
    sizes = [6, 9, 8, 4]
    plain = replace(chain(sizes, neuron), feedback=feedback)
    read = replace(chain(sizes, [neuron, neuron, LI()]), feedback=feedback)
    for network in (plain, bidirectional(plain)):
        try:
            rule.check(network)
        except UnsupportedError:
            continue
        return network
    rule.check(read)
    return read


def _population(network: Network, seed: int) -> ChipPopulation:
    names = set(deviating(network)) - EXACT
    spec = MismatchSpec(CHIPS, seed, {name: Normal(cv=0.2) for name in sorted(names)})
    return ChipPopulation(network, spec, TorchSimulator(), SeedTree(0))


def _model(network: Network, gain: float = 2.0) -> Model:
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), 60, 40)
    gains = (gain,) * len(network.connections)
    return Model(network, stimulus, CHIPS, SeedTree(2), weight_gain=gains, bias_spread=(0.3,) * network.depth)


def _batch(size: int = 5) -> Batch:
    generator = SeedTree(3).generator()
    target = torch.full((size, 4), 0.1, dtype=torch.float64)
    target[torch.arange(size), torch.arange(size) % 4] = 0.7
    return Batch(torch.from_numpy(generator.random((size, 6))), target, ("train", 0, 0))


def _observe(rule: LearningRule, model: Model, chips: Chips, batch: Batch) -> Observation:
    """Do what an experiment does before an update."""
    if rule.needs_truth:
        tell(chips, model)
    rule.prepare(model)
    return shown(rule, chips, batch, model).observation


def _taught(rule: LearningRule, network: Network, seed: int = 1) -> _Lesson:
    model, chips, batch = _model(network), _population(network, seed), _batch()
    rule.start(model)
    return _Lesson(rule, model, chips, batch, _observe(rule, model, chips, batch))


def _numbers(update: Update, network: Network) -> list[Tensor]:
    """Return everything an update says."""
    changes = [change for change in update.of(network) if change is not None]
    found = [t for change in changes for t in (change.weight(), change.bias()) if t is not None]
    found += [*(update.feedback or ()), *update.memory.values(), *update.measures.values()]
    return [*found, *([] if update.residual is None else [update.residual])]


def _same(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def _changes(lesson: _Lesson) -> None:
    update, network = lesson.update, lesson.model.network
    changes = update.of(network)
    wanted = [change.weight() for change in changes if change is not None]
    require(any(bool((change != 0).any()) for change in wanted), "nothing is to change")
    require(
        all(bool(value.isfinite().all()) for value in _numbers(update, network)),
        "numbers that are not finite",
    )
    pairs = zip(changes, lesson.model.forward_weights, network.connection_names, strict=True)
    for change, weight, name in pairs:
        if change is not None and change.weight().shape != weight.shape:
            raise AssertionError(
                f"{name}: a change of shape {tuple(change.weight().shape)}, not {tuple(weight.shape)}"
            )


def _as_a_whole(rule: LearningRule, network: Network) -> None:
    both = network if len(network.connections) > network.depth else bidirectional(network)
    if not rule.trains_graphs(on_chip=False):
        try:
            rule.check_connections(both, on_chip=False)
        except UnsupportedError as error:
            said = "network.connections" in str(error) and "network.bidirectional" in str(error)
            require(said, f"a refusal without the key and the cure: {error}")
            return
        raise AssertionError("trains_graphs says no, and connections back are taken")
    rule.check_connections(both, on_chip=False)
    update = _taught(rule, both).update
    triples = zip(update.of(both), both.connections, both.connection_names, strict=True)
    for change, connection, name in triples:
        left = change is None
        aside = connection.post != both.depth and left
        require(aside or (change is not None and bool((change.weight() != 0).any())), f"{name} is left alone")


def _pure(lesson: _Lesson) -> None:
    before = [parameter.clone() for parameter in lesson.model.parameters()]
    network = lesson.model.network
    first = _numbers(lesson.update, network)
    torch.rand(7)  # a rule that draws from a global generator is found out
    second = _numbers(lesson.update, network)
    require(_same(first, second), "two updates from the same batch, observation and model differ")
    require(_same(before, list(lesson.model.parameters())), "an update changes the model itself")


def _twins(lesson: _Lesson) -> None:
    """The same recorded observation, replayed against two different chips, gives the same update."""
    rule, batch = lesson.rule, lesson.batch
    if rule.needs_truth:
        skip("told the truth: an upper bound")
    updates, seen = [], []
    for seed in (1, 2):
        twin = _taught(rule, lesson.model.network, seed)
        seen.append(twin.observation)
        updates.append(_numbers(rule.update(batch, lesson.observation, twin.model), twin.model.network))
    require(_same(*updates), "an update that depends on the chip, not on what was observed of it")
    pairs = [(seen[0][phase].rates[-1], seen[1][phase].rates[-1]) for phase in seen[0]]
    require(any(not torch.equal(a, b) for a, b in pairs), "two different chips do the same: nothing is shown")


def _blind(lesson: _Lesson) -> None:
    if lesson.rule.needs_truth:
        skip("told the truth: an upper bound")
    truth = oracle.flatten(oracle.reveal(lesson.chips)).values()
    secrets = [value for value in truth if len(set(value.flatten().tolist())) > value.shape[0]]
    phases = lesson.rule.presentation(lesson.batch, lesson.model)
    reached = list(_walk((lesson.rule, lesson.model, lesson.batch, lesson.observation, phases)))
    for thing in reached:
        require(not isinstance(thing, FORBIDDEN), f"it reaches a {type(thing).__name__}")
        if isinstance(thing, Tensor):
            _unknown(thing, secrets)


def _unknown(tensor: Tensor, secrets: list[Tensor]) -> None:
    """Raise AssertionError where a tensor holds, or is computed from, a parameter of the chip."""
    require(tensor.grad_fn is None, "a tensor with a graph behind it")
    for secret in secrets:
        if tensor.shape == secret.shape:
            same = torch.allclose(tensor.double(), secret, rtol=1e-4)
            require(not same, f"it reaches a parameter of the chip, of shape {tuple(secret.shape)}")
        place = tensor.untyped_storage().data_ptr()
        require(place == 0 or place != secret.untyped_storage().data_ptr(), "it reaches the chip's memory")


def _walk(root: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Yield every object that can be reached from `root` through attributes, containers and closures."""
    seen = set() if seen is None else seen
    if id(root) in seen or isinstance(root, type | str | bytes | int | float | torch.dtype):
        return
    seen.add(id(root))
    yield root
    for part in _parts(root):
        yield from _walk(part, seen)


def _parts(thing: Any) -> list[Any]:
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


def _learns(rule: LearningRule, network: Network) -> None:
    """Following its own update, a rule tells the right outputs from the others."""
    if not rule.steady:
        skip("it follows the gradient in the mean over many draws alone")
    model, chips, batch = _model(network, 1.0), _population(network, 1), _batch()
    right = (batch.target == batch.target.max()).double()
    rule.start(model)
    stepper = SGD().bind(model, (1.0,) * len(network.connections))

    def margin() -> Tensor:
        chips.program(model.weights())
        rates = chips.present((model.stimulus.phase("free", batch),), "test")["free"].rates[-1]
        return (rates * (right - 0.25)).sum(-1).mean(1)

    before, better = margin(), 0.0
    for step in range(MOST_UPDATES):
        own = Batch(batch.x, batch.target, ("train", 0, step))
        update = rule.update(own, _observe(rule, model, chips, own), model)
        stepper.apply(update, 0.2)
        model.remember(update.feedback, update.memory)
        if step % 20 == 19 and (better := float((margin() - before).mean())) > 0.1:
            return
    raise AssertionError(
        f"after {MOST_UPDATES} updates right outputs stand out by {better:.3g} more, not by 0.1"
    )
