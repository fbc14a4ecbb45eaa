"""The parts of one experiment, built from its configuration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch

from chips.base import Chips
from learning.averaging import WeightAverage
from learning.guard import GuardedStepper
from learning.model import Model
from learning.on_chip import OnChipStepper
from learning.optimizers import Stepper
from learning.rule import LearningRule
from learning.stimulus import Batch, Stimulus
from root.seeds import SeedTree
from spiketrain.allocator import keep_freed_memory
from spiketrain.arms.base import Arm
from spiketrain.config import Experiment
from spiketrain.divergence import Watch, not_finite
from spiketrain.housing import housed
from spiketrain.losing import keep_order
from spiketrain.tasks.augmentations import Augmentation
from spiketrain.tasks.base import TaskData
from spiking.naming import named_weights
from spiking.network import Network
from spiking.presentation import Weights

__all__ = ["Parts", "build"]


@final
@dataclass
class Parts:
    """Everything that meets in an experiment.

    Args:
        experiment: the configuration.
        data: the task's samples.
        chips: the population that is tested, and trained where the arm says so.
        rule: how it learns.
        model: what the rule knows.
        optimizer: how updates become weights.
        average: the weights that are tested.
        arm: which chips the rule is trained on, and what it is told about them.
        test_stimulus: how test samples are shown.
        seeds: the run's seed tree (not the mismatch's).
        watch: notices chips that diverge.
        epoch: number of epochs done.
        saw: what the rule was shown so far, in words.
        augmentation: what is done to training samples, or None.
        presented: how often each reported chip was shown a sample so far, calibration included, tests not.
    """

    experiment: Experiment
    data: TaskData
    chips: Chips
    rule: LearningRule
    model: Model
    optimizer: Stepper
    average: WeightAverage
    arm: Arm
    test_stimulus: Stimulus
    seeds: SeedTree
    watch: Watch
    epoch: int = 0
    saw: set[str] = field(default_factory=set)
    augmentation: Augmentation | None = None
    presented: int = 0

    @property
    def learning_rate(self) -> float:
        """The learning rate of the epoch under way."""
        training = self.experiment.training
        return float(training.learning_rate * training.decay**self.epoch)

    @property
    def batches_per_epoch(self) -> int:
        """Number of times that chips are read in an epoch: whole batches, or runs of batches."""
        return len(self.data.x_train) // self._shown

    @property
    def _shown(self) -> int:
        """Samples shown between two readings; runs of several batches are about equally long."""
        training = self.experiment.training
        batches = len(self.data.x_train) // training.batch
        runs = -(-batches * training.batch // training.shown)
        return training.batch * (batches // runs)

    def batches(self, epoch: int, samples: int | None = None) -> Iterator[Batch]:
        """Return the training batches of an epoch, in its order.

        Args:
            epoch: counted from 0.
            samples: of a batch; by default as many as are shown between two readings.
        """
        size, rates = samples or self._shown, self.experiment.bridge.target_rates
        given = self.data.train_batches(epoch, size, self.seeds, rates, self.model.stimulus)
        return (self._augmented(batch).to(self.model.device) for batch in given)

    def _augmented(self, batch: Batch) -> Batch:
        if self.augmentation is None or not isinstance(batch.x, torch.Tensor):
            return batch
        own = self.seeds.child("augment", *batch.key).generator()
        return replace(batch, x=self.augmentation(batch.x, own))

    def population(self, batch: Batch) -> Chips:
        """Return the chips that a batch is to be learnt on."""
        return self.arm.population(self.chips, batch, self.model, self.seeds.child("arm"))

    def deployed(self) -> Weights:
        """Return the averaged weights as they are written to the tested chips."""
        weights = self.arm.deployed(self.average.weights(), self.chips.chips, self.model)
        return named_weights(self.model.network, weights)

    @property
    def spent(self) -> bool:
        """Whether the chips were shown as much as they may be."""
        most = self.experiment.training.presentations
        return most is not None and self.presented >= most

    def begin_with(self, weights: Weights) -> None:
        """Let training begin with given weights, the same for all models, ``(1, ...)`` each."""
        given = (*weights.forward, *weights.bias)
        for ours, value in zip((*self.model.forward_weights, *self.model.bias), given, strict=True):
            ours.data.copy_(value[:1].expand_as(ours))
        self.rule.start(self.model)
        self.optimizer = _stepper(self.experiment, self.model, _scales(self.experiment, self.model.network))
        self.average = WeightAverage(self.model, self.experiment.training.average)

    def diverged(self) -> dict[str, str]:
        """Return the chips that are lost and why; a model that all chips share loses them all."""
        reasons = self.watch.reasons
        for chip in sorted(not_finite(self.average.weights())):
            reasons.setdefault(str(chip), "weights that are tested are not finite")
        if self.arm.one_model and reasons:
            return {str(chip): next(iter(reasons.values())) for chip in range(self.chips.chips)}
        return reasons

    @property
    def told(self) -> int:
        """Number of models that are told of: that of the chips, or one that all share."""
        return 1 if self.arm.one_model else self.model.chips

    def set_back(self) -> dict[str, int]:
        """Return how often the guard has set chips back, for those that it has."""
        setbacks = self.optimizer.measures().get("setbacks", torch.zeros(0))[: self.told]
        return {str(chip): int(setbacks[chip]) for chip in setbacks.nonzero().flatten().tolist()}

    def warmup_batches(self) -> Iterator[Batch]:
        """Return the batches shown before training: as many as the rule asks for."""
        wanted, per_epoch = self.rule.warmup_batches, self.batches_per_epoch
        for number in range(-(-wanted // per_epoch)):
            first = (batch for batch in self.batches(number))
            for batch in itertools.islice(first, wanted - number * per_epoch):
                yield replace(batch, key=("warmup", *batch.key))

    def state(self) -> dict[str, object]:
        """Return everything that training changes."""
        return {
            "model": self.model.state_dict(),
            "feedback": self.model.feedback,
            "memory": self.model.memory,
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "watch": self.watch.state,
            "chips": self.chips.state(),
            "presented": self.presented,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: it has feedback weights of another shape; other errors where it is no such state.
        """
        self.model.load_state_dict(state["model"])
        shapes = [tuple(weights.shape) for weights in state["feedback"]]
        if self.model.feedback and shapes != [tuple(weights.shape) for weights in self.model.feedback]:
            raise ValueError(f"feedback weights of shapes {shapes}")
        there = self.model.device
        self.model.feedback = tuple(weights.to(there) for weights in state["feedback"])
        self.model.memory = {
            name: value.to(there) if value.is_floating_point() else value  # counters are read in every batch
            for name, value in state["memory"].items()
        }
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.watch = Watch(self.model.network, state["watch"])
        self.chips.restore(state["chips"])
        self.presented = int(state.get("presented", 0))  # checkpoints of earlier versions did not count


def build(experiment: Experiment, data_dir: Path | None, given: TaskData | None = None) -> Parts:
    """Build everything an experiment needs; raises `InputError` before anything is written.

    Args:
        experiment: the configuration.
        data_dir: where data files lie.
        given: samples to take instead of reading the task's.
    """
    keep_freed_memory()
    data = experiment.load_data(data_dir, given)
    augmentation = experiment.build_augmentation()
    if augmentation is not None:
        augmentation.check(data.x_train)
    network = experiment.build_network()
    rule = experiment.build_rule()
    rule.check(network)
    rule.check_feedback(network)
    rule.check_connections(network, on_chip=experiment.training.plasticity == "on_chip")
    seeds = SeedTree(experiment.training.seed)
    arm = experiment.build_arm()
    chips = housed(experiment, network, seeds.child("chips"))
    keep_order(chips.device)
    arm.check_chips(chips)
    arm.check_network(network)
    shown = seeds.child("stimulus")
    model = Model(
        network,
        experiment.build_stimulus(shown),
        arm.models(chips.chips),
        seeds.child("rule"),
        weight_gain=experiment.network.weight_gains(network),
        bias_spread=experiment.network.bias_spreads(network),
        initial=experiment.network.initial(experiment.clock),
        device=chips.device,
    )
    rule.start(model)
    parts = Parts(
        experiment=experiment,
        data=data,
        chips=chips,
        rule=rule,
        model=model,
        optimizer=_stepper(experiment, model, _scales(experiment, network)),
        average=WeightAverage(model, experiment.training.average),
        arm=arm,
        test_stimulus=experiment.build_stimulus(shown, test=True),
        seeds=seeds,
        watch=Watch(network),
        augmentation=augmentation,
        presented=arm.calibration,
    )
    if experiment.chips.elsewhere:
        _check_questions(parts)
    return parts


def _scales(experiment: Experiment, network: Network) -> tuple[float, ...]:
    """Return factors of the learning rate, per connection."""
    hidden = experiment.training.hidden_scale
    return tuple(1.0 if network.depth in (c.pre, c.post) else hidden for c in network.connections)


def _check_questions(parts: Parts) -> None:
    """Raise `UnsupportedError` where the chips cannot do what training and tests will ask of them."""
    batch, kept = next(parts.batches(0)), (parts.model.feedback, parts.model.relay)
    parts.rule.prepare(parts.model)
    asked = parts.rule.presentation(batch, parts.model)
    parts.model.feedback, parts.model.relay = kept
    # a free run is what training shows, less the controller; its samples are not as long as these
    tested = () if parts.data.free_run is not None else (parts.test_stimulus.phase("free", batch),)
    parts.chips.card.check_phases((*tested, *asked))


def _stepper(experiment: Experiment, model: Model, scales: tuple[float, ...]) -> Stepper:
    training = experiment.training
    if training.plasticity == "on_chip":
        return OnChipStepper(model, scales, training.batch)
    stepper: Stepper = experiment.build_optimizer().bind(model, scales)
    if training.guard is not None:
        return GuardedStepper(stepper, model, **training.guard.model_dump())
    return stepper
