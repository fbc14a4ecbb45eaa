"""A run's chips as NIR files, and what their readers make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from mismatch.spec import MismatchSpec
from root.errors import InputError, UnsupportedError, nearest
from spiketrain.deployment.source import read_run
from spiketrain.naming import of_network
from spiketrain.record.files import read_tensors, remove_leftovers, write_bytes
from spiketrain.record.resuming import check_shapes
from spiking import nir
from spiking.network import Network

__all__ = ["Exported", "export_nir"]


@final
@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        paths: the files.
        lost: what they do not say to any other program, a sentence each.
        readers: by a reader's name, the line that reads a file there, and what is not the same there.
    """

    paths: list[Path]
    lost: list[str]
    readers: dict[str, list[str]]


def export_nir(run: Path, folder: Path, *, effective: bool = False, reader: str = "portable") -> Exported:
    """Write one NIR file per chip.

    Args:
        run: the folder of a finished run.
        folder: where to; made if missing.
        effective: write the parameters and weights that the chips compute with (from
            ``truth.safetensors``) instead of the programmed weights and the nominal parameters.
        reader: the form of the numbers, one of `spiking.nir.FORMS`.

    Raises:
        InputError: it is no finished run.
        UnsupportedError: NIR has no such neurons, or no delays of single synapses.
    """
    if reader not in nir.FORMS:
        raise InputError("--for", reader, ", ".join(nir.FORMS), nearest(reader, nir.FORMS))
    source = read_run(run, None, None)
    experiment = source.experiment("torch")
    network, spec = experiment.build_network(), experiment.build_mismatch()
    if effective and "delay" in spec.deviations:
        allowed = "no deviation: NIR's connections have one delay"
        raise UnsupportedError("mismatch.delay", spec.deviations["delay"], allowed)
    if not network.dense:
        kinds = sorted({c.pattern.origin for c in network.connections} - {"dense"}) or ["several inputs"]
        allowed = "dense: the connections of other kinds are not written to NIR files"
        raise UnsupportedError("network.connections", ", ".join(kinds), allowed)
    truth = _truth(run / "truth.safetensors", network, source.chips) if effective else {}
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    paths, chips = [], []
    for chip in range(source.chips):
        given = truth if effective else source.weights
        true = [f"weight.{number}" for number in range(1, 1 + len(network.connections))]
        stored = nir.Stored(
            network=network,
            weights=tuple(
                given[name][chip] for name in (true if effective else of_network(network)["forward"])
            ),
            neurons=_true(network, truth, chip)
            if effective
            else _nominal(network, spec, source.weights, chip),
            chip=source.config["mismatch"].get("first_chip", 0) + chip,
            content="effective" if effective else "programmed",
        )
        paths.append(folder / f"chip-{stored.chip}.nir")
        write_bytes(paths[-1], nir.encode(stored, nir.FORMS[reader]))
        chips.append(stored)
    return _told(paths, chips, reader)


def _told(paths: list[Path], chips: list[nir.Stored], reader: str) -> Exported:
    """Return what is to be said of files that were written, once for all chips."""
    form = nir.FORMS[reader]
    step_s = form.step_s or 1e-3 * chips[0].network.dt_ms
    found = {}
    for name, program in nir.READERS.items():
        if name == reader or reader not in nir.READERS:
            notes = dict.fromkeys(note for chip in chips for note in program.notes(chip, form))
            found[program.name] = [program.how.format(dt=step_s), *notes]
    return Exported(paths, list(dict.fromkeys(x for chip in chips for x in nir.lost(chip, form))), found)


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
        layers.append({**values, **own, "bias": weights[f"bias.{network.names[index + 1]}"][chip]})
    return tuple(layers)


def _true(network: Network, truth: Mapping[str, Tensor], chip: int) -> tuple[dict[str, Tensor], ...]:
    return tuple(
        {p.field: truth[f"neuron.{index}.{p.field}"][chip] for p in layer.neuron.parameters}
        for index, layer in enumerate(network.layers, start=1)
    )
