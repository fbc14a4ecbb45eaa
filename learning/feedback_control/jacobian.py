"""The Jacobian of a network's output with respect to the potentials of all its neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from learning.error_feedback import carried_back, errors_at_rest
from learning.model import Model

__all__ = ["graph_jacobian", "jacobian", "solve_control"]


def jacobian(weights: Sequence[Tensor], slopes: Sequence[Tensor]) -> tuple[Tensor, ...]:
    r"""Return :math:`J_l = \partial r_L / \partial v_l` per layer, ``(chips, batch, n_out, n_l)``.

    .. math::
        J_L = D_L, \qquad J_l = J_{l+1} W_{l+1}^\top D_l, \qquad D_l = \mathrm{diag}(\phi'_l)

    Args:
        weights: of the chain, per layer 1 to L, ``(chips, n_pre, n_post)``.
        slopes: :math:`\phi'_l` per layer 1 to L, ``(chips, batch, n)``.
    """
    layers = [torch.diag_embed(slopes[-1])]
    for weight, slope in zip(reversed(weights[1:]), reversed(slopes[:-1]), strict=True):
        back = torch.matmul(layers[0], weight.transpose(1, 2).unsqueeze(1))
        layers.insert(0, back * slope.unsqueeze(2))
    return tuple(layers)


def graph_jacobian(model: Model, slopes: Sequence[Tensor]) -> tuple[Tensor, ...]:
    r"""Return the same of any graph, at rest: one error per output, sent back along all connections.

    .. math:: J_l = \Big(\sum_{l \to m} J_m W_{lm}^\top\Big) D_l, \qquad
        J_L = D_L + \Big(\sum_{L \to m} J_m W_{Lm}^\top\Big) D_L

    Args:
        model: the network and its weights as the rule knows them.
        slopes: :math:`\phi'_l` per layer 1 to L, ``(chips, batch, n)``.
    """
    chips, batch, outputs = slopes[-1].shape
    rows = torch.diag_embed(slopes[-1]).flatten(1, 2)

    def arriving(layer: int, errors: Mapping[int, Tensor]) -> Tensor:
        found = carried_back(model, layer, errors, model.back)
        return rows.new_zeros(()) if found is None else found

    wide = [slope.repeat_interleave(outputs, dim=1) for slope in slopes]
    found = errors_at_rest(model.network, rows, wide, arriving)
    return tuple(error.view(chips, batch, outputs, -1) for error in found)


def solve_control(
    response: Sequence[Tensor], feedback: Sequence[Tensor], alpha: float, wanted: Tensor
) -> Tensor:
    r"""Return the control signal at rest, :math:`u = (JQ + \alpha I)^{-1} \delta`, ``(chips, batch, n_out)``.

    Args:
        response: J per layer, ``(chips, batch, n_out, n_l)``.
        feedback: Q per layer, ``(chips, n_out, n_l)``.
        alpha: of the controller, :math:`e = \alpha u` at rest.
        wanted: δ, ``(chips, batch, n_out)``.
    """
    layers = zip(response, feedback, strict=True)
    loop = sum(torch.matmul(j, q.to(j).transpose(1, 2).unsqueeze(1)) for j, q in layers)
    loop = loop + alpha * torch.eye(wanted.shape[-1], dtype=wanted.dtype, device=wanted.device)
    solution: Tensor = torch.linalg.solve(loop, wanted.unsqueeze(-1))
    return solution.squeeze(-1)
