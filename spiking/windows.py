"""When what samples do is counted: where they end, and how many windows a presentation has."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["held_rows", "own_windows", "rows_of"]


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


def held_rows(sample: Tensor, window: Tensor, batch: int, windows: int) -> Tensor:
    """Return the row whose target holds in every window, ``(batch, windows)``.

    Where nothing is counted, the last one goes on; before there is any, the first one holds.

    Args:
        sample: of every row; see `rows_of`.
        window: likewise.
        batch: number of samples.
        windows: how many a presentation has.
    """
    places = torch.full((batch, windows), -1, dtype=torch.int64, device=sample.device)
    places[sample, window] = torch.arange(len(sample), device=sample.device)
    first = torch.where(places < 0, len(sample), places).min(1, keepdim=True).values
    return torch.maximum(places.cummax(1).values, first).clamp(max=max(len(sample) - 1, 0))
