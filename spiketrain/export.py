"""A run's chips as NIR files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mismatch.spec import MismatchSpec
from rate_bridge.errors import UnsupportedError
from spiketrain.deployment.source import read_run
from spiketrain.record.files import read_tensors, remove_leftovers, write_bytes
from spiketrain.record.resuming import check_shapes
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
    experiment = source.experiment("torch")
    network, spec = experiment.build_network(), experiment.build_mismatch()
    if effective and "delay" in spec.deviations:
        allowed = "no deviation: NIR's connections have one delay"
        raise UnsupportedError("mismatch.delay", spec.deviations["delay"], allowed)
    if not network.dense:
        kinds = sorted({c.pattern.origin for c in network.connections} - {"dense"})
        allowed = "dense: the connections of other kinds are not written to NIR files"
        raise UnsupportedError("network.connections", ", ".join(kinds), allowed)
    truth = _truth(run / "truth.safetensors", network, source.chips) if effective else {}
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
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


def _truth(path: Path, network: Network, chips: int) -> dict[str, Tensor]:
    """Return the effective parameters and weights that a run kept.

    Raises:
        DamagedError: they cannot be read, or are of another network.
    """
    truth, _ = read_tensors(path)
    sizes, one = network.sizes, torch.zeros(1, dtype=torch.float64)
    wanted: dict[str, tuple[int, ...]] = {
        f"weight.{i}": (sizes[c.pre], sizes[c.post]) for i, c in enumerate(network.connections, start=1)
    }
    for index, layer in enumerate(network.layers, start=1):
        wanted |= {f"neuron.{index}.{p.field}": (layer.size,) for p in layer.neuron.parameters}
    check_shapes(path, truth, {name: one.expand(chips, *shape) for name, shape in wanted.items()})
    return truth


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
