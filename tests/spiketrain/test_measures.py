"""Measures against automatic differentiation and against cases that are known."""

import pytest
import torch

from learning.backprop import Backprop
from learning.rule import Outer, Update
from mismatch.oracle import reveal
from spiketrain.measures import feedback_measures, true_state, update_measures
from tests.learning.student import learn, samples, student


@pytest.fixture(scope="module")
def state():
    model, chips = student(chips=2, cv=0.2)
    chips.program(model.weights())
    return chips, true_state(chips, model, samples(size=8))


def test_true_state_is_where_the_chips_settle():
    model, chips = student(chips=2, cv=0.2, steps=800, window=1)
    chips.program(model.weights())
    batch = samples(size=8)
    settled = chips.present((model.stimulus.phase("free", batch),), "x")["free"].rates
    for found, wanted in zip(true_state(chips, model, batch).rates[1:], settled[1:], strict=True):
        assert torch.allclose(found, wanted, atol=1e-10)


def test_jacobian_equals_autograd(state):
    chips, found = state
    hardware = reveal(chips)
    for chip in range(2):

        def output(potential, chip=chip):
            rate = hardware.neurons[0]["gain"][chip] * torch.tanh(potential)
            rate = rate @ hardware.weights[1][chip] - hardware.neurons[1]["offset"][chip]
            rate = hardware.neurons[1]["gain"][chip] * torch.tanh(rate)
            rate = rate @ hardware.weights[2][chip] - hardware.neurons[2]["offset"][chip]
            return hardware.neurons[2]["gain"][chip] * rate

        potential = torch.atanh(found.rates[1][chip, 0] / hardware.neurons[0]["gain"][chip])
        wanted = torch.autograd.functional.jacobian(output, potential)
        assert torch.allclose(found.response[0][chip, 0], wanted, atol=1e-10)


def test_transposed_jacobian_meets_condition_two(state):
    _, found = state
    mixing = torch.eye(5, dtype=torch.float64) + 0.3
    single = [j[:, :1] for j in found.response]
    measured = feedback_measures(single, [mixing @ j[:, 0] for j in single])
    assert torch.allclose(measured["c2_ratio"], torch.ones(2, dtype=torch.float64))
    exact = feedback_measures(single, [j[:, 0] for j in single])
    assert (exact["angle_q_jt"] < 1e-4).all()
    assert (exact["min_re_eig_jq"] > 0).all()


def test_gradient_has_no_angle_to_itself():
    model, chips = student(steps=800, window=1)
    batch = samples(size=8)
    update = learn(Backprop(), model, chips, batch)
    found = update_measures(true_state(chips, model, batch), batch.target, update)
    assert found["angle_to_bp"] < 1e-3
    assert found["angle_to_mn"] > 1
    turned = Update(tuple(Outer(c.pre, -c.post) for c in update.connections))
    opposite = update_measures(true_state(chips, model, batch), batch.target, turned)
    assert opposite["angle_to_bp"] > 179
