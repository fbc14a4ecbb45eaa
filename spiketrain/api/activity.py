"""What neurons did with samples, by the names of the layers, as arrays, frames and labelled arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from root.errors import InputError

if TYPE_CHECKING:
    import xarray

__all__ = ["Activity", "LayerActivity"]

Array = NDArray[np.float64]

PER_LAYER = ("spikes", "voltage", "current")

PER_RUN = ("control", "readout")


@final
@dataclass(frozen=True)
class LayerActivity:
    """One layer's neurons.

    Args:
        name: the layer's.
        rates_hz: mean rates over the averaging window, ``(chips, samples, neurons)``.
        traces: what was recorded in every step, each ``(chips, samples, time, neurons)``.
    """

    name: str
    rates_hz: Array
    traces: Mapping[str, Array]

    @property
    def spikes(self) -> Array:
        """1 where a neuron spiked; activities where neurons send no spikes."""
        return self._trace("spikes")

    @property
    def voltage(self) -> Array:
        """Membrane potentials after every step."""
        return self._trace("voltage")

    @property
    def current(self) -> Array:
        """Sum of the currents in every step."""
        return self._trace("current")

    def _trace(self, name: str) -> Array:
        if name not in self.traces:
            of = " of the input" if self.name == "input" else ""
            raise InputError("record", sorted(self.traces), f"a list with {name!r}{of} in it")
        return self.traces[name]


@final
@dataclass(frozen=True)
class Activity(Mapping[str, LayerActivity]):
    """What every chip did with some samples: a mapping of layers, ``input`` first, ``output`` last.

    Args:
        layers: by their names.
        chips: the chips' numbers.
        dt_ms: time step.
        control: the control signal u, ``(chips, samples, time, outputs)``, if it was recorded.
        readout: the read-out trace, the same axes, if it was recorded.
    """

    layers: Mapping[str, LayerActivity]
    chips: NDArray[np.int64]
    dt_ms: float
    control: Array | None = None
    readout: Array | None = None

    def __getitem__(self, name: str) -> LayerActivity:
        if name not in self.layers:
            raise InputError("layer", name, ", ".join(self.layers))
        return self.layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def to_frame(self) -> pd.DataFrame:
        """Return the rates as a tidy frame: layer, chip, sample, neuron, ``rate_hz``."""
        return pd.concat([self._rates(layer) for layer in self.values()], ignore_index=True)

    def spike_frame(self) -> pd.DataFrame:
        """Return every spike as a row: layer, chip, sample, neuron, ``time_ms``."""
        return pd.concat([self._spikes(layer) for layer in self.values()], ignore_index=True)

    def to_xarray(self) -> xarray.Dataset:
        """Return everything as a dataset, with the axes chip, sample, time_ms, and a neuron's per layer.

        Raises:
            InputError: xarray is not installed.
        """
        try:
            import xarray  # noqa: PLC0415 (an extra)
        except ImportError:
            fix = "pip install 'spiketrain[xarray]'"
            raise InputError("to_xarray", "no xarray", "an installed xarray", fix) from None
        variables: dict[str, Any] = {}
        steps = 0
        for layer in self.values():
            variables[f"{layer.name}.rates_hz"] = (("chip", "sample", layer.name), layer.rates_hz)
            for name, trace in layer.traces.items():
                variables[f"{layer.name}.{name}"] = (("chip", "sample", "time_ms", layer.name), trace)
                steps = trace.shape[2]
        for name in PER_RUN:
            trace = getattr(self, name)
            if trace is not None:
                variables[name] = (("chip", "sample", "time_ms", "output"), trace)
                steps = trace.shape[2]
        times = {"time_ms": np.arange(steps) * self.dt_ms} if steps else {}
        return xarray.Dataset(variables, coords={"chip": self.chips, **times})

    def _rates(self, layer: LayerActivity) -> pd.DataFrame:
        chips, samples, neurons = layer.rates_hz.shape
        index = pd.MultiIndex.from_product(
            [[layer.name], self.chips, range(samples), range(neurons)],
            names=["layer", "chip", "sample", "neuron"],
        )
        return pd.DataFrame(
            {"rate_hz": layer.rates_hz.reshape(chips * samples * neurons)}, index
        ).reset_index()

    def _spikes(self, layer: LayerActivity) -> pd.DataFrame:
        chip, sample, step, neuron = layer.spikes.nonzero()
        return pd.DataFrame(
            {
                "layer": layer.name,
                "chip": self.chips[chip],
                "sample": sample,
                "neuron": neuron,
                "time_ms": step * self.dt_ms,
            }
        )
