"""Distributions as configs name them and as chips draw them."""

from dataclasses import replace

import pytest
import torch

from mismatch.chip import ChipPopulation
from mismatch.distributions import Correlated, DieShift, Normal
from mismatch.oracle import reveal
from mismatch.population import draw
from mismatch.spec import MismatchSpec
from root.seeds import SeedTree
from spiketrain.config import building
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Weights
from spiking.simulators.torch import TorchSimulator

CONFIGS = [
    {"distribution": "normal", "cv": 0.2, "limit": 3},
    {"distribution": "two_point", "cv": 0.2, "high_fraction": 0.1},
    {"distribution": "correlated", "cv": 0.2, "length": 4, "white": 0.25},
    {"distribution": "die_shift", "shift_cv": 0.1},
    {"distribution": "die_shift", "shift_cv": 0.1, "local": {"distribution": "uniform", "cv": 0.2}},
    {
        "distribution": "mixture",
        "components": [
            {"distribution": "normal", "cv": 0.1, "weight": 9},
            {
                "distribution": "mixture",
                "weight": 1,
                "components": [
                    {"distribution": "lognormal", "cv": 0.5, "weight": 1, "scale": 2.0},
                    {"distribution": "uniform", "cv": 0.1, "weight": 1},
                ],
            },
        ],
    },
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["distribution"])
def test_config_makes_a_distribution_and_comes_back(config):
    built = building.build("distributions", config, "mismatch.threshold", "distribution")
    fields = building.fields_of(built)
    assert {k: v for k, v in config.items() if k != "distribution"}.items() <= fields.items()
    again = building.build(
        "distributions",
        {**fields, "distribution": config["distribution"]},
        "mismatch.threshold",
        "distribution",
    )
    assert again == built
    assert again.cv == built.cv


def population(deviations, chips, first_chip=0):
    network = chain([6, 5, 4], LIF())
    spec = MismatchSpec(chips=chips, first_chip=first_chip, deviations=deviations)
    made = ChipPopulation(network, spec, TorchSimulator(), SeedTree(0))
    forward = tuple(torch.ones(chips, a, b, dtype=torch.float64) for a, b in ((6, 5), (5, 4)))
    made.program(Weights(forward, tuple(torch.zeros(chips, n, dtype=torch.float64) for n in (5, 4))))
    return reveal(made)


def test_die_shift_is_one_value_per_chip_and_parameter():
    shift = DieShift(0.2)
    hardware = population({"threshold": shift, "tau_m": shift, "weight": shift}, chips=6)
    threshold = torch.cat([values["threshold"] for values in hardware.neurons], dim=1)
    assert (threshold == threshold[:, :1]).all()
    assert threshold[:, 0].unique().numel() == 6
    weight = torch.cat([w.flatten(1) for w in hardware.weights], dim=1)
    assert (weight == weight[:, :1]).all()
    tau = hardware.neurons[0]["tau_m_ms"][:, 0] / 20.0
    assert ((tau - threshold[:, 0]).abs() > 1e-9).all()


def test_chip_alone_and_among_others_is_the_same_chip():
    deviations = {
        "threshold": DieShift(0.2, {"distribution": "lognormal", "cv": 0.1}),
        "weight": Correlated(0.2, 2.0),
    }
    many, alone = population(deviations, 4), population(deviations, 1, first_chip=2)
    for layer in range(2):
        assert torch.equal(many.weights[layer][2], alone.weights[layer][0])
        assert torch.equal(many.neurons[layer]["threshold"][2], alone.neurons[layer]["threshold"][0])


@pytest.mark.parametrize("parameter", ["weight", "delay"])
def test_connections_between_the_same_layers_deviate_each_in_its_own_way(parameter):
    plain = chain([40, 30, 20], LIF(), delay_steps=10)
    second = plain.connections[1]
    spec = MismatchSpec(2, 3, {parameter: Normal(cv=0.3)})
    name = "weight" if parameter == "weight" else "delay"
    one = draw(plain, spec).values
    three = draw(replace(plain, connections=(*plain.connections, second, second)), spec).values
    first, *others = (three[f"{name}.{number}"] for number in (2, 3, 4))
    assert torch.equal(first, one[f"{name}.2"])  # chips that are known stay what they are
    for a, b in ((first, others[0]), (first, others[1]), (others[0], others[1])):
        correlation = torch.corrcoef(torch.stack([a.flatten().double(), b.flatten().double()]))[0, 1]
        assert abs(float(correlation)) < 0.5
