"""No kind of imperfection is visible to a rule but through what is observed."""

import pytest
import torch
from kinds import EXAMPLES, phases, population, weights

from learning.model import Model
from learning.stimulus import Batch, Stimulus
from rate_bridge.encodings import PhaseEncoding
from rate_bridge.plugins import available, load
from rate_bridge.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Recording

NETWORK = chain([12, 10, 4], LIF(bias=0.8))
SPIKING = ["dfc", "backprop", "feedback_alignment", "direct_feedback_alignment", "readout_only"]


def model_of(rule):
    seeds = SeedTree(5)
    stimulus = Stimulus(NETWORK, PhaseEncoding(), seeds.child("stimulus"), 40, 20, "rectangular")
    model = Model(NETWORK, stimulus, 2, seeds.child("rule"), weight_gain=(1.0, 1.0), bias_spread=(0.3, 0.0))
    rule.start(model)
    model.feedback = rule.feedback_weights(model)
    return model


def tensors(update):
    for part in update.connections:
        if part is not None:
            yield part.weight()
    yield from update.feedback or ()
    yield from update.memory.values()


@pytest.mark.parametrize("name", [rule for rule in available("rules") if rule in SPIKING])
@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_same_observation_gives_the_same_update_whatever_the_chips(name, kind):
    g = torch.Generator().manual_seed(0)
    batch = Batch(
        torch.rand(3, 12, generator=g, dtype=torch.float64),
        torch.rand(3, 4, generator=g, dtype=torch.float64),
        ("batch", 0),
    )
    updates, recorded = [], None
    for chips in (population(kind, chips=2), population(chips=2, seed=9)):
        rule = load("rules", name)()
        model = model_of(rule)
        assert chips.program(model.weights()) is None
        observation = chips.present(rule.presentation(batch, model), *batch.key)
        recorded = recorded or observation
        updates.append(list(tensors(rule.update(batch, recorded, model))))
    assert all(torch.equal(a, b) for a, b in zip(*updates, strict=True))


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
