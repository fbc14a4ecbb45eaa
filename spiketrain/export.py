"""A run's chips as NIR files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mismatch.spec import MismatchSpec
from rate_bridge.errors import UnsupportedError
from spiketrain.config import Experiment
from spiketrain.deployment.source import read_run
from spiketrain.record.files import read_tensors, write_bytes
from spiking import nir
from spiking.network import Network

__all__ = ["export_nir"]


def export_nir(run: Path, folder: Path, *, effective: bool = False) -> list[Path]:
    """Write one NIR file per chip and return their paths.

    Args:
        run: the folder of a finished run.
        folder: where to; made if missing.
        effective: write the parameters and weights that the chips compute with (from
            ``truth.safetensors``) instead of the programmed weights and the nominal parameters.

    Raises:
        InputError: it is no finished run.
        UnsupportedError: NIR has no such neurons, or no delays of single synapses.
    """
    source = read_run(run, None, None)
    experiment = Experiment.from_mapping(source.config)
    network, spec = experiment.build_network(), experiment.build_mismatch()
    if effective and "delay" in spec.deviations:
        allowed = "no deviation: NIR's connections have one delay"
        raise UnsupportedError("mismatch.delay", spec.deviations["delay"], allowed)
    truth = read_tensors(run / "truth.safetensors")[0] if effective else {}
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for chip in range(source.chips):
        name = "weight" if effective else "forward"
        given = truth if effective else source.weights
        stored = nir.Stored(
            network=network,
            weights=tuple(given[f"{name}.{i}"][chip] for i in range(1, 1 + len(network.connections))),
            neurons=_true(network, truth, chip)
            if effective
            else _nominal(network, spec, source.weights, chip),
            chip=source.config["mismatch"].get("first_chip", 0) + chip,
            content="effective" if effective else "programmed",
        )
        paths.append(folder / f"chip-{stored.chip}.nir")
        write_bytes(paths[-1], nir.encode(stored))
    return paths


def _nominal(
    network: Network, spec: MismatchSpec, weights: Mapping[str, Tensor], chip: int
) -> tuple[dict[str, Tensor], ...]:
    """Return the design's parameters, with the biases that were programmed."""
    layers = []
    for index, layer in enumerate(network.layers):
        values = {
            p.field: torch.full((layer.size,), layer.neuron.nominal[p.field], dtype=torch.float64)
            for p in layer.neuron.parameters
        }
        own = spec.neurons[index] if spec.neurons else {}
        layers.append({**values, **own, "bias": weights[f"bias.{index + 1}"][chip]})
    return tuple(layers)


def _true(network: Network, truth: Mapping[str, Tensor], chip: int) -> tuple[dict[str, Tensor], ...]:
    return tuple(
        {p.field: truth[f"neuron.{index}.{p.field}"][chip] for p in layer.neuron.parameters}
        for index, layer in enumerate(network.layers, start=1)
    )
