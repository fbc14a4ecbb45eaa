"""What a spike does to the output later on: its answer, and signals from what is wanted of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import jvp

from learning.model import Model
from spiking.programs.to_torch import surrogate_stepper

__all__ = ["answer", "later"]


def answer(model: Model, steps: int) -> Tensor:
    """Return the output's answer to one emission of the layer before, through a weight of 1.

    It is that of the potential near its start, far from a spike: of the distance from the threshold where the
    output spikes, so that all of it adds up to 1; otherwise of what it emits.

    Args:
        model: the design.
        steps: how long.

    Returns:
        ``(steps,)``; 0 before the spike has arrived.
    """
    network = model.network
    neuron, connection = network.layers[-1].neuron, network.connections[network.depth - 1]
    values = {name: torch.full((1, 1), value, dtype=model.dtype) for name, value in neuron.nominal.items()}
    constants = neuron.constants(values, network.dt_ms)
    kept = float(neuron.synapse_decay(values, network.dt_ms))
    advance = surrogate_stepper(neuron.program(constants))
    arriving = (1.0 - kept) * network.emission_value(connection.pre)
    current = torch.zeros(steps, dtype=model.dtype)
    count = torch.arange(max(steps - connection.delay_steps, 0), dtype=model.dtype)
    current[connection.delay_steps :] = arriving * kept**count

    def run(size: Tensor) -> Tensor:
        state, seen = neuron.initial_state(values, torch.zeros(1, 1, 1, dtype=model.dtype)), []

        def silent(distance: Tensor) -> Tensor:
            seen.append(distance)
            return torch.zeros_like(distance)

        for own in current:
            emitted = advance(state, (own * size).view(1, 1, 1), constants, silent)
            if not neuron.emits_spikes:
                seen.append(emitted)
        return torch.stack(seen).flatten()

    one = torch.ones((), dtype=model.dtype)
    found: Tensor = jvp(run, (torch.zeros_like(one),), (one,))[1]
    return (found / found.sum() if neuron.emits_spikes else found).to(model.device)


def later(signal: Tensor, kernel: Tensor) -> Tensor:
    r"""Return what is wanted later on of what is done now, :math:`\sum_{t' \ge t} \kappa^{t'-t} S^{t'}`.

    Args:
        signal: ``(chips, batch, time, n)``.
        kernel: κ, ``(time,)``.
    """
    steps = torch.arange(len(kernel), device=kernel.device)
    distance = steps.unsqueeze(0) - steps.unsqueeze(1)
    spread = torch.where(distance >= 0, kernel[distance.clamp(min=0)], 0.0)
    return torch.einsum("ts,cbsn->cbtn", spread.to(signal), signal)
