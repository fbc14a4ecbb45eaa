"""The run that is deployed: its configuration, its programmed weights, its chips."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from torch import Tensor

from mismatch.chip import ChipPopulation
from rate_bridge.errors import InputError
from spiketrain.config import Experiment
from spiketrain.config.network import anchored
from spiketrain.config.sections import SimulatorPart
from spiketrain.parts import Parts, build
from spiketrain.record.files import read_json, read_tensors, read_yaml
from spiking.feedback import Direct
from spiking.simulators.base import Simulator

__all__ = ["Source", "read_run", "without_feedback"]


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
            for group, values in (("forward", parts.model.forward_weights), ("bias", parts.model.bias)):
                for index, value in enumerate(values, start=1):
                    value.copy_(self.weights[f"{group}.{index}"][part])
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
    return replace(parts, chips=ChipPopulation(model.network, parts.chips.spec, simulator, seeds))


def read_run(directory: Path, chips: str | None, data_dir: Path | None) -> Source:
    """Read a run's directory.

    Args:
        directory: what ``spiketrain --config`` wrote.
        chips: ``"2"`` or ``"1-3"``, counted from 0; all if None.
        data_dir: where data files lie.

    Raises:
        InputError: it is no finished run, or has no such chips.
    """
    try:
        config = anchored(read_yaml(directory / "config.yaml"), directory)
        summary = read_json(directory / "summary.json")
        weights, _ = read_tensors(directory / "weights.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        allowed = "the folder of a finished run, with config.yaml, summary.json and weights.safetensors"
        raise InputError("RUN", str(directory), allowed, f"{error}") from None
    total = len(weights["forward.1"])
    first, count = _selected(chips, total)
    return Source(directory, config, summary, weights, first, count, data_dir)


def _selected(chips: str | None, total: int) -> tuple[int, int]:
    if chips is None:
        return 0, total
    low, _, high = chips.partition("-")
    if low.isdigit() and (high or low).isdigit() and int(low) <= int(high or low) < total:
        return int(low), int(high or low) - int(low) + 1
    raise InputError("--chips", chips, f"a chip, or a range like 0-{total - 1}, of chips 0 to {total - 1}")
