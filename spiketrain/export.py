"""A run's chips as NIR files, and what their readers make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from spiking.connections import Dense, Synapses
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
        UnsupportedError: NIR has no such neurons, no delays of single synapses, or several inputs.
    """
    if reader not in nir.FORMS:
        raise InputError("--for", reader, ", ".join(nir.FORMS), nearest(reader, nir.FORMS))
    source = read_run(run, None, None)
    experiment = source.experiment("torch")
    network, spec = experiment.build_network(), experiment.build_mismatch()
    if network.sources:
        several = ", ".join(one.name for one in network.sources)
        raise UnsupportedError("network.input", several, "one input: NIR files are written with one")
    if effective and "delay" in spec.deviations:
        allowed = "no deviation: NIR's connections have one delay"
        raise UnsupportedError("mismatch.delay", spec.deviations["delay"], allowed)
    truth = _truth(run / "truth.safetensors", network, source.chips) if effective else {}
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    paths, chips = [], []
    for chip in range(source.chips):
        given = truth if effective else source.weights
        true = [f"weight.{number}" for number in range(1, 1 + len(network.connections))]
        names = true if effective else of_network(network)["forward"]
        stored = nir.Stored(
            network=_plain(network),
            weights=tuple(
                _matrix(synapses, given[name][chip], physical=effective)
                for name, synapses in zip(names, network.synapses, strict=True)
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


def _plain(network: Network) -> Network:
    """Return the same network of matrices, which every program reads."""
    connections = tuple(replace(c, pattern=Dense()) for c in network.connections)
    layers = tuple(replace(layer, shape=()) for layer in network.layers)
    return replace(network, connections=connections, layers=layers, input_shape=())


def _matrix(synapses: Synapses, values: Tensor, *, physical: bool) -> Tensor:
    """Return a connection's weights as a matrix, ``(n_pre, n_post)``.

    Args:
        synapses: of the connection.
        values: of one chip.
        physical: those of the synapses, ``(*shape)``; otherwise what is programmed, ``(*parameters)``.
    """
    given = values.unsqueeze(0)
    return synapses.matrix(given if physical else synapses.physical(given))[0]


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
    one = torch.zeros(1, dtype=torch.float64)
    wanted: dict[str, tuple[int, ...]] = {
        f"weight.{i}": synapses.shape for i, synapses in enumerate(network.synapses, start=1)
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
