"""Layered feedback: what the layers relay is the gradient, and weights and gates find the true chips."""

from dataclasses import replace

import pytest
import torch

from learning.feedback_control.dfc import DeepFeedbackControl
from learning.feedback_control.feedback_current import FeedbackCurrent
from learning.feedback_control.feedback_weights import RandomFeedback
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.gates import Active, Slope
from learning.feedback_control.measured_gate import Measured
from learning.feedback_control.relayed_weights import IdentifiedLayers, KolenPollack, Transposed
from learning.model import Model
from learning.stimulus import Stimulus
from mismatch import oracle
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.errors import InputError, UnsupportedError
from root.seeds import SeedTree
from spiketrain.config import load_experiment
from spiketrain.experiment import run
from spiking.feedback import Layered
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.simulators.compiled.simulator import CompiledSimulator
from tests.learning.student import learn, samples, student, warm_up

WEAK = ControllerGains(kp=0.01, ki_per_ms=0.0)
PATH = Layered(refresh_ms=4.0, trace_ms=4.0)
COARSE = {"steps": 60, "window": 10, "dt_ms": 4.0, "feedback": PATH}


def compared_with_differences(chips, model, batch, update, number=10):
    """Yield, by layer, an update and the slope of the true squared error by differences, at some weights."""
    phase = (model.stimulus.phase("free", batch),)

    def loss(weights):
        chips.program(weights)
        out = chips.present(phase, *batch.key)["free"].rates[-1]
        return 0.5 * (batch.target - out).square().sum(-1).mean(1)

    step, base = 1e-4, model.weights()
    generator = torch.Generator().manual_seed(0)
    for index, weight in enumerate(base.forward):
        slopes, own = [], update.connections[index].weight().flatten(1)
        places = torch.randperm(own.shape[1], generator=generator)[:number]
        for place in places.tolist():
            ends = []
            for sign in (1, -1):
                moved = weight.clone()
                moved.view(len(moved), -1)[:, place] += sign * step
                forward = (*base.forward[:index], moved, *base.forward[index + 1 :])
                ends.append(loss(replace(base, forward=forward)))
            slopes.append((ends[1] - ends[0]) / (2 * step))
        yield own[:, places], torch.stack(slopes, dim=1)


def test_weak_control_relayed_through_slopes_is_the_gradient_of_the_chip_by_differences():
    model, chips = student(**COARSE)
    rule = DeepFeedbackControl(WEAK, FeedbackCurrent(), Transposed(0.01), Slope())
    batch = samples(size=16)
    update = learn(rule, model, chips, batch)
    for own, wanted in compared_with_differences(chips, model, batch, update):
        assert torch.cosine_similarity(own, wanted).min() > 0.999


def test_on_mismatched_chips_it_still_points_down_their_own_slope():
    model, chips = student(chips=3, cv=0.2, **COARSE)
    rule = DeepFeedbackControl(WEAK, FeedbackCurrent(), Transposed(0.01), Slope())
    batch = samples(size=8)
    update = learn(rule, model, chips, batch)
    for own, wanted in compared_with_differences(chips, model, batch, update, 20):
        assert torch.cosine_similarity(own, wanted).min() > 0.6


def test_a_control_signal_without_a_scale_is_injected_as_it_is_relayed():
    model, _ = student(chips=2, **COARSE)
    rule = DeepFeedbackControl(WEAK, FeedbackCurrent(), Transposed(None), Active())
    rule.prepare(model)
    assert all(torch.equal(k, torch.ones(2).double()) for k in model.relay.strength)


def test_the_scale_is_the_root_mean_square_of_the_whole_product():
    model, _ = student(chips=2, **COARSE)
    rule = DeepFeedbackControl(WEAK, FeedbackCurrent(), Transposed(0.05), Slope())
    rule.prepare(model)
    first = model.feedback[2] @ model.feedback[1]
    for product, strength in zip((first @ model.feedback[0], first), model.relay.strength, strict=True):
        size = (strength.view(-1, 1, 1) * product).square().mean(dim=(1, 2)).sqrt()
        torch.testing.assert_close(size, torch.full_like(size, 0.05))


def test_kolen_pollack_weights_come_closer_to_the_transposed_by_their_decay_in_every_batch():
    model, chips = student(chips=2, cv=0.2, **COARSE)
    rule = DeepFeedbackControl(WEAK, FeedbackCurrent(), KolenPollack(decay=0.1), Slope())
    rule.start(model)

    def distance():
        pairs = zip(model.feedback, model.forward_weights[1:], strict=False)
        return torch.stack([(b - w.transpose(1, 2)).norm() for b, w in pairs])

    for number in range(4):
        before = distance()
        update = learn(rule, model, chips, samples(number))
        old = [w.detach().clone() for w in model.forward_weights]
        for weight, change in zip(model.forward_weights, update.connections, strict=True):
            weight.data += 0.1 * change.weight()
        steps = tuple(w.detach() - o for w, o in zip(model.forward_weights, old, strict=True))
        rule.follow(steps, model)
        torch.testing.assert_close(distance(), 0.9 * before)


@pytest.mark.parametrize("cv", [0.0, 0.2])
def test_identified_layers_find_the_true_weights(cv):
    feedback = IdentifiedLayers(warmup=150, every=1, eta=0.003, sigma=0.1)
    model, chips = student(chips=2, cv=cv, **COARSE)
    rule = DeepFeedbackControl(WEAK, FeedbackCurrent(), feedback, Active())
    rule.start(model)
    warm_up(rule, model, chips, 150)
    gains = oracle.reveal(chips).neurons
    for index in (0, 1):
        true = oracle.reveal(chips).weights[index + 1]
        # what a current does to a rate goes through the gain of the neuron that it is given to
        wanted = (
            true.transpose(1, 2) * gains[index + 1]["gain"].unsqueeze(2) / gains[index + 1]["gain"].mean()
        )
        found = feedback.current(model)[index]
        assert torch.cosine_similarity(found.flatten(1), wanted.flatten(1)).min() > 0.93
        assert torch.allclose(found.norm(dim=(1, 2)), wanted.norm(dim=(1, 2)), rtol=0.25)


def test_a_measured_gate_is_the_slope_of_the_true_neurons():
    """For tanh it is 1 - r^2, whatever the offsets are."""
    gate = Measured(every=1, eta=0.01, sigma=0.1)
    model, chips = student(chips=2, **COARSE)
    gate.start(model)
    chips.program(model.weights())
    for number in range(40):
        batch = samples(number)
        observation = chips.present(gate.phases(batch, model), *batch.key)
        model.remember(None, gate.learn(batch, observation, model))
    rates = torch.linspace(-0.7, 0.7, 15, dtype=torch.float64).view(1, -1, 1).expand(2, -1, 10)
    for index in (0, 1):
        assert (gate.values(index, rates, model) - (1 - rates.square())).abs().max() < 0.12
        curve = gate.curve(index, model)
        assert curve.values.shape[0] == 2
        assert curve.low < -1 < 1 < curve.high


def test_a_measured_gate_of_spiking_neurons_follows_their_curve():
    """Pooled over the neurons of a mismatched layer, it is near the design's slope."""
    network = replace(chain([15, 60, 5], LIF(bias=1.2)), feedback=Layered())
    seeds = SeedTree(0)
    stimulus = Stimulus(network, CurrentEncoding(-1.0, 1.0), seeds.child("s"), 200, 150)
    model = Model(network, stimulus, 2, seeds.child("r"), weight_gain=(1.0, 1.0), bias_spread=(0.3, 0.0))
    spec = MismatchSpec(2, 1, {name: Normal(cv=0.2) for name in ("threshold", "tau_m")})
    chips = ChipPopulation(network, spec, CompiledSimulator(), seeds.child("c"))
    gate = Measured(every=1, eta=0.01, sigma=0.1)
    gate.start(model)
    chips.program(model.weights())
    for number in range(25):
        batch = samples(number)
        model.remember(None, gate.learn(batch, chips.present(gate.phases(batch, model), *batch.key), model))
    rates = torch.linspace(0.2, 0.8, 7, dtype=torch.float64).view(1, -1, 1).expand(2, -1, 60)
    found, design = gate.values(0, rates, model).mean(2), Slope().values(0, rates, model).mean(2)
    assert torch.allclose(found, design, rtol=0.35)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["network.feedback=layered"], r"rule\.feedback\.name.*transposed"),
        (["rule.feedback=transposed"], r"rule\.feedback\.name.*weight_product"),
        (["network.feedback=upwards"], r"network\.feedback\.name.*direct, layered"),
        (["network.feedback={name: layered, refresh_ms: 0}"], r"network\.feedback\.refresh_ms"),
        (["network.feedback=layered", "network.layers=[64, 10]", "rule.feedback=transposed",
          "network.bias_spread=0", "training.hidden_scale=1"], "hidden layer"),
        (["network.feedback=layered", "rule={name: backprop}"], r"network\.feedback\.name.*backprop"),
        (["network.feedback=layered", "rule={name: equilibrium_propagation}"], "equilibrium_propagation"),
        (["network.feedback=layered", "rule.feedback=transposed", "simulator.name=loihi"], "loihi"),
        (["rule.gate=slope"], r"rule\.gate\.name"),
        (["rule.gate={name: measured, sigma: 0}", "rule.prediction=none"], r"rule\.gate\.sigma"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_key(overrides, key):
    with pytest.raises((InputError, UnsupportedError), match=key):
        load_experiment("spiking/dfc_two_phase_digits.yaml", overrides)


@pytest.mark.parametrize("name", ["digits", "yinyang", "learned_yinyang"])
def test_shipped_deep_configs_learn_in_a_few_batches_and_give_the_same_bits_again(name, tmp_path):
    small = ["mismatch.chips=2", "training.epochs=3", "training.learning_rate=0.01", "simulator.dt_ms=2"]
    if name != "digits":
        small += ["task.train_samples=1000", "task.test_samples=200", "network.layers=[4, 30, 30, 3]",
                  "network.weight_gain=[4.0, 2.0, 1.0]"]  # fmt: skip
    else:
        short = {"presentation_ms": 100, "window_ms": 60, "test_presentation_ms": 100, "test_window_ms": 60}
        small += ["network.layers=[64, 30, 30, 10]", *(f"simulator.{key}={ms}" for key, ms in short.items())]
    experiment = load_experiment(f"spiking/dfc_deep_{name}.yaml", small)
    whole = run(experiment, tmp_path / "whole", quiet=True, report=False)
    run(experiment, tmp_path / "again", quiet=True, report=False)
    assert (tmp_path / "whole/weights.safetensors").read_bytes() == (
        tmp_path / "again/weights.safetensors"
    ).read_bytes()
    assert min(whole.summary["test_accuracy"]) > 0.45  # of 10 and of 3 classes


def test_random_feedback_between_layers_keeps_the_size_of_what_is_relayed():
    model, _ = student(chips=1, **COARSE)
    rule = DeepFeedbackControl(WEAK, FeedbackCurrent(), RandomFeedback(0.1), Active())
    rule.start(model)
    for weights, (above, _) in zip(model.feedback[:-1], model.network.feedback_shapes, strict=False):
        assert weights.std() * above**0.5 == pytest.approx(1.0, rel=0.3)


def test_rates_of_a_linear_layer_have_gates_too():
    model, _ = student(neuron=Rate("relu"), **COARSE)
    curve = Slope().curve(0, model)
    points = torch.linspace(curve.low, curve.high, curve.values.shape[-1])
    assert torch.equal(curve.values.flatten(), (points > 0).double())
