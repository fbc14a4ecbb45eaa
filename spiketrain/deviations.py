"""What each chip drew: how its values deviate from the design, in numbers for people.

Nothing here is shown to a learning rule; the report of a run and `chips.csv` are for those who read it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Literal, final

import torch
from torch import Tensor

from mismatch import population
from mismatch.spec import MismatchSpec
from spiking.network import Network

__all__ = ["Deviation", "deviations", "table"]


@final
@dataclass(frozen=True)
class Deviation:
    r"""How one quantity of one chip deviates from the design, over the devices of one place.

    Where the design's value is 0 nowhere, deviations are relative, :math:`x / x_{design} - 1`; elsewhere
    they are differences in the quantity's own unit.

    Args:
        chip: which one, from 0 within the run.
        quantity: a parameter of neurons, ``weight``, ``feedback``, ``delay``, ``readout gain``, ...
        place: name of the layer or connection, or ``controller``.
        kind: ``relative`` or ``absolute``.
        mean: over the devices that work.
        std: over the devices that work.
        low: the smallest of them.
        high: the largest of them.
        lost: share of the devices that do not work: synapses of weight 0, neurons that are dead.
        devices: how many there are in all.
    """

    chip: int
    quantity: str
    place: str
    kind: Literal["relative", "absolute"]
    mean: float
    std: float
    low: float
    high: float
    lost: float
    devices: int


def deviations(network: Network, spec: MismatchSpec) -> list[Deviation]:
    """Return what the chips of a spec drew, quantities that are the design's on all of them left out.

    Weights are what a written 1 comes to.

    Args:
        network: the design.
        spec: what deviates.
    """
    if spec.is_ideal:
        return []
    names = _Names(network)
    true, ideal = population.draw(network, spec).values, population.draw(network, spec.ideal).values
    late = {f"delay.{index}": c.delay_steps for index, c in enumerate(network.connections, start=1)}
    found: list[Deviation] = []
    for name, values in true.items():
        design = ideal[name] if name in ideal else torch.full_like(values[:1], late[name])
        if bool((values != design).any()):
            flat = values.double().flatten(1), design.double().flatten(1)
            found += _rows(*names.of(name), *flat, _broken(network, name))
    return found


def table(rows: list[Deviation]) -> bytes:
    """Return deviations as the content of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Deviation)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue().encode()


def _broken(network: Network, name: str) -> float:
    """Return the value of a device that does not work; NaN where there is none such."""
    kind, _, rest = name.partition(".")
    if kind not in ("neuron", "shadow"):
        return 0.0 if kind in ("weight", "feedback") else math.nan
    index, _, parameter = rest.partition(".")
    return network.layers[int(index) - 1].neuron.dead.get(parameter, math.nan)


def _rows(quantity: str, place: str, values: Tensor, design: Tensor, broken: float) -> Iterator[Deviation]:
    relative = bool((design != 0).all())
    lost = (values == broken) & (design != broken)
    found = values / design - 1.0 if relative else values - design
    for chip, (row, gone) in enumerate(zip(found, lost, strict=True)):
        left = row[~gone] if bool((~gone).any()) else row.new_full((1,), math.nan)
        yield Deviation(
            chip,
            quantity,
            place,
            "relative" if relative else "absolute",
            float(left.mean()),
            float(left.std(correction=0)),
            float(left.min()),
            float(left.max()),
            float(gone.double().mean()),
            row.numel(),
        )


class _Names:
    """Turns names of effective values into a quantity and its place, as users know them."""

    def __init__(self, network: Network) -> None:
        self._layers, self._connections = network.names, network.connection_names

    def of(self, name: str) -> tuple[str, str]:
        """Return the quantity and the place of a value such as ``neuron.1.threshold`` or ``weight.2``."""
        kind, _, rest = name.partition(".")
        if kind in ("neuron", "shadow"):
            index, _, parameter = rest.partition(".")
            of = "shadow " if kind == "shadow" else ""
            return f"{of}{parameter.replace('_', ' ')}", self._layers[int(index)]
        if kind in ("weight", "delay"):
            return kind, self._connections[int(rest) - 1]
        if kind == "readout":
            return rest if rest in ("kp", "ki") else f"readout {rest}", "controller"
        return kind, f"to {self._layers[int(rest)]}"
