"""Studies on several cards: one worker for each, which keeps to its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from spiking.simulators.cuda.card import cards

__all__ = ["take_card", "worker_for_each"]


def worker_for_each(config: Mapping[str, Any]) -> int | None:
    """Return how many workers a study has by default: one a card; None where cells stay on the processor.

    Args:
        config: of one of its cells.
    """
    return max(1, cards()) if _on_any_card(config) else None


def take_card(config: Mapping[str, Any]) -> None:
    """Let this worker compute on the card that has its number, where the config leaves open on which."""
    count = cards() if _on_any_card(config) else 0
    if count:
        torch.cuda.set_device(_number() % count)


def _on_any_card(config: Mapping[str, Any]) -> bool:
    part = config.get("simulator")
    return isinstance(part, Mapping) and part.get("device") == "cuda"


def _number() -> int:
    """Return the number of this worker among those on this machine; 0 where it is none."""
    try:
        from distributed import get_worker  # noqa: PLC0415 (only a study needs it)

        return int(get_worker().name)
    except (ImportError, TypeError, ValueError):  # no worker, or one that SLURM has named
        return 0
