"""Where an experiment computes: which simulator goes to a device, and whether the device is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from root.errors import InputError
from spiketrain.config import building
from spiketrain.config.sections import SimulatorPart
from spiking.simulators.cuda.card import driver, free_bytes, number, why_not

__all__ = ["card_of", "check_device", "check_room", "placed"]


def placed(data: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Return a config that computes on `device`.

    A simulator that stays on the processor gives way to the one that gives the same spikes there; options
    that this one does not have are left out.

    Args:
        data: the config as plain data.
        device: such as ``cpu`` or ``cuda``.
    """
    given = data.get("simulator")
    part = {"name": given} if isinstance(given, str) else given
    if not isinstance(part, Mapping) or "name" not in part:
        return dict(data)  # what is wrong with it is said later
    changed = {**part, "device": device}
    kind = building.find("simulators", part["name"], "simulator.name")
    if not device.startswith("cpu") and not kind.moves and kind.elsewhere:
        other = building.find("simulators", kind.elsewhere, "simulator.name")
        known = {*SimulatorPart.model_fields, *building.signature(other, frozenset())}
        changed = {key: value for key, value in changed.items() if key in known}
        changed["name"] = kind.elsewhere
    return {**data, "simulator": changed}


def card_of(name: str) -> int | None:
    """Return the number of the card that a device is, or None where it is none."""
    try:
        device = torch.device(name)
    except RuntimeError:
        return None
    return number(device) if device.type == "cuda" else None


def check_device(name: str) -> None:
    """Raise `InputError` for a device that is not there, with the reason."""
    try:
        torch.empty(0, device=torch.device(name))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        card = card_of(name)
        reason = "" if card is None else why_not(card) or str(error).partition("\n")[0]
        fix = "`spiketrain doctor` lists what this machine has"
        fix = f"{reason[0].upper()}{reason[1:]}; {fix}" if reason else fix
        raise InputError("simulator.device", name, "cpu, or a device that PyTorch can use", fix) from None


def check_room(name: str, needed: int) -> None:
    """Raise `InputError` where a card has less memory free than a run will need.

    Args:
        name: the device.
        needed: bytes.
    """
    card = card_of(name)
    if card is None or why_not(card):
        return
    free = free_bytes(card)
    if needed > free:
        raise InputError(
            "simulator.device",
            f"{name}, for an experiment that needs about {needed / 1e9:.3g} GB there",
            f"at most the {free / 1e9:.3g} GB that are free on {driver().name(card)}",
            "smaller network.layers, training.batch or mismatch.chips, or another card (cuda:1)",
        )
