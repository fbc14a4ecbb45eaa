"""The student of the tables on what the controller learns: 15-10-10-5, tanh, linear output."""

from dataclasses import replace
from itertools import pairwise

import torch

from learning.model import Model
from learning.stimulus import Batch, Stimulus
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.seeds import SeedTree
from spiking.feedback import Direct
from spiking.network import chain
from spiking.neurons import Rate
from spiking.simulators.torch import TorchSimulator

SIZES = (15, 10, 10, 5)
DEVIATING = {"rate": ("weight", "gain", "offset"), "lif": ("weight", "threshold", "tau_m")}


def student(seed=0, *, chips=1, cv=0.0, steps=300, window=100, dt_ms=1.0, feedback=None, neuron=None):
    """Return a model with Xavier weights and its chips."""
    hidden = neuron or Rate("tanh")
    network = chain(SIZES, [hidden, hidden, Rate("linear")], dt_ms=dt_ms)
    network = replace(network, feedback=feedback or Direct())
    seeds = SeedTree(seed)
    stimulus = Stimulus(network, CurrentEncoding(-1.0, 1.0), seeds.child("stimulus"), steps, window)
    gain = tuple(1.15 * (2 * a / (a + b)) ** 0.5 for a, b in pairwise(SIZES))
    model = Model(
        network, stimulus, chips, seeds.child("rule"), weight_gain=gain, bias_spread=(0.0, 0.0, 0.0)
    )
    deviations = {name: Normal(cv=cv) for name in DEVIATING[network.layers[0].neuron.model]} if cv else {}
    population = ChipPopulation(
        network, MismatchSpec(chips, 1, deviations), TorchSimulator(), seeds.child("chips")
    )
    return model, population


def samples(seed=0, size=64, teacher=7):
    """Return inputs in [-1, 1] (as the encoding shows them) and a ReLU teacher's answers."""
    generator = SeedTree(seed).child("samples").generator()
    x = torch.from_numpy(generator.random((size, SIZES[0])))
    numbers = SeedTree(teacher).generator()
    rate = 2 * x - 1
    for index, (a, b) in enumerate(pairwise(SIZES)):
        rate = rate @ torch.from_numpy(numbers.standard_normal((a, b))) * (2 / (a + b)) ** 0.5
        rate = torch.relu(rate) if index < 2 else rate
    return Batch(x, rate, ("samples", seed))


def learn(rule, model, chips, batch):
    """Return the rule's update on a batch."""
    rule.prepare(model)
    chips.program(model.weights())
    return rule.update(batch, chips.present(rule.presentation(batch, model), *batch.key), model)


def warm_up(rule, model, chips, batches):
    """Show batches that only identify the chips."""
    for number in range(batches):
        batch = samples(1000 + number)
        rule.prepare(model)
        chips.program(model.weights())
        update = rule.identify(batch, chips.present(rule.warmup(batch, model), *batch.key), model)
        model.remember(update.feedback, update.memory)
    rule.prepare(model)
    chips.program(model.weights())
