"""The key ``network.feedback``, of a chain and of a graph alike."""

from __future__ import annotations

from typing import Any

from spiketrain.config import building
from spiking.feedback import FeedbackPath

__all__ = ["feedback_part"]


def feedback_part(given: str | dict[str, Any]) -> tuple[dict[str, Any], FeedbackPath]:
    """Return what the config says, by name, and how the controller's signal reaches the layers.

    Args:
        given: a name, or a mapping with the key ``name``.

    Raises:
        InputError: there is no such path, or it has no such keys.
    """
    named = {"name": given} if isinstance(given, str) else given
    path: FeedbackPath = building.build("feedback_paths", named, "network.feedback")
    return named, path
