"""How well feedback weights of every origin fit the true chips: the table of `docs/results/feedback_fit.md`.

Student 15-10-10-5, tanh with a linear output, Xavier weights × 1.15, inputs uniform in [-1, 1], targets from
a ReLU teacher; an epoch is 39 batches of 128. Run it as::

    OMP_NUM_THREADS=1 python benchmarks/what_the_controller_learns.py --epochs 50 --chips 1 --mismatch 0
    OMP_NUM_THREADS=1 python benchmarks/what_the_controller_learns.py --epochs 50 --chips 10 --mismatch 0.2
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from learning.feedback_control.closed_form import ClosedFormDFC
from learning.feedback_control.feedback_weights import FeedbackWeights, RandomFeedback, WeightProduct
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.identified import IdentifiedFeedback
from learning.feedback_control.learned import LearnedFeedback
from learning.model import Model
from learning.stimulus import Batch, Stimulus
from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.seeds import SeedTree
from spiketrain.arms.oracle import tell
from spiketrain.measures import all_measures
from spiking.network import chain
from spiking.neurons import Rate
from spiking.simulators.torch import TorchSimulator

SIZES = (15, 10, 10, 5)
BATCH, BATCHES_PER_EPOCH = 128, 39
COLUMNS = ("c2_ratio", "angle_q_jt", "angle_q_jpinv", "min_re_eig_jq", "angle_to_bp", "angle_to_mn")


class Laboratory:
    """A student on chips, and samples to show it.

    Args:
        feedback: the origin of the feedback weights.
        chips: number of chips.
        mismatch: coefficient of variation of weights, gains and offsets.
        seed: of the student.
    """

    def __init__(self, feedback: FeedbackWeights, chips: int, mismatch: float, seed: int) -> None:
        network = chain(SIZES, [Rate("tanh"), Rate("tanh"), Rate("linear")], dt_ms=4.0)
        seeds = SeedTree(seed)
        self.samples = seeds.child("samples")
        stimulus = Stimulus(network, CurrentEncoding(-1.0, 1.0), seeds.child("stimulus"), 50, 15)
        self.model = Model(
            network,
            stimulus,
            chips,
            seeds.child("rule"),
            weight_gain=tuple(1.15 * (2 * a / (a + b)) ** 0.5 for a, b in pairwise(SIZES)),
            bias_spread=(0.0, 0.0, 0.0),
        )
        deviations = {name: Normal(cv=mismatch) for name in ("weight", "gain", "offset")} if mismatch else {}
        spec = MismatchSpec(chips, 1, deviations)
        self.chips = ChipPopulation(network, spec, TorchSimulator(), seeds.child("chips"))
        self.rule = ClosedFormDFC(ControllerGains(0.0, 0.01, 0.0), feedback)
        self.rule.start(self.model)

    def batch(self, *key: str | int) -> Batch:
        """Return samples and what the teacher says."""
        x = torch.from_numpy(self.samples.child(*key).generator().random((BATCH, SIZES[0])))
        numbers = self.samples.child("teacher").generator()
        rate = 2.0 * x - 1.0
        for index, (a, b) in enumerate(pairwise(SIZES)):
            rate = rate @ torch.from_numpy(numbers.standard_normal((a, b))) * (2.0 / (a + b)) ** 0.5
            rate = torch.relu(rate) if index < len(SIZES) - 2 else rate
        return Batch(x, rate, key)

    def _program(self) -> None:
        self.model.feedback = self.rule.feedback_weights(self.model)
        self.chips.program(self.model.weights())

    def identify(self, epochs: int) -> None:
        """Let the feedback weights learn."""
        for number in range(epochs * BATCHES_PER_EPOCH):
            batch = self.batch("train", number)
            self._program()
            seen = self.chips.present(self.rule.warmup(batch, self.model), *batch.key)
            update = self.rule.identify(batch, seen, self.model)
            self.model.remember(update.feedback, update.memory)

    def measure(self) -> dict[str, Tensor]:
        """Return the measures of the feedback weights as they are, the closed form told the truth."""
        self._program()
        tell(self.chips, self.model)
        batch = self.batch("test")
        free = self.chips.present((self.model.stimulus.phase("free", batch),), "test")
        update = self.rule.update(batch, free, self.model)
        self.model.truth = None
        return dict(all_measures(self.chips, self.model, batch, update))


def _rows(epochs: int) -> Iterator[tuple[str, FeedbackWeights, int]]:
    controller = ControllerGains(0.5, 0.01, 0.01)
    yield "weight product", WeightProduct(None), 0
    yield "random", RandomFeedback(0.3), 0
    for count in sorted({1, min(10, epochs), epochs}):
        yield f"learned, {count} epochs", LearnedFeedback(0.3, warmup=1, controller=controller), count
    for count in sorted({1, min(10, epochs)}):
        yield f"identified, {count} epochs", IdentifiedFeedback(None, warmup=1, eta=0.005, sigma=0.1), count


def main() -> None:
    """Print one row per origin of the feedback weights, mean and standard deviation over chips."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--chips", type=int, default=1)
    parser.add_argument("--mismatch", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| Q | " + " | ".join(COLUMNS) + " | seconds |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for name, feedback, epochs in _rows(options.epochs):
        began = time.perf_counter()
        laboratory = Laboratory(feedback, options.chips, options.mismatch, options.seed)
        laboratory.identify(epochs)
        found = laboratory.measure()
        cells = [f"{found[c].mean():.3f} ± {found[c].std(correction=0):.3f}" for c in COLUMNS]
        print(f"| {name} | " + " | ".join(cells) + f" | {time.perf_counter() - began:.0f} |", flush=True)


if __name__ == "__main__":
    main()
