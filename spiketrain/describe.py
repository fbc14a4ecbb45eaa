"""An experiment in a line: what a terminal says first, and what heads its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["count", "mismatch", "percent", "spread", "trained"]

POPULATION = ("chips", "seed", "first_chip", "shadow", "shadow_share", "preset")
"""Keys of the section ``mismatch`` that are no deviation and no imperfection."""


def trained(summary: Mapping[str, Any]) -> str:
    """Return what is trained: rule, task, network, chips, mismatch, simulator, seed.

    Args:
        summary: the fields of ``summary.json`` that say what was run.
    """
    return (
        f"{summary['rule']} on {summary['task']}: {summary['neuron']} network "
        f"{'-'.join(str(size) for size in summary['layers'])}, {count(int(summary['chips']), 'chip')}, "
        f"{mismatch(summary['mismatch'])}, on {summary['simulator']}, seed {summary['seed']}"
    )


def mismatch(section: Mapping[str, Any]) -> str:
    """Return how chips deviate, in a few words: ``mismatch: threshold and weight 20 %, faults``.

    Args:
        section: the resolved section ``mismatch`` of a config.
    """
    by_size: dict[str, list[str]] = {}
    for name, entry in section.items():
        if name not in POPULATION:
            by_size.setdefault(_size(entry), []).append(name.replace("_", " "))
    if not by_size:
        return "no mismatch"
    return "mismatch: " + ", ".join(f"{_listed(names)} {size}".strip() for size, names in by_size.items())


def count(number: int, noun: str) -> str:
    """Return a number and what it counts: ``1 chip``, ``4 chips``, ``12 epochs``, ``3 batches``."""
    plural = "es" if noun.endswith(("s", "x", "tch")) else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def percent(value: float) -> str:
    """Return a share in percent."""
    return f"{100 * value:.1f} %"


def spread(name: str, values: Sequence[float]) -> str:
    """Return a measure over chips: its mean, and the worst where there are several.

    Args:
        name: its column in ``metrics.csv``; what ends in ``accuracy`` is a share. Higher is better of these,
            and of what is ``valid``.
        values: one per chip.
    """
    share = name.endswith("accuracy")
    shown = percent if share else "{:.3g}".format
    mean = sum(values) / len(values)
    said = f"{name.replace('_', ' ')} {shown(mean)}"
    if len(values) == 1:
        return said
    worst = min(values) if share or name.startswith("valid_") else max(values)
    return f"{said} mean, {shown(worst)} worst of {len(values)} chips"


def _size(entry: Any) -> str:
    """Return how large a deviation is; nothing where no single number says it."""
    if isinstance(entry, int | float):
        return percent(entry).replace(".0 %", " %")
    if not isinstance(entry, Mapping) or "distribution" not in entry:
        return ""
    cv = entry.get("cv")
    return f"({entry['distribution']})" if cv is None else percent(float(cv)).replace(".0 %", " %")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
