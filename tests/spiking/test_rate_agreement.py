"""With slow synapses and long windows a spiking network is the rate network of its f-I curve."""

import pytest
import torch

from learning.feedback_control.dfc import DeepFeedbackControl
from learning.feedback_control.feedback_weights import WeightProduct
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.prediction import Basal, TwoPhase
from learning.model import Model
from learning.stimulus import Batch, Stimulus
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.simulators.torch import TorchSimulator

SIZES, TAU, RATE = (6, 20, 4), 20.0, 100.0
STEPS, WINDOW = 2600, 2000
NEURONS = {
    "spiking": LIF(tau_m_ms=TAU, tau_syn_ms=100.0, bias=1.5),
    "rate": Rate(activation="lif", tau_ms=TAU, gain=1000.0 / (TAU * RATE), bias=1.5),
}
CHIPS = 2


def chips_and_model(neuron, cv=0.0):
    network = chain(SIZES, NEURONS[neuron], max_rate_hz=RATE, readout_tau_ms=100.0)
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), STEPS, WINDOW)
    model = Model(network, stimulus, CHIPS, SeedTree(2), weight_gain=(2.0, 1.0), bias_spread=(0.5, 0.0))
    spec = MismatchSpec(CHIPS, 1, {"weight": Normal(cv=cv), "feedback": Normal(cv=cv)} if cv else {})
    return ChipPopulation(network, spec, TorchSimulator(), SeedTree(0)), model


def batch_of(size=8):
    x = torch.from_numpy(SeedTree(3).generator().random((size, 6)))
    target = torch.full((size, 4), 0.1, dtype=torch.float64)
    target[torch.arange(size), torch.arange(size) % 4] = 0.8
    return Batch(x, target, ("train", 0, 0))


def learnt(neuron, rule, cv):
    chips, model = chips_and_model(neuron, cv)
    batch = batch_of()
    rule.start(model)
    model.feedback = rule.feedback_weights(model)
    chips.program(model.weights())
    seen = chips.present(rule.presentation(batch, model), *batch.key)
    return seen, rule.update(batch, seen, model)


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


@pytest.mark.parametrize("cv", [0.0, 0.2])
@pytest.mark.parametrize("prediction", [TwoPhase(), Basal()], ids=lambda p: p.origin)
def test_mean_rates_and_updates_agree(prediction, cv):
    gains = ControllerGains(kp=0.2, ki_per_ms=0.002, leak_per_ms=0.002)
    rule = DeepFeedbackControl(gains, prediction, WeightProduct(0.3))
    spiking, update = learnt("spiking", rule, cv)
    rate, other = learnt("rate", rule, cv)
    for phase in rate:
        for mine, reference in zip(spiking[phase].rates[1:], rate[phase].rates[1:], strict=True):
            assert float(reference.std()) > 0.05
            assert correlation(mine, reference) >= 0.99
    for change, reference in zip(update.connections, other.connections, strict=True):
        for mine, theirs in zip(change.weight(), reference.weight(), strict=True):
            assert torch.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0) >= 0.9
