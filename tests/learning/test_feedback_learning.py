"""Feedback weights that are learnt must find the true chips, mismatch included."""

from dataclasses import replace

import pytest
import torch

from learning.feedback_control.dfc import DeepFeedbackControl
from learning.feedback_control.feedback_weights import RandomFeedback, WeightProduct
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.identified import IdentifiedFeedback
from learning.feedback_control.learned import LearnedFeedback
from learning.feedback_control.online import OnlineFeedback
from learning.feedback_control.strong_dfc import StrongDFC
from mismatch.oracle import reveal
from root.errors import InputError, UnsupportedError
from spiketrain.measures import feedback_measures, measured_response, true_state
from spiking.network import chain
from spiking.neurons import LIF
from tests.learning.student import learn, samples, student, warm_up

COARSE = {"steps": 50, "window": 10, "dt_ms": 4.0}


def measures(rule, cv=0.0, batches=0, chips=1):
    model, population = student(chips=chips, cv=cv, **COARSE)
    rule.start(model)
    warm_up(rule, model, population, batches)
    state = true_state(population, model, samples(5))
    return feedback_measures(state.response, reveal(population).feedback)


@pytest.mark.parametrize("cv", [0.0, 0.2])
def test_identified_feedback_becomes_the_mean_jacobian(cv):
    feedback = IdentifiedFeedback(None, warmup=80, eta=0.01, sigma=0.1)
    model, chips = student(chips=2, cv=cv, **COARSE)
    rule = DeepFeedbackControl(feedback=feedback)
    rule.start(model)
    warm_up(rule, model, chips, 80)
    truth = [j.mean(1) for j in true_state(chips, model, samples(5, 256)).response]
    for found, wanted in zip(model.feedback[:-1], truth[:-1], strict=True):
        assert torch.cosine_similarity(found.flatten(1), wanted.flatten(1)).min() > 0.97
        assert torch.allclose(found.norm(dim=(1, 2)), wanted.norm(dim=(1, 2)), rtol=0.1)


def test_a_bound_on_the_loop_makes_all_weights_of_a_strong_chip_smaller():
    """The loop's largest eigenvalue, the output layer's own response in it, is at most the bound."""
    feedback = IdentifiedFeedback(0.3, warmup=60, eta=0.02, sigma=0.1, loop_gain=0.8)
    model, chips = student(chips=6, cv=0.4, **COARSE)
    rule = DeepFeedbackControl(feedback=feedback)
    rule.start(model)
    assert torch.equal(
        feedback.current(model)[-1], torch.eye(model.network.outputs).double().expand(6, -1, -1)
    )
    warm_up(rule, model, chips, 60)
    bounded, free = model.feedback, replace(feedback, loop_gain=None).current(model)
    factors = torch.stack(
        [b.norm(dim=(1, 2)) / f.norm(dim=(1, 2)) for b, f in zip(bounded, free, strict=True)]
    )
    assert torch.allclose(factors, factors[0].expand_as(factors)), "one factor for all layers of a chip"
    response = [j.mean(1) for j in true_state(chips, model, samples(5, 256)).response]

    def largest(weights):
        loop = sum(torch.matmul(j, q.transpose(1, 2)) for j, q in zip(response, weights, strict=True))
        return torch.linalg.eigvals(loop).abs().amax(-1)

    strong = factors[0] < 1.0
    assert strong.any()
    assert torch.allclose(largest(bounded)[strong], torch.full((int(strong.sum()),), 0.8).double(), rtol=0.1)
    assert (largest(free)[strong] > 0.75).all()


def test_learned_feedback_meets_condition_two():
    feedback = LearnedFeedback(0.3, warmup=100)
    found = measures(DeepFeedbackControl(feedback=feedback), batches=100)
    before = measures(DeepFeedbackControl(feedback=feedback))
    assert before["c2_ratio"] < 0.7
    assert found["c2_ratio"] > 0.95
    assert found["angle_q_jt"] < 32
    assert found["min_re_eig_jq"] > 0.3


def test_online_feedback_approaches_condition_two():
    feedback = OnlineFeedback(0.3)
    rule = StrongDFC(controller=ControllerGains(1.0, 0.02, 0.02), feedback=feedback)
    model, chips = student(steps=100, window=40, dt_ms=4.0)
    rule.start(model)
    warm_up(rule, model, chips, 60)
    state = true_state(chips, model, samples(5))
    found = feedback_measures(state.response, reveal(chips).feedback)
    assert found["c2_ratio"] > 0.88
    assert found["angle_q_jt"] < 43
    assert found["min_re_eig_jq"] > 0.4


def test_controller_identifies_what_the_design_does_not_say():
    """With 20 % mismatch the learnt weights fit the chips better than the nominal product does."""
    learned = measures(DeepFeedbackControl(feedback=LearnedFeedback(0.3)), 0.2, 100, chips=3)
    nominal = measures(DeepFeedbackControl(feedback=WeightProduct(None)), 0.2, chips=3)
    assert (learned["c2_ratio"] > nominal["c2_ratio"]).all()


def test_what_suits_neurons_that_spike():
    network = chain([15, 10, 10, 5], LIF(bias=1.0))
    with pytest.raises(UnsupportedError, match=r"rule\.feedback"):
        StrongDFC().check(network)
    DeepFeedbackControl(feedback=IdentifiedFeedback()).check(network)
    DeepFeedbackControl(feedback=LearnedFeedback()).check(network)


def test_measured_response_is_the_mean_jacobian_of_rate_chips():
    model, chips = student(cv=0.2, steps=100, window=1, dt_ms=8.0)
    chips.program(model.weights())
    batch = samples(5, 4)
    truth = true_state(chips, model, batch).response
    found = measured_response(chips, model, batch, step=1e-3)
    for j, wanted in zip(found, truth, strict=True):
        assert torch.allclose(j[:, 0], wanted.mean(1), atol=1e-3)


def test_measurements_are_interleaved_as_often_as_asked():
    feedback = IdentifiedFeedback(None, warmup=1, every=3)
    model, chips = student(**COARSE)
    rule = DeepFeedbackControl(feedback=feedback)
    rule.start(model)
    shown = []
    for number in range(6):
        batch = samples(number, 4)
        phases = rule.presentation(batch, model)
        shown.append(any(phase.name.startswith("identify") for phase in phases))
        model.remember(None, learn(rule, model, chips, batch).memory)
    assert shown == [True, False, False, True, False, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IdentifiedFeedback(warmup=0, every=0), "every"),
        (lambda: LearnedFeedback(warmup=0, every=0), "every"),
        (lambda: IdentifiedFeedback(eta=0.0), "eta"),
        (lambda: IdentifiedFeedback(loop_gain=0.0), "loop_gain"),
        (lambda: LearnedFeedback(None), "scale"),
        (lambda: OnlineFeedback(highpass_ms=0.0), "highpass_ms"),
        (lambda: RandomFeedback(-1.0), "scale"),
    ],
)
def test_senseless_options_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
