"""Controller, relay and synapses of a block, with the chips' own factors, for every machine.

Machines differ in where these numbers go, not in what they are: nothing is multiplied with the time step, or
with what a chip makes of a gain, in two places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rate_bridge.filters import decay
from spiking.blocks.block import Block
from spiking.feedback import Layered
from spiking.hardware import Hardware
from spiking.network import Connection, Network
from spiking.presentation import CurrentDrive, Snapshot

__all__ = [
    "BoundController",
    "BoundRelay",
    "bound_controller",
    "bound_relay",
    "drives",
    "emission_values",
    "gains",
    "synapse_decays",
    "synaptic_gain",
]


@dataclass(frozen=True)
class BoundController:
    r"""The controller of :class:`spiking.presentation.Controller` on the chips, in steps.

    .. math::
        e = r^* - (g\,x + o), \qquad u_{int} \leftarrow u_{int} + k_i\, e - \alpha\, u_{int}, \qquad
        u = (k_p\, e + u_{int})\, on

    Args:
        kp: proportional gain, ``(chips, batch, n_out)``.
        ki: integral gain times dt, ``(chips, batch, n_out)``.
        leak: leak times dt, ``(1, batch, 1)``.
        on: 1 where the loop is closed, ``(1, batch, 1)``.
        gain: g of the read-out, ``(chips, 1, n_out)``.
        offset: o of the read-out, ``(chips, 1, n_out)``.
        target: r*, ``(chips or 1, batch, n_out)``.
        softmax: where the loop compares the soft-max of the output, ``(1, batch, 1)``, booleans.
    """

    kp: Tensor
    ki: Tensor
    leak: Tensor
    on: Tensor
    gain: Tensor
    offset: Tensor
    target: Tensor
    softmax: Tensor


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def bound_controller(
    network: Network, hardware: Hardware, block: Block, to: Callable[[Tensor], Tensor] = _as_it_is
) -> BoundController | None:
    """Return the controller of a block, or None where no loop is closed.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what is run.
        to: brings a tensor to the device and the type that are computed with.
    """
    if block.target is None:
        return None
    per_sample = (block.kp, block.ki_per_ms, block.leak_per_ms, block.controlled, block.softmax)
    kp, ki, leak, on, softmax = (to(value).view(1, -1, 1) for value in per_sample)
    read = {name: to(value).unsqueeze(1) for name, value in hardware.readout.items()}
    return BoundController(
        kp=kp * read["kp"],
        ki=ki * read["ki"] * network.dt_ms,
        leak=leak * network.dt_ms,
        on=on,
        gain=read["gain"],
        offset=read["offset"],
        target=to(block.target),
        softmax=softmax > 0,
    )


class BoundRelay(NamedTuple):
    """Layered feedback on the chips, in steps, hidden layer by hidden layer; see `spiking.feedback.Layered`.

    Args:
        every: steps between two refreshes.
        kept: what the activity that the gates see keeps of itself in a step.
        added: what an emission adds to it.
        strength: κ, ``(chips, 1, 1)``.
        curves: the gates' values at evenly spaced activities, ``(chips or 1, n or 1, points)``.
        low: the lowest of these activities.
        scale: points per unit of activity.
        seen: the activity that the gates see when the block begins, ``(chips, batch, n)``.
    """

    every: int
    kept: float
    added: list[float]
    strength: list[Tensor]
    curves: tuple[Tensor, ...]
    low: tuple[float, ...]
    scale: list[float]
    seen: tuple[Tensor, ...]

    @property
    def points(self) -> int:
        """Number of points of a gate's curve."""
        return self.curves[0].shape[-1]


def bound_relay(network: Network, hardware: Hardware, start: Snapshot) -> BoundRelay | None:
    """Return the relay of a block, or None where feedback is direct, or not programmed.

    Args:
        network: the description.
        hardware: the effective parameters.
        start: where the block starts from.
    """
    path, relay = network.feedback, hardware.relay
    if not isinstance(path, Layered) or relay is None:
        return None
    kept = float(decay(torch.tensor(path.trace_ms, dtype=torch.float64), network.dt_ms))
    return BoundRelay(
        every=path.refresh_steps(network.dt_ms),
        kept=kept,
        added=[(1.0 - kept) * network.emission_value(layer) for layer in range(1, network.depth)],
        strength=[strength.view(-1, 1, 1) for strength in relay.strength],
        curves=relay.gates,
        low=relay.low,
        scale=[(relay.points - 1) / (high - low) for low, high in zip(relay.low, relay.high, strict=True)],
        seen=start.gates or tuple(torch.zeros_like(current) for current in start.synapse[:-1]),
    )


def drives(connection: Connection, block: Block) -> bool:
    """Return whether a connection carries currents that act in their own step: not filtered, not counted."""
    return connection.pre == 0 and isinstance(block.drive, CurrentDrive)


def emission_values(network: Network, block: Block) -> list[float]:
    """Return what an emission of layers 0 to L counts as a rate; currents of the input count as they are."""
    values = [network.emission_value(layer) for layer in range(network.depth + 1)]
    return [1.0, *values[1:]] if isinstance(block.drive, CurrentDrive) else values


def synapse_decays(network: Network, hardware: Hardware) -> tuple[Tensor, ...]:
    """Return by how much synaptic currents decay in a step, per layer 1 to L, ``(chips, n)``, in float64."""
    return tuple(
        layer.neuron.synapse_decay(values, network.dt_ms)
        for layer, values in zip(network.layers, hardware.neurons, strict=True)
    )


def synaptic_gain(network: Network, decays: Sequence[Tensor], connection: Connection) -> Tensor:
    r"""Return what an emission through a weight of 1 adds to the synaptic current, ``(chips, 1, n_post)``.

    With :math:`(1 - a)\,s`, for the decay a of a step and the rate s that an emission counts as, a
    presynaptic rate r gives the mean current w r.

    Args:
        network: the description.
        decays: as `synapse_decays` returns them.
        connection: of the network.
    """
    return (1.0 - decays[connection.post - 1].unsqueeze(1)) * network.emission_value(connection.pre)


def gains(network: Network, decays: Sequence[Tensor], block: Block) -> list[Tensor]:
    """Return what the weights of every connection are multiplied with, ``(chips or 1, 1, n_post or 1)``.

    It is `synaptic_gain`, or 1 where a connection carries currents that act in their own step.
    """
    one = torch.ones(1, 1, 1, dtype=torch.float64, device=decays[0].device)
    return [one if drives(c, block) else synaptic_gain(network, decays, c) for c in network.connections]
