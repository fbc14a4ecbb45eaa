"""Shapes of published results: Büchel, Faber, Muir 2022, arXiv 2106.05009."""

import itertools
import os
from pathlib import Path

import pytest

from mismatch.distributions import Normal
from mismatch.imperfections.clipping import Clipping
from mismatch.imperfections.write_noise import WriteNoise
from mismatch.spec import MismatchSpec
from spiketrain.config import Experiment
from spiketrain.evaluation import evaluate
from spiketrain.experiment import run
from spiketrain.restoring import trained
from spiking.presentation import Weights

MNIST = Path(os.environ.get("SPIKETRAIN_DATA", "."))


def mlp(task, layers, arm="in_loop", mismatch=None, epochs=4):
    return Experiment.from_mapping(
        {
            "name": "mlp",
            "task": task,
            "network": {
                "layers": layers,
                "neuron": {"model": "rate", "activation": "relu"},
                "output_neuron": {"activation": "linear"},
            },
            "mismatch": mismatch or {},
            "bridge": {"encoding": "current", "target_rates": [0.0, 1.0]},
            "rule": {"name": "backprop", "loss": {"name": "cross_entropy", "temperature": 1.0}},
            "simulator": {"name": "steady", "dtype": "float32", "presentation_ms": 10, "window_ms": 1},
            "training": {
                "epochs": epochs,
                "batch": 64,
                "optimizer": "adam",
                "learning_rate": 0.002,
                "decay": 0.7,
                "arm": arm,
            },
        }
    )


def parts_of(experiment, directory, data_dir=None):
    run(experiment, directory, data_dir=data_dir, quiet=True, report=False)
    return trained(experiment, directory, data_dir)


def deployed(parts, spec):
    """Return the mean accuracy of the weights on other chips, each programmed with them."""
    parts.chips = parts.chips.sibling(spec)
    return float(evaluate(parts, "test").mean())


@pytest.mark.skipif(
    not (MNIST / "train-images-idx3-ubyte.gz").is_file(), reason="SPIKETRAIN_DATA has no MNIST"
)
def test_deployed_accuracy_falls_with_mismatch_and_noise_in_training_holds_it(tmp_path):
    task = {"name": "idx", "train_samples": 20000, "test_samples": 2000}
    found = {}
    for arm in ("offline", "aware"):
        spread = {"chips": 1, "weight": {"distribution": "normal", "cv": 0.3}}
        parts = parts_of(mlp(task, [784, 128, 10], arm, spread), tmp_path / arm, MNIST)
        for cv in (0.0, 0.1, 0.2, 0.3, 0.5):
            found[arm, cv] = deployed(parts, MismatchSpec(10, 7, {"weight": Normal(cv)}))
    falling = [found["offline", cv] for cv in (0.0, 0.1, 0.2, 0.3, 0.5)]
    assert all(more < less + 0.002 for less, more in itertools.pairwise(falling))
    assert falling[0] - falling[-1] > 0.02
    assert found["aware", 0.3] > max(found["aware", 0.0], found["offline", 0.0]) - 0.02
    assert found["aware", 0.5] > found["offline", 0.5]


class Scaled:
    """Weights that are all larger by a factor, which changes no decision of an ideal ReLU network."""

    one_model = True

    def __init__(self, factor):
        self.factor = factor

    def deployed(self, weights, chips, model):
        def copies(tensors, power):
            return tuple(
                (t * self.factor ** (power or index)).expand(chips, *t.shape[1:]).clone()
                for index, t in enumerate(tensors, start=1)
            )

        return Weights(copies(weights.forward, 1), copies(weights.bias, 0), ())


def test_weights_that_grow_outrun_constant_noise_unless_they_are_bounded(tmp_path):
    """Growing by a factor costs nothing and makes noise of a constant size small, relative noise not."""
    parts = parts_of(mlp("digits", [64, 32, 10], epochs=10), tmp_path)
    largest = max(float(w.abs().max()) for w in parts.model.forward_weights)
    constant, relative = WriteNoise(std=0.2), WriteNoise(relative=0.6)
    bound = Clipping(range=largest)

    def accuracy(factor, **kinds):
        parts.arm = Scaled(factor)
        return deployed(parts, MismatchSpec(10, 1, {}, imperfections=kinds))

    factors = (1.0, 4.0, 32.0)
    assert accuracy(32.0) == pytest.approx(accuracy(1.0), abs=1e-3)
    growing = [accuracy(factor, write_noise=constant) for factor in factors]
    assert growing == sorted(growing)
    assert growing[-1] > growing[0] + 0.3
    assert accuracy(32.0, write_noise=constant, clipping=bound) < growing[0] + 0.02
    proportional = [accuracy(factor, write_noise=relative) for factor in factors]
    assert max(proportional) - min(proportional) < 0.01
