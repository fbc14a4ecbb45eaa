"""A frozen, validated description of an experiment, and the parts it stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from pydantic import Field, ValidationError

from learning.rule import LearningRule
from learning.stimulus import Stimulus
from mismatch.spec import MismatchSpec, deviating
from rate_bridge.encodings import Encoding
from rate_bridge.errors import InputError
from rate_bridge.plugins import available
from rate_bridge.seeds import SeedTree
from rate_bridge.texts import check_texts
from spiketrain.arms.base import Arm
from spiketrain.config import building, checks
from spiketrain.config.finding import find_config
from spiketrain.config.memory import estimate_bytes
from spiketrain.config.network import NetworkSection, anchored, prepared
from spiketrain.config.placing import placed
from spiketrain.config.problems import input_error, unknown
from spiketrain.config.reading import read, with_overrides
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
from spiketrain.tasks.base import Task, TaskData
from spiketrain.tracking.base import Tracker
from spiking.network import Clock, Network
from spiking.presentation import TRACES
from spiking.simulators.base import Simulator

if TYPE_CHECKING:
    from spiketrain.tasks.arrays import Given  # it writes files, whose module reads configs

__all__ = ["Experiment", "load_experiment", "named_mapping"]

BY_NAME = (
    ("task",),
    ("rule",),
    ("simulator",),
    ("bridge", "encoding"),
    ("training", "optimizer"),
    ("analysis", "tracker"),
)
"""Where a part may be given by its name alone."""


MOVED = ((("rule", "prediction", "gate"), ("rule", "gate")),)
"""Keys of earlier versions, and where they are now."""


@final
class Experiment(Section):
    """Everything about a run that its user decides; `load_experiment` makes one.

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

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Experiment:
        """Return the experiment that plain `data` describe.

        Raises:
            InputError: the first thing that is wrong with them.
        """
        check_texts(data)
        raw = _hidden(prepared(_written_out(_moved(data))))
        try:
            experiment = cls.model_validate_json(json.dumps(raw))
        except ValidationError as error:
            raise input_error(error, raw, model=cls) from None
        checks.check(experiment)
        return experiment

    def build_task(self) -> Task:
        """Return the task."""
        task: Task = building.build("tasks", self.task.keys, "task")
        return task

    def load_data(self, data_dir: Path | None = None, data: TaskData | None = None) -> TaskData:
        """Return the task's data, its validation set held out, checked against the network.

        Args:
            data_dir: where data files lie.
            data: samples to take instead of reading the task's.

        Raises:
            InputError: a file is missing or wrong, or the data do not fit the network.
        """
        if data is None:
            left = int(1e9 * self.limits.memory_gb) - self.estimate_memory_bytes()
            data = self.build_task().load(data_dir, left)
            checks.check_data(self.task.sha256, data.sha256)
        checks.check_fit(self, data.inputs, data.classes)
        data = data.hold_out(self.training.validation, SeedTree(self.training.seed).child("validation"))
        if self.training.batch > len(data.x_train):
            raise InputError(
                "training.batch", self.training.batch, f"at most the {len(data.x_train)} samples"
            )
        return data

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
        return Stimulus(self.build_network(), self.build_encoding(), seeds, steps, window, self.bridge.window)

    def build_rule(self) -> LearningRule:
        """Return the learning rule."""
        rule: LearningRule = building.build("rules", self.rule.keys, "rule")
        return rule

    def build_arm(self) -> Arm:
        """Return which chips are trained on, and what the rule is told about them."""
        arm: Arm = building.build("arms", {"name": self.training.arm}, "training.arm")
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

    def resolved(self, *, defaults: bool = True) -> dict[str, Any]:
        """Return the whole config as plain data; it runs again as it is.

        Args:
            defaults: write out every default; otherwise a value that is the default is left out, whether
                the config said it or not.
        """
        spec = self.build_mismatch()
        plain: dict[str, Any] = building.plain(self.model_dump(exclude_defaults=not defaults))
        mismatch = plain.setdefault("mismatch", {})
        mismatch |= building.plain(self.mismatch.entries)
        places = [
            (plain, "task", self.task.keys, self.build_task()),
            (plain, "rule", self.rule.keys, self.build_rule()),
            (plain.setdefault("bridge", {}), "encoding", self.bridge.encoding.keys, self.build_encoding()),
            (plain["training"], "optimizer", self.training.optimizer.keys, self.build_optimizer()),
            *self._tracked(plain),
            *(
                (*_within(plain["network"], key), given, part)
                for key, (given, part) in self.network.parts().items()
            ),
            *(
                (mismatch, name, self.mismatch.entries[name], part)
                for name, part in {**spec.deviations, **spec.imperfections}.items()
            ),
        ]
        for place, key, given, part in places:
            known = building.fields_of(part)
            name = {k: v for k, v in given.items() if k not in known}
            place[key] = name | building.fields_of(part, defaults=defaults)
        if self.task.sha256 is not None:
            plain["task"]["sha256"] = self.task.sha256
        return plain

    def _tracked(self, plain: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, Mapping[str, Any], Any]]:
        if self.analysis.tracker is not None:
            yield (
                plain.setdefault("analysis", {}),
                "tracker",
                self.analysis.tracker.keys,
                self.build_tracker(),
            )

    def kept(self, data: TaskData, given: Given | None = None) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return what the folder of a run holds: the resolved config, and the files it refers to by name.

        Args:
            data: what was read, whose checksum is kept with it.
            given: the samples, where they are not the task's.
        """
        changed, files = self.network.copies()
        task, copies = (given.task, given.files) if given is not None else self.build_task().copies()
        plain = self.resolved()
        known = {} if data.sha256 is None else {"sha256": data.sha256}
        plain["network"] = {**plain["network"], **changed}
        plain["task"] = {**plain["task"], **known, **task}
        return plain, {**files, **copies}


def _within(section: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """Return where a dotted key of a section stands, and its last part."""
    *above, last = key.split(".")
    for name in above:
        section = section.setdefault(name, {})
    return section, last


def load_experiment(
    path_or_name: str, overrides: Sequence[str] = (), device: str | None = None
) -> Experiment:
    """Return the experiment in a file or shipped config, with ``section.key=value`` overrides.

    A file that the config's network or data are in is looked for in the config's folder, one that an
    override names in the working directory.

    Args:
        path_or_name: the file, or the name of a shipped config.
        overrides: ``section.key=value``.
        device: where to compute, instead of where the config says; see `placed`.

    Raises:
        InputError: there is no such config, or the first thing that is wrong with it.
    """
    data = with_overrides(named_mapping(find_config(path_or_name)), overrides)
    return Experiment.from_mapping(data if device is None else placed(data, device))


def named_mapping(path: Path) -> dict[str, Any]:
    """Return what a config file says, with a name if it has none: the file's.

    Raises:
        InputError: it cannot be read.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")[:100]
    return {"name": stem or "experiment", **anchored(read(path), path.parent)}


def _mapping_of(name: str, value: Any) -> Any:
    """Return the keys that a text stands for where a kind of imperfection may be given by one."""
    if not isinstance(value, str) or name not in available("imperfections"):
        return value
    short = building.find("imperfections", name, f"mismatch.{name}").shorthand
    return {short: value} if short else value


def _moved(data: Mapping[str, Any]) -> dict[str, Any]:
    """Bring keys of earlier versions to where they are now, unless something stands there."""
    raw = dict(data)
    for (*path, last), (*to, name) in MOVED:
        source, target = _at(raw, path), _at(raw, to)
        if isinstance(source, dict) and isinstance(target, dict) and last in source and name not in target:
            value = source[last]
            raw = _with(raw, path, {k: v for k, v in source.items() if k != last})
            raw = _with(raw, to, {**_at(raw, to), name: value})
    return raw


def _hidden(raw: dict[str, Any]) -> dict[str, Any]:
    """Leave the chips' seed to those who have the chips, unless the config says one."""
    chips, mismatch = raw.get("chips"), raw.get("mismatch", {})
    elsewhere = isinstance(chips, dict) and (chips.get("isolated") is True or chips.get("at") is not None)
    if not elsewhere or not isinstance(mismatch, dict) or "seed" in mismatch:
        return raw
    return {**raw, "mismatch": {**mismatch, "seed": None}}


def _at(data: Any, path: Sequence[str]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _with(data: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    return {**data, path[0]: _with(data[path[0]], path[1:], value)} if path else value


def _written_out(data: Mapping[str, Any]) -> dict[str, Any]:
    """Write parts that are given by their name alone as mappings."""
    raw = dict(data)
    mismatch = raw.get("mismatch")
    if isinstance(mismatch, dict):
        raw["mismatch"] = {name: _mapping_of(name, value) for name, value in mismatch.items()}
    for section, *rest in BY_NAME:
        if not rest:
            if isinstance(raw.get(section), str):
                raw[section] = {"name": raw[section]}
            continue
        inner = raw.get(section)
        if isinstance(inner, dict) and isinstance(inner.get(rest[0]), str):
            raw[section] = {**inner, rest[0]: {"name": inner[rest[0]]}}
    return raw
