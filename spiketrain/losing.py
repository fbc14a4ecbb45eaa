"""Cards while a run is under way: the same bits every time, and one message where one is lost or full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic

from root.errors import SimulationError

__all__ = ["keep_order", "lost_cards"]

SIGNS = ("CUDA error", "CUDA driver error", "cuBLAS", "CUBLAS_STATUS", "NVML")
"""What PyTorch says where a card does not go on; a kernel's failure may come out at any later operation."""


def keep_order(device: torch.device) -> None:
    """Let PyTorch sum in a fixed order on a card, for the whole process: what is resumed has the same bits.

    Args:
        device: where a run computes; on the processor the order is fixed anyway.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read with the first matrix product
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # no result hangs on it


@contextmanager
def lost_cards() -> Iterator[None]:
    """Turn what PyTorch says of a card into one message; the checkpoint is that of the last whole epoch.

    Raises:
        SimulationError: the card is full, or lost.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        said = str(error).partition("\n")[0]
        fix = "a smaller training.batch or mismatch.chips takes less"
        raise SimulationError(f"the card has no memory left ({said}); {fix}") from error
    except RuntimeError as error:
        if isinstance(error, SimulationError) or not any(sign in str(error) for sign in SIGNS):
            raise
        said = str(error).partition("\n")[0]
        raise SimulationError(f"the card was lost ({said}); the last checkpoint holds") from error
