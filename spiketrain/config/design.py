"""The sections of an experiment, and the parts they stand for, whether they fit together or not."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field

from learning.rule import LearningRule
from learning.stimulus import Stimulus
from mismatch.spec import MismatchSpec, deviating
from rate_bridge.encodings import Encoding
from root.errors import InputError
from root.plugins import available
from root.seeds import SeedTree
from spiketrain.arms.base import Arm
from spiketrain.config import building
from spiketrain.config.memory import estimate_bytes
from spiketrain.config.network import NetworkSection
from spiketrain.config.problems import unknown
from spiketrain.config.sections import (
    AnalysisPart,
    BridgePart,
    ChipsPart,
    LimitsPart,
    MismatchPart,
    RulePart,
    Section,
    SimulatorPart,
    TaskPart,
    TrainingPart,
)
from spiketrain.tasks.augmentations import Augmentation
from spiketrain.tasks.base import Task
from spiketrain.tracking.base import Tracker
from spiking.network import Clock, Network
from spiking.presentation import TRACES
from spiking.simulators.base import Simulator

__all__ = ["Design"]


class Design(Section):
    """What an experiment consists of; `spiketrain.config.checks` says whether it can be.

    Args:
        name: what the run's folder is called after.
        task, network, mismatch, chips, bridge, rule, simulator, training, analysis, limits: the sections.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    task: TaskPart
    network: NetworkSection
    mismatch: MismatchPart = MismatchPart()
    chips: ChipsPart = ChipsPart()
    bridge: BridgePart = BridgePart()
    rule: RulePart
    simulator: SimulatorPart
    training: TrainingPart
    analysis: AnalysisPart = AnalysisPart()
    limits: LimitsPart = LimitsPart()

    def build_task(self) -> Task:
        """Return the task."""
        task: Task = building.build("tasks", self.task.keys, "task")
        return task

    @property
    def observed(self) -> frozenset[str]:
        """Names of the traces that may be recorded on the chips."""
        if self.chips.observe is not None:
            return frozenset(self.chips.observe)
        return self.build_rule().requests if self.chips.isolated else frozenset(TRACES)

    @property
    def clock(self) -> Clock:
        """The time step, and what rates are counted in."""
        return Clock(self.simulator.dt_ms, self.bridge.max_rate_hz, self.bridge.readout_tau_ms)

    def build_network(self) -> Network:
        """Return the design."""
        return self.network.build(self.clock)

    def build_mismatch(self) -> MismatchSpec:
        """Return what deviates and how."""
        part = self.mismatch
        network = self.build_network()
        known = deviating(network)
        kinds = available("imperfections")
        keys = [*MismatchPart.model_fields, *known, *kinds]
        deviations, imperfections, per = {}, {}, "synapse"
        for name, options in part.entries.items():
            if name not in known and name not in kinds:
                raise unknown(f"mismatch.{name}", options, keys)
            if not isinstance(options, dict):
                example = "{distribution: normal, cv: 0.2}" if name in known else "{}"
                raise InputError(f"mismatch.{name}", options, f"a mapping of keys, such as {example}")
            if name in known:
                own = dict(options)
                if name == "weight":
                    per = own.pop("per", per)
                deviations[name] = building.build("distributions", own, f"mismatch.{name}", "distribution")
            else:
                imperfections[name] = building.build_named("imperfections", name, options, "mismatch")
        spec = MismatchSpec(
            part.chips,
            0 if part.seed is None else part.seed,  # the design, and other chips, need none
            deviations,
            part.first_chip,
            part.shadow,
            imperfections,
            self.network.neurons(self.clock),
            part.shadow_share,
            per,
        )
        spec.check(network)
        return spec

    def build_encoding(self) -> Encoding:
        """Return how values become spikes or currents."""
        encoding: Encoding = building.build("encodings", self.bridge.encoding.keys, "bridge.encoding")
        return encoding

    def build_stimulus(self, seeds: SeedTree, *, test: bool = False) -> Stimulus:
        """Return how samples are shown, in training or in tests."""
        steps, window = self.simulator.steps(test=test)
        shape, windows = self.bridge.window, self.simulator.windows
        network, encoding = self.build_network(), self.build_encoding()
        return Stimulus(network, encoding, seeds, steps, window, shape, windows=windows)

    def build_rule(self) -> LearningRule:
        """Return the learning rule."""
        rule: LearningRule = building.build("rules", self.rule.keys, "rule")
        return rule

    def build_arm(self) -> Arm:
        """Return which chips are trained on, and what the rule is told about them."""
        arm: Arm = building.build("arms", self.training.arm.keys, "training.arm")
        return arm

    def build_simulator(self) -> Simulator:
        """Return the machine that stands for the chips."""
        part = self.simulator
        cls = building.find("simulators", part.name, "simulator.name")
        dtype = {"float64": torch.float64, "float32": torch.float32}[part.dtype]
        machine: Simulator = building.call(
            cls,
            part.options,
            "simulator",
            {"device": part.device, "dtype": dtype},
            tuple(SimulatorPart.model_fields),
        )
        return machine

    def build_optimizer(self) -> Any:
        """Return what turns an update into a step."""
        return building.build("optimizers", self.training.optimizer.keys, "training.optimizer")

    def build_augmentation(self) -> Augmentation | None:
        """Return what is done to training samples."""
        part = self.training.augment
        if part is None:
            return None
        augmentation: Augmentation = building.build("augmentations", part.keys, "training.augment")
        return augmentation

    def build_tracker(self) -> Tracker | None:
        """Return what else is told how the run goes."""
        part = self.analysis.tracker
        if part is None:
            return None
        tracker: Tracker = building.build("trackers", part.keys, "analysis.tracker")
        return tracker

    def estimate_memory_bytes(self) -> int:
        """Return about how many bytes a run needs, without the data set."""
        part, network = self.simulator, self.build_network()
        models = self.build_arm().models(self.mismatch.chips)
        return estimate_bytes(
            network.sizes,
            [(c.delay_steps, network.sizes[c.pre]) for c in network.connections],
            synapses=sum(synapses.count for synapses in network.synapses),
            chips=self.mismatch.chips,
            batch=self.training.shown,
            steps=max(part.steps()[0], part.steps(test=True)[0]),
            item_bytes=8 if part.dtype == "float64" else 4,
            feedback=sum(synapses.count for synapses in network.feedback_synapses),
            kept=models * self.build_rule().kept_numbers(network, part.steps()[0]),
        )
