"""The feedback current as the error: what the rule knows, gated by what was measured."""

from dataclasses import replace

import pytest
import torch

from learning.feedback_control.closed_form import ClosedFormDFC
from learning.feedback_control.dfc import DeepFeedbackControl
from learning.feedback_control.feedback_current import FeedbackCurrent
from learning.feedback_control.feedback_weights import RandomFeedback, WeightProduct
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.gates import Slope
from root.errors import InputError
from spiketrain.config import load_experiment
from tests.learning.student import learn, samples, student

TWO_PHASE = "spiking/dfc_two_phase_digits.yaml"
GAINS = ControllerGains(kp=0.5, ki_per_ms=0.01, leak_per_ms=0.005)


def observed(rule, model, chips):
    batch = samples()
    model.feedback = rule.feedback_weights(model)
    chips.program(model.weights())
    return batch, chips.present(rule.presentation(batch, model), *batch.key)


def test_small_nudges_times_the_slope_give_the_closed_form_in_hidden_layers():
    model, chips = student(steps=600)
    batch, product = samples(), WeightProduct(None)
    rule = DeepFeedbackControl(GAINS, FeedbackCurrent(), product, Slope(), nudge=0.01)
    update = learn(rule, model, chips, batch)
    closed = learn(ClosedFormDFC(GAINS, product), model, chips, batch)
    for own, known in zip(update.connections[:-1], closed.connections[:-1], strict=True):
        assert torch.cosine_similarity(own.weight().flatten(), known.weight().flatten(), dim=0) > 0.99


def test_one_presentation_and_the_programmed_feedback_weights():
    model, chips = student(chips=2, cv=0.2)
    rule = DeepFeedbackControl(GAINS, FeedbackCurrent(), RandomFeedback(0.1))
    rule.start(model)
    batch, seen = observed(rule, model, chips)
    assert list(seen) == ["controlled"]
    update = rule.update(batch, seen, model)
    for change, q in zip(update.connections, model.feedback, strict=True):
        assert torch.allclose(change.post, seen["controlled"].control @ q)


def test_silent_hidden_neurons_do_not_learn_but_silent_outputs_do():
    model, chips = student()
    rule = DeepFeedbackControl(GAINS, FeedbackCurrent(), RandomFeedback(0.1))
    rule.start(model)
    batch, seen = observed(rule, model, chips)
    quiet = tuple(torch.zeros_like(rate) for rate in seen["controlled"].rates[1:])
    silent = replace(seen["controlled"], rates=(seen["controlled"].rates[0], *quiet))
    update = rule.update(batch, {"controlled": silent}, model)
    assert all(bool((change.post == 0).all()) for change in update.connections[:-1])
    assert bool((update.connections[-1].post != 0).any())


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="active, measured, slope"):
        load_experiment(TWO_PHASE, ["rule.prediction=none", "rule.gate=rate"])
    with pytest.raises(InputError, match=r"rule\.gate\.name.*no gate has an effect"):
        load_experiment(TWO_PHASE, ["rule.gate=slope"])
    with pytest.raises(InputError, match="predicts no rates"):
        load_experiment(TWO_PHASE, ["rule.prediction=none", "rule.presynaptic=predicted"])


def test_a_config_of_an_earlier_version_says_the_gate_beside_the_prediction():
    experiment = load_experiment(TWO_PHASE, ["rule.prediction={name: none, gate: slope}"])
    assert experiment.build_rule().gate == Slope()
    assert "gate" not in experiment.resolved()["rule"]["prediction"]
