"""Shadows with mismatch of their own: what free presentations beside their neurons repair."""

from dataclasses import replace

import pytest
import torch

from learning.feedback_control.calibrated import AffineShadow, DendriticShadow
from learning.feedback_control.dfc import DeepFeedbackControl
from learning.feedback_control.feedback_weights import WeightProduct
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.prediction import Basal
from root.errors import InputError
from tests.learning.student import samples, student

GAINS = ControllerGains(kp=0.5, ki_per_ms=0.01, leak_per_ms=0.005)


def shown(rule, model, chips, number):
    """Show a batch and let the rule remember what it taught; the weights stay."""
    batch = samples(number)
    model.feedback = rule.feedback_weights(model)
    chips.program(model.weights())
    seen = chips.present(rule.presentation(batch, model), *batch.key)
    update = rule.update(batch, seen, model)
    model.remember(update.feedback, update.memory)
    return batch, seen


def spurious(prediction, batches=30):
    """Return the size of the update on a free presentation, where there is nothing to learn."""
    model, chips = student(chips=2, cv=0.2)
    rule = DeepFeedbackControl(GAINS, prediction, WeightProduct(None))
    for number in range(batches):
        shown(rule, model, chips, number)
    batch = samples(999)
    free = chips.present((model.stimulus.phase("free", batch, shadow=True),), *batch.key)["free"]
    zero = replace(free, control=torch.zeros_like(free.readout))
    update = rule.update(batch, {"controlled": zero}, model)
    return max(float(change.weight().abs().mean()) for change in update.connections)


def test_free_presentations_teach_less_and_less_that_is_wrong():
    raw, affine, dendritic = (
        spurious(prediction) for prediction in (Basal(), AffineShadow(), DendriticShadow())
    )
    assert affine < 0.5 * raw
    assert dendritic < affine


def test_free_presentations_are_as_rare_as_asked():
    model, chips = student(chips=2, cv=0.2)
    rule = DeepFeedbackControl(GAINS, AffineShadow(every=3), WeightProduct(None))
    phases = [set(shown(rule, model, chips, number)[1]) for number in range(4)]
    assert phases == [{"free", "controlled"}, {"controlled"}, {"controlled"}, {"free", "controlled"}]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (AffineShadow, {"every": 0}, "every"),
        (AffineShadow, {"eta": 0.0}, "eta"),
        (DendriticShadow, {"step": 2.0}, "step"),
    ],
)
def test_senseless_options_are_refused(kind, options, message):
    with pytest.raises(InputError, match=message):
        kind(**options)
