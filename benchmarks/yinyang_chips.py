"""Yin-Yang, 4-30-3, on mismatched chips: written to them after training on the design, or trained on them.

The table of `docs/results/rate_networks.md`: backpropagation and feedback alignment. Offline, weights and
biases deviate by σ, a few networks on many chips each; in the loop, weights, gains and offsets. Run it as::

    OMP_NUM_THREADS=1 python benchmarks/yinyang_chips.py --networks 4 --chips 50 --trained 10
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from spiketrain.config import Experiment, load_experiment
from spiketrain.evaluation import evaluate
from spiketrain.parts import Parts, build
from spiketrain.teaching import learn

RULES = ("backprop", "feedback_alignment")
SIGMA = (0.0, 0.1, 0.2, 0.3, 0.5)
OFFLINE, IN_LOOP = ("weight", "bias_weight"), ("weight", "gain", "offset")


def experiment(
    rule: str, deviating: tuple[str, ...], sigma: float, chips: int, **training: object
) -> Experiment:
    """Return a shipped experiment with other mismatch and training."""
    kinds = ", ".join(f"{name}: {{distribution: normal, cv: {sigma}}}" for name in deviating if sigma)
    changes = [f"training.{key}={value}" for key, value in training.items()]
    return load_experiment(
        f"rate/{rule}_yinyang.yaml", [f"mismatch={{chips: {chips}, seed: 1, {kinds}}}", *changes]
    )


def trained(wanted: Experiment) -> Parts:
    """Return an experiment's parts after training, without the tests between epochs."""
    parts = build(wanted, None)
    while parts.epoch < wanted.training.epochs:
        for batch in parts.batches(parts.epoch):
            learn(parts, batch, parts.learning_rate)
        parts.epoch += 1
    return parts


def offline(rule: str, options: argparse.Namespace) -> Iterator[Tensor]:
    """Yield the accuracies at every σ, ``(networks, chips)``, of weights that were trained on the design."""
    training = {"epochs": options.epochs, "decay": options.decay, "arm": "offline"}
    networks = [
        trained(experiment(rule, OFFLINE, SIGMA[1], options.chips, seed=seed, **training))
        for seed in range(options.networks)
    ]
    for sigma in SIGMA:
        spec = experiment(rule, OFFLINE, sigma, options.chips, **training).build_mismatch()
        found = []
        for parts in networks:
            parts.chips = parts.chips.sibling(spec)
            found.append(evaluate(parts, "test"))
        yield torch.stack(found)


def in_loop(rule: str, options: argparse.Namespace) -> Iterator[Tensor]:
    """Yield the accuracies at every σ, ``(1, chips)``, of chips that were trained themselves."""
    training = {"epochs": options.epochs, "decay": options.decay}
    for sigma in SIGMA:
        parts = trained(experiment(rule, IN_LOOP, sigma, options.trained, **training))
        yield evaluate(parts, "test").unsqueeze(0)


def main() -> None:
    """Print one row per rule and arm: mean ± standard deviation over chips at every σ."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--chips", type=int, default=50)
    parser.add_argument("--trained", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--decay", type=float, default=0.88)
    options = parser.parse_args()
    torch.set_num_threads(1)
    arms: dict[str, Callable[[str, argparse.Namespace], Iterator[Tensor]]] = {
        "offline": offline,
        "in the loop": in_loop,
    }
    print("| | " + " | ".join(f"σ = {sigma:g}" for sigma in SIGMA) + " | processor seconds |")
    for arm, accuracies in arms.items():
        for rule in RULES:
            began = time.process_time()
            print(f"| {rule}, {arm} |", end="", flush=True)
            for found in accuracies(rule, options):
                print(f" {found.mean():.3f} ± {found.std(correction=0):.3f} |", end="", flush=True)
            print(f" {time.process_time() - began:.0f} |", flush=True)


if __name__ == "__main__":
    main()
