"""A frozen, validated description of an experiment, and the parts it stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from pydantic import ValidationError

from rate_bridge.sequences import Series
from root.errors import InputError
from root.plugins import available
from root.seeds import SeedTree
from root.texts import check_texts
from spiketrain.config import building, checks
from spiketrain.config.design import Design
from spiketrain.config.finding import find_config
from spiketrain.config.ideal import KEY, check_reference, without_mismatch
from spiketrain.config.network import anchored, prepared
from spiketrain.config.placing import placed
from spiketrain.config.problems import input_error
from spiketrain.config.sections import TrainingPart
from spiketrain.reading import assign, read, with_overrides
from spiketrain.tasks.base import TaskData

if TYPE_CHECKING:
    from spiketrain.tasks.arrays import Given  # it writes files, whose module reads configs

__all__ = ["Experiment", "load_experiment", "named_mapping", "refuse_settings"]

BY_NAME = (
    ("task",),
    ("rule",),
    ("simulator",),
    ("bridge", "encoding"),
    ("training", "optimizer"),
    ("training", "arm"),
    ("training", "augment"),
    ("analysis", "tracker"),
)
"""Where a part may be given by its name alone."""


OF_STUDIES = ("base", "compare", "grid", "identify", "list", "quick", "studies", "tune")
"""Keys that only a study has."""

OF_SETTINGS = {"study", "found"}
"""Keys that the file of a search's settings has."""

MOVED = ((("rule", "prediction", "gate"), ("rule", "gate")),)
"""Keys of earlier versions, and where they are now."""


@final
class Experiment(Design):
    """Everything about a run that its user decides; `load_experiment` makes one.

    Args:
        name, task, network, mismatch, chips, bridge, rule, simulator, training, analysis, limits: as in
            `Design`.
    """

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
        if experiment.analysis.reference:
            check_reference(experiment)
            try:
                experiment.without_mismatch()
            except InputError as error:
                allowed = f"false: without mismatch this is no experiment ({error})"
                raise InputError(KEY, True, allowed) from None
        experiment.before()
        return experiment

    def without_mismatch(self, epochs: int | None = None) -> Experiment:
        """Return the same experiment on one chip that is as it was designed.

        Args:
            epochs: how long it is trained; None: as long as here.
        """
        return type(self).from_mapping(without_mismatch(self.resolved(), epochs))

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
        checks.check_form(self, data.form, data.lasting_ms)
        if self.analysis.moments and (data.kind != "classification" or isinstance(data.y_test, Series)):
            raise InputError("analysis.moments", True, "false: the task has no label for every sample")
        data = data.hold_out(self.training.validation, SeedTree(self.training.seed).child("validation"))
        if self.training.batch > len(data.x_train):
            raise InputError(
                "training.batch", self.training.batch, f"at most the {len(data.x_train)} samples"
            )
        return data

    def before(self) -> Experiment | None:
        """Return the experiment whose weights training begins with, on simulations of the design.

        Raises:
            InputError: with the changes that ``training.before`` says it cannot be, or it needs the chips.
        """
        changes = self.training.before
        if changes is None:
            return None
        plain = self.resolved()
        training = {**plain["training"], "before": None, "presentations": None, "guard": None}
        mismatch = {**plain["mismatch"], "seed": plain["mismatch"]["seed"] or 0}
        first: dict[str, Any] = {**plain, "training": training, "mismatch": mismatch, "chips": {}}
        for key, value in changes.items():
            first = assign(first, key.split("."), value, "training.before")
        try:
            experiment = Experiment.from_mapping(first)
        except InputError as error:
            key = f"training.before.{error.key}"
            raise type(error)(key, error.given, error.allowed, error.fix) from None
        arm = experiment.build_arm()
        if not arm.one_model:
            allowed = "an arm that trains one network elsewhere, such as offline"
            raise InputError("training.before.training.arm", arm.name, allowed)
        if [s.parameters for s in experiment.build_network().synapses] != [
            s.parameters for s in self.build_network().synapses
        ]:
            raise InputError("training.before.network", "other connections", "those of the network itself")
        return experiment

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
            (plain["training"], "arm", self.training.arm.keys, self.build_arm()),
            *self._optional(plain),
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
        if list(plain["training"]["arm"]) == ["name"]:  # as it was written before arms had settings
            plain["training"]["arm"] = self.training.arm.name
            if not defaults and self.training.arm == TrainingPart.model_fields["arm"].default:
                del plain["training"]["arm"]
        if self.task.sha256 is not None:
            plain["task"]["sha256"] = self.task.sha256
        return plain

    def _optional(
        self, plain: dict[str, Any]
    ) -> Iterator[tuple[dict[str, Any], str, Mapping[str, Any], Any]]:
        """Yield the parts that need not be there: where each stands, its key, what was said and the part."""
        tracker, augment = self.analysis.tracker, self.training.augment
        if tracker is not None:
            yield plain.setdefault("analysis", {}), "tracker", tracker.keys, self.build_tracker()
        if augment is not None:
            yield plain["training"], "augment", augment.keys, self.build_augmentation()

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
    data = named_mapping(find_config(path_or_name))
    allowed = "the config of one experiment"
    refuse_settings(data, path_or_name, allowed)
    if any(key in data for key in OF_STUDIES):
        fix = f"It is a study: spiketrain sweep --config {path_or_name} (or compare, identify, tune)."
        raise InputError("--config", path_or_name, allowed, fix)
    data = with_overrides(data, overrides)
    return Experiment.from_mapping(data if device is None else placed(data, device))


def refuse_settings(data: Mapping[str, Any], path_or_name: str, allowed: str) -> None:
    """Raise `InputError` where a file is what a search found, which only a study's key ``tuned`` takes."""
    if data.keys() >= OF_SETTINGS:
        fix = f"It is what a search found: a study takes it by tuned: {path_or_name}."
        raise InputError("--config", path_or_name, allowed, fix)


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
