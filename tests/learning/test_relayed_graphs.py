"""Layered feedback on graphs: one feedback synapse for every forward one."""

from dataclasses import replace

import pytest
import torch
from graph_problems import images, model_of, setup

from learning.feedback_control.controlled import ControlledRule
from learning.feedback_control.dfc import ControllerGains, DeepFeedbackControl
from learning.feedback_control.feedback_weights import RandomFeedback
from learning.feedback_control.relayed_weights import IdentifiedLayers, KolenPollack, Transposed
from learning.stimulus import Batch
from spiking.feedback import Layered
from spiking.neurons import Rate


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
