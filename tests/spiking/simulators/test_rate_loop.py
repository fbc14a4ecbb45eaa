"""The fast loop for rate networks against the general one."""

from dataclasses import replace

import pytest
import torch

from learning.feedback_control.dfc import DeepFeedbackControl
from learning.feedback_control.feedback_weights import WeightProduct
from learning.feedback_control.prediction import Basal, TwoPhase
from learning.feedback_control.strong_dfc import StrongDFC
from mismatch.distributions import Normal
from mismatch.oracle import reveal
from spiking.simulators.base import Simulator
from spiking.simulators.rate_loop import RateLoop
from tests.learning.student import samples, student


def both_ways(monkeypatch, chips, phases):
    """Return what both loops give, and how often the fast one was taken."""
    taken, applies = [], RateLoop.applies

    def counting(*arguments):
        taken.append(applies(*arguments))
        return taken[-1]

    monkeypatch.setattr(RateLoop, "applies", staticmethod(counting))
    fast = chips.present(phases, "x")
    monkeypatch.setattr(RateLoop, "applies", staticmethod(lambda *_: False))
    return fast, chips.present(phases, "x"), sum(taken)


def differences(fast, general):
    for name, recording in general.items():
        other = fast[name]
        assert len(other.basal) == len(recording.basal)
        pairs = [*zip(other.rates, recording.rates, strict=True)]
        pairs += [*zip(other.basal, recording.basal, strict=True), (other.readout, recording.readout)]
        if recording.control is not None:
            pairs.append((other.control, recording.control))
        yield from (float((a - b).abs().max()) for a, b in pairs)


RULES = {
    "basal": DeepFeedbackControl(prediction=Basal(), feedback=WeightProduct(None)),
    "two phases": DeepFeedbackControl(prediction=TwoPhase(), feedback=WeightProduct(None)),
    "nudged": DeepFeedbackControl(prediction=Basal(), feedback=WeightProduct(None), nudge=0.3),
    "soft-max": StrongDFC(prediction=TwoPhase(), feedback=WeightProduct(None), output="softmax"),
}


@pytest.mark.parametrize("cv", [0.0, 0.2])
@pytest.mark.parametrize("name", RULES)
def test_both_loops_agree(monkeypatch, name, cv):
    rule = RULES[name]
    model, chips = student(chips=3, cv=cv, steps=60, window=30)
    model.feedback = rule.feedback_weights(model)
    for bias in model.bias:
        bias.data += 0.3
    chips.program(model.weights())
    fast, general, taken = both_ways(monkeypatch, chips, rule.presentation(samples(size=7), model))
    assert taken > 0 or (cv and rule.uses_shadow)  # shadows of their own need the general loop
    if name == "nudged" and not cv:
        assert taken == 2  # the free phase, whose shadows follow without a controller, and the controlled one
    assert max(differences(fast, general)) < 1e-12


def test_injected_currents_and_going_on(monkeypatch):
    model, chips = student(chips=2, cv=0.2, steps=40, window=10)
    chips.program(model.weights())
    batch = samples(size=5)
    current = torch.linspace(-1, 1, 10, dtype=torch.float64).expand(5, -1)
    phases = (
        model.stimulus.phase("a", batch, currents=(current, None, None)),
        model.stimulus.phase("b", batch, after="a", currents=(None, current, None)),
    )
    fast, general, taken = both_ways(monkeypatch, chips, phases)
    assert taken == 2
    assert max(differences(fast, general)) < 1e-12


def test_noise_is_refused_by_machines_without_it():
    class Plain(Simulator):
        name = "plain"

        def run_block(self, network, hardware, block):
            raise AssertionError("must not be reached")

    rule = StrongDFC()
    model, chips = student()
    rule.start(model)
    chips.program(model.weights())
    with pytest.raises(ValueError, match="noise"):
        Plain().run(chips.network, reveal(chips), rule.presentation(samples(), model), {})


@pytest.mark.parametrize("name", RULES)
def test_both_loops_agree_on_shapes(monkeypatch, name):
    rule = RULES[name]
    model, chips = student(chips=3, steps=60, window=30)
    chips = chips.sibling(replace(chips.spec, deviations={"shape": Normal(0.2)}, shadow="shared"))
    model.feedback = rule.feedback_weights(model)
    chips.program(model.weights())
    fast, general, taken = both_ways(monkeypatch, chips, rule.presentation(samples(size=7), model))
    assert taken > 0
    assert max(differences(fast, general)) < 1e-12
