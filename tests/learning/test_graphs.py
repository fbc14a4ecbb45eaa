"""Rules on networks that are no chains of dense layers, against finite differences on the chips."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import pytest
import torch

from learning.backprop import Backprop
from learning.direct_feedback_alignment import DirectFeedbackAlignment
from learning.feedback_alignment import Backward, FeedbackAlignment
from learning.feedback_control.closed_form import ClosedFormDFC
from learning.feedback_control.controlled import ControlledRule
from learning.feedback_control.dfc import ControllerGains, DeepFeedbackControl
from learning.feedback_control.feedback_current import FeedbackCurrent
from learning.feedback_control.feedback_weights import RandomFeedback, WeightProduct
from learning.feedback_control.jacobian import graph_jacobian
from learning.feedback_control.relayed_weights import IdentifiedLayers, KolenPollack, Transposed
from learning.losses import Squared
from learning.model import Model
from learning.nlms import CentredNLMS
from learning.optimizers import SGD, Adam
from learning.readout_only import ReadoutOnly
from learning.rule import Dense as Known
from learning.rule import LearningRule, Outer, Update
from learning.sign_symmetry import SignSymmetry
from learning.stimulus import Batch, Stimulus
from learning.surrogate import SurrogateBPTT
from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.errors import InputError, UnsupportedError
from root.seeds import SeedTree
from spiking.connections import AveragePool2d, Conv2d, Dense, OneToOne, Recurrent
from spiking.feedback import Layered
from spiking.network import Connection, Layer, Network, Source
from spiking.neurons import Rate
from spiking.simulators.steady import SteadySimulator

CHIPS, BATCH = 2, 3


def images(neuron: Rate, outputs: int = 3) -> Network:
    """A convolution, means, a second convolution; one input and one hidden layer skip to the output."""
    layers = (
        Layer(4 * 4 * 2, neuron, (4, 4, 2)),
        Layer(2 * 2 * 2, neuron, (2, 2, 2)),
        Layer(2 * 2 * 3, neuron, (2, 2, 3)),
        Layer(outputs, neuron),
    )
    connections = (
        Connection(0, 1, 1, Conv2d(channels=2, kernel=3)),
        Connection(1, 2, 1, AveragePool2d(2)),
        Connection(2, 3, 1, Conv2d(channels=3, kernel=1)),
        Connection(3, 4),
        Connection(0, 4, 1, Dense()),
        Connection(2, 4),
    )
    return Network(36, layers, connections, input_shape=(6, 6))


def loops(neuron: Rate, outputs: int = 3) -> Network:
    """Recurrent synapses without and with themselves, and a layer that leads back."""
    layers = (Layer(6, neuron), Layer(6, neuron), Layer(outputs, neuron))
    connections = (
        Connection(0, 1),
        Connection(1, 2, 1, OneToOne()),
        Connection(2, 3),
        Connection(1, 1, 1, Recurrent()),
        Connection(2, 2, 1, Recurrent(self_connections=True)),
        Connection(3, 1),
    )
    return Network(5, layers, connections)


def inputs(neuron: Rate, outputs: int = 3) -> Network:
    """An image and a row of values, which reaches both layers; the image skips to the output too."""
    layers = (Layer(2 * 2 * 2, neuron, (2, 2, 2)), Layer(outputs, neuron))
    connections = (
        Connection(0, 1, 1, Conv2d(channels=2, kernel=3), source="image"),
        Connection(1, 2),
        Connection(0, 1, source="row"),
        Connection(0, 2, source="row"),
        Connection(0, 2, source="image"),
    )
    return Network(21, layers, connections, sources=(Source("image", 16, (4, 4)), Source("row", 5)))


GRAPHS = {"images": images, "loops": loops, "inputs": inputs}


def model_of(network: Network) -> Model:
    seeds = SeedTree(3)
    stimulus = Stimulus(network, CurrentEncoding(), seeds.child("stimulus"), 2000, 1)
    model = Model(
        network,
        stimulus,
        CHIPS,
        seeds.child("rule"),
        weight_gain=(0.5,) * len(network.connections),
        bias_spread=(0.3,) * network.depth,
    )
    for index, weight in enumerate(model.forward_weights):
        weight.data += 0.05 * torch.from_numpy(seeds.child(index).generator().standard_normal(weight.shape))
    return model


def setup(network: Network):
    """Return a model, chips that settle at once, and a batch."""
    seeds, model = SeedTree(3), model_of(network)
    simulator = SteadySimulator(relaxation=0.5, tolerance=1e-14)
    chips = ChipPopulation(network, MismatchSpec(CHIPS), simulator, seeds.child("chips"))
    x = torch.from_numpy(seeds.child("x").generator().random((BATCH, network.inputs)))
    target = torch.from_numpy(seeds.child("target").generator().random((BATCH, network.outputs)))
    return model, chips, Batch(x, target, ("train", 0))


def learn(rule, model, chips, batch):
    rule.start(model)
    rule.prepare(model)
    chips.program(model.weights())
    return rule.update(batch, chips.present(rule.presentation(batch, model), *batch.key), model)


def loss(model, chips, batch):
    """Return what the chips themselves make of a batch, ``(chips,)``."""
    chips.program(model.weights())
    rates = chips.present((model.stimulus.phase("free", batch),), *batch.key)["free"].rates[-1]
    return Squared().value(rates, batch.target).mean(1)


def slope(parameter, direction, measure):
    """Return how much a step of a parameter changes what is measured, ``(chips,)``."""
    before, ends = parameter.data.clone(), []
    for step in (1e-4, -1e-4):
        parameter.data = before + step * direction
        ends.append(measure())
    parameter.data = before
    return (ends[0] - ends[1]) / 2e-4


def gradients(model, chips, batch):
    """Return finite differences along one random direction of every weight and bias, and the directions."""
    g = torch.Generator().manual_seed(7)
    found = []
    for parameter in (*model.forward_weights, *model.bias):
        direction = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
        found.append((direction, slope(parameter, direction, lambda: loss(model, chips, batch))))
    return found


def proposed(model, update):
    """Return what an update does to every weight and bias; a bias is taught once."""
    network = model.network
    weights = [change.weight() for change in update.connections]
    biases: list[torch.Tensor | None] = [None] * network.depth
    for change, connection in zip(update.connections, network.connections, strict=True):
        if (bias := change.bias()) is not None:
            assert biases[connection.post - 1] is None
            biases[connection.post - 1] = bias
    return [*weights, *biases]


@pytest.mark.parametrize("graph", GRAPHS)
def test_backprop_is_the_gradient(graph):
    network = GRAPHS[graph](Rate(activation="tanh", gain=1.3, offset=0.1))
    model, chips, batch = setup(network)
    update = learn(Backprop(), model, chips, batch)
    fixed = [index for index, c in enumerate(network.connections) if not c.pattern.trained]
    pairs = zip(proposed(model, update), gradients(model, chips, batch), strict=True)
    for index, (change, (direction, wanted)) in enumerate(pairs):
        if index in fixed:
            assert not bool(change.any())
            continue
        assert float(wanted.abs().min()) > 1e-6
        along = -(change * direction).flatten(1).sum(1)
        torch.testing.assert_close(along, wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("graph", GRAPHS)
def test_alignments_become_backprop_when_given_its_weights(graph):
    network = GRAPHS[graph](Rate(activation="tanh"))
    model, chips, batch = setup(network)
    exact = learn(Backprop(), model, chips, batch)
    rule = FeedbackAlignment()
    rule.start(model)
    weights = {
        index: weight.data.transpose(1, 2) if rule._in_chain(index, model) else weight.data.clone()
        for index, weight in enumerate(model.forward_weights)
        if network.connections[index].pre > 0
    }
    model.memory |= Backward(weights).entries()
    observation = chips.present(rule.presentation(batch, model), *batch.key)
    mine = rule.update(batch, observation, model)
    for a, b in zip(mine.connections, exact.connections, strict=True):
        torch.testing.assert_close(a.weight(), b.weight())


@pytest.mark.parametrize("graph", GRAPHS)
def test_sign_symmetry_is_backprop_where_all_weights_have_one_size(graph):
    model, chips, batch = setup(GRAPHS[graph](Rate(activation="tanh")))
    for weight in model.forward_weights:
        weight.data = 0.2 * weight.data.sign()
    exact = learn(Backprop(), model, chips, batch)
    mine = learn(SignSymmetry(), model, chips, batch)
    for a, b in zip(mine.connections, exact.connections, strict=True):
        torch.testing.assert_close(a.weight(), b.weight())


@pytest.mark.parametrize("graph", GRAPHS)
def test_direct_alignment_teaches_every_layer(graph):
    model, chips, batch = setup(GRAPHS[graph](Rate(activation="tanh")))
    update = learn(DirectFeedbackAlignment(), model, chips, batch)
    exact = learn(Backprop(), model, chips, batch)
    last = model.network.depth
    for a, b, connection in zip(
        update.connections, exact.connections, model.network.connections, strict=True
    ):
        if connection.post == last and model.network.feedforward:
            torch.testing.assert_close(a.weight(), b.weight())
        assert bool(a.post.any())


LINEAR = Rate(activation="linear")


def test_feedback_along_all_paths_is_the_gradient():
    """With one linear output what a closed loop sends back is the gradient, but for its size."""
    model, chips, batch = setup(images(LINEAR, outputs=1))
    rule = DeepFeedbackControl(
        ControllerGains(kp=1e-3, ki_per_ms=0.0), FeedbackCurrent(), WeightProduct(None)
    )
    update = learn(rule, model, chips, batch)
    exact = learn(Backprop(), model, chips, batch)
    for a, b, connection in zip(
        update.connections, exact.connections, model.network.connections, strict=True
    ):
        if connection.pattern.trained:
            mine, wanted = a.weight().flatten(1), b.weight().flatten(1)
            cosine = torch.nn.functional.cosine_similarity(mine, wanted, dim=1)
            torch.testing.assert_close(cosine, torch.ones(CHIPS, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_jacobian_of_a_graph_is_what_currents_do_to_the_output(graph):
    """Finite differences on the chips; along a random current into every layer."""
    network = GRAPHS[graph](Rate(activation="tanh", gain=1.3, offset=0.1))
    model, chips, batch = setup(network)

    def free():
        chips.program(model.weights())
        return chips.present((model.stimulus.phase("free", batch),), *batch.key)["free"].rates

    slopes = [model.slope(index, rate) for index, rate in enumerate(free()[1:])]
    g = torch.Generator().manual_seed(5)
    for response, bias in zip(graph_jacobian(model, slopes), model.bias, strict=True):
        direction, before, ends = (
            torch.randn(bias.shape, generator=g, dtype=torch.float64),
            bias.data.clone(),
            [],
        )
        for step in (1e-5, -1e-5):
            bias.data = before + step * direction
            ends.append(free()[-1])
        bias.data = before
        found = (response * direction[:, None, None, :]).sum(-1)
        assert float(found.abs().max()) > 1e-3
        torch.testing.assert_close(found, (ends[0] - ends[1]) / 2e-5, rtol=1e-5, atol=1e-7)


def test_the_closed_form_with_the_transposed_jacobian_of_a_graph_is_the_gradient():
    """With one linear output and all paths as feedback weights the control only sets the size."""
    model, chips, batch = setup(images(LINEAR, outputs=1))
    update = learn(ClosedFormDFC(), model, chips, batch)
    exact = learn(Backprop(), model, chips, batch)
    for a, b, c in zip(update.connections, exact.connections, model.network.connections, strict=True):
        if c.pattern.trained:
            mine, wanted = a.weight().flatten(1), b.weight().flatten(1)
            cosine = torch.nn.functional.cosine_similarity(mine, wanted, dim=1)
            torch.testing.assert_close(cosine, torch.ones(CHIPS, dtype=torch.float64), atol=1e-9, rtol=0)


@final
@dataclass(frozen=True)
class ForChains(LearningRule):
    """A rule that knows chains alone."""

    name: ClassVar[str] = "for_chains"

    def presentation(self, batch, model):
        return ()

    def update(self, batch, observation, model):
        return Update(())


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_rule_for_chains_refuses_graphs_and_says_which_connections(graph):
    network = GRAPHS[graph](Rate())
    with pytest.raises(UnsupportedError, match=r"network\.connections.*chain of layers"):
        ForChains().check_connections(network, on_chip=False)
    dense = replace(network, connections=network.connections[: network.depth])
    with pytest.raises(UnsupportedError, match=r"network\.connections.*dense"):
        ForChains().check_connections(dense, on_chip=False)
    for rule in (Backprop(), DeepFeedbackControl(), ReadoutOnly(), ClosedFormDFC(), SurrogateBPTT()):
        rule.check_connections(network, on_chip=False)
    with pytest.raises(UnsupportedError, match=r"network\.connections.*by themselves.*host"):
        DeepFeedbackControl().check_connections(network, on_chip=True)


@pytest.mark.parametrize("optimizer", [SGD(), SGD(weight_decay=0.1), Adam(), CentredNLMS()])
def test_what_is_not_trained_stays_and_the_rest_learns(optimizer):
    network = images(Rate(activation="tanh"))
    model, chips, batch = setup(network)
    stepper = optimizer.bind(model, (1.0,) * len(network.connections))
    before = [weight.data.clone() for weight in model.forward_weights]
    first = loss(model, chips, batch)
    for _ in range(20):
        stepper.apply(learn(Backprop(), model, chips, batch), 0.02)
    for old, new, connection in zip(before, model.forward_weights, network.connections, strict=True):
        assert bool((old == new).all()) != connection.pattern.trained
    assert bool((loss(model, chips, batch) < first).all())


def test_an_update_must_speak_of_every_connection():
    network = loops(Rate())
    model = model_of(network)
    rates = torch.zeros(CHIPS, BATCH, 6, dtype=torch.float64)
    short = Update((Outer(rates, rates),))
    for optimizer in (SGD(), CentredNLMS()):
        stepper = optimizer.bind(model, (1.0,) * len(network.connections))
        with pytest.raises(InputError, match=r"update\.connections.*output->hidden 1"):
            stepper.apply(short, 0.1)
    nothing = Update((None,) * len(network.connections))
    assert nothing.of(network) == nothing.connections
    assert not isinstance(nothing.connections[0], Known)


def relayed(feedback) -> ControlledRule:
    return DeepFeedbackControl(ControllerGains(kp=0.1, ki_per_ms=0.0), feedback=feedback)


def test_relayed_feedback_stands_where_synapses_do():
    """One feedback synapse for every forward one between neighbours, and no more, whatever its origin."""
    network = replace(images(Rate(activation="tanh")), feedback=Layered())
    model = model_of(network)
    rule = relayed(Transposed())
    rule.start(model)
    ways = list(zip(network.feedback_synapses[:-1], network.synapses[1:], strict=False))
    for b, (own, forward), weight in zip(
        rule.feedback_weights(model), ways, model.chain_weights[1:], strict=False
    ):
        assert own.count == forward.count
        torch.testing.assert_close(own.matrix(b), weight.transpose(1, 2))
    rule = relayed(KolenPollack())
    rule.start(model)
    distance = [
        own.matrix(b) - w.transpose(1, 2)
        for (own, _), b, w in zip(ways, model.feedback, model.chain_weights[1:], strict=False)
    ]
    g = torch.Generator().manual_seed(2)
    changes = []
    for weight, connection in zip(model.forward_weights, network.connections, strict=True):
        step = 0.1 * torch.randn(weight.shape, generator=g, dtype=torch.float64)
        step = step if connection.pattern.trained else torch.zeros_like(step)
        weight.data += step
        changes.append(step)
    rule.follow(tuple(changes), model)
    keep = 1.0 - KolenPollack().decay
    for index, ((own, _), b, gap) in enumerate(zip(ways, model.feedback, distance, strict=False), start=1):
        if network.connections[index].pattern.trained:
            w = model.matrix(index).transpose(1, 2)
            torch.testing.assert_close(own.matrix(b) - w, keep * gap)


@pytest.mark.parametrize("feedback", [Transposed(), KolenPollack(), RandomFeedback()])
def test_strengths_make_relayed_currents_as_large_as_the_scale_says(feedback):
    network = replace(images(Rate(activation="tanh")), feedback=Layered())
    model = model_of(network)
    rule = relayed(feedback)
    rule.start(model)
    weights = rule.feedback_weights(model)
    product = weights[-1]
    pairs = zip(network.feedback_synapses, weights, feedback.strength(model, weights), strict=False)
    for own, b, strength in reversed(list(pairs)):
        product = product @ own.matrix(b)
        size = (strength.view(-1, 1, 1) * product).square().mean(dim=(1, 2)).sqrt()
        torch.testing.assert_close(size, torch.full_like(size, feedback.scale))


def test_identified_layers_find_the_synapses_of_a_convolution():
    """In a linear network without mismatch the estimate is the transposed weights."""
    design = images(Rate(activation="linear"))
    network = replace(design, feedback=Layered())
    model, (_, chips, _) = model_of(network), setup(design)  # feedback does nothing here
    rule = relayed(IdentifiedLayers(sigma=0.1))
    rule.start(model)
    g = torch.Generator().manual_seed(4)
    x = torch.rand(32, network.inputs, generator=g, dtype=torch.float64)
    for number in range(60):
        shown = Batch(x, x[:, : network.outputs], ("warm", number))
        rule.prepare(model)
        chips.program(replace(model.weights(), feedback=(), relay=None))
        found = rule.identify(shown, chips.present(rule.warmup(shown, model), *shown.key), model)
        model.remember(found.feedback, found.memory)
    for b, own, w in zip(
        rule.feedback_weights(model), network.feedback_synapses, model.chain_weights[1:], strict=False
    ):
        assert b.shape[1:] == own.shape
        exact = own.of_matrix(w.transpose(1, 2))
        cosine = torch.nn.functional.cosine_similarity(b.flatten(1), exact.flatten(1), dim=1)
        assert float(cosine.min()) > 0.9
