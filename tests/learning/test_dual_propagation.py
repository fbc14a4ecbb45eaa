"""Dual propagation on chips: pushes find the gradient of what the chips do, slopes nobody knows included."""

import pytest
import torch
from graph_problems import CHIPS, gradients, images, inputs, loops, model_of, proposed, setup

from learning.backprop import Backprop
from learning.dual_propagation import DualPropagation
from learning.losses import CrossEntropy, Squared
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from root.errors import UnsupportedError
from root.seeds import SeedTree
from spiketrain.observing import shown
from spiking.network import chain
from spiking.neurons import Rate
from spiking.simulators.steady import SteadySimulator

TANH = Rate(activation="tanh", gain=1.3, offset=0.1)


def mismatched(network):
    """Return a model, chips whose neurons have curves of their own and synapses as written, and a batch."""
    _, _, batch = setup(network)
    spec = MismatchSpec(CHIPS, 4, {name: Normal(cv=0.3) for name in ("gain", "offset")})
    simulator = SteadySimulator(relaxation=0.5, tolerance=1e-14)
    return model_of(network), ChipPopulation(network, spec, simulator, SeedTree(0)), batch


def learn(rule, model, chips, batch):
    rule.start(model)
    rule.prepare(model)
    seen = shown(rule, chips, batch, model)
    return rule.update(batch, seen.observation, model), seen.presentations


@pytest.mark.parametrize("graph", [images, inputs])
def test_small_pushes_find_the_gradient_of_chips_with_curves_of_their_own(graph):
    network = graph(TANH)
    model, chips, batch = mismatched(network)
    exact = gradients(model, chips, batch)

    def off(rule):
        """Return how far a rule is from the gradient along the directions, relative to its size."""
        update, _ = learn(rule, model, chips, batch)
        mine = [-(c * d).flatten(1).sum(1) for c, (d, _) in zip(proposed(model, update), exact, strict=True)]
        trained = [i for i, (_, wanted) in enumerate(exact) if bool(mine[i].any()) and bool(wanted.any())]
        assert len(trained) > len(network.connections)
        gaps = torch.stack([mine[i] - exact[i][1] for i in trained])
        return float(gaps.norm() / torch.stack([exact[i][1] for i in trained]).norm())

    assert off(DualPropagation(beta=1e-3)) < 1e-5
    assert off(Backprop()) > 0.02  # its slopes are the design's
    assert 3.0 < off(DualPropagation(beta=0.4)) / off(DualPropagation(beta=0.2)) < 5.0


def test_without_mismatch_it_is_backpropagation_whatever_the_loss_and_the_slope_of_the_output():
    model, chips, batch = setup(images(TANH))
    for loss in (Squared(), CrossEntropy(0.3)):
        for slope in (True, False):
            mine, shows = learn(DualPropagation(loss, 1e-4, output_slope=slope), model, chips, batch)
            exact, _ = learn(Backprop(loss, output_slope=slope), model, chips, batch)
            assert shows == len(batch.x) * (9 if slope else 7)
            for a, b in zip(mine.connections, exact.connections, strict=True):
                torch.testing.assert_close(a.weight(), b.weight(), rtol=1e-4, atol=1e-7)


def test_every_answer_is_counted_and_pushes_one_layer_alone():
    model, chips, batch = setup(images(TANH))
    rule = DualPropagation()
    found = dict(shown(rule, chips, batch, model).observation)
    assert set(found) == {"free", *(f"{way} {layer}" for way in ("up", "down") for layer in range(1, 5))}
    assert rule.further(batch, found, model) == ()
    del found["up 2"], found["down 2"], found["up 1"], found["down 1"]
    up, down = rule.further(batch, found, model)
    assert [own is not None for own in up.currents] == [False, True, False, False]
    torch.testing.assert_close(up.currents[1], -down.currents[1])
    torch.testing.assert_close(found["up 3"].rates[1], found["free"].rates[1])


def test_connections_that_lead_back_are_refused():
    with pytest.raises(UnsupportedError, match=r"network\.connections.*lead back"):
        DualPropagation().check(loops(TANH))
    with pytest.raises(UnsupportedError, match=r"rule\.output_slope.*hidden"):
        DualPropagation(output_slope=False).check(chain((4, 3), TANH))
