"""How well feedback weights and updates fit the true chips: for analysis only, never for a rule.

On a rate chip the Jacobian J of the output with respect to all potentials is known analytically from the
true parameters; on a spiking chip the response of the output to current steps is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from chips.base import Chips
from learning.feedback_control.jacobian import jacobian
from learning.model import Model
from learning.rule import Update
from learning.stimulus import Batch
from mismatch import oracle
from rate_bridge.transfer import Transfer
from root.errors import UnsupportedError
from spiking.hardware import Hardware
from spiking.presentation import Phase

__all__ = [
    "TrueState",
    "all_measures",
    "control_measures",
    "feedback_measures",
    "measured_response",
    "true_state",
    "update_measures",
]

DAMPING = 0.1
"""γ of the damped minimum-norm and Gauss-Newton updates, as in the reference table."""


@final
@dataclass(frozen=True)
class TrueState:
    """Rate chips settled on a batch, computed from their true parameters.

    Args:
        rates: per layer 0 to L, ``(chips, batch, n)``.
        response: J per layer 1 to L, ``(chips, batch, n_out, n_l)``.
    """

    rates: tuple[Tensor, ...]
    response: tuple[Tensor, ...]


def true_state(chips: Chips, model: Model, batch: Batch) -> TrueState:
    """Return where the chips, as they are programmed, settle on a batch, and their Jacobian there.

    Raises:
        UnsupportedError: neurons that spike, or currents that change in time.
    """
    network = chips.network
    if any(layer.neuron.emits_spikes for layer in network.layers):
        raise UnsupportedError("measures", "spiking neurons", "rate neurons", "use measured_response")
    hardware = oracle.reveal(chips)
    drive = model.stimulus.drive(batch, "free")
    values = getattr(drive, "values", None)
    if values is None or values.ndim != 2:
        raise UnsupportedError("measures", type(drive).__name__, "constant input currents")
    rates, slopes = [values.expand(chips.chips, -1, -1)], []
    for index in range(network.depth):
        curve = _true_curve(hardware, model, index)
        current = torch.matmul(rates[-1], hardware.weights[index])
        current = current + hardware.neurons[index]["bias"].unsqueeze(1)
        rates.append(curve.rate(current))
        slopes.append(curve.slope(current))
    return TrueState(tuple(rates), jacobian(hardware.weights[: network.depth], slopes))


def _true_curve(hardware: Hardware, model: Model, index: int) -> Transfer:
    """Return the true curves of a layer; a curve calls its parameters by the names the neuron does."""
    network = model.network
    nominal = network.layers[index].neuron.transfer(network.max_rate_hz, network.dt_ms)
    known = set(vars(nominal))
    true = {k: v.unsqueeze(1) for k, v in hardware.neurons[index].items() if k in known}
    curve: Transfer = replace(nominal, **true)  # type: ignore[type-var]
    return curve


def measured_response(
    chips: Chips, model: Model, batch: Batch, *, step: float = 0.2, repeats: int = 1
) -> tuple[Tensor, ...]:
    r"""Return the response of the output to current steps, per layer, ``(chips, 1, n_out, n_l)``.

    Each neuron in turn gets :math:`\pm` `step` in two presentations from one state with one input, and
    :math:`J_{oj} = \langle r_o^+ - r_o^-\rangle / 2\,step` over samples and windows, so a response
    is a mean over the batch. Works for chips of any kind; its cost grows with the number of neurons.

    Args:
        chips: as they are programmed.
        model: for the stimulus.
        batch: what is shown.
        step: size of the current steps.
        repeats: number of presentations, each from states of its own, that are averaged.
    """

    def column(index: int, neuron: int) -> Tensor:
        phases = _step_phases(model, batch, index, neuron, step)
        total = torch.zeros(chips.chips, chips.network.outputs, dtype=torch.float64)
        for repeat in range(repeats):
            seen = chips.present(phases, "measures", repeat)
            total += (seen["plus"].rates[-1] - seen["minus"].rates[-1]).double().cpu().mean(1)
        return total / (2.0 * step * repeats)

    return tuple(
        torch.stack([column(index, neuron) for neuron in range(layer.size)], dim=-1).unsqueeze(1)
        for index, layer in enumerate(chips.network.layers)
    )


def _step_phases(model: Model, batch: Batch, index: int, neuron: int, step: float) -> list[Phase]:
    """Return two phases with a current step of either sign into one neuron."""
    network = model.network
    current = torch.zeros(len(batch.x), network.layers[index].size, dtype=torch.float64)
    current[:, neuron] = step
    nothing: list[Tensor | None] = [None] * network.depth
    return [
        model.stimulus.phase(
            name,
            batch,
            currents=(*nothing[:index], sign * current, *nothing[index + 1 :]),
            start="step",
            shared_input=True,
        )
        for name, sign in (("plus", 1.0), ("minus", -1.0))
    ]


def feedback_measures(response: Sequence[Tensor], feedback: Sequence[Tensor]) -> dict[str, Tensor]:
    r"""Return how well feedback weights fit the chips, each ``(chips,)``, means over samples.

    ``c2_ratio``: :math:`\|P_{row(J)} Q\| / \|Q\|`, 1 where condition 2 holds; ``angle_q_jt``,
    ``angle_q_jpinv``: degrees between Q and :math:`J^\top`, :math:`J^\dagger`; ``min_re_eig_jq``: the
    smallest real part of an eigenvalue of JQ over all samples, which α must outweigh for stability.

    Source: Meulemans et al. 2021, arXiv 2106.07887, conditions 2 and 3.

    Args:
        response: J per layer, ``(chips, batch, n_out, n_l)``.
        feedback: effective Q per layer, ``(chips, n_out, n_l)``.
    """
    j = torch.cat(list(response), dim=-1).double()
    q = torch.cat([w.double() for w in feedback], dim=-1).unsqueeze(1)
    inverse = _defined(torch.linalg.pinv, j)  # (chips, batch, all neurons, n_out)
    projected = torch.matmul(torch.matmul(q, inverse), j)
    loop = torch.matmul(j, q.transpose(-1, -2))
    return {
        "c2_ratio": (_norm(projected) / _norm(q)).mean(1),
        "angle_q_jt": _degrees(q.flatten(-2), j.flatten(-2)).mean(1),
        "angle_q_jpinv": _degrees(q.flatten(-2), inverse.transpose(-1, -2).flatten(-2)).mean(1),
        "min_re_eig_jq": _defined(_real_eigenvalues, loop).amin(dim=(1, 2, 3)),
    }


def update_measures(state: TrueState, target: Tensor, update: Update) -> dict[str, Tensor]:
    r"""Return the angles of an update to known ones, in degrees over all weights, each ``(chips,)``.

    With :math:`\delta = r^* - r_L` of the true chips, sums over samples of
    :math:`r_{l-1}^\top (x J_l)`:

    - ``angle_to_bp``: the gradient, x = δ;
    - ``angle_to_mn``: the minimum-norm change of potentials, :math:`x = (J J^\top + \gamma I)^{-1} \delta`;
    - ``angle_to_gn``: the Gauss-Newton change of weights for each sample,
      :math:`x = (\sum_l |r_{l-1}|^2 J_l J_l^\top + \gamma I)^{-1} \delta`.

    Source: Meulemans et al. 2021, arXiv 2106.07887, theorems 2 and 3; γ = 0.1.

    Args:
        state: from `true_state`.
        target: wanted output rates, ``(batch, n_out)``.
        update: what a rule proposes.
    """
    wanted = target.double() - state.rates[-1]
    grams = [torch.matmul(j, j.transpose(-1, -2)) for j in state.response]
    power = [r.square().sum(-1)[..., None, None] for r in state.rates[:-1]]
    identity = DAMPING * torch.eye(wanted.shape[-1]).to(wanted)
    minimum = sum(grams[1:], grams[0]) + identity
    gauss = sum((p * g for p, g in zip(power, grams, strict=True)), identity)
    signals = {
        "angle_to_bp": wanted,
        "angle_to_mn": _solved(minimum, wanted),
        "angle_to_gn": _solved(gauss, wanted),
    }
    changes = update.connections.values() if isinstance(update.connections, Mapping) else update.connections
    proposed = [change.weight().double() for change in changes if change is not None]
    return {name: _weight_angle(state, signal, proposed) for name, signal in signals.items()}


def _weight_angle(state: TrueState, signal: Tensor, proposed: Sequence[Tensor]) -> Tensor:
    known = []
    for pre, j in zip(state.rates[:-1], state.response, strict=True):
        error = torch.matmul(signal.unsqueeze(2), j).squeeze(2)
        known.append(torch.matmul(pre.transpose(1, 2), error))
    flat = [torch.cat([x.flatten(1) for x in group], dim=1) for group in (proposed, known)]
    return _degrees(*flat)


def control_measures(state: TrueState, target: Tensor, feedback: Sequence[Tensor]) -> dict[str, Tensor]:
    r"""Return what concerns the conditions beside the angles, each ``(chips,)``.

    ``layer_norm_spread``: condition 1, the standard deviation of :math:`|r_l|` over layers 0 to L-1 by
    its mean; ``control_norm``: :math:`|u Q|` that an ideal controller without leak would need.

    Args:
        state: from `true_state`.
        target: wanted output rates, ``(batch, n_out)``.
        feedback: effective Q per layer, ``(chips, n_out, n_l)``.
    """
    norms = torch.stack([r.norm(dim=-1) for r in state.rates[:-1]])
    j = torch.cat(list(state.response), dim=-1)
    q = torch.cat([w.double() for w in feedback], dim=-1).unsqueeze(1)
    loop = torch.matmul(j, q.transpose(-1, -2))
    wanted = (target.double() - state.rates[-1]).unsqueeze(-1)
    control = torch.matmul(_defined(torch.linalg.pinv, loop), wanted).transpose(-1, -2)
    return {
        "layer_norm_spread": (norms.std(0, correction=0) / norms.mean(0)).mean(1),
        "control_norm": torch.matmul(control, q).norm(dim=(-2, -1)).mean(1),
    }


def all_measures(
    chips: Chips, model: Model, batch: Batch, update: Update | None = None
) -> Mapping[str, Tensor]:
    """Return every measure that applies to rate chips, as columns for ``metrics.csv``.

    Args:
        chips: as they are programmed.
        model: for the stimulus.
        batch: samples to measure on.
        update: what the rule proposes for `batch`, or None to leave its angles out.
    """
    state = true_state(chips, model, batch)
    found: dict[str, Tensor] = {}
    feedback = chips.network.end_to_end(oracle.reveal(chips).feedback)
    if feedback:
        found |= feedback_measures(state.response, feedback)
        found |= control_measures(state, batch.target, feedback)
    if update is not None:
        found |= update_measures(state, batch.target, update)
    return found


def _defined(function: Callable[[Tensor], Tensor], matrix: Tensor) -> Tensor:
    """Return a function of matrices; NaN where one is not finite, since its chip has diverged."""
    finite = matrix.isfinite().flatten(-2).all(-1)[..., None, None]
    return torch.where(finite, function(torch.where(finite, matrix, 0.0)), math.nan)


def _real_eigenvalues(matrix: Tensor) -> Tensor:
    """Return the real parts of eigenvalues, ``(..., n, 1)``."""
    real: Tensor = torch.linalg.eigvals(matrix).real
    return real.unsqueeze(-1)


def _solved(matrix: Tensor, wanted: Tensor) -> Tensor:
    """Return the solutions of linear equations, ``(..., n)``; NaN where there is none, or no single one."""
    found, wrong = torch.linalg.solve_ex(matrix, wanted.unsqueeze(-1))
    return torch.where((wrong == 0).unsqueeze(-1), found.squeeze(-1), math.nan)


def _norm(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.matrix_norm(x)
    return norm


def _degrees(a: Tensor, b: Tensor) -> Tensor:
    """Return angles between vectors along the last axis, in degrees."""
    cosine = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp(min=1e-300)
    angle: Tensor = torch.rad2deg(torch.acos(cosine.clamp(-1.0, 1.0)))
    return angle
