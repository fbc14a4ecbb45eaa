"""When what samples do is counted: where they end, and how many windows a presentation has."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["own_windows", "rows_of"]


def own_windows(window: Tensor, lengths: Tensor, windows: int) -> Tensor:
    """Return the averaging weights of every sample, ``(batch, steps)``.

    The presentation falls into equal parts, one per window. In the part in which a sample ends, the window
    ends with it; in later ones it has none.

    Args:
        window: of samples that last to the end, ``(steps,)``.
        lengths: steps after which each sample is over, ``(batch,)``.
        windows: how many there are.
    """
    parts = window.view(windows, -1)
    size = parts.shape[1]
    numbers = torch.arange(windows, device=window.device)
    filled = (lengths.to(window.device).unsqueeze(1) - numbers * size).clamp(0, size)
    places = torch.arange(size, device=window.device) + (size - filled).unsqueeze(2)
    shifted = parts.expand(len(lengths), -1, -1).gather(2, places.clamp(max=size - 1))
    return torch.where(places < size, shifted, 0.0).flatten(1)


def rows_of(weights: Tensor, windows: int, counted: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return sample and window of every window in which something is counted, sample by sample.

    Args:
        weights: averaging weights, ``(batch, steps)``.
        windows: how many there are.
        counted: False for those to leave out, ``(batch, windows)``, or None.
    """
    there = (weights.view(len(weights), windows, -1) != 0).any(2)
    if counted is not None:
        there = there & counted.to(there.device)
    sample, window = there.nonzero(as_tuple=True)
    return sample, window
