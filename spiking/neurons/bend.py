"""The shape of an activation: its argument bent, with the origin, the slope there and the range kept."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["bend", "bend_equation", "bend_slope", "unbend"]


def _sign(x: Tensor) -> Tensor:
    """Return -1 below 0 and 1 from 0 on, so that derivatives are right at 0."""
    return torch.where(x < 0, -1.0, 1.0).to(x.dtype)


def bend(x: Tensor, shape: Tensor) -> Tensor:
    r"""Return the argument of an activation, bent.

    .. math:: \psi_k(x) = \mathrm{sgn}(x)\, \frac{(1 + |x|)^k - 1}{k}

    It is odd and increasing, runs from -∞ to ∞ for every k > 0, has :math:`\psi_k(0) = 0` and
    :math:`\psi_k'(0) = 1`, and is the identity for k = 1. A k > 1 steepens what lies away from the
    origin (a plateau is reached earlier, a ReLU turns upwards), a k < 1 flattens it.

    Source: the power transform of Yeo & Johnson 2000, doi:10.1093/biomet/87.4.954, its positive branch on
    both sides.

    Args:
        x: the argument.
        shape: k > 0, broadcast against `x`.
    """
    sign = _sign(x)
    return sign * torch.expm1(shape * torch.log1p(sign * x)) / shape


def unbend(y: Tensor, shape: Tensor) -> Tensor:
    r"""Return the inverse, :math:`\mathrm{sgn}(y)\,((1 + k|y|)^{1/k} - 1)`."""
    sign = _sign(y)
    return sign * torch.expm1(torch.log1p(shape * sign * y) / shape)


def bend_slope(x: Tensor, shape: Tensor) -> Tensor:
    r"""Return the derivative, :math:`(1 + |x|)^{k - 1}`."""
    return torch.exp((shape - 1.0) * torch.log1p(x.abs()))


def bend_equation(x: str, shape: str) -> str:
    """Return the bent argument as an expression in the notation of `Dynamics`."""
    return f"(sign({x})*expm1({shape}*log1p(abs({x})))/{shape})"
