"""Targets of every step: backpropagation through time follows them, and rules that cannot are refused."""

from dataclasses import replace

import pytest
import torch

from learning.losses import Squared
from learning.model import Model
from learning.rule import LearningRule
from learning.stimulus import Batch, Stimulus
from learning.surrogate import SurrogateBPTT
from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.errors import InputError, UnsupportedError
from root.plugins import available, load
from root.seeds import SeedTree
from spiketrain.config import load_experiment
from spiketrain.experiment import run_in_memory
from spiketrain.free_running import free_runs
from spiking.network import Connection, Layer, Network
from spiking.neurons import LI
from spiking.neurons.equations import Equations
from spiking.simulators.torch import TorchSimulator

SMOOTH = Equations(
    "dv/dt = (current - v) / tau_m : 1", emission="tanh(v)", values={"tau_m": "8 ms", "tau_syn": "5 ms"}
)
STEPS, WINDOW = 40, 25


def setup():
    """Return an ideal chip of neurons without spikes, what a rule knows of it, and a batch."""
    layers = (Layer(5, SMOOTH), Layer(2, LI(tau_m_ms=2.0, tau_syn_ms=4.0)))
    network = Network(3, layers, (Connection(0, 1), Connection(1, 2), Connection(1, 1)), max_rate_hz=1000.0)
    stimulus = Stimulus(network, CurrentEncoding(), SeedTree(1), STEPS, WINDOW)
    model = Model(network, stimulus, 1, SeedTree(2), weight_gain=(3.0,) * 3, bias_spread=(0.3, 0.0))
    g = torch.Generator().manual_seed(3)
    x = torch.rand(4, STEPS, 3, generator=g, dtype=torch.float64)
    target = torch.rand(4, STEPS, 2, generator=g, dtype=torch.float64)
    return (
        ChipPopulation(network, MismatchSpec(1, 1, {}), TorchSimulator(), SeedTree(0)),
        model,
        Batch(x, target, ("train", 0, 0), moves=True),
    )


def observed(chips, model, batch):
    chips.program(model.weights())
    phase = replace(SurrogateBPTT().presentation(batch, model)[0], record=frozenset({"spikes", "readout"}))
    return chips.present([phase], *batch.key)


def loss(chips, model, batch):
    """By hand: half the square of the step's target less what the output was before it, in the window."""
    y = observed(chips, model, batch)["free"].traces["readout"][0][0, :, :-1]
    return float((0.5 * (batch.target[:, 1:] - y).square().sum(-1))[:, STEPS - WINDOW - 1 :].mean())


def test_the_descent_is_that_of_the_error_in_every_step():
    """By finite differences on neurons that do not spike, whose gradient is no surrogate."""
    chips, model, batch = setup()
    update = SurrogateBPTT(loss=Squared()).update(batch, observed(chips, model, batch), model)
    assert float(update.measures["loss"]) == pytest.approx(loss(chips, model, batch), rel=1e-9)
    step = 1e-5
    for index, change in enumerate(update.of(model.network)):
        weight = model.forward_weights[index]
        for place in ((0, 0, 1), (0, 2, 0)):
            kept, found = float(weight.data[place]), []
            for sign in (1, -1):
                weight.data[place] = kept + sign * step
                found.append(loss(chips, model, batch))
            weight.data[place] = kept
            slope = (found[0] - found[1]) / (2 * step)
            assert abs(slope) > 1e-7
            assert -float(change.weight()[place]) == pytest.approx(slope, rel=1e-4)


SMALL = (
    "network.populations.population.size=30",
    "mismatch.chips=1",
    "task={name: damped_oscillator, train_samples: 24, sample_ms: 250, test_samples: 2, test_ms: 1500}",
    "simulator={name: compiled, presentation_ms: 250, window_ms: 150, test_presentation_ms: 1500, "
    "test_window_ms: 500}",
    "training.epochs=3",
    "training.batch=2",
    "training.learning_rate=0.01",
    "training.decay=0.8",
)


def test_a_system_is_learned_through_time_without_a_controller():
    """Few neurons and seconds: the error of doing nothing is 1, and falls."""
    result = run_in_memory(load_experiment("spiking/surrogate_bptt_oscillator.yaml", SMALL), quiet=True)
    assert float(free_runs(result.parts, "test").errors().max()) < 0.95


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ("{name: backprop}", "rule.name: got 'backprop'"),
        ("{name: eventprop}", "rule.name: got 'eventprop'"),
        ("{name: surrogate_bptt}", "rule.loss.name: got 'cross_entropy'"),
    ],
)
def test_what_cannot_learn_from_targets_of_every_step_is_refused(rule, named):
    with pytest.raises(InputError, match=named):
        load_experiment("spiking/surrogate_bptt_oscillator.yaml", [f"rule={rule}"])


@pytest.mark.parametrize("name", available("rules"))
def test_every_rule_says_whether_it_can(name):
    """And those that say so have been seen to."""
    rule = load("rules", name)
    if rule.check_moving is LearningRule.check_moving:
        with pytest.raises(UnsupportedError, match=r"rule\.name"):
            rule().check_moving()
    else:
        assert name in {"follow", "force", "surrogate_bptt"}
