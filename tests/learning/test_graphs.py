"""Rules on networks that are no chains of dense layers, against finite differences on the chips."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import pytest
import torch
from graph_problems import (
    BATCH,
    CHIPS,
    GRAPHS,
    gradients,
    images,
    learn,
    loops,
    loss,
    model_of,
    proposed,
    setup,
)

from learning.backprop import Backprop
from learning.direct_feedback_alignment import DirectFeedbackAlignment
from learning.feedback_alignment import Backward, FeedbackAlignment
from learning.feedback_control.closed_form import ClosedFormDFC
from learning.feedback_control.dfc import ControllerGains, DeepFeedbackControl
from learning.feedback_control.feedback_current import FeedbackCurrent
from learning.feedback_control.feedback_weights import WeightProduct
from learning.feedback_control.jacobian import graph_jacobian
from learning.nlms import CentredNLMS
from learning.optimizers import SGD, Adam
from learning.readout_only import ReadoutOnly
from learning.rule import Dense as Known
from learning.rule import LearningRule, Outer, Update
from learning.sign_symmetry import SignSymmetry
from learning.surrogate import SurrogateBPTT
from root.errors import InputError, UnsupportedError
from spiking.neurons import Rate


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
        if index in network.between_neurons
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
