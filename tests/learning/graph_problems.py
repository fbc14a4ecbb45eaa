"""Graphs that are no chains, and a rule's models, chips and batches on them."""

import torch

from learning.losses import Squared
from learning.model import Model
from learning.stimulus import Batch, Stimulus
from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.seeds import SeedTree
from spiking.connections import AveragePool2d, Conv2d, Dense, OneToOne, Recurrent
from spiking.network import Connection, Layer, Network, Source
from spiking.neurons import Rate
from spiking.simulators.steady import SteadySimulator

CHIPS, BATCH = 2, 3


def images(neuron: Rate, outputs: int = 3) -> Network:
    """A convolution, means, a second convolution; one input and one hidden layer skip to the output."""
    layers = (
        Layer(4 * 4 * 2, neuron, (4, 4, 2)),
        Layer(2 * 2 * 2, neuron, (2, 2, 2)),
        Layer(2 * 2 * 3, neuron, (2, 2, 3)),
        Layer(outputs, neuron),
    )
    connections = (
        Connection(0, 1, 1, Conv2d(channels=2, kernel=3)),
        Connection(1, 2, 1, AveragePool2d(2)),
        Connection(2, 3, 1, Conv2d(channels=3, kernel=1)),
        Connection(3, 4),
        Connection(0, 4, 1, Dense()),
        Connection(2, 4),
    )
    return Network(36, layers, connections, input_shape=(6, 6))


def loops(neuron: Rate, outputs: int = 3) -> Network:
    """Recurrent synapses without and with themselves, and a layer that leads back."""
    layers = (Layer(6, neuron), Layer(6, neuron), Layer(outputs, neuron))
    connections = (
        Connection(0, 1),
        Connection(1, 2, 1, OneToOne()),
        Connection(2, 3),
        Connection(1, 1, 1, Recurrent()),
        Connection(2, 2, 1, Recurrent(self_connections=True)),
        Connection(3, 1),
    )
    return Network(5, layers, connections)


def inputs(neuron: Rate, outputs: int = 3) -> Network:
    """An image and a row of values, which reaches both layers; the image skips to the output too."""
    layers = (Layer(2 * 2 * 2, neuron, (2, 2, 2)), Layer(outputs, neuron))
    connections = (
        Connection(0, 1, 1, Conv2d(channels=2, kernel=3), source="image"),
        Connection(1, 2),
        Connection(0, 1, source="row"),
        Connection(0, 2, source="row"),
        Connection(0, 2, source="image"),
    )
    return Network(21, layers, connections, sources=(Source("image", 16, (4, 4)), Source("row", 5)))


GRAPHS = {"images": images, "loops": loops, "inputs": inputs}


def model_of(network: Network) -> Model:
    seeds = SeedTree(3)
    stimulus = Stimulus(network, CurrentEncoding(), seeds.child("stimulus"), 2000, 1)
    model = Model(
        network,
        stimulus,
        CHIPS,
        seeds.child("rule"),
        weight_gain=(0.5,) * len(network.connections),
        bias_spread=(0.3,) * network.depth,
    )
    for index, weight in enumerate(model.forward_weights):
        weight.data += 0.05 * torch.from_numpy(seeds.child(index).generator().standard_normal(weight.shape))
    return model


def setup(network: Network):
    """Return a model, chips that settle at once, and a batch."""
    seeds, model = SeedTree(3), model_of(network)
    simulator = SteadySimulator(relaxation=0.5, tolerance=1e-14)
    chips = ChipPopulation(network, MismatchSpec(CHIPS), simulator, seeds.child("chips"))
    x = torch.from_numpy(seeds.child("x").generator().random((BATCH, network.inputs)))
    target = torch.from_numpy(seeds.child("target").generator().random((BATCH, network.outputs)))
    return model, chips, Batch(x, target, ("train", 0))


def learn(rule, model, chips, batch):
    rule.start(model)
    rule.prepare(model)
    chips.program(model.weights())
    return rule.update(batch, chips.present(rule.presentation(batch, model), *batch.key), model)


def loss(model, chips, batch):
    """Return what the chips themselves make of a batch, ``(chips,)``."""
    chips.program(model.weights())
    rates = chips.present((model.stimulus.phase("free", batch),), *batch.key)["free"].rates[-1]
    return Squared().value(rates, batch.target).mean(1)


def slope(parameter, direction, measure):
    """Return how much a step of a parameter changes what is measured, ``(chips,)``."""
    before, ends = parameter.data.clone(), []
    for step in (1e-4, -1e-4):
        parameter.data = before + step * direction
        ends.append(measure())
    parameter.data = before
    return (ends[0] - ends[1]) / 2e-4


def gradients(model, chips, batch):
    """Return finite differences along one random direction of every weight and bias, and the directions."""
    g = torch.Generator().manual_seed(7)
    found = []
    for parameter in (*model.forward_weights, *model.bias):
        direction = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
        found.append((direction, slope(parameter, direction, lambda: loss(model, chips, batch))))
    return found


def proposed(model, update):
    """Return what an update does to every weight and bias; a bias is taught once."""
    network = model.network
    weights = [change.weight() for change in update.connections]
    biases: list[torch.Tensor | None] = [None] * network.depth
    for change, connection in zip(update.connections, network.connections, strict=True):
        if (bias := change.bias()) is not None:
            assert biases[connection.post - 1] is None
            biases[connection.post - 1] = bias
    return [*weights, *biases]
