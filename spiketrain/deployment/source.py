"""The run that is deployed: its configuration, its programmed weights, its chips."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from mismatch.chip import ChipPopulation, bench_of
from root.errors import DamagedError, InputError
from spiketrain.config import Experiment
from spiketrain.config.network import anchored
from spiketrain.config.sections import SimulatorPart
from spiketrain.naming import of_network, with_names
from spiketrain.parts import Parts, build
from spiketrain.record.files import read_json, read_tensors, read_yaml
from spiketrain.record.resuming import check_shapes
from spiking.feedback import Direct
from spiking.simulators.base import Simulator

__all__ = ["Source", "read_run", "without_feedback"]

FILES = ("config.yaml", "summary.json", "weights.safetensors")

SECTIONS = ("task", "network", "mismatch", "bridge", "rule", "simulator", "training")


@final
@dataclass(frozen=True)
class Source:
    """A finished run.

    Args:
        directory: where it is.
        config: its resolved configuration.
        summary: its ``summary.json``.
        weights: what is programmed, by name, each ``(chips, ...)``.
        first, chips: which of its chips are meant.
        data_dir: where data files lie.
    """

    directory: Path
    config: dict[str, Any]
    summary: dict[str, Any]
    weights: dict[str, Tensor]
    first: int
    chips: int
    data_dir: Path | None

    @property
    def spikes(self) -> bool:
        """Whether the network's neurons send spikes, rather than changes of an activity."""
        network = self.experiment("torch").build_network()
        return any(layer.neuron.emits_spikes for layer in network.layers)

    @property
    def relayed(self) -> bool:
        """Whether the run's feedback is relayed from layer to layer."""
        return self.experiment("torch").build_network().feedback.relayed

    def experiment(self, simulator: str, **options: Any) -> Experiment:
        """Return the same experiment on the machine `simulator`, trained on its own chips.

        Args:
            simulator: its name.
            options: its own keys.
        """
        config = {**self.config}
        common = {k: v for k, v in config["simulator"].items() if k in SimulatorPart.model_fields}
        config["simulator"] = {**common, "name": simulator, "device": "cpu", "dtype": "float64", **options}
        mismatch = config["mismatch"]
        number = mismatch.get("first_chip", 0) + self.first
        config["mismatch"] = {**mismatch, "first_chip": number, "chips": self.chips}
        config["training"] = {**config["training"], "arm": "in_loop"}
        return Experiment.from_mapping(config)

    def parts(self, simulator: str, **options: Any) -> Parts:
        """Build the experiment on `simulator`, with the run's weights in its model and its average."""
        parts = build(self.experiment(simulator, **options), self.data_dir)
        part = slice(self.first, self.first + self.chips)
        with torch.no_grad():
            names = of_network(parts.model.network)
            for group, values in (("forward", parts.model.forward_weights), ("bias", parts.model.bias)):
                for name, value in zip(names[group], values, strict=True):
                    value.copy_(self.weights[name][part])
        parts.rule.prepare(parts.model)
        parts.average.update()
        parts.epoch = self.config["training"]["epochs"]
        return parts


def without_feedback(parts: Parts, simulator: Simulator) -> Parts:
    """Return a run on another machine, to be tested only: its chips have no feedback, and none is written.

    Args:
        parts: what `Source.parts` returned; its model is changed.
        simulator: the machine, which may have no feedback of this kind.
    """
    model = parts.model
    model.network = replace(model.network, feedback=Direct())
    model.feedback, model.relay = (), None
    seeds = parts.seeds.child("chips")
    return replace(parts, chips=ChipPopulation(model.network, bench_of(parts.chips).spec, simulator, seeds))


def read_run(directory: Path, chips: str | None, data_dir: Path | None) -> Source:
    """Read a run's directory.

    Args:
        directory: what ``spiketrain --config`` wrote.
        chips: ``"2"`` or ``"1-3"``, counted from 0; all if None.
        data_dir: where data files lie.

    Raises:
        InputError: it is no finished run, something in it is damaged, or it has no such chips.
    """
    missing = [name for name in FILES if not (directory / name).exists()]
    if missing:
        allowed = f"the folder of a finished run, with {', '.join(FILES[:-1])} and {FILES[-1]}"
        raise InputError("RUN", str(directory), allowed, f"There is no {missing[0]}.")
    config = _config(directory / "config.yaml")
    weights, _ = read_tensors(directory / "weights.safetensors")
    total = int(config["mismatch"]["chips"])
    summary = _summary(directory / "summary.json", total)
    first, count = _selected(chips, total)
    source = Source(directory, config, summary, weights, first, count, data_dir)
    return _checked(directory / "weights.safetensors", source, total)


def _config(path: Path) -> dict[str, Any]:
    """Return the run's configuration, its sections there and its design and chips possible."""
    config = anchored(read_yaml(path), path.parent)
    for name in SECTIONS:
        if not isinstance(config.setdefault(name, {}), dict):
            raise DamagedError(f"{path}: {name}", config[name], "a mapping of keys and values")
    chips = config["mismatch"].setdefault("chips", 1)
    if type(chips) is not int or chips < 1:
        raise DamagedError(f"{path}: mismatch.chips", chips, "a number of chips")
    return config


def _summary(path: Path, chips: int) -> dict[str, Any]:
    summary = read_json(path)
    found = summary.get("test_accuracy") if isinstance(summary, dict) else None
    whole = isinstance(found, list) and all(v is None or type(v) in (int, float) for v in found)
    if not isinstance(summary, dict) or not whole or len(found or ()) != chips:
        raise DamagedError(f"{path}: test_accuracy", found, f"a list of {chips} numbers, one per chip")
    return summary


def _checked(path: Path, source: Source, chips: int) -> Source:
    """Return a source whose weights have the names of today, as they are for the run's network.

    Raises:
        DamagedError: they are those of another.
    """
    try:
        network = source.experiment("torch").build_network()
    except InputError as error:
        raise DamagedError(
            f"{path.parent / 'config.yaml'}: {error.key}", error.given, error.allowed
        ) from None
    names = of_network(network)
    source = replace(source, weights=with_names(source.weights, names))
    wanted: dict[str, tuple[int, ...]] = {
        **dict(zip(names["forward"], (own.parameters for own in network.synapses), strict=True)),
        **dict(zip(names["bias"], ((layer.size,) for layer in network.layers), strict=True)),
    }
    empty = torch.zeros(1, dtype=torch.float64)
    check_shapes(path, source.weights, {name: empty.expand(chips, *shape) for name, shape in wanted.items()})
    lost = set(source.summary.get("diverged_chips") or {})
    for chip in range(chips):
        finite = all(bool(source.weights[name][chip].isfinite().all()) for name in wanted)
        if not finite and str(chip) not in lost:
            raise DamagedError(str(path), f"weights of chip {chip} that are not finite", "finite weights")
    return source


def _selected(chips: str | None, total: int) -> tuple[int, int]:
    if chips is None:
        return 0, total
    low, _, high = chips.partition("-")
    if low.isdigit() and (high or low).isdigit() and int(low) <= int(high or low) < total:
        return int(low), int(high or low) - int(low) + 1
    raise InputError("--chips", chips, f"a chip, or a range like 0-{total - 1}, of chips 0 to {total - 1}")
