"""Weights that synapses have learned before, told apart from such that were written in another way."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["EXACT", "learned_before"]

EXACT = {"float64": 1e-12, "float32": 1e-5}
"""Share of the largest weight that rounding may have left, per type of the numbers."""


def learned_before(weights: Tensor, factor: Tensor | None, feedback: Tensor, exact: float) -> Tensor | None:
    r"""Return B with :math:`w_{ji} = f_{ji} \sum_a B_{ja} Q_{ai}`, ``(chips, n_pre, n_out)``, or None.

    There is such a B where all that was ever written are changes that feedback currents made.

    Args:
        weights: of the synapses, ``(chips, n_pre, n_post)``.
        factor: what they make of written weights, f, of the same shape; None for 1.
        feedback: Q, ``(chips, n_out, n_post)``.
        exact: how far weights may be from it, times the largest.
    """
    if not bool(weights.any()):
        return weights.new_zeros(*weights.shape[:2], feedback.shape[1])
    if weights.shape[2] < feedback.shape[1]:
        return None
    heard = torch.ones_like(weights) if factor is None else (factor != 0).to(weights)
    written = weights if factor is None else torch.where(factor != 0, weights / factor, 0.0)
    squares = torch.einsum("cai,cbi,cji->cjab", feedback, feedback, heard)
    products = torch.einsum("cji,cai->cja", written, feedback)
    found, failed = torch.linalg.solve_ex(squares, products.unsqueeze(-1))
    if bool(failed.any()):
        return None
    before: Tensor = found.squeeze(-1)
    off = ((torch.matmul(before, feedback) - written) * heard).abs().amax()
    return before if bool(off <= exact * written.abs().amax()) else None
