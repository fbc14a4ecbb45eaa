r"""Networks that lava-dl writes (``.net``, HDF5): dense and convolutional layers of Loihi's LIF neurons.

With the decays :math:`d` in units of 1/4096 and integer weights, a step there is

.. math:: u \leftarrow u\,(1 - d_u) + w s, \qquad v \leftarrow v\,(1 - d_v) + u + b,
          \qquad \text{spike where } v > \vartheta, \quad v \leftarrow 0

which is Euler's step of NIR's ``CubaLIF`` with :math:`\tau = dt/d`, :math:`w_{in} = 1/d_u` and
:math:`r = 1/d_v`, in floating point. The truncations of the chip's integers are not in it; the simulator
``loihi`` has them.

Source: lava-dl 0.6, ``lava.lib.dl.netx.hdf5`` and ``lava.lib.dl.slayer.block`` (archived 2026).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, final

import h5py
import nir
import numpy as np
import torch
from torch import Tensor

from root.errors import InputError, UnsupportedError
from spiking.network import Clock, Layer
from spiking.neurons import LIF
from spiking.nir import graphs
from spiking.nir.foreign import Reading
from spiking.nir.maps import MOST_VALUES
from spiking.nir.stored import KEY, Stored

__all__ = ["NetxLayer", "layers", "stored"]

ONE = 4096

KNOWN = ("input", "flatten", "dense", "conv")


@final
@dataclass(frozen=True)
class NetxLayer:
    """One layer of a file.

    Args:
        kind: ``input``, ``dense``, ...
        values: its data sets, those of a group inside as a mapping.
    """

    kind: str
    values: Mapping[str, Any]


def layers(file: h5py.File) -> list[NetxLayer] | None:
    """Return the layers of a file; None where it is not lava-dl's."""
    if "layer" not in file or "node" in file or not isinstance(file["layer"], h5py.Group):
        return None
    found = []
    for number in range(len(file["layer"])):
        values = _below(file["layer"][str(number)])
        found.append(NetxLayer(_text(values["type"]), values))
    return found


def stored(found: Sequence[NetxLayer], clock: Clock) -> Stored:
    """Return a file's layers as a network.

    Raises:
        InputError: something is missing or does not fit.
        UnsupportedError: it has layers or neurons that a network here cannot have.
    """
    nodes: dict[str, nir.NIRNode] = {}
    held: dict[str, float] = {}
    notes = ["the integers of Loihi: weights and potentials are numbers in floating point here"]
    for number, layer in enumerate(found):
        if layer.kind not in KNOWN:
            given = f"the layer {number}, {layer.kind}"
            raise UnsupportedError(KEY, given, ", ".join(KNOWN))
        if layer.kind == "input":
            if "neuron" in layer.values:
                notes.append("the neurons of the input layer: inputs are encoded as the config says")
            nodes["input"] = nir.Input({"input": _shape(layer.values["shape"])})
        elif layer.kind != "flatten":
            nodes |= _layer(number, layer, clock, held)
    first = next((layer for layer in found if layer.kind in {"dense", "conv"}), None)
    if first is None:
        raise InputError(KEY, "a network without dense or convolutional layers", "one or more of them")
    if "input" not in nodes:
        size = _matrix(first)[0].shape[1]
        nodes = {"input": nir.Input({"input": np.array([size])}), **nodes}
    nodes["output"] = nir.Output({"output": _shape(found[-1].values["shape"])})
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(pairwise(names)), metadata={}, type_check=False)
    chip = graphs.stored(graph, clock, Reading(solver="euler"))
    values = [dict(layer) for layer in chip.neurons]
    for place, name in enumerate(name for name in names if name.startswith("neurons")):
        if "refractory_ms" in values[place]:
            values[place]["refractory_ms"] = torch.full_like(values[place]["bias"], held[name])
    pairs = zip(chip.network.layers, values, strict=True)
    network = replace(chip.network, layers=tuple(_held(layer, own) for layer, own in pairs))
    said = tuple(note for note in chip.notes if note != graphs.DIALECT)
    return replace(chip, network=network, neurons=tuple(values), notes=(*notes, *said))


def _held(layer: Layer, values: Mapping[str, Tensor]) -> Layer:
    """Return a layer whose design has the refractory time of its neurons."""
    if not isinstance(layer.neuron, LIF):
        return layer
    return replace(layer, neuron=replace(layer.neuron, refractory_ms=float(values["refractory_ms"][0])))


def _layer(number: int, layer: NetxLayer, clock: Clock, held: dict[str, float]) -> dict[str, nir.NIRNode]:
    """Return a layer's synapses and neurons."""
    neuron: Mapping[str, Any] = layer.values.get("neuron", {})
    kind = _text(neuron["type"]) if "type" in neuron else "none"
    if kind not in {"CUBA", "LOIHI"}:
        raise UnsupportedError(KEY, f"neurons {kind} of the layer {number}", "CUBA or LOIHI")
    delays = np.ravel(np.asarray(layer.values.get("delay", 0), np.float64))
    if (delays != delays[0]).any():
        given = f"delays of single neurons in the layer {number}"
        raise UnsupportedError(KEY, given, "one delay for a layer")
    size = _size(layer)
    step_s = 1e-3 * clock.dt_ms
    i, v, threshold = (float(_scalar(neuron[key])) for key in ("iDecay", "vDecay", "vThMant"))
    if not (0 < i <= ONE and 0 < v <= ONE):
        raise InputError(KEY, f"decays {i:g} and {v:g} of the layer {number}", f"1 to {ONE}")
    ones = np.ones(size)
    current, fall = ONE / i, ONE / v
    bias = np.broadcast_to(np.ravel(np.asarray(layer.values.get("bias", 0.0), np.float64)), (size,))
    name = f"neurons_{number}"
    held[name] = clock.dt_ms * max(0.0, float(_scalar(neuron.get("refDelay", 1))) - 1)
    nodes = dict([_synapses(number, layer)])
    if delays[0] > 0:
        nodes[f"delay_{number}"] = nir.Delay(np.full(size, step_s * (delays[0] + 1)))
    nodes[name] = nir.CubaLIF(
        tau_syn=step_s * current * ones,
        tau_mem=step_s * fall * ones,
        r=fall * ones,
        v_leak=fall * bias,
        v_threshold=threshold * ones,
        w_in=current * ones,
    )
    return nodes


def _synapses(number: int, layer: NetxLayer) -> tuple[str, nir.NIRNode]:
    weight, groups = _matrix(layer)
    if layer.kind == "dense":
        return f"dense_{number}", nir.Linear(weight)
    stride, padding, dilation = (
        np.ravel(layer.values[key])[:2].astype(int) for key in ("stride", "padding", "dilation")
    )
    zeros = np.zeros(len(weight))
    return f"conv_{number}", nir.Conv2d(None, weight, stride, padding, dilation, groups, zeros)


def _matrix(layer: NetxLayer) -> tuple[Any, int]:
    """Return the weights of a layer, ``(post, pre)`` or ``(post, pre, height, width)``, and its groups."""
    weight = layer.values.get("weight")
    if weight is None or isinstance(weight, Mapping):
        raise UnsupportedError(
            KEY, f"weights of a layer {layer.kind} that are complex or missing", "real ones"
        )
    weight = np.asarray(weight, np.float64)
    if layer.kind == "dense":
        size = _size(layer)
        if size < 1 or weight.size % size:
            raise InputError(KEY, f"{weight.size} weights of a layer of {size}", "as many for every neuron")
        return weight.reshape(size, -1), 1
    return weight.reshape(weight.shape[:4]), int(_scalar(layer.values.get("groups", 1)))


def _shape(value: Any) -> Any:
    """Return a shape; lava-dl's ``(n, 1, 1)`` of a dense layer is ``(n,)``."""
    shape = [int(length) for length in np.ravel(np.asarray(value))]
    while len(shape) > 1 and shape[-1] == 1:
        shape.pop()
    return np.array(shape)


def _size(layer: NetxLayer) -> int:
    size = math.prod(int(length) for length in _shape(layer.values["shape"]))
    if not 1 <= size <= MOST_VALUES:
        raise UnsupportedError(KEY, f"a layer of {size} neurons", f"1 to {MOST_VALUES}")
    return size


def _below(group: h5py.Group) -> dict[str, Any]:
    return {name: _below(item) if isinstance(item, h5py.Group) else item[()] for name, item in group.items()}


def _scalar(value: Any) -> Any:
    return np.ravel(np.asarray(value))[0]


def _text(value: Any) -> str:
    first = _scalar(value) if not isinstance(value, bytes | str) else value
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
