"""Cards that are lost, or full, while a run is under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rate_bridge.errors import SimulationError

__all__ = ["lost_cards"]

SIGNS = ("CUDA error", "CUDA driver error", "cuBLAS", "CUBLAS_STATUS", "NVML")
"""What PyTorch says where a card does not go on; a kernel's failure may come out at any later operation."""


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
